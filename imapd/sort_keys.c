/* SPDX-License-Identifier: ISC */
/*
 * sort_keys.c - what messages are compared by.
 *
 * Owns:    the message being read.
 * Runs in: imapd.
 * Trusts:  nothing in a message.
 * Spec:    RFC 5256 section 3, RFC 5957, RFC 5051 (i;unicode-casemap).
 */
#include "imapd/sort_job.h"
#include "store/msg_keys.h"
#include "text/fold.h"

static bool
needs_header(const struct sort *s)
{
	for (size_t i = 0; i < s->n_criteria; i++)
		if (s->criteria[i].by != BY_ARRIVAL &&
		    s->criteria[i].by != BY_SIZE)
			return true;
	return false;
}

/* Asking for it may cost a look at the disk. */
static bool
needs_arrival(const struct sort *s, const struct sort_keys *k)
{
	for (size_t i = 0; i < s->n_criteria; i++)
		if (s->criteria[i].by == BY_ARRIVAL ||
		    (s->criteria[i].by == BY_DATE && !k->has_date))
			return true;
	return false;
}

static struct str
text_of(const struct sort_keys *k, enum sort_by by)
{
	switch (by) {
	case BY_CC:
		return k->cc;
	case BY_FROM:
		return k->from;
	case BY_SUBJECT:
		return k->subject;
	case BY_TO:
		return k->to;
	case BY_DISPLAYFROM:
		return k->from_name;
	case BY_DISPLAYTO:
		return k->to_name;
	default:
		return STR("");
	}
}

static int
fill_row(struct cmd *c, struct sort *s, struct sort_row *row, struct err *e)
{
	struct sort_keys keys = {0};
	int64_t arrival = 0;
	uint64_t size;

	row->values = arena_new(c->arena, s->n_criteria, sizeof(*row->values));
	if (needs_header(s) &&
	    msg_sort_keys(s->msg, &s->scratch, &keys, e) == -1)
		return -1;
	if (needs_arrival(s, &keys) &&
	    msg_internal_date(s->msg, &arrival, e) == -1)
		return -1;
	for (size_t i = 0; i < s->n_criteria; i++) {
		struct sort_value *v = &row->values[i];

		if (s->criteria[i].by == BY_ARRIVAL) {
			v->number = arrival;
		} else if (s->criteria[i].by == BY_DATE) {
			v->number = keys.has_date ? keys.sent_s : arrival;
		} else if (s->criteria[i].by == BY_SIZE) {
			if (msg_wire_size(s->msg, &size, e) == -1)
				return -1;
			v->number = (int64_t)size;
		} else {
			v->key = fold_key(
			    c->arena, text_of(&keys, s->criteria[i].by));
		}
	}
	return 0;
}

/* Its size may have to be counted. */
static enum step
know_size(struct sort *s, struct err *e)
{
	enum step step = STEP_DONE;

	for (size_t i = 0; i < s->n_criteria && step == STEP_DONE; i++)
		if (s->criteria[i].by == BY_SIZE)
			step = msg_wire_size_step(s->msg, e);
	return step;
}

enum step
sort_keys_read(struct cmd *c, struct sort *s, uint32_t uid,
    struct sort_row *out, struct err *e)
{
	enum step step = STEP_DONE;

	out->uid = uid;
	if (s->msg == NULL && msg_open(c->s->view, uid, &s->msg, e) == -1)
		return STEP_FAIL;
	step = know_size(s, e);
	if (step == STEP_DONE && needs_header(s))
		step = msg_keys_ready(s->msg, false, e);
	if (step == STEP_MORE)
		return STEP_MORE;
	if (step == STEP_DONE && fill_row(c, s, out, e) == -1)
		step = STEP_FAIL;
	msg_close(&s->msg);
	arena_reset(&s->scratch);
	return step;
}

static int
compare_values(const struct sort_value *a, const struct sort_value *b)
{
	if (a->number != b->number)
		return a->number < b->number ? -1 : 1;
	return str_cmp(a->key, b->key);
}

int
sort_keys_compare(const void *x, const void *y, void *sort)
{
	const struct sort_row *a = x, *b = y;
	const struct sort *s = sort;

	for (size_t i = 0; i < s->n_criteria; i++) {
		int order = compare_values(&a->values[i], &b->values[i]);

		if (order != 0)
			return s->criteria[i].is_reverse ? -order : order;
	}
	/* As they stand in the mailbox, also below REVERSE. */
	return a->uid < b->uid ? -1 : a->uid > b->uid;
}
