/* SPDX-License-Identifier: ISC */
/*
 * metadata.c - METADATA responses.
 *
 * Owns:    struct metadata.
 * Runs in: imapd, as the mail user.
 * Trusts:  nothing in names or values; imap_write decides how they are sent.
 * Spec:    RFC 5464 sections 4.2, 4.4; RFC 6154 section 4.
 */
#include "imapd/metadata.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "host/host.h"
#include "imap/imap_write.h"
#include "imapd/client.h"
#include "imapd/name.h"
#include "imapd/notify.h"
#include "imapd/reply.h"
#include "imapd/session.h"

#define NEWS_MAX 1000
#define LOOK_MS 1000
#define RESPONSE_BYTES ((size_t)32 * 1024) /* then another one begins */
#define USE STR("/private/specialuse")

/* ---- questions ------------------------------------------------------------- */

bool
metadata_entries_parse(
    struct cmd *c, const struct imap_arg *a, struct meta_query *out)
{
	struct str name, *v;
	size_t n = 0;

	for (const struct imap_arg *i = a; !imap_arg_end(i); i++)
		n++;
	v = arena_new(c->arena, n + 1, sizeof(*v));
	out->entries = v;
	out->n = n;
	for (size_t i = 0; i < n; i++) {
		if (!imap_arg_astring(&a, &name) || !meta_name_is_valid(name))
			return false;
		v[i] = name;
	}
	return n > 0;
}

/* Levels that `name` lies below `top`; -1: it does not. */
static int64_t
levels_below(struct str name, struct str top)
{
	int64_t n = 0;

	if (!str_starts_nocase(name, top) ||
	    (name.n > top.n && name.p[top.n] != '/'))
		return -1;
	for (size_t i = top.n; i < name.n; i++)
		n += name.p[i] == '/';
	return n;
}

static bool
matches(const struct meta_query *q, struct str name)
{
	for (size_t i = 0; i < q->n; i++) {
		int64_t n = levels_below(name, q->entries[i]);

		if (n >= 0 && n <= q->depth)
			return true;
	}
	return false;
}

bool
metadata_asks_for(const struct meta_query *q, struct str name)
{
	return matches(q, name);
}

/* ---- answers --------------------------------------------------------------- */

static void
write_value(struct buf *b, struct str value)
{
	if (value.p != NULL && str_find(value, '\0') < value.n) {
		/* Only literal8 may hold a NUL (RFC 3516). */
		buf_addf(b, "~{%zu}\r\n", value.n);
		buf_add_str(b, value);
		return;
	}
	imap_write_nstring(b, value);
}

struct answer {
	struct session *s;
	struct str mailbox;
	struct meta_query *q;
	size_t began; /* where in s->out the response does */
	bool is_open;
};

static void
close_response(struct answer *r)
{
	if (!r->is_open)
		return;
	buf_add_byte(&r->s->out, ')');
	reply_end(r->s);
	r->is_open = false;
}

static void
add_entry(struct answer *r, struct str name, struct str value)
{
	struct buf *b = &r->s->out;

	if (value.p != NULL && value.n > r->q->max_bytes) {
		if (value.n > r->q->longest)
			r->q->longest = (uint32_t)value.n;
		return;
	}
	if (r->is_open && b->n - r->began + value.n > RESPONSE_BYTES)
		close_response(r);
	if (!r->is_open) {
		reply_begin(r->s);
		r->began = b->n;
		buf_add_c(b, "METADATA ");
		name_write(r->s, b, r->mailbox);
		buf_add_c(b, " (");
	} else {
		buf_add_byte(b, ' ');
	}
	r->is_open = true;
	imap_write_astring(b, name);
	buf_add_byte(b, ' ');
	write_value(b, value);
}

/* The mailbox's uses as LIST tells them; NULL: it has none. */
static const struct meta_entry *
with_uses(struct session *s, const struct meta_entry *all, unsigned uses,
    struct arena *a)
{
	struct meta_entry *first = NULL, **tail = &first;
	struct buf b;

	(void)s;
	for (; all != NULL; all = all->next) {
		if (str_eq_nocase(all->name, USE))
			continue;
		*tail = arena_new(a, 1, sizeof(**tail));
		(*tail)->name = all->name;
		(*tail)->value = all->value;
		tail = &(*tail)->next;
	}
	if (uses != 0) {
		buf_init(&b, 200);
		meta_uses_write(uses, &b);
		*tail = arena_new(a, 1, sizeof(**tail));
		(*tail)->name = USE;
		(*tail)->value = arena_str(a, buf_str(&b));
		buf_done(&b);
	}
	return first;
}

void
metadata_write(struct session *s, struct str mailbox, struct meta_query *q,
    const struct meta_entry *all, unsigned uses)
{
	struct answer r = {.s = s, .mailbox = mailbox, .q = q};
	const struct meta_entry *e;
	struct arena a;

	arena_init(&a);
	if (mailbox.n > 0)
		all = with_uses(s, all, uses, &a);
	/* In the order of the question, then what lies below. */
	for (size_t i = 0; i < q->n; i++) {
		e = meta_find(
		    (struct meta_entry *)(uintptr_t)all, q->entries[i]);
		if (e != NULL || q->depth == 0)
			add_entry(&r, q->entries[i],
			    e == NULL ? (struct str){0} : e->value);
	}
	for (e = all; e != NULL && q->depth > 0; e = e->next) {
		bool is_asked = false;

		for (size_t i = 0; i < q->n; i++)
			is_asked =
			    is_asked || str_eq_nocase(q->entries[i], e->name);
		if (!is_asked && matches(q, e->name))
			add_entry(&r, e->name, e->value);
	}
	close_response(&r);
	arena_done(&a);
}

struct meta_entry *
metadata_server(struct cmd *c, struct meta_entry *all)
{
	static const struct {
		const char *name, *setting;
	} known[] = {
	    {"/shared/comment", "mail_server_comment"},
	    {"/shared/admin", "mail_server_admin"},
	};

	for (size_t i = 0; i < ARRAY_LEN(known); i++) {
		const char *value = host_setting(c->s->host, known[i].setting);
		struct meta_entry *e;

		if (value == NULL || value[0] == '\0')
			continue;
		e = arena_new(c->arena, 1, sizeof(*e));
		e->name = str_of(known[i].name);
		e->value = str_of(value);
		e->next = all;
		all = e;
	}
	return all;
}

/* ---- changes by others ----------------------------------------------------- */

static void
add_news(struct metadata *m, struct str mailbox, struct str entry)
{
	struct metadata_news *n;

	VEC_EACH(&m->news, had)
		if (str_eq(str_of(had->mailbox), mailbox) &&
		    str_eq_nocase(str_of(had->entry), entry))
			return;
	if (m->news.n == NEWS_MAX)
		return;
	n = VEC_ADD(&m->news);
	n->mailbox = str_to_heap(mailbox);
	n->entry = str_to_heap(entry);
}

static void
forget_known(struct metadata *m)
{
	m->mailbox = STR("");
	m->known = NULL;
	arena_reset(&m->arena);
}

/* Another session of this process. */
static void
on_change(void *arg, struct str mailbox, const struct meta_entry *entries)
{
	struct session *s = arg;

	if (mailbox.n > 0 ? !s->metadata_on
			  : !(s->metadata_on || s->metadata_server_on))
		return;
	for (; entries != NULL; entries = entries->next)
		add_news(s->metadata, mailbox, entries->name);
	if (str_eq(mailbox, s->metadata->mailbox))
		forget_known(s->metadata);
	client_news(s);
}

void
metadata_enable(struct session *s)
{
	struct metadata *m;

	if (s->metadata != NULL)
		return;
	m = s->metadata = mem_new(1, sizeof(*m));
	arena_init(&m->arena);
	m->listener.self = s;
	m->listener.changed = on_change;
	m->listener.arg = s;
	meta_listen(s->store, &m->listener);
}

static void
drop_news(struct metadata *m)
{
	VEC_EACH(&m->news, n) {
		free(n->mailbox);
		free(n->entry);
	}
	VEC_DONE(&m->news);
}

void
metadata_done(struct session *s)
{
	struct metadata *m = s->metadata;

	if (m == NULL)
		return;
	meta_unlisten(&m->listener);
	drop_news(m);
	arena_done(&m->arena);
	MEM_FREE(s->metadata);
}

void
metadata_forget(struct session *s, struct str mailbox)
{
	if (s->metadata != NULL && str_eq(mailbox, s->metadata->mailbox))
		forget_known(s->metadata);
}

bool
metadata_has_news(const struct session *s)
{
	return s->metadata != NULL && s->metadata->news.n > 0;
}

/* Entries of one list that the other one has not, or has differently. */
static void
note_difference(struct metadata *m, struct str mailbox, struct meta_entry *a,
    struct meta_entry *b, bool and_changed)
{
	for (; a != NULL; a = a->next) {
		const struct meta_entry *x = meta_find(b, a->name);

		if (x == NULL || (and_changed && !str_eq(x->value, a->value)))
			add_news(m, mailbox, a->name);
	}
}

/* The selected mailbox's, by other processes: looked at now and then. */
static void
look(struct session *s)
{
	struct metadata *m = s->metadata;
	struct str mailbox = session_mailbox(s);
	int64_t now = clock_mono_ms();
	struct meta_stamp stamp;
	struct meta_entry *fresh;
	bool is_known = mailbox.n > 0 && str_eq(mailbox, m->mailbox);
	struct arena a;
	struct err e;

	if (mailbox.n == 0 || (is_known && now - m->looked_ms < LOOK_MS))
		return;
	m->looked_ms = now;
	meta_stamp_of(s->store, mailbox, &stamp);
	if (is_known && file_stamp_eq(&stamp.files[0], &m->stamp.files[0]) &&
	    file_stamp_eq(&stamp.files[1], &m->stamp.files[1]))
		return;
	arena_init(&a);
	if (meta_load(s->store, mailbox, &a, &fresh, &e) == -1)
		fresh = NULL;
	if (is_known) {
		note_difference(m, mailbox, fresh, m->known, true);
		note_difference(m, mailbox, m->known, fresh, false);
	}
	mailbox = arena_str(&a, mailbox);
	arena_done(&m->arena);
	m->arena = a;
	m->mailbox = mailbox;
	m->known = fresh;
	m->stamp = stamp;
}

/* One response for each mailbox (RFC 5464 section 4.4.2). */
static void
tell_mailbox(struct session *s, struct metadata *m, size_t from)
{
	const char *mailbox = m->news.v[from].mailbox;

	reply_begin(s);
	buf_add_c(&s->out, "METADATA ");
	name_write(s, &s->out, str_of(mailbox));
	for (size_t i = from; i < m->news.n; i++) {
		struct metadata_news *n = &m->news.v[i];

		if (n->entry == NULL || strcmp(n->mailbox, mailbox) != 0)
			continue;
		buf_add_byte(&s->out, ' ');
		imap_write_astring(&s->out, str_of(n->entry));
		MEM_FREE(n->entry);
	}
	reply_end(s);
}

void
metadata_tell(struct session *s)
{
	struct metadata *m = s->metadata;

	if (m == NULL)
		return;
	/* Who has said what it wants to hear gets that (RFC 5465). */
	if (notify_is_on(s)) {
		drop_news(m);
		return;
	}
	if (s->metadata_on && !s->lost)
		look(s);
	for (size_t i = 0; i < m->news.n; i++)
		if (m->news.v[i].entry != NULL)
			tell_mailbox(s, m, i);
	drop_news(m);
}
