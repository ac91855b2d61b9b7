/* SPDX-License-Identifier: ISC */
/*
 * modseq.h - mod-sequences in IMAP's syntax, and when a client hears of them
 * (RFC 7162 section 3.1).
 */
#ifndef IMAPD_MODSEQ_H
#define IMAPD_MODSEQ_H

#include "base/buf.h"
#include "imap/imap_arg.h"
#include "imapd/session.h"

/*
 * A CONDSTORE enabling command was given: from now on FETCH replies about
 * changes carry UID and MODSEQ. The first time with a mailbox selected, its
 * highest one is told.
 */
void modseq_enable(struct session *s);
/* "OK [HIGHESTMODSEQ n]", untagged. */
void modseq_tell_highest(struct session *s, uint64_t modseq);
/* mod-sequence-value (`min` 1) or mod-sequence-valzer (`min` 0). */
bool modseq_arg(const struct imap_arg **a, uint64_t min, uint64_t *out);
/* "MODSEQ (n)" of a message of the view. */
void modseq_write(struct buf *b, struct view *v, uint32_t uid);
/*
 * "HIGHESTMODSEQ n" for the tagged reply of a command that removed messages,
 * in the command's arena; NULL: nothing was removed since the mailbox was at
 * `before`, or the client has not asked for QRESYNC.
 */
const char *modseq_code(struct cmd *c, uint64_t before);

#endif
