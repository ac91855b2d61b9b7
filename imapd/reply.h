/* SPDX-License-Identifier: ISC */
/*
 * reply.h - tagged and untagged replies; words for error codes (RFC 5530).
 */
#ifndef IMAPD_REPLY_H
#define IMAPD_REPLY_H

#include "base/buf.h"
#include "base/err.h"
#include "imapd/command.h"

/* Each writes the tagged line and returns STEP_DONE. `code` may be NULL
 * ("TRYCREATE"); brackets are added. */
enum step reply_ok(struct cmd *c, const char *code, const char *text);
enum step reply_no(struct cmd *c, const char *code, const char *text);
enum step reply_bad(struct cmd *c, const char *text);
/* NO with the response code and the words for e->code; logs what should be. */
enum step reply_err(struct cmd *c, const struct err *e);
/* Adds "* " text CRLF to the output. */
void reply_untagged(struct session *s, const char *fmt, ...) PRINTF_LIKE(2, 3);

#endif
