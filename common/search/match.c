/* SPDX-License-Identifier: ISC */
/*
 * match.c - one message against the tree, with as little reading as it takes.
 *
 * Owns:    struct matcher: needles, the message being looked at.
 * Runs in: imapd.
 * Trusts:  nothing in messages.
 * Spec:    RFC 3501 section 6.4.4 (substring, case-insensitive; dates without
 *          time and zone), RFC 5051.
 *
 * NEXT --view says it---------------------------------------------> NEXT
 * NEXT --needs the message--> FACTS --they or the header say it----> NEXT
 *                             FACTS --text needed--> TEXT --at end-> NEXT
 * A message is read in slices, to count its size and in TEXT; all other steps
 * are short.
 */
#include <time.h>

#include "base/assert.h"
#include "base/bounds.h"
#include "base/vec.h"
#include "mime/body.h"
#include "mime/date822.h"
#include "mime/header.h"
#include "search/match.h"
#include "store/msg.h"
#include "store/object.h"
#include "store/view_modseq.h"
#include "text/fold.h"

/*
 * Bytes of a body that are decoded before the loop gets its turn; with many
 * texts to look for as much less, but never below the second figure.
 */
#define SLICE_BYTES (512 * 1024)
#define SLICE_BYTES_MIN 512
#define READ_BYTES (32 * 1024)

/* A BODY or TEXT key with its needle. */
struct needle {
	struct query *q;
	struct fold_search search;
	bool is_open; /* not yet decided for this message */
};

/* A HEADER key with its needle. */
struct field_needle {
	struct query *q;
	struct fold_search search;
};

struct matcher {
	struct view *view;
	struct query *query;
	VEC(struct needle) needles;
	VEC(struct field_needle) fields;
	struct arena arena; /* of one message */
	struct buf text;
	/* The message in FACTS or TEXT */
	struct msg *msg;
	bool in_text; /* its header has been looked at */
	bool has_root; /* the tree is there, and entered */
	struct part *part; /* being read; NULL: behind the last */
	uint64_t off; /* read so far of its body */
	struct body_decoder *body;
};

/* ---- life ------------------------------------------------------------------ */

static void
collect(struct matcher *m, struct query *q)
{
	struct query *c;

	if (q->key == QUERY_BODY || q->key == QUERY_TEXT) {
		struct needle *n = VEC_ADD(&m->needles);

		n->q = q;
		fold_search_init(&n->search, q->text);
	} else if (q->key == QUERY_HEADER) {
		struct field_needle *n = VEC_ADD(&m->fields);

		n->q = q;
		fold_search_init(&n->search, q->text);
	}
	for (c = q->child; c != NULL; c = c->next)
		collect(m, c);
}

struct matcher *
matcher_new(struct view *v, struct query *q)
{
	struct matcher *m = mem_new(1, sizeof(*m));

	m->view = v;
	m->query = q;
	arena_init(&m->arena);
	buf_init(&m->text, SIZE_MAX / 2);
	collect(m, q);
	return m;
}

/* Done with the present message. */
static void
leave_message(struct matcher *m)
{
	body_decoder_free(&m->body);
	msg_close(&m->msg);
	m->part = NULL;
	m->in_text = m->has_root = false;
	arena_reset(&m->arena);
}

void
matcher_free(struct matcher **mp)
{
	struct matcher *m = *mp;

	if (m == NULL)
		return;
	leave_message(m);
	VEC_EACH(&m->needles, n)
		fold_search_done(&n->search);
	VEC_EACH(&m->fields, f)
		fold_search_done(&f->search);
	VEC_DONE(&m->needles);
	VEC_DONE(&m->fields);
	buf_done(&m->text);
	arena_done(&m->arena);
	MEM_FREE(*mp);
}

/* ---- the tree -------------------------------------------------------------- */

static void
forget(struct query *q)
{
	struct query *c;

	q->truth = QUERY_UNKNOWN;
	for (c = q->child; c != NULL; c = c->next)
		forget(c);
}

static enum query_truth
truth_of(bool yes)
{
	return yes ? QUERY_YES : QUERY_NO;
}

/* AND: the first NO decides; OR: the first YES. */
static enum query_truth
combine(const struct query *q, enum query_truth decides)
{
	enum query_truth rest = truth_of(decides == QUERY_NO);
	const struct query *c;

	for (c = q->child; c != NULL; c = c->next) {
		if (c->truth == decides)
			return decides;
		if (c->truth == QUERY_UNKNOWN)
			rest = QUERY_UNKNOWN;
	}
	return rest;
}

/* Carries what the leaves know up to the root. */
static enum query_truth
evaluate(struct query *q)
{
	struct query *c;

	if (q->truth != QUERY_UNKNOWN)
		return q->truth;
	for (c = q->child; c != NULL; c = c->next)
		(void)evaluate(c);
	if (q->key == QUERY_AND)
		q->truth = combine(q, QUERY_NO);
	else if (q->key == QUERY_OR)
		q->truth = combine(q, QUERY_YES);
	else if (q->key == QUERY_NOT && q->child->truth != QUERY_UNKNOWN)
		q->truth = truth_of(q->child->truth == QUERY_NO);
	return q->truth;
}

/* ---- what the view knows --------------------------------------------------- */

static bool
has_keyword(const struct flags *f, int64_t number)
{
	size_t i;

	if (number < 26)
		return (f->keywords >> number & 1) != 0;
	for (i = 0; i < f->n_more; i++)
		if (f->more[i] == number)
			return true;
	return false;
}

static void
ask_view(struct view *v, struct query *q, uint32_t uid, const struct flags *f)
{
	struct query *c;

	switch (q->key) {
	case QUERY_ALL:
		q->truth = QUERY_YES;
		break;
	case QUERY_NEVER:
		q->truth = QUERY_NO;
		break;
	case QUERY_UIDS:
		q->truth = truth_of(set32_has(q->uids, uid));
		break;
	case QUERY_FLAG:
		q->truth = truth_of((f->system & q->number) != 0);
		break;
	case QUERY_KEYWORD:
		q->truth = truth_of(has_keyword(f, q->number));
		break;
	case QUERY_MODSEQ:
		q->truth = truth_of(view_modseq(v, uid) >= (uint64_t)q->number);
		break;
	default:
		for (c = q->child; c != NULL; c = c->next)
			ask_view(v, c, uid, f);
	}
}

/* ---- what the file's facts say --------------------------------------------- */

/* Day of a moment in this machine's zone, counted from 1970-01-01. */
static int64_t
local_day(int64_t time_s)
{
	time_t t = (time_t)time_s;
	struct tm tm;
	int64_t local;

	if (localtime_r(&t, &tm) == NULL)
		local = time_s;
	else
		local = time_s + tm.tm_gmtoff;
	return local >= 0 ? local / 86400 : -((-local + 86399) / 86400);
}

struct facts {
	struct view *view;
	struct msg *msg;
	bool has_date, has_size;
	int64_t date;
	uint64_t size;
};

static int
fact_date(struct facts *f, int64_t *out, struct err *e)
{
	if (!f->has_date && msg_internal_date(f->msg, &f->date, e) == -1)
		return -1;
	f->has_date = true;
	*out = f->date;
	return 0;
}

static enum step
fact_size(struct facts *f, int64_t *out, struct err *e)
{
	enum step step = STEP_DONE;

	if (!f->has_size) {
		step = msg_wire_size_step(f->msg, e);
		if (step == STEP_DONE &&
		    msg_wire_size(f->msg, &f->size, e) == -1)
			step = STEP_FAIL;
	}
	f->has_size = step == STEP_DONE;
	*out = (int64_t)f->size;
	return step;
}

/* The number that a facts key compares with. */
static enum step
fact_of(struct facts *f, enum query_key key, int64_t *out, struct err *e)
{
	if (key == QUERY_LARGER || key == QUERY_SMALLER)
		return fact_size(f, out, e);
	/* What was saved before it was written down: as if it were not
	 * supported, the internal date (RFC 8514 section 4.3). */
	if (key >= QUERY_SAVED_BEFORE && key <= QUERY_SAVED_SINCE &&
	    view_save_date(f->view, msg_uid(f->msg), out)) {
		*out = local_day(*out);
		return STEP_DONE;
	}
	if (fact_date(f, out, e) == -1)
		return STEP_FAIL;
	if (key != QUERY_YOUNGER && key != QUERY_OLDER)
		*out = local_day(*out);
	return STEP_DONE;
}

static bool
compare(enum query_key key, int64_t value, int64_t with)
{
	switch (key) {
	case QUERY_BEFORE:
	case QUERY_SAVED_BEFORE:
	case QUERY_SENT_BEFORE:
	case QUERY_SMALLER:
		return value < with;
	case QUERY_ON:
	case QUERY_SAVED_ON:
	case QUERY_SENT_ON:
		return value == with;
	case QUERY_LARGER:
		return value > with;
	case QUERY_OLDER: /* RFC 5032: at least so many seconds ago */
		return value <= with;
	default: /* QUERY_*SINCE, QUERY_YOUNGER */
		return value >= with;
	}
}

/* Need the other children of `q` not be asked, now that one says this? */
static bool
decides(const struct query *q, enum query_truth truth)
{
	return (q->key == QUERY_AND && truth == QUERY_NO) ||
	    (q->key == QUERY_OR && truth == QUERY_YES);
}

static enum step
ask_id(struct query *q, struct facts *f, struct err *e)
{
	char id[OBJECT_ID_MAX];
	enum step step;

	step = q->key == QUERY_EMAIL_ID ? msg_email_id(f->msg, id, e)
					: msg_thread_id(f->msg, id, e);
	if (step == STEP_DONE)
		q->truth = truth_of(str_eq(q->text, str_of(id)));
	return step;
}

/* STEP_MORE: call again, what is known by now stays. */
static enum step
ask_facts(struct query *q, struct facts *f, struct err *e)
{
	struct query *c;
	enum step step;
	int64_t value;

	if (q->truth != QUERY_UNKNOWN)
		return STEP_DONE;
	if (q->key == QUERY_EMAIL_ID || q->key == QUERY_THREAD_ID)
		return ask_id(q, f, e);
	if (q->key >= QUERY_BEFORE && q->key <= QUERY_SAVED_SINCE) {
		step = fact_of(f, q->key, &value, e);
		if (step == STEP_DONE)
			q->truth = truth_of(compare(q->key, value, q->number));
		return step;
	}
	for (c = q->child; c != NULL; c = c->next) {
		step = ask_facts(c, f, e);
		if (step != STEP_DONE)
			return step;
		/* A size may take reading the whole file. */
		if (decides(q, evaluate(c)))
			break;
	}
	return STEP_DONE;
}

/* ---- what the header says -------------------------------------------------- */

static bool
field_matches(struct matcher *m, struct field_needle *n, struct str block)
{
	struct header_iter it;
	struct header_field field;

	header_iter_init(&it, block);
	while (header_iter_next(&it, &field)) {
		struct arena_mark mark;
		bool found;

		if (!str_eq_nocase(field.name, n->q->name))
			continue;
		if (n->q->text.n == 0)
			return true;
		mark = arena_mark(&m->arena);
		found = fold_search_in(
		    &n->search, header_decode(&m->arena, field.value));
		arena_rewind(&m->arena, mark);
		if (found)
			return true;
	}
	return false;
}

/* The day of the Date field as its writer saw it; false: there is none. */
static bool
sent_day(struct str block, int64_t *day)
{
	struct header_field field;
	struct date822 date;

	if (!header_find(block, STR("Date"), &field) ||
	    !date822_parse(field.value, &date))
		return false;
	*day = date.local_day;
	return true;
}

static void
ask_sent(struct query *q, struct str block)
{
	struct query *c;
	int64_t day;

	if (q->truth != QUERY_UNKNOWN)
		return;
	if (q->key >= QUERY_SENT_BEFORE && q->key <= QUERY_SENT_SINCE)
		q->truth = truth_of(
		    sent_day(block, &day) && compare(q->key, day, q->number));
	for (c = q->child; c != NULL; c = c->next)
		ask_sent(c, block);
}

static int
ask_header(struct matcher *m, struct err *e)
{
	struct str block;

	if (msg_header(m->msg, &block, e) == -1)
		return -1;
	ask_sent(m->query, block);
	VEC_EACH(&m->fields, n)
		if (n->q->truth == QUERY_UNKNOWN)
			n->q->truth = truth_of(field_matches(m, n, block));
	return 0;
}

/* ---- what the text says ---------------------------------------------------- */

static void
start_text(struct matcher *m)
{
	VEC_EACH(&m->needles, n) {
		n->is_open = n->q->truth == QUERY_UNKNOWN;
		fold_search_reset(&n->search);
	}
}

/* A new piece of text that does not continue the last one. */
static void
break_text(struct matcher *m)
{
	VEC_EACH(&m->needles, n)
		if (n->is_open)
			fold_search_reset(&n->search);
}

/* Shows text to the open needles, or to those of TEXT alone. */
static void
show_text(struct matcher *m, struct str utf8, bool text_alone)
{
	VEC_EACH(&m->needles, n) {
		if (!n->is_open || (text_alone && n->q->key == QUERY_BODY))
			continue;
		if (fold_search_feed(&n->search, utf8)) {
			n->is_open = false;
			n->q->truth = QUERY_YES;
		}
	}
}

/* The fields of a header block, decoded, one text each. */
static void
show_header(struct matcher *m, struct str block, bool text_alone)
{
	struct header_iter it;
	struct header_field field;

	header_iter_init(&it, block);
	while (header_iter_next(&it, &field)) {
		struct arena_mark mark = arena_mark(&m->arena);
		struct str value = header_decode(&m->arena, field.value);

		break_text(m);
		show_text(m, field.name, text_alone);
		show_text(m, STR(": "), text_alone);
		show_text(m, value, text_alone);
		arena_rewind(&m->arena, mark);
	}
	break_text(m);
}

/*
 * The header of a message within the message is text of the body; the fields
 * that describe a part are not (RFC 9051 section 6.4.4: BODY and TEXT).
 */
static int
show_part_header(struct matcher *m, const struct part *p, struct err *e)
{
	struct buf block;
	int rc = 0;
	size_t got;

	buf_init(&block, MIME_HEADER_BLOCK_MAX);
	while (block.n < p->header_len && !buf_is_over(&block)) {
		uint64_t left = p->header_len - block.n;
		size_t want = left < READ_BYTES ? (size_t)left : READ_BYTES;
		char *to = buf_room(&block, want);

		if (to == NULL)
			break;
		rc = msg_read(
		    m->msg, p->header_off + block.n, to, want, &got, e);
		if (rc == -1 || got == 0)
			break;
		block.n += got;
	}
	if (rc == 0)
		show_header(m, buf_str(&block), !p->parent->is_message);
	buf_done(&block);
	return rc;
}

/* The part behind `p` in the order of the message. */
static struct part *
next_part(struct part *p)
{
	if (p->child != NULL)
		return p->child;
	while (p != NULL && p->next == NULL)
		p = p->parent;
	return p != NULL ? p->next : NULL;
}

static size_t
slice_bytes(struct matcher *m)
{
	size_t open = 0;

	VEC_EACH(&m->needles, n)
		open += n->is_open;
	return open > SLICE_BYTES / SLICE_BYTES_MIN
	    ? SLICE_BYTES_MIN
	    : SLICE_BYTES / (open > 0 ? open : 1);
}

/* Up to a slice of the present part's text; STEP_DONE: the part is finished. */
static enum step
read_part(struct matcher *m, struct err *e)
{
	char piece[READ_BYTES] UNINITIALIZED;
	size_t got, budget = slice_bytes(m);

	if (m->body == NULL)
		m->body = body_decoder_new(m->part, BODY_TEXT);
	while (m->off < m->part->body_len) {
		uint64_t left = m->part->body_len - m->off;
		size_t want =
		    left < sizeof(piece) ? (size_t)left : sizeof(piece);

		if (budget == 0)
			return STEP_MORE;
		want = want < budget ? want : budget;
		if (msg_read(m->msg, m->part->body_off + m->off, piece, want,
			&got, e) == -1)
			return STEP_FAIL;
		if (got == 0)
			break;
		m->off += got;
		budget -= got;
		buf_clear(&m->text);
		(void)body_decoder_feed(
		    m->body, str_make(piece, got), &m->text);
		show_text(m, buf_str(&m->text), false);
	}
	buf_clear(&m->text);
	(void)body_decoder_finish(m->body, &m->text);
	show_text(m, buf_str(&m->text), false);
	body_decoder_free(&m->body);
	return STEP_DONE;
}

static bool
needles_open(struct matcher *m)
{
	VEC_EACH(&m->needles, n)
		if (n->is_open)
			return true;
	return false;
}

static int
enter_part(struct matcher *m, struct part *p, struct err *e)
{
	m->part = p;
	m->off = 0;
	break_text(m);
	if (p != NULL && p->parent != NULL)
		return show_part_header(m, p, e);
	return 0;
}

/* Leaves that people read; reports of a delivery are message/... */
static bool
has_text(const struct part *p)
{
	return p->child == NULL &&
	    (str_eq_nocase(p->type, STR("text")) ||
		str_eq_nocase(p->type, STR("message")));
}

/* The header of the message, and all else of it that TEXT and BODY need. */
static int
begin_text(struct matcher *m, struct err *e)
{
	struct str block;

	m->in_text = true;
	start_text(m);
	if (msg_header(m->msg, &block, e) == -1)
		return -1;
	show_header(m, block, true);
	return 0;
}

static enum step
enter_root(struct matcher *m, struct err *e)
{
	enum step step = msg_parts_step(m->msg, e);
	struct part *root;

	if (step != STEP_DONE)
		return step;
	m->has_root = true;
	if (msg_parts(m->msg, &root, e) == -1 || enter_part(m, root, e) == -1)
		return STEP_FAIL;
	return STEP_DONE;
}

static enum step
ask_text(struct matcher *m, struct err *e)
{
	enum step step;

	if (!m->in_text && begin_text(m, e) == -1)
		return STEP_FAIL;
	if (!needles_open(m))
		return STEP_DONE;
	if (!m->has_root) {
		step = enter_root(m, e);
		if (step != STEP_DONE)
			return step;
	}
	while (m->part != NULL && needles_open(m) &&
	    evaluate(m->query) == QUERY_UNKNOWN) {
		if (has_text(m->part)) {
			step = read_part(m, e);
			if (step != STEP_DONE)
				return step;
		}
		if (enter_part(m, next_part(m->part), e) == -1)
			return STEP_FAIL;
	}
	return STEP_DONE;
}

/* ---- one message ----------------------------------------------------------- */

/* What is still not found is not there. */
static void
close_needles(struct matcher *m)
{
	VEC_EACH(&m->needles, n) {
		if (n->q->truth == QUERY_UNKNOWN)
			n->q->truth = QUERY_NO;
		n->is_open = false;
	}
}

/* From the facts on. STEP_DONE: the tree's truth is known. */
static enum step
ask_message(struct matcher *m, uint32_t uid, struct err *e)
{
	struct facts facts = {.view = m->view};
	enum step step;

	if (m->msg == NULL && msg_open(m->view, uid, &m->msg, e) == -1)
		return STEP_FAIL;
	step = msg_ready(m->msg, e);
	if (step != STEP_DONE)
		return step;
	if (!m->in_text) {
		facts.msg = m->msg;
		step = ask_facts(m->query, &facts, e);
		if (step != STEP_DONE)
			return step;
		if (evaluate(m->query) != QUERY_UNKNOWN)
			return STEP_DONE;
		/* Text may be wanted: then one read brings all. */
		if (m->needles.n > 0 && msg_load_all(m->msg, e) == -1)
			return STEP_FAIL;
		if (ask_header(m, e) == -1)
			return STEP_FAIL;
		if (evaluate(m->query) != QUERY_UNKNOWN)
			return STEP_DONE;
	}
	step = ask_text(m, e);
	if (step == STEP_DONE) {
		close_needles(m);
		(void)evaluate(m->query);
	}
	return step;
}

enum step
matcher_test(struct matcher *m, uint32_t uid, bool *hit, struct err *e)
{
	enum step step = STEP_DONE;
	struct flags flags;

	if (m->msg == NULL) {
		forget(m->query);
		if (!view_flags(m->view, uid, &flags)) {
			*hit = false;
			return STEP_DONE;
		}
		ask_view(m->view, m->query, uid, &flags);
	}
	if (evaluate(m->query) == QUERY_UNKNOWN)
		step = ask_message(m, uid, e);
	if (step == STEP_MORE)
		return STEP_MORE;
	leave_message(m);
	if (step == STEP_FAIL && e->code != ERR_GONE)
		return STEP_FAIL;
	ASSERT(step == STEP_FAIL || m->query->truth != QUERY_UNKNOWN);
	*hit = step == STEP_DONE && m->query->truth == QUERY_YES;
	return STEP_DONE;
}
