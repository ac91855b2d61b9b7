/* SPDX-License-Identifier: ISC */
/* sync.h - when EXPUNGE, EXISTS and FETCH may be told (RFC 3501 section 7,
 * RFC 9586). */
#ifndef IMAPD_SYNC_H
#define IMAPD_SYNC_H

#include "imapd/session.h"

/*
 * Tells what has changed in the selected mailbox, as far as the command
 * allows; STEP_MORE: call again. When the mailbox is gone, s->lost is set: the
 * session says BYE.
 */
enum step sync_tell(struct cmd *c);
/* The same without a command, or the given part of it. */
enum sync_what {
	SYNC_NEW = 1 << 0,
	SYNC_EXPUNGE = 1 << 1,
	SYNC_FLAGS = 1 << 2,
};
enum step sync_run(struct session *s, unsigned what, bool uid);
/*
 * The same while a command is under way: everything but that messages are gone
 * (RFC 8508 section 3.4: EXISTS comes before EXPUNGE).
 */
enum step sync_tell_arrivals(struct cmd *c);
/*
 * FLAGS and PERMANENTFLAGS once more if there are keywords which the client
 * has not been told; before a FETCH response that may have them.
 */
void sync_keywords(struct session *s);
/* "* FLAGS (...)" and "* OK [PERMANENTFLAGS (...)]". */
void sync_write_flag_names(struct session *s);
/* "* seq FETCH (", "* uid UIDFETCH (" with UIDONLY, into s->out. */
void sync_begin_fetch(struct session *s, uint32_t uid);
/*
 * "* seq FETCH (FLAGS (...))", with the UID when the command has it, and with
 * the mod-sequence when the client knows of them.
 */
void sync_write_flags(struct cmd *c, uint32_t uid);
/* "* seq FETCH (UID n MODSEQ (n))": after a STORE that is silent of flags. */
void sync_write_modseq(struct cmd *c, uint32_t uid);

#endif
