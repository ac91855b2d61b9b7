/* SPDX-License-Identifier: ISC */
/*
 * cmd_sort.c - SORT and UID SORT, with the ESEARCH form of the answer.
 *
 * Owns:    the keys of the messages found, in the command's arena.
 * Runs in: imapd.
 * Trusts:  nothing in arguments or messages.
 * Spec:    RFC 5256 sections 2.2, 3; RFC 5957 (DISPLAYFROM, DISPLAYTO); RFC 5267
 *          section 3 (ESORT); RFC 5051 (i;unicode-casemap).
 *
 * SEARCH --all found--> KEYS --all read--> sorted, answered
 */
#include "base/step_sort.h"
#include "imapd/commands.h"
#include "imapd/reply.h"
#include "imapd/search_run.h"
#include "store/msg_keys.h"
#include "text/fold.h"

#define CRITERIA_MAX 16
#define SORT_STEPS 2000 /* between two looks at the clock */

enum sort_by {
	BY_ARRIVAL,
	BY_CC,
	BY_DATE,
	BY_FROM,
	BY_SIZE,
	BY_SUBJECT,
	BY_TO,
	BY_DISPLAYFROM,
	BY_DISPLAYTO,
};

struct criterion {
	enum sort_by by;
	bool is_reverse;
};

/* What a message is compared by, a value per criterion. */
struct sort_value {
	int64_t number;
	struct str key; /* of fold_unicode() */
};

struct sort_row {
	uint32_t uid;
	struct sort_value *values;
};

struct sort {
	struct search_run run;
	struct criterion criteria[CRITERIA_MAX];
	size_t n_criteria;
	bool in_keys;
	uint32_t uid; /* the next whose keys are wanted */
	struct sort_row *rows;
	size_t n_rows;
	struct msg *msg; /* being read */
	struct arena scratch; /* of its keys as they were read */
	struct step_sort sort; /* once all keys are read */
	bool in_sort;
};

static void
sort_cleanup(struct cmd *c)
{
	struct sort *s = c->state;

	msg_close(&s->msg);
	arena_done(&s->scratch);
	search_run_done(&s->run);
}

/* ---- arguments ------------------------------------------------------------- */

static bool
criterion_arg(const struct imap_arg **a, struct criterion *out)
{
	static const struct {
		const char *word;
		enum sort_by by;
	} words[] = {
	    {"ARRIVAL", BY_ARRIVAL},
	    {"CC", BY_CC},
	    {"DATE", BY_DATE},
	    {"FROM", BY_FROM},
	    {"SIZE", BY_SIZE},
	    {"SUBJECT", BY_SUBJECT},
	    {"TO", BY_TO},
	    {"DISPLAYFROM", BY_DISPLAYFROM},
	    {"DISPLAYTO", BY_DISPLAYTO},
	};

	out->is_reverse = imap_arg_word(a, "REVERSE");
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (imap_arg_word(a, words[i].word)) {
			out->by = words[i].by;
			return true;
		}
	return false;
}

static bool
criteria_parse(const struct imap_arg **a, struct sort *s)
{
	const struct imap_arg *list;

	if (!imap_arg_list(a, &list) || imap_arg_end(list))
		return false;
	while (!imap_arg_end(list))
		if (s->n_criteria == CRITERIA_MAX ||
		    !criterion_arg(&list, &s->criteria[s->n_criteria++]))
			return false;
	return true;
}

/* False: answered. */
static bool
sort_begin(struct cmd *c)
{
	struct sort *s = arena_new(c->arena, 1, sizeof(*s));
	const struct imap_arg *a = c->args;

	arena_init(&s->scratch);
	c->state = s;
	c->cleanup = sort_cleanup;
	if (!search_return_parse(&a, &s->run.ret)) {
		(void)reply_bad(c, "Unknown or misplaced result option");
		return false;
	}
	if (!criteria_parse(&a, s)) {
		(void)reply_bad(c, "Sort criteria expected");
		return false;
	}
	return search_run_begin(c, &s->run, a, true);
}

/* ---- keys ------------------------------------------------------------------ */

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

	row->uid = s->uid;
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

/* STEP_DONE: the row is there, or the message is gone. */
static enum step
read_row(struct cmd *c, struct sort *s, struct err *e)
{
	enum step step = STEP_DONE;

	if (s->msg == NULL && msg_open(c->s->view, s->uid, &s->msg, e) == -1)
		step = STEP_FAIL;
	for (size_t i = 0; i < s->n_criteria && step == STEP_DONE; i++)
		if (s->criteria[i].by == BY_SIZE)
			step = msg_wire_size_step(s->msg, e);
	if (step == STEP_DONE)
		step = fill_row(c, s, &s->rows[s->n_rows], e) == -1 ? STEP_FAIL
								    : STEP_DONE;
	if (step == STEP_MORE)
		return STEP_MORE;
	msg_close(&s->msg);
	arena_reset(&s->scratch);
	if (step == STEP_DONE) {
		s->n_rows++;
		return STEP_DONE;
	}
	set32_remove(&s->run.found, s->uid);
	if (e->code != ERR_GONE && e->code != ERR_NOT_FOUND)
		s->run.unreadable = true;
	return STEP_DONE;
}

static enum step
read_keys(struct cmd *c, struct sort *s)
{
	struct err e;

	if (!s->in_keys) {
		s->in_keys = true;
		s->uid = 1;
		s->rows = arena_new(c->arena,
		    (size_t)set32_count(&s->run.found) + 1, sizeof(*s->rows));
	}
	while (s->uid != 0 && set32_next(&s->run.found, s->uid, &s->uid)) {
		if (read_row(c, s, &e) == STEP_MORE)
			return STEP_MORE;
		s->uid++;
		if (cmd_time_is_up(c))
			return STEP_MORE;
	}
	return STEP_DONE;
}

/* ---- the order ------------------------------------------------------------- */

static int
compare_values(const struct sort_value *a, const struct sort_value *b)
{
	if (a->number != b->number)
		return a->number < b->number ? -1 : 1;
	return str_cmp(a->key, b->key);
}

static int
compare_rows(const void *x, const void *y, void *arg)
{
	const struct sort_row *a = x, *b = y;
	const struct sort *s = arg;

	for (size_t i = 0; i < s->n_criteria; i++) {
		int order = compare_values(&a->values[i], &b->values[i]);

		if (order != 0)
			return s->criteria[i].is_reverse ? -order : order;
	}
	/* As they stand in the mailbox, also below REVERSE. */
	return a->uid < b->uid ? -1 : a->uid > b->uid;
}

static enum step
sort_rows(struct cmd *c, struct sort *s)
{
	size_t steps;

	if (!s->in_sort) {
		s->in_sort = true;
		step_sort_begin(&s->sort, s->rows,
		    arena_new(c->arena, s->n_rows + 1, sizeof(*s->rows)),
		    s->n_rows, sizeof(*s->rows), compare_rows, s);
	}
	do {
		steps = SORT_STEPS;
		if (step_sort_go(&s->sort, &steps))
			return STEP_DONE;
	} while (!cmd_time_is_up(c));
	return STEP_MORE;
}

static void
write_answer(struct buf *b, struct cmd *c, struct sort *s)
{
	uint32_t *order = arena_new(c->arena, s->n_rows + 1, sizeof(*order));
	struct search_found f = {.uids = &s->run.found, .order = order};
	uint64_t modseq;

	s->rows = (struct sort_row *)(void *)s->sort.rows;
	for (size_t i = 0; i < s->n_rows; i++)
		order[i] = s->rows[i].uid;
	modseq = search_run_modseq(c, &s->run, &f);
	search_run_save(c, &s->run, &f);
	if (s->run.ret.is_given) {
		if (s->run.ret.options != SEARCH_SAVE)
			search_return_write(b, c, &s->run.ret, &f, modseq);
		return;
	}
	buf_add_c(b, "* SORT");
	for (size_t i = 0; i < s->n_rows; i++) {
		buf_add_byte(b, ' ');
		buf_add_u64(
		    b, c->uid ? order[i] : view_seq(c->s->view, order[i]));
	}
	if (modseq != 0)
		buf_addf(b, " (MODSEQ %llu)", (unsigned long long)modseq);
	buf_add_c(b, "\r\n");
}

enum step
cmd_sort(struct cmd *c)
{
	struct buf line;
	struct sort *s;

	if (c->state == NULL && !sort_begin(c))
		return STEP_DONE;
	s = c->state;
	if (!s->in_keys && search_run_step(c, &s->run) == STEP_MORE)
		return STEP_MORE;
	if (!s->in_sort && read_keys(c, s) == STEP_MORE)
		return STEP_MORE;
	if (sort_rows(c, s) == STEP_MORE)
		return STEP_MORE;
	buf_init(&line, SIZE_MAX / 2);
	write_answer(&line, c, s);
	session_send(c->s);
	conn_write_str(c->s->conn, buf_str(&line));
	buf_done(&line);
	if (!s->run.unreadable)
		return reply_ok(c, NULL, "SORT completed");
	search_run_save(c, &s->run, NULL);
	return reply_no(c, "SERVERBUG",
	    "Some messages could not be read and were left out");
}
