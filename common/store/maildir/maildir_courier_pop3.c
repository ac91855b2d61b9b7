/* SPDX-License-Identifier: ISC */
/*
 * maildir_courier_pop3.c - courierpop3dsizelist, which is where Courier has its
 * POP3 ids, kept up to date as long as the mail is Courier's too.
 *
 * Owns:    courierpop3dsizelist, where store->is_courier and it is there.
 * Runs in: pop3d, imapd, restantectl, as the mail user.
 * Trusts:  nothing in the file.
 * Spec:    formats.md 4.5, 5.
 *
 * A message that has an id keeps it: in dovecot-uidlist (P), else in the list,
 * where Courier may have put it since. A new one gets the list's next number, so
 * that Courier and we tell clients the same. The list is written before
 * dovecot-uidlist: what a crash leaves undone costs a number, no id changes hands.
 */
#include <stdlib.h>

#include "store/maildir/courier.h"
#include "store/maildir/maildir_impl.h"

#define FILE_MAX (UINT64_C(64) * 1024 * 1024)

struct courier_drop {
	struct arena arena;
	struct map by_base; /* to struct courier_pop3 */
	struct courier_pop3_head head;
	struct file_stamp stamp;
	bool has_looked; /* head.next is above all numbers in our records */
};

static void
on_entry(void *arg, const struct courier_pop3 *entry)
{
	struct courier_drop *d = arg;
	struct courier_pop3 *own;

	if (map_find(&d->by_base, entry->base) != NULL)
		return;
	own = arena_new(&d->arena, 1, sizeof(*own));
	*own = *entry;
	own->base = arena_str(&d->arena, entry->base);
	map_put(&d->by_base, own->base, own);
	if (entry->uidvalidity == d->head.uidvalidity &&
	    entry->n >= d->head.next && entry->n < UINT32_MAX)
		d->head.next = entry->n + 1;
}

static bool
is_kept(const struct mailbox *m)
{
	return m->store->is_courier && !maildir_of(m)->is_in_memory &&
	    !m->is_read_only && str_eq(str_of(m->name), STR("INBOX"));
}

static void
drop_free(struct courier_drop **dp)
{
	struct courier_drop *d = *dp;

	*dp = NULL;
	if (d == NULL)
		return;
	map_done(&d->by_base);
	arena_done(&d->arena);
	free(d);
}

/*
 * The list as it is now; NULL: there is none that could be kept. -1: it can not
 * be read now, which must not seem to be none.
 */
static int
load(struct mailbox *m, struct courier_drop **out, struct err *e)
{
	struct courier_drop *d;
	struct buf b;
	int rc;

	*out = NULL;
	if (!is_kept(m))
		return 0;
	d = mem_new(1, sizeof(*d));
	arena_init(&d->arena);
	map_init(&d->by_base);
	buf_init(&b, FILE_MAX);
	(void)file_stamp_at(maildir_of(m)->dirfd, COURIER_POP3, &d->stamp);
	rc = file_load(maildir_of(m)->dirfd, COURIER_POP3, &b, NULL, e);
	if (rc == 0 && courier_pop3_parse_head(buf_str(&b), &d->head)) {
		courier_pop3_parse(buf_str(&b), on_entry, d);
		*out = d;
	} else {
		drop_free(&d);
	}
	buf_done(&b);
	return rc == -1 && file_is_unread(e) ? -1 : 0;
}

void
maildir_courier_pop3_done(struct mailbox *m)
{
	drop_free(&maildir_of(m)->courier_drop);
}

/* Numbers that we gave, in case they did not come into the list. */
static int
look_at_records(struct mailbox *m, struct courier_drop *d, struct err *e)
{
	const struct maildir *md = maildir_of(m);
	struct courier_pop3 id;

	if (d->has_looked)
		return 0;
	if (mailbox_load(m, e) == -1)
		return -1;
	d->has_looked = true;
	VEC_EACH(&md->extras, x) {
		struct str fields = maildir_extra(m, x->uid), value;
		char key;

		while (uidlist_field(&fields, &key, &value))
			if (key == 'P' && courier_pop3_parse_uidl(value, &id) &&
			    id.uidvalidity == d->head.uidvalidity &&
			    id.n >= d->head.next && id.n < UINT32_MAX)
				d->head.next = id.n + 1;
	}
	return 0;
}

/* The list in memory, read again when Courier has written it; as load(). */
static int
current(struct mailbox *m, struct courier_drop **out, struct err *e)
{
	struct maildir *md = maildir_of(m);
	struct file_stamp now;

	if (md->courier_drop != NULL && !md->courier_drop_is_dirty &&
	    (!file_stamp_at(md->dirfd, COURIER_POP3, &now) ||
		!file_stamp_eq(&now, &md->courier_drop->stamp)))
		drop_free(&md->courier_drop);
	if (md->courier_drop == NULL && load(m, &md->courier_drop, e) == -1)
		return -1;
	*out = md->courier_drop;
	return 0;
}

int
maildir_courier_uidl(
    struct mailbox *m, uint32_t uid, struct buf *out, struct err *e)
{
	struct courier_drop *d;
	struct courier_pop3 fresh = {0}, *entry;
	struct msg_facts facts;

	if (current(m, &d, e) == -1)
		return -1;
	if (d == NULL || !m->store->ops->msg_facts(m, uid, &facts))
		return 0;
	entry = map_find(&d->by_base, facts.base);
	if (entry == NULL) {
		if (look_at_records(m, d, e) == -1)
			return -1;
		/* The next would begin again at 1. */
		if (d->head.next >= UINT32_MAX ||
		    !m->store->ops->msg_facts(m, uid, &facts))
			return 0;
		fresh.base = facts.base;
		fresh.n = d->head.next++;
		fresh.uidvalidity = d->head.uidvalidity;
		entry = &fresh;
		on_entry(d, &fresh);
		maildir_of(m)->courier_drop_is_dirty = true;
	}
	if (!courier_pop3_uidl(out, entry))
		buf_clear(out);
	return 0;
}

/* A message's line, if its id is one that Courier can have. */
static void
put_line(struct mailbox *m, const struct msg_rec *r, struct courier_drop *d,
    struct buf *out)
{
	struct courier_pop3 line = {0};
	const struct courier_pop3 *known;
	struct msg_facts facts;
	struct str base;
	struct buf b;
	char name[512];
	bool ok;

	if (!m->store->ops->msg_facts(m, r->uid, &facts))
		return;
	base = facts.base;
	known = map_find(&d->by_base, base);
	if (known != NULL)
		line = *known;
	if (facts.wire_size > 0)
		line.wire_size = facts.wire_size;
	ok = line.wire_size > 0 &&
	    (facts.uidl.p == NULL ? known != NULL
				  : courier_pop3_parse_uidl(facts.uidl, &line));
	if (!ok && facts.uidl.p != NULL && line.wire_size > 0) {
		/* Those that are made of the name have no number. */
		line.n = line.uidvalidity = 0;
		line.base = base;
		buf_init(&b, 1024);
		ok = courier_pop3_uidl(&b, &line) &&
		    str_eq(buf_str(&b), facts.uidl);
		buf_done(&b);
	}
	if (ok)
		courier_pop3_put(out, maildir_file_name(m, r, name), &line);
}

void
maildir_courier_pop3_flush(struct mailbox *m, bool is_last)
{
	struct maildir *md = maildir_of(m);
	struct courier_drop *now;
	struct buf b;
	struct err e;

	if (!md->courier_drop_is_dirty || (!is_last && !md->has_new_uidls) ||
	    m->is_gone || m->is_broken)
		return;
	/* Courier may have added to it. When it can not be read now, it is
	 * written the next time. */
	if (load(m, &now, &e) == -1)
		return;
	md->courier_drop_is_dirty = false;
	if (now == NULL || mailbox_load(m, &e) == -1) {
		drop_free(&now);
		return;
	}
	if (md->courier_drop != NULL &&
	    md->courier_drop->head.uidvalidity == now->head.uidvalidity &&
	    md->courier_drop->head.next > now->head.next)
		now->head.next = md->courier_drop->head.next;
	buf_init(&b, FILE_MAX);
	courier_pop3_put_head(&b, &now->head);
	for (size_t i = 0; i < m->recs.n; i++)
		if (m->recs.v[i].state == REC_LIVE)
			put_line(m, &m->recs.v[i], now, &b);
	if (!buf_is_over(&b) &&
	    maildir_courier_put(md->dirfd, COURIER_POP3, buf_str(&b), &md->perm,
		NULL, &e) == -1 &&
	    !md->warned_courier) {
		store_warn(
		    m->store, COURIER_POP3 " can not be written: %s", e.text);
		md->warned_courier = true;
	}
	buf_done(&b);
	drop_free(&now);
}
