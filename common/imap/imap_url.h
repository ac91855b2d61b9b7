/* SPDX-License-Identifier: ISC */
/* imap_url.h - IMAP URLs of messages and their parts (RFC 5092). */
#ifndef IMAP_IMAP_URL_H
#define IMAP_IMAP_URL_H

#include "base/arena.h"
#include "base/str.h"

struct imap_url {
	bool has_server; /* "imap://..." or "//..." */
	struct str user; /* p NULL: none given */
	struct str auth; /* "*" or a mechanism; p NULL: none given */
	struct str host;
	uint32_t port; /* 0: none given */
	struct str mailbox; /* in UTF-8 as far as the client keeps to it */
	uint32_t uidvalidity; /* 0: none given */
	uint32_t uid;
	struct str section; /* "" without one: the message */
	bool has_partial;
	uint64_t start;
	uint64_t count; /* UINT64_MAX: to the end */
};

/*
 * RFC 5092 section 11: imapurl, inetwork-path or iabsolute-path of an
 * imessagepart, everything %-decoded. False for anything else: mailboxes,
 * searches, URLAUTH, and relative paths, which nobody may accept (section
 * 7.2). What is not the same as in `s` lies in the arena.
 */
bool imap_url_parse(struct arena *a, struct str s, struct imap_url *out);

#endif
