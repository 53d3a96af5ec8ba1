/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * args.c - the command line, read from a table: the same grammar of numbers and
 * the same messages in all demos.
 */
#define _POSIX_C_SOURCE 200809L

#include "args.h"

#include <bpthread.h>
#include <ctype.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/un.h>
#include <unistd.h>

_Noreturn void args_refuse(const struct args_program *program, const char *format, ...)
{
	va_list values;

	fprintf(stderr, "%s: ", program->name);
	va_start(values, format);
	vfprintf(stderr, format, values);
	va_end(values);
	fprintf(stderr, " (--help says more)\n");
	exit(2);
}

int args_failed(const struct args_program *program, const char *doing,
    const char *what, int err)
{
	fprintf(stderr, "%s: cannot %s %s: %s\n", program->name, doing, what,
	    bp_strerror(err));
	return err == -EINVAL ? 2 : 1;
}

int args_written(const struct args_program *program, int status)
{
	bool bad = fflush(stdout) != 0;

	if (!bad && !ferror(stdout))
		return status;
	fprintf(stderr, "%s: cannot write to stdout\n", program->name);
	return status ? status : 1;
}

/*
 * One that is closed would be the number of the first socket, which then got what is
 * printed. What is open the wrong way round still fails, as the closed one did.
 */
static void fill_standard(void)
{
	for (int fd = 0; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0)
			open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
}

/* ---- numbers --------------------------------------------------------------- */

struct suffix {
	const char *text;
	uint64_t factor;
};

static const struct suffix suffixes[][5] = {
	[ARGS_COUNT] = { { "", 1 } },
	[ARGS_BYTES] = { { "", 1 }, { "K", 1 << 10 }, { "M", 1 << 20 }, { "G", 1 << 30 } },
	[ARGS_RATE] = { { "", 1 }, { "K", 1000 }, { "M", 1000000 }, { "G", 1000000000 } },
	[ARGS_MS] = { { "", 1000 }, { "ms", 1 }, { "s", 1000 }, { "m", 60000 } },
};

static const char *const unit_names[] = {
	[ARGS_COUNT] = "a number", [ARGS_BYTES] = "a size like 64K or 16M",
	[ARGS_RATE] = "a rate like 200M", [ARGS_MS] = "a time like 10s or 500ms",
};

static bool read_number(const char *text, enum args_unit unit, uint64_t *ret)
{
	const struct suffix *suffix = suffixes[unit];
	char *end;
	uint64_t n;

	if (!isdigit((unsigned char)*text))
		return false;
	errno = 0;
	n = strtoull(text, &end, 10);
	if (errno)
		return false;
	while (suffix->text && strcmp(suffix->text, end) != 0)
		suffix++;
	if (!suffix->text || n > UINT64_MAX / suffix->factor)
		return false;
	*ret = n * suffix->factor;
	return true;
}

/* The bounds of an option are told in the unit they are given in. */
static void print_number(char *out, size_t size, uint64_t n, enum args_unit unit)
{
	const struct suffix *suffix, *best = suffixes[unit];

	for (suffix = best; suffix->text; suffix++)
		if (n % suffix->factor == 0 && (suffix->factor > best->factor
		    || n % best->factor != 0) && n >= suffix->factor)
			best = suffix;
	snprintf(out, size, "%llu%s", (unsigned long long)(n / best->factor), best->text);
}

static void set_number(const struct args_program *program,
    const struct args_option *option, const char *text)
{
	char min[32], max[32];
	uint64_t n;

	if (!read_number(text, option->unit, &n))
		args_refuse(program, "--%s: '%s' is not %s", option->name, text,
		    unit_names[option->unit]);
	if (n < option->min || n > option->max) {
		print_number(min, sizeof min, option->min, option->unit);
		print_number(max, sizeof max, option->max, option->unit);
		args_refuse(program, "--%s: %s is not within %s and %s", option->name,
		    text, min, max);
	}
	*option->number = n;
}

/* ---- words ----------------------------------------------------------------- */

static const struct args_option *find(const struct args_option *options,
    const char *name, size_t len)
{
	for (; options->name; options++)
		if (strncmp(options->name, name, len) == 0 && !options->name[len])
			return options;
	return NULL;
}

static void set_letter(const struct args_program *program,
    const struct args_option *options, const char *word)
{
	for (; options->name; options++)
		if (options->letter && options->letter == word[1] && !word[2]) {
			*options->flag = true;
			return;
		}
	args_refuse(program, "there is no option %s", word);
}

/* Returns how many arguments the option took. */
static int set_option(const struct args_program *program,
    const struct args_option *options, char **argv)
{
	const char *name = argv[0] + 2, *value = strchr(name, '=');
	size_t len = value ? (size_t)(value - name) : strlen(name);
	const struct args_option *option = find(options, name, len);
	int took = 1;

	if (!option)
		args_refuse(program, "there is no option --%.*s", (int)len, name);
	if (option->flag) {
		if (value)
			args_refuse(program, "--%s takes no value", option->name);
		*option->flag = true;
		return 1;
	}
	if (value) {
		value++;
	} else {
		value = argv[1];
		took = 2;
	}
	if (!value)
		args_refuse(program, "--%s wants a value", option->name);
	if (option->text)
		*option->text = value;
	else
		set_number(program, option, value);
	return took;
}

int args_parse(const struct args_program *program, int argc, char **argv,
    const struct args_option *options, const char **words, int words_min,
    int words_max)
{
	bool only_words = false;
	int i = 1, n = 0;

	fill_standard();
	while (i < argc) {
		if (!only_words && strcmp(argv[i], "--help") == 0) {
			fputs(program->help, stdout);
			exit(args_written(program, 0));
		}
		if (!only_words && strcmp(argv[i], "--") == 0) {
			only_words = true;
			i++;
		} else if (!only_words && argv[i][0] == '-' && argv[i][1]) {
			if (argv[i][1] != '-')
				set_letter(program, options, argv[i++]);
			else
				i += set_option(program, options, argv + i);
		} else if (n == words_max) {
			args_refuse(program, "'%s' is one argument too many", argv[i]);
		} else {
			words[n++] = argv[i++];
		}
	}
	if (n < words_min)
		args_refuse(program, "an argument is missing");
	return n;
}

/* ---- addresses and disciplines --------------------------------------------- */

#define UNIX_PATH_SIZE (sizeof ((struct sockaddr_un *)NULL)->sun_path)

static bool is_port(const char *text)
{
	size_t digits = strspn(text, "0123456789");

	return digits >= 1 && digits <= 5 && !text[digits] && atoi(text) <= 65535;
}

/* HOST:PORT, where an IPv6 address has brackets. Who HOST is asks the library. */
static bool is_addr(const char *word)
{
	const char *colon = strrchr(word, ':'), *bracket;

	if (strncmp(word, "unix:", 5) == 0)
		return word[5] != '\0';
	if (!colon || colon - word > 255 || !is_port(colon + 1))
		return false;
	if (*word != '[')
		return strchr(word, ':') == colon;
	bracket = strchr(word, ']');
	return bracket && bracket + 1 == colon && strchr(word, ':') < bracket;
}

const char *args_addr(const struct args_program *program, const char *word)
{
	static char addr[16];
	bool number = *word && !word[strspn(word, "0123456789")];

	if (number && !is_port(word))
		args_refuse(program, "%s is not a port: 0 to 65535", word);
	if (strncmp(word, "unix:", 5) == 0 && strlen(word + 5) >= UNIX_PATH_SIZE)
		args_refuse(program, "'%s': a Unix socket's path has at most %zu bytes",
		    word, UNIX_PATH_SIZE - 1);
	if (!number && !is_addr(word))
		args_refuse(program,
		    "'%s' is not PORT, HOST:PORT, [IPV6]:PORT or unix:/path", word);
	if (!number)
		return word;
	snprintf(addr, sizeof addr, ":%s", word);
	return addr;
}

const char *args_target(const struct args_program *program, const char *word)
{
	const char *addr = args_addr(program, word);

	if (strncmp(addr, "unix:", 5) != 0 && atoi(strrchr(addr, ':') + 1) == 0)
		args_refuse(program, "'%s': nobody can be connected to at port 0", word);
	return addr;
}

static bool is_discipline(const char *text)
{
	struct bp_endpoint_config config = { 0 };

	return bp_qdisc_parse(&config, text) == 0;
}

/* The library says only that something is wrong: what, is found by trying. */
_Noreturn static void refuse_qdisc(const struct args_program *program, const char *text)
{
	int name = (int)strcspn(text, ":"), len, key;
	const char *p = text + name;
	char tried[256];

	snprintf(tried, sizeof tried, "%.*s", name, text);
	if (!is_discipline(tried))
		args_refuse(program, "'%s' is not a discipline; abuse list names them",
		    text);
	for (; *p; p += len) {
		p++;
		len = (int)strcspn(p, ",");
		key = (int)strcspn(p, ",=");
		snprintf(tried, sizeof tried, "%.*s:%.*s", name, text, len, p);
		if (is_discipline(tried))
			continue;
		snprintf(tried, sizeof tried, "%.*s:%.*s=1", name, text, key, p);
		if (is_discipline(tried))
			args_refuse(program, "'%s': '%.*s' wants a number above 0, as 64M",
			    text, key, p);
		snprintf(tried, sizeof tried, "%.*s:%.*s=conn", name, text, key, p);
		if (is_discipline(tried))
			args_refuse(program, "'%s': '%.*s' is conn, addr or key", text,
			    key, p);
		args_refuse(program, "'%s': %.*s has no key '%.*s'", text, name, text,
		    key, p);
	}
	args_refuse(program, "'%s' is not a discipline", text);
}

void args_qdisc(const struct args_program *program, struct bp_endpoint_config *config,
    const char *text)
{
	if (bp_qdisc_parse(config, text) < 0)
		refuse_qdisc(program, text);
}

/* ---- while it runs --------------------------------------------------------- */

const char *args_visible(struct args_text *ret, const char *text)
{
	size_t n = 0;

	for (; *text && n + 5 < sizeof ret->s; text++)
		if (*text >= ' ' && *text < 0x7f)
			ret->s[n++] = *text;
		else
			n += (size_t)snprintf(ret->s + n, 5, "\\x%02x",
			    (unsigned char)*text);
	ret->s[n] = '\0';
	return ret->s;
}

void args_log(int level, const char *line, void *program)
{
	const int warning = 4;		/* as syslog(3) counts */

	if (level <= warning)
		fprintf(stderr, "%s: %s\n", ((const struct args_program *)program)->name,
		    line);
}

void args_raise_files(const struct args_program *program)
{
	struct rlimit files;
	rlim_t soft;

	if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur == files.rlim_max)
		return;
	soft = files.rlim_cur;
	files.rlim_cur = files.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &files) == 0)
		fprintf(stderr, "%s: raised the limit of descriptors from %llu to %llu\n",
		    program->name, (unsigned long long)soft,
		    (unsigned long long)files.rlim_max);
}

sigset_t args_server(const struct args_program *program)
{
	sigset_t signals;

	args_raise_files(program);
	setvbuf(stdout, NULL, _IOLBF, 0);
	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &signals, NULL);
	return signals;
}
