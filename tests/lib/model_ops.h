/* SPDX-License-Identifier: ISC */
/*
 * model_ops.h - for model_test.c: what sessions do, in steps, between which
 * other sessions look.
 */
#ifndef TESTS_LIB_MODEL_OPS_H
#define TESTS_LIB_MODEL_OPS_H

#include "tests/lib/model.h"

/* ---- operations ---------------------------------------------------------- */

/* Between two steps of one session another one looks. */
static void
between(const struct session *busy)
{
	struct session *s = &w->s[pick(SESSIONS)];

	if (s == busy || s->v == NULL || pick(3) > 0)
		return;
	w->is_busy = true;
	sync_session(s, pick(2) == 0);
	w->is_busy = false;
}

/* In steps until done; `call` is evaluated for each. */
#define STEPS(s, result, call)                                                 \
	do {                                                                   \
		while (((result) = (call)) == STEP_MORE) {                     \
			wait_for_lock(s);                                      \
			between(s);                                            \
		}                                                              \
	} while (0)

struct wish {
	struct flag_wish w;
	struct str names[ARRAY_LEN(words)];
	uint8_t flags, words;
};

static void
make_wish(struct wish *out)
{
	*out = (struct wish){0};
	for (unsigned i = 0; i < ARRAY_LEN(flag_bits); i++)
		if (pick(3) == 0)
			out->flags |= flag_bits[i];
	for (unsigned i = 0; i < ARRAY_LEN(words); i++) {
		if (pick(4) > 0)
			continue;
		out->words |= (uint8_t)(1 << i);
		out->names[out->w.n_keywords++] = str_of(words[i]);
	}
	out->w.system = out->flags;
	out->w.keywords = out->names;
}

/* Some messages that the session sees. */
static struct set32
some_uids(const struct session *s)
{
	struct set32 set;

	set32_init(&set);
	for (uint32_t i = 0; i < s->n; i++)
		if (pick(3) == 0)
			set32_add(&set, s->uids[i]);
	return set;
}

static void
op_append(struct session *s)
{
	struct append *a = NULL;
	unsigned n = 1 + pick(3), first;
	struct wish wish[3];
	struct set32 uids;
	uint32_t validity;
	char text[TEXT_MAX];
	bool is_broken_off = pick(8) == 0;
	uint32_t floor = s->m->top;
	enum step step;
	struct err e;

	trace("append %u%s", n, is_broken_off ? ", broken off" : "");
	STEPS(s, step,
	    append_begin(s->store, mailbox_name(view_mailbox(s->v)), &a, &e));
	if (step == STEP_FAIL)
		FAIL("append: %s", e.text);
	first = w->texts + 1;
	w->texts += n;
	for (unsigned i = 0; i < n; i++) {
		text_of(first + i, text);
		make_wish(&wish[i]);
		if (append_message(a, &wish[i].w, -1, strlen(text), &e) == -1 ||
		    append_data(a, str_of(text), &e) == -1)
			FAIL("append: %s", e.text);
	}
	set32_init(&uids);
	if (!is_broken_off) {
		STEPS(s, step, append_commit(a, &validity, &uids, &e));
		if (step == STEP_FAIL)
			FAIL("append: %s", e.text);
		if (set32_count(&uids) != n)
			FAIL("append of %u: %u uids", n, set32_count(&uids));
		/* Deliveries that were met on the way may lie between. */
		for (unsigned i = 0; i < n; i++) {
			struct entry *it = add_entry(
			    s->m, first + i, wish[i].flags, wish[i].words);

			it->floor = floor;
			bind_uid(s->m, it, set32_at(&uids, i + 1));
		}
	}
	append_free(&a);
	set32_done(&uids);
}

static uint8_t
apply(enum store_op op, uint8_t old, uint8_t change)
{
	switch (op) {
	case STORE_SET:
		return change;
	case STORE_ADD:
		return old | change;
	case STORE_REMOVE:
	default:
		return old & (uint8_t)~change;
	}
}

static void
op_store(struct session *s)
{
	enum store_op op = (enum store_op)pick(3);
	struct set32 uids, gone;
	bool silent = pick(2) == 0;
	struct wish wish;
	uint32_t at = 0;
	enum step step;
	struct err e;

	/* What changes nothing by what the session knows is not done; so what
	 * another program did is known first. */
	sync_session(s, false);
	uids = some_uids(s);
	make_wish(&wish);
	set32_init(&gone);
	trace("store %d flags %x words %x of %u", (int)op, wish.flags,
	    wish.words, set32_count(&uids));
	STEPS(s, step,
	    view_store(s->v, &uids, op, &wish.w, silent, &at, &gone, &e));
	if (step == STEP_FAIL)
		FAIL("store: %s", e.text);
	for (uint32_t i = 0; i < s->n; i++) {
		struct entry *it;

		if (!set32_has(&uids, s->uids[i]))
			continue;
		it = by_uid(s->m, s->uids[i]);
		if (it == NULL || !it->exists)
			continue;
		if (set32_has(&gone, s->uids[i])) {
			if (!s->m->is_unsorted)
				FAIL("message %u is gone", it->text);
			continue;
		}
		it->flags = apply(op, it->flags, wish.flags);
		it->words = apply(op, it->words, wish.words);
		/* Silent: who stored knows what he has done. */
		if (silent) {
			s->flags[i] = apply(op, s->flags[i], wish.flags);
			s->words[i] = apply(op, s->words[i], wish.words);
		}
	}
	set32_done(&uids);
	set32_done(&gone);
}

static void
op_expunge(struct session *s)
{
	bool all = pick(2) == 0;
	struct set32 uids = some_uids(s);
	uint32_t at = 0;
	enum step step;
	struct err e;

	/* By what the disk says now, not by what the session was told. */
	sync_session(s, false);
	trace("expunge %s", all ? "all" : "some");
	STEPS(s, step, view_expunge(s->v, all ? NULL : &uids, &at, &e));
	if (step == STEP_FAIL)
		FAIL("expunge: %s", e.text);
	for (uint32_t i = 0; i < s->n; i++) {
		struct entry *it = by_uid(s->m, s->uids[i]);

		if (it != NULL && it->flags & FLAG_DELETED &&
		    (all || set32_has(&uids, it->uid)))
			it->exists = false;
	}
	set32_done(&uids);
}

static void
op_copy(struct session *s, bool move)
{
	struct model_box *to =
	    s->m == &w->boxes[0] ? &w->boxes[1] : &w->boxes[0];
	struct set32 uids;
	struct copy_job *job = NULL;
	struct copy_result r = {0};
	enum step step;
	struct err e;
	uint32_t n, floor = to->top;

	sync_session(s, true);
	uids = some_uids(s);
	trace("%s %u", move ? "move" : "copy", set32_count(&uids));
	STEPS(s, step,
	    view_copy(s->v, &uids, str_of(box_names[to - w->boxes]), move, &job,
		&r, &e));
	if (step == STEP_FAIL)
		FAIL("copy: %s", e.text);
	n = set32_count(&r.from);
	if (n != set32_count(&uids) || n != set32_count(&r.to))
		FAIL("copied %u of %u to %u", n, set32_count(&uids),
		    set32_count(&r.to));
	for (uint32_t i = 1; i <= n; i++) {
		struct entry *from = by_uid(s->m, set32_at(&r.from, i)), *it;
		uint32_t uid = set32_at(&r.to, i);

		assert_non_null(from);
		it = add_entry(to, from->text, from->flags, from->words);
		it->floor = floor;
		bind_uid(to, it, uid);
		if (move)
			from->exists = false;
	}
	copy_job_free(&job);
	set32_done(&uids);
	set32_done(&r.from);
	set32_done(&r.to);
}

/* Begun, and given up after some steps. */
static void
op_copy_given_up(struct session *s)
{
	struct model_box *to =
	    s->m == &w->boxes[0] ? &w->boxes[1] : &w->boxes[0];
	struct set32 uids;
	struct copy_job *job = NULL;
	struct copy_result r = {0};
	enum step step = STEP_MORE;
	struct err e;

	sync_session(s, true);
	uids = some_uids(s);
	trace("copy that is given up");
	/* Not so far that the UIDs may be given. */
	for (unsigned i = pick(1 + set32_count(&uids));
	     i > 0 && step == STEP_MORE; i--)
		step = view_copy(s->v, &uids, str_of(box_names[to - w->boxes]),
		    false, &job, &r, &e);
	if (step == STEP_FAIL)
		FAIL("copy: %s", e.text);
	copy_job_free(&job);
	set32_done(&uids);
	set32_done(&r.from);
	set32_done(&r.to);
}

static void
op_read(struct session *s)
{
	sync_session(s, true);
	for (uint32_t i = 0; i < s->n; i++) {
		unsigned text = read_text(s, s->uids[i]);

		if (text != 0 && text != by_uid(s->m, s->uids[i])->text)
			FAIL("uid %u is another message", s->uids[i]);
	}
}

#endif
