/* SPDX-License-Identifier: ISC */
/*
 * list_write.c - LIST and LSUB responses.
 *
 * Owns:    nothing.
 * Runs in: imapd, as the mail user.
 * Trusts:  nothing; names of folders on disk pass imap_write.
 * Spec:    RFC 3501 section 7.2.2, RFC 3348, RFC 5258, RFC 6154.
 */
#include "imapd/list_write.h"

#include "imap/imap_write.h"
#include "imapd/name.h"
#include "imapd/reply.h"
#include "store/meta.h"

static void
write_attr(struct buf *b, const char *attr, bool *first)
{
	buf_addf(b, "%s%s", *first ? "" : " ", attr);
	*first = false;
}

static void
write_attrs(struct buf *b, const struct list_line *l)
{
	const struct mbox_entry *m = l->entry;
	bool first = true;

	if (l->tells_nonexistent && (m->attrs & MBOX_NONEXISTENT) != 0)
		write_attr(b, "\\NonExistent", &first);
	else if ((m->attrs & (MBOX_NOSELECT | MBOX_NONEXISTENT)) != 0)
		write_attr(b, "\\Noselect", &first);
	if ((m->attrs & MBOX_NO_INFERIORS) != 0)
		write_attr(b, "\\NoInferiors", &first);
	else
		write_attr(b,
		    (m->attrs & MBOX_HAS_CHILDREN) != 0 ? "\\HasChildren"
							: "\\HasNoChildren",
		    &first);
	if ((m->attrs & MBOX_MARKED) != 0)
		write_attr(b, "\\Marked", &first);
	else if ((m->attrs & MBOX_UNMARKED) != 0)
		write_attr(b, "\\Unmarked", &first);
	if (l->tells_subscribed && (m->attrs & MBOX_SUBSCRIBED) != 0)
		write_attr(b, "\\Subscribed", &first);
	if (m->uses != 0) {
		buf_add_c(b, first ? "" : " ");
		meta_uses_write(m->uses, b);
		first = false;
	}
	if (l->no_access)
		write_attr(b, "\\NoAccess", &first);
}

void
list_write_delimiter(struct buf *b, char c)
{
	imap_write_string(b, str_make(&c, 1));
}

void
list_write(struct session *s, const struct list_line *l)
{
	struct buf *b = &s->out;

	reply_begin(s);
	buf_addf(b, "%s (", l->word);
	if (l->entry == NULL)
		buf_add_c(b, "\\Noselect");
	else if (!l->is_bare)
		write_attrs(b, l);
	buf_add_c(b, ") ");
	list_write_delimiter(b, l->delimiter);
	buf_add_byte(b, ' ');
	name_write_wire(s, b, l->wire);
	if (l->old_wire.p != NULL) {
		buf_add_c(b, " (\"OLDNAME\" (");
		name_write_wire(s, b, l->old_wire);
		buf_add_c(b, "))");
	}
	if (l->n_child_info > 0) {
		buf_add_c(b, " (\"CHILDINFO\" (");
		for (size_t i = 0; i < l->n_child_info; i++)
			buf_addf(
			    b, "%s\"%s\"", i == 0 ? "" : " ", l->child_info[i]);
		buf_add_c(b, "))");
	}
	reply_end(s);
}
