/* SPDX-License-Identifier: ISC */
/* list_write.h - LIST and LSUB responses (RFC 3501 section 7.2.2). */
#ifndef IMAPD_LIST_WRITE_H
#define IMAPD_LIST_WRITE_H

#include "imapd/session.h"

struct list_line {
	const char *word; /* "LIST", "LSUB" */
	const struct mbox_entry *entry; /* NULL: only a level, \Noselect */
	char delimiter;
	struct str wire; /* the name in the client's form, name_wire() */
	bool is_bare; /* without attributes: LSUB */
	bool tells_nonexistent; /* \NonExistent rather than \Noselect */
	bool tells_subscribed;
	bool no_access; /* \NoAccess (RFC 5465 section 3.1) */
	struct str old_wire; /* OLDNAME (RFC 9051 section 6.3.9.7), or none */
	/* CHILDINFO (RFC 5258 section 3.5): criteria that a child meets. */
	const char *const *child_info;
	size_t n_child_info;
};

/* One untagged response, to s->out. */
void list_write(struct session *s, const struct list_line *l);
/* "/" as a quoted character. */
void list_write_delimiter(struct buf *b, char c);

#endif
