/* SPDX-License-Identifier: ISC */
/*
 * quota_limits.c - "10000000S,1000C".
 *
 * Owns:    nothing.
 * Runs in: imapd, pop3d, and who reads the configuration.
 * Trusts:  nothing.
 * Spec:    Courier's maildirquota(7); formats.md 1.12.
 */
#include "text/quota_limits.h"

#include "base/num.h"

static int
parse(struct str text, bool strict, struct quota_limits *out, struct err *e)
{
	struct quota_limits got = {0};
	struct str item;

	text = str_trim(text);
	while (str_next(&text, ',', &item)) {
		uint64_t n, *to = NULL;

		item = str_trim(item);
		if (item.n == 0)
			continue;
		if (item.p[item.n - 1] == 'S')
			to = &got.bytes;
		else if (item.p[item.n - 1] == 'C')
			to = &got.count;
		if ((strict && to == NULL) ||
		    !num_parse_u64(
			str_head(item, item.n - 1), 0, INT64_MAX, &n))
			return err_set(e, ERR_SYNTAX,
			    "\"%.*s\" is no limit: a number and S or C",
			    STR_ARG(str_head(item, 40)));
		if (to != NULL)
			*to = n;
	}
	*out = got;
	return 0;
}

int
quota_limits_parse(struct str text, struct quota_limits *out, struct err *e)
{
	return parse(text, false, out, e);
}

int
quota_limits_check(struct str text, struct err *e)
{
	struct quota_limits ignored;

	return parse(text, true, &ignored, e);
}
