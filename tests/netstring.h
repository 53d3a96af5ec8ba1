/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * netstring.h - a framer of the tests' own, "5:hello,": both head and tail, a head
 * whose length varies, and input that can be malformed.
 */
#ifndef TEST_NETSTRING_H
#define TEST_NETSTRING_H

#include <bpthread_ops.h>

extern const struct bp_framer_ops netstring;	/* payloads of up to 99999 bytes */

#endif /* TEST_NETSTRING_H */
