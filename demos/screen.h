/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * screen.h - lines of text with bars and sparklines, as wide as the terminal: drawn
 * over what was there on a live one, printed elsewhere. Plain ANSI.
 *
 * Nothing is shown but the text given and our own glyphs: text must be printable
 * ASCII (json_copy() makes it so), and what is too long is cut.
 */
#ifndef SCREEN_H
#define SCREEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum screen_style { PLAIN, DIM, BOLD, GOOD, WARN, BAD, BLUE, ALARM };

struct screen {
	int columns, rows;
	bool live;			/* a terminal that is ours */
	bool colour, glyphs;		/* it has colours; it shows UTF-8 */

	/* the frame that is being drawn */
	FILE *to;
	char *bytes;
	size_t len;
	int column, row;
};

/* What stdout is: its size, 80 x 24 where it has none. live: take the terminal over. */
void screen_open(struct screen *s, bool live);
/* Give the terminal back as it was. Both are for screen_open() and for being stopped. */
void screen_enter(struct screen *s);
void screen_leave(struct screen *s);

/* Look at the size, and begin at the top. Returns -ENOMEM. */
int screen_begin(struct screen *s);
void screen_print(struct screen *s, enum screen_style style, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void screen_to(struct screen *s, int column);
void screen_line(struct screen *s);	/* ends it */
/* How many lines are left on a live one. */
int screen_left(const struct screen *s);
/* Show it all. */
void screen_end(struct screen *s);

/* part of width columns is filled */
void screen_bar(struct screen *s, enum screen_style style, double part, int width);
/* The last of n values, one a column, against the largest of them (or least, if that is
 * more). */
void screen_spark(struct screen *s, enum screen_style style, const double *values, int n,
    int width, double least);

#endif /* SCREEN_H */
