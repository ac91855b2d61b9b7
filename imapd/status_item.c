/* SPDX-License-Identifier: ISC */
/*
 * status_item.c - what STATUS asks for and answers.
 *
 * Owns:    nothing.
 * Runs in: imapd, as the mail user.
 * Trusts:  nothing.
 * Spec:    RFC 3501 sections 6.3.10, 7.2.4; RFC 8438 (SIZE); RFC 7162 section
 *          3.1.7 (HIGHESTMODSEQ); RFC 8474 section 4.3 (MAILBOXID); RFC 7889; RFC
 *          9208 section 4.1.4 (DELETED, DELETED-STORAGE).
 */
#include "imapd/status_item.h"

#include "imapd/name.h"
#include "imapd/reply.h"

static const char *const names[STATUS_ITEMS] = {
    [STATUS_MESSAGES] = "MESSAGES",
    [STATUS_RECENT] = "RECENT",
    [STATUS_UIDNEXT] = "UIDNEXT",
    [STATUS_UIDVALIDITY] = "UIDVALIDITY",
    [STATUS_UNSEEN] = "UNSEEN",
    [STATUS_SIZE] = "SIZE",
    [STATUS_DELETED] = "DELETED",
    [STATUS_DELETED_STORAGE] = "DELETED-STORAGE",
    [STATUS_HIGHESTMODSEQ] = "HIGHESTMODSEQ",
    [STATUS_MAILBOXID] = "MAILBOXID",
    [STATUS_APPENDLIMIT] = "APPENDLIMIT",
};

static uint64_t
value_of(enum status_item item, const struct mailbox_status *st)
{
	switch (item) {
	case STATUS_MESSAGES:
		return st->messages;
	case STATUS_RECENT:
		return st->recent;
	case STATUS_UIDNEXT:
		return st->uidnext;
	case STATUS_UIDVALIDITY:
		return st->uidvalidity;
	case STATUS_UNSEEN:
		return st->unseen;
	case STATUS_SIZE:
		return st->size;
	case STATUS_DELETED:
		return st->deleted;
	case STATUS_DELETED_STORAGE:
		return st->deleted_size;
	case STATUS_HIGHESTMODSEQ:
		return st->highest_modseq;
	case STATUS_MAILBOXID: /* no number */
	case STATUS_APPENDLIMIT: /* the same for all */
	case STATUS_ITEMS:
	default:
		return 0;
	}
}

bool
status_items_has(const struct status_items *items, enum status_item item)
{
	for (size_t i = 0; i < items->n; i++)
		if (items->v[i] == item)
			return true;
	return false;
}

bool
status_items_parse(const struct imap_arg *a, struct status_items *out)
{
	size_t i;

	*out = (struct status_items){0};
	if (imap_arg_end(a))
		return false;
	while (!imap_arg_end(a)) {
		for (i = 0; i < STATUS_ITEMS; i++)
			if (imap_arg_word(&a, names[i]))
				break;
		if (i == STATUS_ITEMS)
			return false;
		if (!status_items_has(out, (enum status_item)i))
			out->v[out->n++] = (enum status_item)i;
	}
	out->with_size = status_items_has(out, STATUS_SIZE) ||
	    status_items_has(out, STATUS_DELETED_STORAGE);
	return true;
}

void
status_items_write(struct session *s, struct str name,
    const struct status_items *items, const struct mailbox_status *st)
{
	size_t i;

	reply_begin(s);
	buf_add_c(&s->out, "STATUS ");
	name_write(s, &s->out, name);
	buf_add_c(&s->out, " (");
	for (i = 0; i < items->n; i++) {
		if (i > 0)
			buf_add_c(&s->out, " ");
		buf_add_c(&s->out, names[items->v[i]]);
		buf_add_c(&s->out, " ");
		if (items->v[i] == STATUS_MAILBOXID)
			buf_addf(&s->out, "(%s)", st->mailbox_id);
		else if (items->v[i] == STATUS_APPENDLIMIT)
			buf_add_u64(&s->out, s->append_max_bytes);
		else
			buf_add_u64(&s->out, value_of(items->v[i], st));
	}
	buf_add_c(&s->out, ")");
	reply_end(s);
}
