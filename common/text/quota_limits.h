/* SPDX-License-Identifier: ISC */
/*
 * quota_limits.h - the limits of a Maildir++ quota, as programs write them
 * into "maildirsize" and people into maildir_quota (formats.md 1.12).
 */
#ifndef TEXT_QUOTA_LIMITS_H
#define TEXT_QUOTA_LIMITS_H

#include "base/err.h"
#include "base/str.h"

struct quota_limits {
	uint64_t bytes, count; /* 0: no limit */
};

/*
 * "10000000S,1000C": bytes and messages, one or both, in any order. Kinds that
 * are unknown are passed over: other programs may have more. ERR_SYNTAX.
 */
int quota_limits_parse(
    struct str text, struct quota_limits *out, struct err *e);
/* The same for a setting, where an unknown kind is a slip ("10M"). */
int quota_limits_check(struct str text, struct err *e);

#endif
