/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * compare_tsv.c - results.tsv: every run as it was, a line each. The columns are
 * all the keys that any run had, in the order in which they first came; but for the
 * load's own mode, which ours is a closer name of.
 */
#include "compare.h"

#include <string.h>

#define KEYS_MAX 64

struct keys {
	char name[KEYS_MAX][48];
	int n;
};

static void learn(struct keys *keys, const char *key, size_t len)
{
	if (len == 4 && strncmp(key, "mode", len) == 0)
		return;
	for (int i = 0; i < keys->n; i++)
		if (strlen(keys->name[i]) == len
		    && strncmp(keys->name[i], key, len) == 0)
			return;
	if (keys->n < KEYS_MAX && len < sizeof keys->name[0])
		snprintf(keys->name[keys->n++], sizeof keys->name[0], "%.*s", (int)len,
		    key);
}

static void learn_all(struct keys *keys, const char *line)
{
	const char *end;

	for (; *line; line = *end ? end + 1 : end) {
		end = line + strcspn(line, " ");
		if (memchr(line, '=', (size_t)(end - line)))
			learn(keys, line, strcspn(line, "="));
	}
}

static void write_value(FILE *file, const char *line, const char *key)
{
	size_t len = strlen(key), word;

	fputc('\t', file);
	for (; *line; line += word + (line[word] != '\0')) {
		word = strcspn(line, " ");
		if (word > len && strncmp(line, key, len) == 0 && line[len] == '=') {
			fprintf(file, "%.*s", (int)(word - len - 1), line + len + 1);
			return;
		}
	}
}

void write_tsv(const struct bench *bench, FILE *file)
{
	struct keys keys = { .n = 0 };
	const struct run *run;

	for (int i = 0; i < bench->runs_n; i++)
		learn_all(&keys, bench->runs[i].line);
	fprintf(file, "# %s\nround\tmode\tcontender\tended", conditions(bench).s);
	for (int k = 0; k < keys.n; k++)
		fprintf(file, "\t%s", keys.name[k]);
	fputc('\n', file);
	for (int i = 0; i < bench->runs_n; i++) {
		run = &bench->runs[i];
		fprintf(file, "%d\t%s\t%s\t%s", run->round, modes[run->mode].key,
		    contenders[run->contender].key, run->ok ? "well" : "failed");
		for (int k = 0; k < keys.n; k++)
			write_value(file, run->line, keys.name[k]);
		fputc('\n', file);
	}
}
