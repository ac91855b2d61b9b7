/* SPDX-License-Identifier: ISC */
/*
 * fetch_cache.c - the message a client is reading in pieces.
 *
 * Owns:    at most one open message per session.
 * Runs in: imapd.
 * Trusts:  the caller to drop it before the view goes away.
 */
#include "imapd/fetch_cache.h"

void
fetch_cache_drop(struct fetch_cache *fc)
{
	msg_close(&fc->msg);
	*fc = (struct fetch_cache){0};
}

struct msg *
fetch_cache_take(struct fetch_cache *fc, uint32_t uid)
{
	struct msg *m = fc->msg;

	if (m == NULL || fc->uid != uid)
		return NULL;
	fc->msg = NULL;
	return m;
}

void
fetch_cache_keep(struct fetch_cache *fc, uint32_t uid, struct msg *m)
{
	if (fc->msg != NULL)
		msg_close(&fc->msg);
	if (fc->uid != uid)
		fc->has_place = false;
	fc->msg = m;
	fc->uid = uid;
}
