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

#include "base/mem.h"
#include "host/host.h"
#include "imap/imap_write.h"
#include "imapd/client.h"
#include "imapd/context.h"
#include "imapd/name.h"
#include "imapd/notify.h"
#include "imapd/reply.h"
#include "imapd/session.h"

#define NEWS_MAX 1000
#define ASKED_MAX 200 /* mailboxes; with three watches each at most */
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

/* ---- mailboxes asked about --------------------------------------------------- */

static struct metadata_asked *
find_asked(struct metadata *m, struct str mailbox)
{
	VEC_EACH(&m->asked, x)
		if (str_eq(str_of(x->mailbox), mailbox))
			return x;
	return NULL;
}

static void
forget_asked(struct metadata *m, size_t i)
{
	metadata_watch_end(&m->asked.v[i].watch);
	free(m->asked.v[i].mailbox);
	VEC_REMOVE(&m->asked, i);
}

/* From now on it hears what others do there; the oldest makes room. */
static void
watch_asked(struct session *s, struct str mailbox)
{
	struct metadata *m = s->metadata;
	struct metadata_asked *x;

	if (m == NULL || find_asked(m, mailbox) != NULL ||
	    (mailbox.n == 0 ? !s->metadata_server_on : !s->metadata_on))
		return;
	if (m->asked.n == ASKED_MAX)
		forget_asked(m, 0);
	x = VEC_ADD(&m->asked);
	*x = (struct metadata_asked){.mailbox = str_to_heap(mailbox)};
	metadata_watch_begin(&x->watch, s->store, mailbox);
}

static bool
is_due(const struct metadata *m)
{
	VEC_EACH(&m->asked, x)
		if (metadata_watch_is_due(&x->watch))
			return true;
	return false;
}

static void
on_tree(void *arg)
{
	struct session *s = arg;

	if (!notify_is_on(s) && is_due(s->metadata))
		client_news(s);
}

void
metadata_own(
    struct session *s, struct str mailbox, const struct meta_entry *entries)
{
	struct metadata_asked *x =
	    s->metadata == NULL ? NULL : find_asked(s->metadata, mailbox);

	if (x != NULL)
		metadata_watch_told(&x->watch, s->store, mailbox, entries);
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
	if (s->metadata != NULL && !notify_is_on(s))
		watch_asked(s, mailbox);
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

/* Another session of this process. */
static void
on_change(void *arg, struct str mailbox, const struct meta_entry *entries)
{
	struct session *s = arg;

	if (mailbox.n > 0 ? !s->metadata_on
			  : !(s->metadata_on || s->metadata_server_on))
		return;
	for (const struct meta_entry *x = entries; x != NULL; x = x->next)
		add_news(s->metadata, mailbox, x->name);
	metadata_own(s, mailbox, entries);
	client_news(s);
}

void
metadata_enable(struct session *s)
{
	struct metadata *m;

	if (s->metadata != NULL)
		return;
	m = s->metadata = mem_new(1, sizeof(*m));
	m->tree.fn = on_tree;
	m->tree.arg = s;
	tree_listen(s->store, &m->tree);
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
	tree_listen_end(&m->tree);
	while (m->asked.n > 0)
		forget_asked(m, m->asked.n - 1);
	VEC_DONE(&m->asked);
	drop_news(m);
	MEM_FREE(s->metadata);
}

bool
metadata_has_news(const struct session *s)
{
	return s->metadata != NULL &&
	    (s->metadata->news.n > 0 ||
		(!notify_is_on(s) && is_due(s->metadata)));
}

struct entry_of {
	struct metadata *m;
	struct str mailbox;
};

static void
on_entry(void *arg, struct str entry)
{
	const struct entry_of *o = arg;

	add_news(o->m, o->mailbox, entry);
}

/* What other processes have changed, of this user or of others. */
static void
look(struct session *s)
{
	struct metadata *m = s->metadata;
	struct arena a;

	tree_catch_up(s->store);
	arena_init(&a);
	if (s->view != NULL)
		watch_asked(s, mailbox_full_name(view_mailbox(s->view), &a));
	arena_done(&a);
	VEC_EACH(&m->asked, x) {
		struct entry_of o = {m, str_of(x->mailbox)};

		metadata_watch_look(
		    &x->watch, s->store, o.mailbox, on_entry, &o);
	}
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

	/* Nothing comes between the bytes of a FETCH. */
	if (m == NULL || context_is_within(s))
		return;
	/* Who has said what it wants to hear gets that (RFC 5465). */
	if (notify_is_on(s)) {
		drop_news(m);
		return;
	}
	if (!s->lost)
		look(s);
	for (size_t i = 0; i < m->news.n; i++)
		if (m->news.v[i].entry != NULL)
			tell_mailbox(s, m, i);
	drop_news(m);
}
