/* SPDX-License-Identifier: ISC */
/*
 * name_told.h - the LIST response of one name that other commands give: SELECT
 * in IMAP4rev2, and where a name was brought to another form (RFC 9051 sections
 * 6.3.2, 6.3.4, 6.3.5, 6.3.6, 6.3.9.7: OLDNAME).
 */
#ifndef IMAPD_NAME_TOLD_H
#define IMAPD_NAME_TOLD_H

#include "imapd/session.h"

/* The look that is under way; all zero before the first. */
struct name_told {
	struct list_job *job;
	struct mbox_entry *first;
	bool is_read;
};

/*
 * What LIST knows of a name. STEP_MORE as everywhere; STEP_DONE with *out NULL:
 * nothing. The entry lives in the command's arena.
 */
enum step name_told_find(struct cmd *c, struct name_told *t, struct str name,
    const struct mbox_entry **out);
/* Was a name in UTF-8, `wire`, brought to another form, but for INBOX's case? */
bool name_told_is_other(struct cmd *c, struct str name, struct str wire);
/*
 * "* LIST (...) "/" name", and OLDNAME when `old`, a wire form, is not that of
 * the name; old.p NULL: none. `entry` NULL: a name without attributes.
 */
void name_told_write(struct session *s, const struct mbox_entry *entry,
    struct str name, struct str old);
/* At the command's end, however it ends. */
void name_told_done(struct name_told *t);

#endif
