/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fake.h - a server that answers as the live monitor would, or as one would that means
 * harm to who asks: for the tests of demos/abuse top.
 */
#ifndef TEST_FAKE_H
#define TEST_FAKE_H

#include "harness.h"

enum behaviour {
	GOOD,
	HOSTILE,		/* text that a terminal would obey */
	NOT_FOUND,
	NO_HTTP,
	NO_JSON,
	OTHER_JSON,
	DEEP,
	CUT_OFF,
	ENDLESS,
	SILENT,
};

/* One is enough: each test has its process. */
extern struct fake {
	char addr[ADDR_MAX], url[ADDR_MAX + 16];
	int listener;
	atomic_int behaviour, served;
	atomic_bool over;
	char last[2048];		/* head of the first request; to be read after the end */
	struct task *task;
} fake;

void fake_begin(enum behaviour behaviour);
bool fake_begin_on_ipv6(void);		/* false: there is none */
void fake_end(void);			/* nobody listens there any more */
void fake_begin_again(void);		/* where it was */

/* The glyphs that top draws with are all it may show beyond ASCII: blocks, and a dot. */
void fake_take_out_glyphs(char *text);

#endif /* TEST_FAKE_H */
