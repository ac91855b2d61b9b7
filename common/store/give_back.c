/* SPDX-License-Identifier: ISC */
/*
 * give_back.c - everything that another server needs, into files it reads.
 *
 * Owns:    nothing.
 * Runs in: restantectl, as the mail user.
 * Trusts:  nothing on disk.
 * Spec:    formats.md 2.9, 4.2, 5, 7.9, 12.
 *
 * Two passes. The first opens each mailbox as a session does and has its backend
 * write what waits. The second opens all of it anew, without the index, and
 * compares: what it sees is what the next server will see.
 */
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/map.h"
#include "store/give_back.h"
#include "store/mailbox_impl.h"
#include "store/msg.h"
#include "store/msg_impl.h"
#include "text/uidl_format.h"
#include "text/utf8.h"

/* What both passes must see. */
struct given {
	struct give_back_box box;
	uint64_t sum; /* of UIDs, flags and keywords */
	bool failed;
};

struct giving {
	const struct give_back_sink *sink;
	const char *uidl;
	struct store *s;
	struct arena arena;
	struct map by_name; /* to struct mbox_entry */
	VEC(struct given) v;
	bool told_utf8, told_below;
};

static void PRINTF_LIKE(6, 7)
    tell(const struct giving *g, enum check_weight weight, const char *kind,
	struct str mailbox, const char *cure, const char *fmt, ...)
{
	char text[600];
	struct check_finding f = {
	    .weight = weight,
	    .kind = kind,
	    .mailbox = mailbox,
	    .cure = str_of(cure),
	};
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	f.text = str_of(text);
	g->sink->found(g->sink->arg, &f);
}

/* ---- one mailbox, whole -------------------------------------------------- */

static int
open_whole(struct store *s, struct str name, bool read_only, struct view **v,
    struct err *e)
{
	enum step step;

	*v = NULL;
	do {
		step = view_open(s, name, read_only, v, e);
		if (step == STEP_MORE)
			store_pause(s);
	} while (step == STEP_MORE);
	return step == STEP_DONE ? 0 : -1;
}

static int
sync_whole(struct mailbox *m, struct err *e)
{
	enum step step;

	do {
		step = m->store->ops->sync(m, SYNC_FORCE, e);
		if (step == STEP_MORE)
			store_pause(m->store);
	} while (step == STEP_MORE);
	return step == STEP_DONE ? 0 : -1;
}

/* The same for the same messages, whatever their keywords' numbers are. */
static uint64_t
sum_of(const struct mailbox *m)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < m->recs.n; i++) {
		const struct msg_rec *r = &m->recs.v[i];
		size_t n_more;
		const uint16_t *more = mailbox_more(m, r, &n_more);
		uint64_t one = r->uid * UINT64_C(0x9e3779b97f4a7c15) +
		    (r->system & FLAGS_STORED);

		if (r->state != REC_LIVE)
			continue;
		for (size_t k = 0; k < KEYWORD_LETTERS; k++)
			if (r->keywords & 1u << k)
				one += map_hash(mailbox_keyword_name(m, k));
		for (size_t k = 0; k < n_more; k++)
			one += map_hash(mailbox_keyword_name(m, more[k]));
		sum += one * UINT64_C(0xbf58476d1ce4e5b9);
	}
	return sum;
}

static void
describe(struct mailbox *m, struct given *out)
{
	struct set32 *live = &m->live;

	out->box.uidvalidity = m->uidvalidity;
	out->box.uidnext = m->uidnext;
	out->box.messages = set32_count(live);
	out->sum = sum_of(m);
}

/* ---- what is written ----------------------------------------------------- */

/* The ids that another server would not make of what else is there. */
static void
give_uidls(struct giving *g, struct view *v)
{
	const struct store_ops *ops = g->s->ops;
	uint32_t n = view_count(v);
	struct arena a;

	if (str_eq(str_of(g->uidl), STR(UIDL_FORMAT_DEFAULT)) &&
	    !g->s->is_courier)
		return;
	if (ops->note_uidl == NULL) {
		tell(g, CHECK_NOTE, "uidl", STR("INBOX"),
		    "Have the next server make them in the same form.",
		    "POP3 ids are made in the form %s; an mbox has no place "
		    "for them.",
		    g->uidl);
		return;
	}
	arena_init(&a);
	for (uint32_t seq = 1; seq <= n; seq++) {
		struct msg *msg = NULL;
		struct str uidl;
		uint64_t size;
		uint32_t order;
		struct err e;

		if (msg_open(v, view_uid(v, seq), &msg, &e) == -1)
			continue;
		if ((msg_wire_size(msg, &size, &e) == -1 ||
			msg_pop3_uidl(msg, g->uidl, &a, &uidl, &order, &e) ==
			    -1) &&
		    e.code != ERR_GONE)
			tell(g, CHECK_FAULT, "uidl", STR("INBOX"),
			    "Look at the message.",
			    "No POP3 id for the message with UID %u: %s.",
			    view_uid(v, seq), e.text);
		msg_close(&msg);
		arena_reset(&a);
	}
	arena_done(&a);
}

static bool
has_courier_ids(const struct store *s)
{
	char path[PATH_MAX];

	return snprintf(path, sizeof(path), "%s/courierpop3dsizelist",
		   s->inbox != NULL ? s->inbox : s->root) < (int)sizeof(path) &&
	    access(path, F_OK) == 0;
}

static void
tell_limits(struct giving *g, const struct mailbox *m)
{
	struct str name = str_of(m->name);
	size_t n = 0;

	for (size_t i = KEYWORD_LETTERS; i < m->keywords.n; i++)
		n += mailbox_keyword_name(m, i).n > 0;
	if (n > 0 && g->s->ops == &maildir_ops)
		tell(g, CHECK_NOTE, "keywords", name, "",
		    "%zu keywords, from the 27th on, are in restante-keywords, "
		    "which other servers do not read.",
		    n);
	if (g->s->is_courier && str_eq(name, STR("INBOX")) &&
	    g->s->ops == &maildir_ops && !has_courier_ids(g->s))
		tell(g, CHECK_NOTE, "uidl", name, "",
		    "There is no courierpop3dsizelist: Courier will make POP3 "
		    "ids of its own, and mail that was left on the server is "
		    "fetched once more.");
	if (m->seen != NULL)
		tell(g, CHECK_NOTE, "seen", name, "",
		    "Which messages are \\Seen here is known to us alone.");
	if (!g->told_utf8 && g->s->is_utf8 && g->s->ops == &maildir_ops &&
	    utf8_ascii_length(name) < name.n) {
		g->told_utf8 = true;
		tell(g, CHECK_NOTE, "names", name,
		    "Dovecot needs :UTF-8 in its mail_location (2.4: "
		    "mailbox_list_utf8 = yes).",
		    "Folders are named in UTF-8.");
	}
}

static int
write_all(struct giving *g, struct view *v, struct err *e)
{
	struct mailbox *m = view_mailbox(v);
	const struct store_ops *ops = g->s->ops;

	if (sync_whole(m, e) == -1)
		return -1;
	if (view_is_read_only(v))
		return err_set(e, ERR_READ_ONLY, "it can not be written");
	if (str_eq(str_of(m->name), STR("INBOX")))
		give_uidls(g, v);
	if (ops->flush(m, e) == -1 ||
	    (ops->repair != NULL && ops->repair(m, e) == -1))
		return -1;
	if (ops->give_back != NULL && ops->give_back(m, e) == -1)
		return -1;
	if (ops->leave != NULL)
		ops->leave(m);
	return mailbox_load(m, e);
}

static void
give_one(struct giving *g, struct str name)
{
	struct given *it = VEC_ADD(&g->v);
	struct view *v = NULL;
	struct err e;

	*it = (struct given){.box.name = name, .failed = true};
	if (open_whole(g->s, name, false, &v, &e) == -1 ||
	    write_all(g, v, &e) == -1) {
		tell(g, CHECK_FAULT, "open", name,
		    "Nothing of it was changed; mend that and try again.",
		    "It can not be brought to disk: %s.", e.text);
	} else {
		it->failed = false;
		describe(view_mailbox(v), it);
		/* Without an index nobody knows: none was above the clock. */
		it->box.highest_modseq = view_mailbox(v)->highest_modseq;
		if (it->box.highest_modseq == 0)
			it->box.highest_modseq = (uint64_t)clock_wall_us();
		tell_limits(g, view_mailbox(v));
	}
	view_close(&v);
}

/* ---- what is there then -------------------------------------------------- */

static bool
look_again(struct store *s, const struct given *want, struct err *e)
{
	struct given now = {0};
	struct view *v = NULL;
	int rc = open_whole(s, want->box.name, true, &v, e);

	if (rc == 0)
		rc = sync_whole(view_mailbox(v), e);
	if (rc == 0)
		rc = mailbox_load(view_mailbox(v), e);
	if (rc == 0) {
		describe(view_mailbox(v), &now);
		(void)err_set(e, ERR_OTHER,
		    "%u messages with UIDVALIDITY %u and UIDNEXT %u are read",
		    now.box.messages, now.box.uidvalidity, now.box.uidnext);
	}
	view_close(&v);
	return rc == 0 && now.box.uidvalidity == want->box.uidvalidity &&
	    now.box.messages == want->box.messages && now.sum == want->sum &&
	    (now.box.uidnext >= want->box.uidnext || now.box.messages == 0);
}

static int
second_pass(struct giving *g, const struct store_settings *set,
    struct ev_loop *loop, struct err *e)
{
	struct store_settings bare = *set;
	struct store *s;
	struct err own;

	bare.index_dir = NULL;
	bare.courier_compat = "no";
	if (store_open(&bare, loop, &s, e) == -1)
		return -1;
	VEC_EACH(&g->v, it) {
		if (it->failed)
			continue;
		if (look_again(s, it, &own))
			g->sink->box(g->sink->arg, &it->box);
		else
			tell(g, CHECK_FAULT, "reading", it->box.name,
			    "End the user's sessions and try again.",
			    "It is not read as it was written: %s.", own.text);
	}
	store_close(&s);
	return 0;
}

/* ---- all mailboxes ------------------------------------------------------- */

/* A mailbox below another one: other servers know it by another name. */
static void
tell_below(struct giving *g, struct str name)
{
	size_t at = str_rfind(name, g->s->delimiter);
	const struct mbox_entry *parent =
	    at == name.n ? NULL : map_find(&g->by_name, str_head(name, at));

	if (g->told_below || g->s->ops != &mbox_ops || parent == NULL ||
	    parent->attrs & (MBOX_NOSELECT | MBOX_NONEXISTENT))
		return;
	g->told_below = true;
	tell(g, CHECK_NOTE, "names", name, "",
	    "Mailboxes below an mbox are in a folder NAME.sbd, and have that "
	    "name for other servers.");
}

static int
first_pass(struct giving *g, struct err *e)
{
	struct mbox_entry *first = NULL;
	const struct store_ops *ops = g->s->ops;
	void *at = NULL;
	enum step step;

	do {
		step = ops->list(g->s, &g->arena, &at, &first, e);
		if (step == STEP_MORE)
			store_pause(g->s);
	} while (step == STEP_MORE);
	ops->list_end(&at);
	if (step != STEP_DONE)
		return -1;
	for (struct mbox_entry *m = first; m != NULL; m = m->next)
		map_put(&g->by_name, m->name, m);
	for (struct mbox_entry *m = first; m != NULL; m = m->next)
		if (!(m->attrs & (MBOX_NOSELECT | MBOX_NONEXISTENT))) {
			tell_below(g, m->name);
			give_one(g, m->name);
		}
	if (ops->subs_changed != NULL)
		ops->subs_changed(g->s);
	return 0;
}

int
store_give_back(const struct store_settings *set, const char *uidl,
    struct ev_loop *loop, const struct give_back_sink *sink, struct err *e)
{
	struct giving g = {.sink = sink, .uidl = uidl};
	int rc = -1;

	if (store_open(set, loop, &g.s, e) == -1)
		return -1;
	arena_init(&g.arena);
	map_init(&g.by_name);
	rc = first_pass(&g, e);
	/* Closing writes too. */
	store_close(&g.s);
	if (rc == 0)
		rc = second_pass(&g, set, loop, e);
	VEC_DONE(&g.v);
	map_done(&g.by_name);
	arena_done(&g.arena);
	return rc;
}
