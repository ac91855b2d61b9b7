/* SPDX-License-Identifier: ISC */
/*
 * sort_order.c - the order of a mailbox that was kept, and what has come since.
 *
 * Owns:    the form of the kept order: UIDs of four bytes.
 * Runs in: imapd.
 * Trusts:  not what is kept: UIDs that the view does not have are left out, and
 *          those that stand there twice.
 * Spec:    RFC 5256 section 3.
 *
 * What a message is compared by does not change, so its place among others does
 * not either. Those that are not in the kept order are put where they belong:
 * the keys of a few old ones are read for each.
 */
#include "imapd/sort_job.h"
#include "store/kept.h"

/* Fewer messages, or a smaller part of the mailbox, are sorted as they are. */
#define FOUND_MIN 64
#define PART_MAX 4
/* More than one in so many that is missing: it is not worth it. */
#define MISSING_MAX 16

/* "SORT 1" and a letter for each criterion, a capital when it is reversed. */
static struct str
question_of(struct cmd *c, const struct sort *s)
{
	char letters[SORT_CRITERIA_MAX];

	for (size_t i = 0; i < s->n_criteria; i++)
		letters[i] = (char)((s->criteria[i].is_reverse ? 'A' : 'a') +
		    s->criteria[i].by);
	return arena_printf(
	    c->arena, "SORT 1 %.*s", (int)s->n_criteria, letters);
}

static bool
is_worth_it(struct cmd *c, const struct sort *s)
{
	uint32_t n = set32_count(&s->run.found);

	return n >= FOUND_MIN && n >= view_count(c->s->view) / PART_MAX;
}

/* Messages of the view, each once; `seen` is a bit for each of them. */
static void
take_old(struct cmd *c, struct sort *s, struct str kept, uint8_t *seen)
{
	size_t n = kept.n / sizeof(uint32_t);
	uint32_t uid, seq;

	s->old = arena_new(c->arena, n + 1, sizeof(*s->old));
	for (size_t i = 0; i < n; i++) {
		memcpy(&uid, kept.p + i * sizeof(uid), sizeof(uid));
		seq = view_seq(c->s->view, uid);
		if (seq == 0 || (seen[seq / 8] & 1u << seq % 8) != 0)
			continue;
		seen[seq / 8] |= (uint8_t)(1u << seq % 8);
		s->old[s->n_old++] = uid;
	}
}

static void
find_missing(struct cmd *c, struct sort *s, const uint8_t *seen)
{
	uint32_t uid = 1, seq;

	while (uid != 0 && set32_next(&s->run.found, uid, &uid)) {
		seq = view_seq(c->s->view, uid);
		if ((seen[seq / 8] & 1u << seq % 8) == 0)
			set32_add(&s->missing, uid);
		uid++;
	}
}

void
sort_order_load(struct cmd *c, struct sort *s)
{
	uint32_t n = view_count(c->s->view);
	uint8_t *seen;
	struct buf kept;

	s->question = question_of(c, s);
	if (is_worth_it(c, s)) {
		seen = arena_new(c->arena, (size_t)n / 8 + 1, 1);
		buf_init(&kept, KEPT_MAX_BYTES);
		if (kept_get(c->s->view, s->question, &kept))
			take_old(c, s, buf_str(&kept), seen);
		buf_done(&kept);
		find_missing(c, s, seen);
		if (set32_count(&s->missing) <= s->n_old / MISSING_MAX)
			return;
	}
	s->n_old = 0;
	set32_copy(&s->missing, &s->run.found);
}

/* ---- one order of two ------------------------------------------------------ */

static void
take(struct sort *s, size_t upto)
{
	/* Without a kept order there is nothing to take from. */
	if (upto == s->from)
		return;
	memcpy(s->order + s->n_order, s->old + s->from,
	    (upto - s->from) * sizeof(*s->old));
	s->n_order += upto - s->from;
	s->from = upto;
}

/* Where s->rows[s->row] belongs among s->old, by halves: s->lo at the end. */
static enum step
find_place(struct cmd *c, struct sort *s)
{
	struct err e;

	while (s->lo < s->hi) {
		size_t mid = s->lo + (s->hi - s->lo) / 2;
		enum step step =
		    sort_keys_read(c, s, s->old[mid], &s->probe, &e);

		if (step != STEP_DONE)
			return step;
		if (sort_keys_compare(&s->probe, &s->rows[s->row], s) < 0)
			s->lo = mid + 1;
		else
			s->hi = mid;
		arena_rewind(c->arena, s->mark);
		if (cmd_time_is_up(c))
			return STEP_MORE;
	}
	return STEP_DONE;
}

static enum step
merge_rows(struct cmd *c, struct sort *s)
{
	enum step step;

	if (s->order == NULL) {
		s->order = arena_new(
		    c->arena, s->n_old + s->n_rows + 1, sizeof(*s->order));
		s->mark = arena_mark(c->arena);
		s->hi = s->n_old;
	}
	for (; s->row < s->n_rows; s->row++) {
		step = s->n_old == 0 ? STEP_DONE : find_place(c, s);
		if (step != STEP_DONE)
			return step;
		take(s, s->lo);
		s->order[s->n_order++] = s->rows[s->row].uid;
		s->hi = s->n_old;
	}
	take(s, s->n_old);
	return STEP_DONE;
}

static void
keep_order(struct cmd *c, const struct sort *s)
{
	if (s->n_rows == 0 || !is_worth_it(c, s))
		return;
	kept_put(c->s->view, s->question,
	    str_make((const char *)s->order, s->n_order * sizeof(*s->order)));
}

static void
leave_found(struct sort *s)
{
	size_t n = 0;

	if (s->n_order == set32_count(&s->run.found))
		return;
	for (size_t i = 0; i < s->n_order; i++)
		if (set32_has(&s->run.found, s->order[i]))
			s->order[n++] = s->order[i];
	s->n_order = n;
}

enum step
sort_order_merge(struct cmd *c, struct sort *s)
{
	enum step step = merge_rows(c, s);

	if (step == STEP_MORE)
		return STEP_MORE;
	if (step == STEP_FAIL) {
		s->n_old = s->n_order = s->row = s->from = s->lo = 0;
		s->order = NULL;
		set32_copy(&s->missing, &s->run.found);
		return STEP_FAIL;
	}
	keep_order(c, s);
	leave_found(s);
	return STEP_DONE;
}
