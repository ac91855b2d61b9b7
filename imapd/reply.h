/* SPDX-License-Identifier: ISC */
/*
 * reply.h - tagged and untagged replies; words for error codes (RFC 5530).
 */
#ifndef IMAPD_REPLY_H
#define IMAPD_REPLY_H

#include "base/buf.h"
#include "base/err.h"
#include "imapd/command.h"

/*
 * Each writes the tagged line, to be sent behind the changes of the mailbox that
 * are told now (not with BAD), and returns STEP_DONE. `code` may be NULL
 * ("TRYCREATE"); brackets are added.
 */
enum step reply_ok(struct cmd *c, const char *code, const char *text);
enum step reply_no(struct cmd *c, const char *code, const char *text);
enum step reply_bad(struct cmd *c, const char *text);
/* BAD [UIDREQUIRED]: a sequence number, which UIDONLY forbids (RFC 9586). */
enum step reply_uid_required(struct cmd *c);
/* NO with the response code and the words for e->code; logs what should be. */
enum step reply_err(struct cmd *c, const struct err *e);
/* The response code that stands for a failure, "NONEXISTENT"; NULL: none. */
const char *reply_code(const struct err *e);
/*
 * Adds "* " text CRLF to the output. What comes from outside is written with
 * imap_write_* to s->out instead, between reply_begin and reply_end.
 */
void reply_untagged(struct session *s, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* "* ", for what is put together in s->out... */
void reply_begin(struct session *s);
/* ...and its CRLF. Sends when enough is there. */
void reply_end(struct session *s);

#endif
