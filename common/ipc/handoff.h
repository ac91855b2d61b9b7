/* SPDX-License-Identifier: ISC */
/*
 * handoff.h - what a login worker leaves to the user's process behind the
 * second descriptor of HANDOFF: one message in a socketpair which master
 * passes on and never reads.
 *
 * On the ends: login worker (writes), imapd or pop3d (reads). The reader
 * trusts nothing in it but takes the TLS keys as they are: they are about
 * this client's bytes only. Who the user is comes from master.
 */
#ifndef IPC_HANDOFF_H
#define IPC_HANDOFF_H

#include "base/bounds.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

/*
 * HANDOFF_DATA, at most MSG_MAX_BYTES, no descriptors
 *   u16  version 0 or 0x0303 or 0x0304
 *   if not 0: u16 suite; u16 max_plain, the greatest number of plain bytes
 *   that the client takes in one record (0: 2^14); per direction (read, write):
 *   blob key, blob iv (12), blob secret, u64 seq
 *   blob unread     plain bytes behind the login command
 *   blob raw        bytes from the wire, not yet decrypted
 *   blob client_id  IMAP: the parameter list of the client's ID command, as
 *                   sent; POP3: what it chose, words of "UTF8" and "LANG=de"
 *   str  tls_text   "TLS1.3 AES-256-GCM" or empty, for logs
 */
struct handoff {
	uint16_t version, suite, max_plain;
	struct handoff_direction {
		struct str key, iv, secret;
		uint64_t seq;
	} read, write;
	struct str unread, raw, client_id, tls_text;
};

/* A record and what goes with it, in each form; the ID's parameters. */
#define HANDOFF_UNREAD_MAX (20 * 1024)
#define HANDOFF_RAW_MAX (20 * 1024)
#define HANDOFF_ID_MAX PREAUTH_LINE_MAX
#define HANDOFF_TLS_TEXT_MAX 100

/* Appends the message; wipe `out` after sending (buf_wipe). */
void handoff_write(const struct handoff *h, struct buf *out);
/* Slices into `bytes`. ERR_VIOLATION when it is not exactly one message. */
int handoff_parse(struct str bytes, struct handoff *out, struct err *e);

#endif
