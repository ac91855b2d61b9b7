/* SPDX-License-Identifier: ISC */
/*
 * limit.h - how many messages one command may process (RFC 9738: MESSAGELIMIT,
 * SAVELIMIT). Not limited unless the administrator has set it.
 */
#ifndef IMAPD_LIMIT_H
#define IMAPD_LIMIT_H

#include "imapd/session.h"

/* " MESSAGELIMIT=n" or " SAVELIMIT=n", if there is one. */
void limit_write_capability(const struct session *s, struct buf *b);

/*
 * Leaves the messages with the highest UIDs, as many as may be processed.
 * Returns the lowest of them, or 0 when all may be.
 */
uint32_t limit_cut(const struct session *s, struct set32 *uids);
/* The limit that `n` messages exceed, 0: they do not. */
uint32_t limit_exceeded(const struct session *s, uint32_t n);
/* The same for what COPY and APPEND save. */
uint32_t limit_save_exceeded(const struct session *s, uint32_t n);

/*
 * As reply_ok() and reply_no(), when messages below `lowest` were left out (0:
 * none were). A reply that has a code of its own keeps it; the limit's is told
 * before it then, untagged.
 */
enum step limit_reply_ok(
    struct cmd *c, uint32_t lowest, const char *code, const char *text);
enum step limit_reply_no(
    struct cmd *c, uint32_t lowest, const char *code, const char *text);
/* Nothing was done: NO [MESSAGELIMIT limit lowest]; `lowest` 0: not known. */
enum step limit_refuse(struct cmd *c, uint32_t limit, uint32_t lowest);

#endif
