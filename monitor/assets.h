/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * assets.h - the files of the page, as they are served. assets.c is made at build time
 * by embed.sh: each file plain, and gzipped for who accepts that, which is every browser.
 */
#ifndef MONITOR_ASSETS_H
#define MONITOR_ASSETS_H

#include <stddef.h>

struct monitor_asset {
	const char *path, *type;	/* "/monitor.css", "text/css; charset=utf-8" */
	const unsigned char *plain, *gzip;
	size_t plain_size, gzip_size;	/* bytes */
};

extern const struct monitor_asset monitor_assets[];
extern const size_t monitor_n_assets;

#endif /* MONITOR_ASSETS_H */
