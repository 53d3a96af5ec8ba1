/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * text.h - an answer while it is written: a buffer that grows, and JSON into it.
 *
 * Memory that could not be had is remembered, so that only the end has to ask: the
 * text is then empty and stays so.
 */
#ifndef BPM_TEXT_H
#define BPM_TEXT_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bpm_text {		/* zeroed: empty */
	char *data;		/* not terminated; malloc'ed */
	size_t len, size;
	bool failed;		/* there was no memory */
};

void bpm_text_free(struct bpm_text *text);

void bpm_text_add(struct bpm_text *text, const void *data, size_t len);
void bpm_text_string(struct bpm_text *text, const char *string);
void bpm_text_number(struct bpm_text *text, uint64_t n);
/* Of at most 255 characters. */
void bpm_text_format(struct bpm_text *text, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Nanoseconds as seconds, exactly and without zeros that say nothing: 1.5, 0.000001. */
void bpm_text_seconds(struct bpm_text *text, uint64_t ns);

/*
 * JSON. Commas are put where they belong. A string may hold any bytes: it
 * becomes ASCII, without <, > or &, and what is not UTF-8 becomes U+FFFD. Keys
 * are ours, or names with nothing to escape.
 */
void bpm_json_open(struct bpm_text *text, char bracket);
void bpm_json_close(struct bpm_text *text, char bracket);
void bpm_json_key(struct bpm_text *text, const char *key);
void bpm_json_string(struct bpm_text *text, const char *string);
void bpm_json_number(struct bpm_text *text, uint64_t n);
void bpm_json_seconds(struct bpm_text *text, uint64_t ns);
void bpm_json_bool(struct bpm_text *text, bool value);
void bpm_json_null(struct bpm_text *text);
/* A limit; null if it is SIZE_MAX, that is none. */
void bpm_json_limit(struct bpm_text *text, size_t n);

/* A key and its number. */
void bpm_json_member(struct bpm_text *text, const char *key, uint64_t n);

#endif /* BPM_TEXT_H */
