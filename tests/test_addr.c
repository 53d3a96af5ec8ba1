/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_addr.c - addresses as text: what goes in comes out in the same format.
 */
#include "config.h"

#include "harness.h"

#include "addr.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/un.h>
#include <unistd.h>

/* The longest path there is; one more is too long. */
#define PATH_MAX_LEN (sizeof ((struct sockaddr_un *)NULL)->sun_path - 1)

static struct bp__addr *addrs;
static size_t n_addrs;
static char text_out[BP__ADDR_TEXT_MAX];

static void resolve(const char *text, bool to_listen)
{
	addrs = NULL;
	n_addrs = 0;
	if (!CHECK_EQ(bp__addr_resolve(text, to_listen, &addrs, &n_addrs), 0))
		printf("# the address was \"%s\"\n", text);
	REQUIRE(addrs != NULL && n_addrs > 0);
}

/* Whether one of what was found reads so. */
static bool found(const char *text)
{
	size_t i;

	for (i = 0; i < n_addrs; i++) {
		bp__addr_format(text_out, &addrs[i]);
		if (strcmp(text_out, text) == 0)
			return true;
	}
	return false;
}

/* The text has one meaning, which reads so. */
static void check_in_and_out(const char *in, const char *out)
{
	int to_listen;

	for (to_listen = 0; to_listen < 2; to_listen++) {
		resolve(in, to_listen);
		CHECK_EQ(n_addrs, 1);
		if (!CHECK(found(out)))
			printf("# \"%s\" became \"%s\"\n", in, text_out);
		free(addrs);
	}
}

static void check_fails(const char *text, int err)
{
	struct bp__addr *const no_addrs = (struct bp__addr *)text_out;
	struct bp__addr *got = no_addrs;
	size_t n = 4711;

	if (!CHECK_EQ(bp__addr_resolve(text, false, &got, &n), err)
	    || !CHECK_EQ(bp__addr_resolve(text, true, &got, &n), err))
		printf("# the address was \"%s\"\n", text);
	CHECK(got == no_addrs);		/* results are untouched */
	CHECK_EQ(n, 4711);
}

static void test_addr_numbers_come_out_as_they_went_in(void)
{
	static const char *const texts[] = {
		"127.0.0.1:80", "0.0.0.0:0", "255.255.255.255:65535", "1.2.3.4:7",
		"[::1]:80", "[::]:0", "[2001:db8:1:2:3:4:5:6]:65535",
		"[2001:db8::1]:12345", "[ff02::1]:9",
		"unix:/tmp/socket", "unix:relative/path", "unix:/with:colons:80",
		"unix:/with spaces", "unix:x",
	};
	size_t i;

	for (i = 0; i < COUNT_OF(texts); i++)
		check_in_and_out(texts[i], texts[i]);
}

static void test_addr_comes_out_in_its_shortest_form(void)
{
	check_in_and_out("127.0.0.1:00080", "127.0.0.1:80");
	check_in_and_out("[0:0:0:0:0:0:0:1]:80", "[::1]:80");
	check_in_and_out("[2001:DB8::0:1]:80", "[2001:db8::1]:80");
}

static void test_addr_without_host_is_any_to_listen_and_this_one_to_connect(void)
{
	resolve(":80", true);
	CHECK(found("0.0.0.0:80") || found("[::]:80"));
	CHECK(!found("127.0.0.1:80") && !found("[::1]:80"));
	free(addrs);
	resolve(":80", false);
	CHECK(found("127.0.0.1:80") || found("[::1]:80"));
	CHECK(!found("0.0.0.0:80") && !found("[::]:80"));
	free(addrs);
}

static void test_addr_name_is_resolved(void)
{
	if (bp__addr_resolve("localhost:80", false, &addrs, &n_addrs) < 0)
		skip_test("localhost does not resolve here");
	CHECK(found("127.0.0.1:80") || found("[::1]:80"));
	free(addrs);
}

static void test_addr_that_is_malformed_is_refused(void)
{
	static const char *const bad[] = {
		"", ":", "80", "localhost", "127.0.0.1", "localhost:", "127.0.0.1:",
		"127.0.0.1:x", "127.0.0.1:-1", "127.0.0.1:+1", "127.0.0.1: 1",
		"127.0.0.1:1 ", "127.0.0.1:65536", "127.0.0.1:99999",
		"127.0.0.1:100000", "127.0.0.1:4294967376", "127.0.0.1:http",
		"127.0.0.1:0x50", "127.0.0.1:80:80",
		"::1:80", "::1", "[::1]", "[::1]:", "[::1", "[::1]80", "[::1:80",
		"[:80", "::", "unix:",
	};
	char long_host[400];
	size_t i;

	for (i = 0; i < COUNT_OF(bad); i++)
		check_fails(bad[i], -EINVAL);
	check_fails(NULL, -EINVAL);
	memset(long_host, 'a', sizeof long_host);
	strcpy(long_host + sizeof long_host - 4, ":80");
	check_fails(long_host, -EINVAL);
}

/* The resolver may be lacking, the name in any case is (RFC 6761). */
static void test_addr_name_there_is_not_is_no_entry(void)
{
	check_fails("no-such-host.invalid:80", -ENOENT);
}

static void test_addr_path_may_fill_its_field_but_not_more(void)
{
	char path[5 + PATH_MAX_LEN + 2] = "unix:";

	memset(path + 5, 'p', PATH_MAX_LEN);
	check_in_and_out(path, path);
	path[5 + PATH_MAX_LEN] = 'p';
	check_fails(path, -EINVAL);
}

/* The kernel gives such, with no final 0. */
static void test_addr_path_without_a_final_0_is_formatted(void)
{
	struct bp__addr addr = { .len = sizeof(struct sockaddr_un) };
	struct sockaddr_un *un = (struct sockaddr_un *)&addr.sa;
	char expected[6 + sizeof un->sun_path] = "unix:";

	un->sun_family = AF_UNIX;
	memset(un->sun_path, 'p', sizeof un->sun_path);
	memset(expected + 5, 'p', sizeof un->sun_path);
	bp__addr_format(text_out, &addr);
	CHECK_STR(text_out, expected);
	/* one without a name has no path at all, whatever lies there */
	addr.len = offsetof(struct sockaddr_un, sun_path);
	bp__addr_format(text_out, &addr);
	CHECK_STR(text_out, "unix:");
}

static void test_addr_ipv4_within_ipv6_is_written_as_ipv4(void)
{
	struct bp__addr addr = { .len = sizeof(struct sockaddr_in6) };
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&addr.sa;

	in6->sin6_family = AF_INET6;
	in6->sin6_port = htons(8080);
	REQUIRE_EQ(inet_pton(AF_INET6, "::ffff:10.1.2.3", &in6->sin6_addr), 1);
	bp__addr_format(text_out, &addr);
	CHECK_STR(text_out, "10.1.2.3:8080");
}

static void test_addr_of_a_family_unknown_is_nothing(void)
{
	struct bp__addr addr = { .len = sizeof(struct sockaddr) };

	addr.sa.ss_family = AF_PACKET;
	strcpy(text_out, "before");
	bp__addr_format(text_out, &addr);
	CHECK_STR(text_out, "");
}

static void text_of(char text[BP__ADDR_TEXT_MAX], int fd, bool peer)
{
	struct bp__addr addr;

	bp__addr_of_fd(&addr, fd, peer);
	bp__addr_format(text, &addr);
}

static void test_addr_of_a_descriptor_is_told_from_both_ends(void)
{
	struct sockaddr_in in = { .sin_family = AF_INET };
	char local[BP__ADDR_TEXT_MAX], peer[BP__ADDR_TEXT_MAX];
	socklen_t len = sizeof in;
	int listener = socket(AF_INET, SOCK_STREAM, 0);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	REQUIRE(listener >= 0 && fd >= 0);
	REQUIRE_EQ(bind(listener, (struct sockaddr *)&in, sizeof in), 0);
	REQUIRE_EQ(listen(listener, 1), 0);
	REQUIRE_EQ(getsockname(listener, (struct sockaddr *)&in, &len), 0);
	REQUIRE_EQ(connect(fd, (struct sockaddr *)&in, sizeof in), 0);
	text_of(local, listener, false);
	text_of(peer, fd, true);
	CHECK(strncmp(local, "127.0.0.1:", 10) == 0);
	CHECK_EQ(atoi(local + 10), ntohs(in.sin_port));
	CHECK_STR(local, peer);
	text_of(local, fd, false);
	CHECK(strcmp(local, peer) != 0);
	close(fd);
	text_of(peer, listener, true);
	CHECK_STR(peer, "");		/* it has none */
	close(listener);
	text_of(local, listener, false);
	CHECK_STR(local, "");		/* no socket */
}

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		TEST(test_addr_numbers_come_out_as_they_went_in),
		TEST(test_addr_comes_out_in_its_shortest_form),
		TEST(test_addr_without_host_is_any_to_listen_and_this_one_to_connect),
		TEST(test_addr_name_is_resolved),
		TEST(test_addr_that_is_malformed_is_refused),
		TEST(test_addr_name_there_is_not_is_no_entry),
		TEST(test_addr_path_may_fill_its_field_but_not_more),
		TEST(test_addr_path_without_a_final_0_is_formatted),
		TEST(test_addr_ipv4_within_ipv6_is_written_as_ipv4),
		TEST(test_addr_of_a_family_unknown_is_nothing),
		TEST(test_addr_of_a_descriptor_is_told_from_both_ends),
	};

	return run_suite("addr", tests, COUNT_OF(tests), argc, argv);
}
