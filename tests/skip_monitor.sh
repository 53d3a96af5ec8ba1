#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# Takes the place of the monitor's suites where it is not built, so that what is not
# tested is counted.

. "${srcdir:-.}/tests/tap.sh"

for suite in $MONITOR_SUITES; do
	skip "$suite" "built without libmicrohttpd"
done
plan
