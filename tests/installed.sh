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
