#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# "make installcheck": a program is built as a user would, with pkg-config, from the
# installed copy alone. installed.sh PROGRAM.c DESTDIR PKGCONFIGDIR

set -eu
program=$1 destdir=$2 pkgconfigdir=$3

command -v pkg-config >/dev/null || {
	echo "installcheck: skipped, there is no pkg-config"
	exit 0
}
export PKG_CONFIG_PATH="$destdir$pkgconfigdir" PKG_CONFIG_SYSROOT_DIR="$destdir"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

$CC -Wall -Werror -o "$scratch/program" "$program" \
    $(pkg-config --cflags --libs libbpthread)
$CC -Wall -Werror -o "$scratch/program" "$program" \
    $(pkg-config --cflags --static --libs libbpthread)
echo "installcheck: ${program##*/} builds with pkg-config"

test -f "$destdir$pkgconfigdir/libbpthread-monitor.pc" || exit 0
cat >"$scratch/watched.c" <<'END'
#include <bpthread_monitor.h>

int main(void)
{
	struct bp_monitor *monitor = NULL;

	return bp_monitor_start(&monitor, NULL, NULL, NULL) != -EINVAL;
}
END
$CC -Wall -Werror -o "$scratch/watched" "$scratch/watched.c" \
    $(pkg-config --cflags --libs libbpthread-monitor)
echo "installcheck: a program that is watched builds with pkg-config"
