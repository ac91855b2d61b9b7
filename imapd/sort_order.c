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
/* Messages between two looks at the clock. */
#define LOOKS 1024

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

/* Messages of the view, each once, from s->kept_at on. */
static enum step
take_old(struct cmd *c, struct sort *s)
{
	size_t n = s->kept.n / sizeof(uint32_t);
	uint32_t uid, seq;

	if (s->old == NULL)
		s->old = arena_new(c->arena, n + 1, sizeof(*s->old));
	while (s->kept_at < n) {
		memcpy(
		    &uid, s->kept.p + s->kept_at++ * sizeof(uid), sizeof(uid));
		seq = view_seq(c->s->view, uid);
		if (seq != 0 && (s->seen[seq / 8] & 1u << seq % 8) == 0) {
			s->seen[seq / 8] |= (uint8_t)(1u << seq % 8);
			s->old[s->n_old++] = uid;
		}
		if (s->kept_at % LOOKS == 0 && cmd_time_is_up(c))
			return STEP_MORE;
	}
	return STEP_DONE;
}

/* From s->uid on; 0 behind the last. */
static enum step
find_missing(struct cmd *c, struct sort *s)
{
	uint32_t seq;

	for (unsigned n = 1;
	     s->uid != 0 && set32_next(&s->run.found, s->uid, &s->uid); n++) {
		seq = view_seq(c->s->view, s->uid);
		if ((s->seen[seq / 8] & 1u << seq % 8) == 0)
			set32_add(&s->missing, s->uid);
		s->uid++;
		if (n % LOOKS == 0 && cmd_time_is_up(c))
			return STEP_MORE;
	}
	return STEP_DONE;
}

/* False: there is no kept order that could help. */
static bool
load_begin(struct cmd *c, struct sort *s)
{
	s->question = question_of(c, s);
	if (!is_worth_it(c, s))
		return false;
	s->seen =
	    arena_new(c->arena, (size_t)view_count(c->s->view) / 8 + 1, 1);
	buf_init(&s->kept, KEPT_MAX_BYTES);
	if (!kept_get(c->s->view, s->question, &s->kept))
		buf_clear(&s->kept);
	s->uid = 1;
	return s->kept.n > 0;
}

enum step
sort_order_load(struct cmd *c, struct sort *s)
{
	bool helps = s->seen != NULL || load_begin(c, s);

	if (helps &&
	    (take_old(c, s) == STEP_MORE || find_missing(c, s) == STEP_MORE))
		return STEP_MORE;
	buf_done(&s->kept);
	if (helps && set32_count(&s->missing) <= s->n_old / MISSING_MAX)
		return STEP_DONE;
	s->n_old = 0;
	set32_copy(&s->missing, &s->run.found);
	return STEP_DONE;
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

static enum step
leave_found(struct cmd *c, struct sort *s)
{
	if (s->n_order == set32_count(&s->run.found))
		return STEP_DONE;
	while (s->leave_from < s->n_order) {
		if (set32_has(&s->run.found, s->order[s->leave_from]))
			s->order[s->leave_to++] = s->order[s->leave_from];
		if (++s->leave_from % LOOKS == 0 && cmd_time_is_up(c))
			return STEP_MORE;
	}
	s->n_order = s->leave_to;
	return STEP_DONE;
}

enum step
sort_order_merge(struct cmd *c, struct sort *s)
{
	enum step step = s->is_merged ? STEP_DONE : merge_rows(c, s);

	if (step == STEP_MORE)
		return STEP_MORE;
	if (step == STEP_FAIL) {
		s->n_old = s->n_order = s->row = s->from = s->lo = 0;
		s->order = NULL;
		set32_copy(&s->missing, &s->run.found);
		return STEP_FAIL;
	}
	if (!s->is_merged)
		keep_order(c, s);
	s->is_merged = true;
	return leave_found(c, s);
}
