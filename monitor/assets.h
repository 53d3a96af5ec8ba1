/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * assets.h - the files of the page, as they are served. assets.c is made at build time
 * by embed.sh: each file plain, and gzipped for who accepts that, which is every browser.
 */
#ifndef BPM_ASSETS_H
#define BPM_ASSETS_H

#include <stddef.h>

struct bpm_asset {
	const char *path, *type;	/* "/monitor.css", "text/css; charset=utf-8" */
	const unsigned char *plain, *gzip;
	size_t plain_size, gzip_size;	/* bytes */
};

extern const struct bpm_asset bpm_assets[];
extern const size_t bpm_n_assets;

#endif /* BPM_ASSETS_H */
