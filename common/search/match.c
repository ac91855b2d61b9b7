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
 * NEXT --view, index say it------------------------------------------> NEXT
 * NEXT --needs the message--> OPEN --its facts or header say it---------> NEXT
 *                             OPEN --text needed--> TEXT --at its end---> NEXT
 * What the index knows is asked first: facts, the keys of the header's fields,
 * and the filter, which says what is certainly not there. A message is read in
 * slices, to count its size and in TEXT; all other steps are short.
 */
#include "search/match.h"

#include <time.h>

#include "base/assert.h"
#include "base/vec.h"
#include "index/cache.h"
#include "index/filter.h"
#include "mime/header.h"
#include "search/headkeys.h"
#include "search/textwalk.h"
#include "store/object.h"
#include "store/view_modseq.h"
#include "text/fold.h"

/*
 * Bytes of a body that are decoded before the loop gets its turn; with many
 * texts to look for as much less, but never below the second figure.
 */
#define SLICE_BYTES (512 * 1024)
#define SLICE_BYTES_MIN 512
/* No zone is so far from Greenwich. */
#define ZONE_MAX_S (26 * 3600)

/* A BODY or TEXT key with its needle. */
struct needle {
	struct query *q;
	struct fold_search search;
	struct filter_query filter;
	bool is_open; /* not yet decided for this message */
};

/* A HEADER key with its needle. */
struct field_needle {
	struct query *q;
	struct fold_search search;
	struct filter_query filter;
	unsigned number; /* of headkeys.h, or 0 */
};

struct matcher {
	struct view *view;
	struct query *query;
	VEC(struct needle) needles;
	VEC(struct field_needle) fields;
	bool asks_flags, asks_sent; /* such keys are in the tree */
	bool asks_headkeys, asks_filter; /* they can decide something */
	const struct query *only; /* all that is asked: a number; or NULL */
	struct arena arena; /* of one message */
	struct fold_window window; /* of the text that is being read */
	struct textwalk walk;
	struct buf record; /* of headkeys.h, while it is made */
	/* The present message */
	uint32_t uid;
	struct msg *msg; /* NULL: was not needed yet */
	bool has_asked; /* whether it is known to the index... */
	bool has_known; /* ...and it is */
	struct msg_known known;
	bool has_headkeys;
	bool in_text; /* its header has been looked at */
	bool text_alone; /* what is shown is not for BODY */
	bool has_read; /* the last one had to be opened */
};

/* ---- life ------------------------------------------------------------------ */

static void
collect_text(struct matcher *m, struct query *q)
{
	struct needle *n = VEC_ADD(&m->needles);

	n->q = q;
	fold_search_init(&n->search, q->text);
	filter_query_init(&n->filter);
	filter_query_add(&n->filter, n->search.key);
	m->asks_filter |= filter_query_can_tell(&n->filter);
	if (n->search.key.n > m->window.keep + 1)
		m->window.keep = n->search.key.n - 1;
}

/* Its name is text of the header as well, and a colon and a blank behind it. */
static void
collect_field(struct matcher *m, struct query *q)
{
	struct field_needle *n = VEC_ADD(&m->fields);
	struct buf name;

	n->q = q;
	fold_search_init(&n->search, q->text);
	n->number = headkeys_number(q->name);
	m->asks_headkeys |= n->number != 0;
	buf_init(&name, SIZE_MAX / 4);
	(void)fold_unicode(&name, q->name);
	(void)buf_add_c(&name, ": ");
	filter_query_init(&n->filter);
	filter_query_add(&n->filter, n->search.key);
	filter_query_add(&n->filter, buf_str(&name));
	m->asks_filter |= filter_query_can_tell(&n->filter);
	buf_done(&name);
}

static void
collect(struct matcher *m, struct query *q)
{
	struct query *c;

	if (q->key == QUERY_BODY || q->key == QUERY_TEXT)
		collect_text(m, q);
	else if (q->key == QUERY_HEADER)
		collect_field(m, q);
	else if (q->key == QUERY_FLAG || q->key == QUERY_KEYWORD)
		m->asks_flags = true;
	else if (q->key >= QUERY_SENT_BEFORE && q->key <= QUERY_SENT_SINCE)
		m->asks_sent = m->asks_headkeys = true;
	for (c = q->child; c != NULL; c = c->next)
		collect(m, c);
}

static bool
asks_number(const struct query *q)
{
	return q->key >= QUERY_BEFORE && q->key <= QUERY_SAVED_SINCE;
}

/* Dates and sizes are asked for alone most of the time. */
static const struct query *
find_only(const struct query *q)
{
	if (q->key == QUERY_AND && q->child != NULL && q->child->next == NULL)
		q = q->child;
	return asks_number(q) ? q : NULL;
}

struct matcher *
matcher_new(struct view *v, struct query *q)
{
	struct matcher *m = mem_new(1, sizeof(*m));

	m->view = v;
	m->query = q;
	arena_init(&m->arena);
	buf_init(&m->record, CACHE_VALUE_MAX);
	fold_window_init(&m->window, 0);
	collect(m, q);
	m->only = find_only(q);
	return m;
}

/* Done with the present message. */
static void
leave_message(struct matcher *m)
{
	m->has_asked = m->has_known = m->has_headkeys = m->in_text = false;
	m->has_read = m->msg != NULL;
	if (m->msg == NULL)
		return;
	textwalk_end(&m->walk);
	msg_close(&m->msg);
	arena_reset(&m->arena);
}

void
matcher_free(struct matcher **mp)
{
	struct matcher *m = *mp;

	if (m == NULL)
		return;
	leave_message(m);
	VEC_EACH(&m->needles, n) {
		fold_search_done(&n->search);
		filter_query_done(&n->filter);
	}
	VEC_EACH(&m->fields, f) {
		fold_search_done(&f->search);
		filter_query_done(&f->filter);
	}
	VEC_DONE(&m->needles);
	VEC_DONE(&m->fields);
	fold_window_done(&m->window);
	textwalk_done(&m->walk);
	buf_done(&m->record);
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

/* STEP_DONE: it is open, and can be read without waiting. */
static enum step
need_message(struct matcher *m, struct err *e)
{
	if (m->msg == NULL && msg_open(m->view, m->uid, &m->msg, e) == -1)
		return STEP_FAIL;
	return msg_ready(m->msg, e);
}

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

/* The same to be compared with `day`: seldom has the zone to be looked up. */
static int64_t
local_day_by(int64_t time_s, int64_t day)
{
	/* Days are read from a date of four digits; times from anywhere. */
	if (time_s < day * 86400 - ZONE_MAX_S)
		return day - 1;
	if (time_s >= (day + 1) * 86400 + ZONE_MAX_S)
		return day + 1;
	return local_day(time_s);
}

static void
need_known(struct matcher *m)
{
	if (m->has_asked)
		return;
	m->has_asked = true;
	m->has_known = view_known(m->view, m->uid, &m->known);
}

/* STEP_MORE without an open message: the index does not know it. */
static enum step
fact_date(struct matcher *m, bool may_open, int64_t *out, struct err *e)
{
	enum step step;

	need_known(m);
	if (m->has_known && m->known.has_date) {
		*out = m->known.date_s;
		return STEP_DONE;
	}
	if (!may_open)
		return STEP_MORE;
	step = need_message(m, e);
	if (step == STEP_DONE && msg_internal_date(m->msg, out, e) == -1)
		step = STEP_FAIL;
	return step;
}

/* On which side of the number that it is compared with: *out is there too. */
static bool
is_beside(uint64_t low, uint64_t high, int64_t number, int64_t *out)
{
	uint64_t limit = number < 0 ? 0 : (uint64_t)number;

	if (low > limit)
		*out = low > INT64_MAX ? INT64_MAX : (int64_t)low;
	else if (high < limit)
		*out = (int64_t)high;
	else
		return false;
	return true;
}

static enum step
fact_size(struct matcher *m, const struct query *q, bool may_open, int64_t *out,
    struct err *e)
{
	enum step step;
	uint64_t low, high;

	need_known(m);
	if (m->has_known && m->known.has_size) {
		*out = (int64_t)m->known.wire_size;
		return STEP_DONE;
	}
	if (m->has_known &&
	    is_beside(m->known.low, m->known.high, q->number, out))
		return STEP_DONE;
	if (!may_open)
		return STEP_MORE;
	step = need_message(m, e);
	if (step == STEP_DONE)
		step = msg_wire_size_bounds(m->msg,
		    q->number < 0 ? 0 : (uint64_t)q->number, &low, &high, e);
	if (step == STEP_DONE && !is_beside(low, high, q->number, out))
		*out = (int64_t)low;
	return step;
}

/* The number that a facts key compares with its own. */
static enum step
fact_of(struct matcher *m, const struct query *q, bool may_open, int64_t *out,
    struct err *e)
{
	enum step step;

	if (q->key == QUERY_LARGER || q->key == QUERY_SMALLER)
		return fact_size(m, q, may_open, out, e);
	step = fact_date(m, may_open, out, e);
	/* What was saved before it was written down: as if it were not
	 * supported, the internal date (RFC 8514 section 4.3). */
	if (step == STEP_DONE && q->key >= QUERY_SAVED_BEFORE &&
	    q->key <= QUERY_SAVED_SINCE)
		(void)view_save_date(m->view, m->uid, out);
	if (step == STEP_DONE && q->key != QUERY_YOUNGER &&
	    q->key != QUERY_OLDER)
		*out = local_day_by(*out, q->number);
	return step;
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
ask_id(struct matcher *m, struct query *q, bool may_open, struct err *e)
{
	char id[OBJECT_ID_MAX];
	enum step step;

	if (!may_open)
		return STEP_DONE;
	step = need_message(m, e);
	if (step != STEP_DONE)
		return step;
	step = q->key == QUERY_EMAIL_ID ? msg_email_id(m->msg, id, e)
					: msg_thread_id(m->msg, id, e);
	if (step == STEP_DONE)
		q->truth = truth_of(str_eq(q->text, str_of(id)));
	return step;
}

/*
 * STEP_MORE: call again, what is known by now stays. Without `may_open` the index
 * alone is asked, and it is always done.
 */
static enum step
ask_facts(struct matcher *m, struct query *q, bool may_open, struct err *e)
{
	struct query *c;
	enum step step;
	int64_t value;

	if (q->truth != QUERY_UNKNOWN || q->cost < QUERY_COST_FACTS)
		return STEP_DONE;
	if (q->key == QUERY_EMAIL_ID || q->key == QUERY_THREAD_ID)
		return ask_id(m, q, may_open, e);
	if (asks_number(q)) {
		step = fact_of(m, q, may_open, &value, e);
		if (step == STEP_DONE)
			q->truth = truth_of(compare(q->key, value, q->number));
		return may_open ? step : STEP_DONE;
	}
	for (c = q->child; c != NULL; c = c->next) {
		step = ask_facts(m, c, may_open, e);
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

static void
ask_sent(struct query *q, bool has_day, int64_t day)
{
	struct query *c;

	if (q->truth != QUERY_UNKNOWN)
		return;
	if (q->key >= QUERY_SENT_BEFORE && q->key <= QUERY_SENT_SINCE)
		q->truth = truth_of(has_day && compare(q->key, day, q->number));
	for (c = q->child; c != NULL; c = c->next)
		ask_sent(c, has_day, day);
}

/* What such a record says of the fields in it. */
static void
ask_fields(struct matcher *m, struct str record)
{
	VEC_EACH(&m->fields, n)
		if (n->q->truth == QUERY_UNKNOWN)
			n->q->truth =
			    headkeys_ask(record, n->number, n->search.key);
}

/* What is kept of the header. */
static void
ask_headkeys(struct matcher *m)
{
	struct str record;
	int64_t day;
	bool has_day;

	if (!view_fact(m->view, m->uid, INDEX_HEADKEYS, &record) ||
	    !headkeys_sent_day(record, &has_day, &day))
		return;
	m->has_headkeys = true;
	if (m->asks_sent)
		ask_sent(m->query, has_day, day);
	ask_fields(m, record);
}

static void
keep_headkeys(struct matcher *m, struct str block)
{
	struct buf *record = &m->record;

	buf_clear(record);
	headkeys_write(record, &m->arena, block);
	if (buf_is_over(record))
		return;
	view_keep_fact(m->view, m->uid, INDEX_HEADKEYS, buf_str(record));
	ask_fields(m, buf_str(record));
}

static int
ask_header(struct matcher *m, struct err *e)
{
	struct str block;
	int64_t day = 0;
	bool has_day;

	if (msg_header(m->msg, &block, e) == -1)
		return -1;
	if (m->asks_headkeys && !m->has_headkeys)
		keep_headkeys(m, block);
	if (m->asks_sent) {
		has_day = headkeys_find_day(block, &day);
		ask_sent(m->query, has_day, day);
	}
	VEC_EACH(&m->fields, n)
		if (n->q->truth == QUERY_UNKNOWN)
			n->q->truth = truth_of(field_matches(m, n, block));
	return 0;
}

/* ---- what the text says ---------------------------------------------------- */

/* What is certainly not there. */
static void
ask_filter(struct matcher *m)
{
	struct str record;
	struct filter f;

	if (!view_filter(m->view, m->uid, &record) || !filter_parse(record, &f))
		return;
	VEC_EACH(&m->needles, n)
		if (n->q->truth == QUERY_UNKNOWN &&
		    !filter_may_have(&f, &n->filter))
			n->q->truth = QUERY_NO;
	VEC_EACH(&m->fields, n)
		if (n->q->truth == QUERY_UNKNOWN &&
		    !filter_may_have(&f, &n->filter))
			n->q->truth = QUERY_NO;
}

/* More text has come: the open needles look at it. */
static bool
look(void *arg, struct str window, size_t fresh)
{
	struct matcher *m = arg;
	bool any_open = false;

	VEC_EACH(&m->needles, n) {
		size_t reach = n->search.key.n + fresh;

		if (!n->is_open || (m->text_alone && n->q->key == QUERY_BODY))
			continue;
		if (fold_search_see(&n->search,
			reach < window.n ? str_skip(window, window.n - reach)
					 : window)) {
			n->is_open = false;
			n->q->truth = QUERY_YES;
		}
		any_open |= n->is_open;
	}
	return any_open;
}

static void
text_begin(void *arg)
{
	struct matcher *m = arg;

	fold_window_reset(&m->window);
}

static void
text_piece(void *arg, struct str utf8, bool text_alone)
{
	struct matcher *m = arg;

	m->text_alone = text_alone;
	fold_window_feed(&m->window, utf8, look, m);
}

static bool
text_wants_more(void *arg)
{
	struct matcher *m = arg;

	VEC_EACH(&m->needles, n)
		if (n->is_open)
			return evaluate(m->query) == QUERY_UNKNOWN;
	return false;
}

static void
begin_text(struct matcher *m)
{
	static const struct textwalk_ops ops = {
	    text_begin, text_piece, text_wants_more};
	bool any_text = false;
	size_t open = 0;

	m->in_text = true;
	VEC_EACH(&m->needles, n) {
		n->is_open = n->q->truth == QUERY_UNKNOWN;
		/* An empty one is in any text. */
		if (n->is_open && n->search.key.n == 0) {
			n->is_open = false;
			n->q->truth = QUERY_YES;
		}
		open += n->is_open;
		any_text |= n->is_open && n->q->key == QUERY_TEXT;
	}
	textwalk_begin(&m->walk, m->msg, &m->arena, &ops, m);
	m->walk.body_alone = !any_text;
	m->walk.slice_bytes = open > SLICE_BYTES / SLICE_BYTES_MIN
	    ? SLICE_BYTES_MIN
	    : SLICE_BYTES / (open > 0 ? open : 1);
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

/* What is known without the message; false: that is not enough. */
static bool
ask_index(struct matcher *m)
{
	struct err e;

	if (m->query->cost < QUERY_COST_FACTS)
		return evaluate(m->query) != QUERY_UNKNOWN;
	(void)ask_facts(m, m->query, false, &e);
	if (evaluate(m->query) != QUERY_UNKNOWN)
		return true;
	if (m->asks_headkeys) {
		ask_headkeys(m);
		if (evaluate(m->query) != QUERY_UNKNOWN)
			return true;
	}
	if (m->asks_filter)
		ask_filter(m);
	return evaluate(m->query) != QUERY_UNKNOWN;
}

/* From the facts on. STEP_DONE: the tree's truth is known. */
static enum step
ask_message(struct matcher *m, struct err *e)
{
	enum step step = need_message(m, e);

	if (step != STEP_DONE)
		return step;
	if (!m->in_text) {
		step = ask_facts(m, m->query, true, e);
		if (step != STEP_DONE)
			return step;
		if (evaluate(m->query) != QUERY_UNKNOWN)
			return STEP_DONE;
		/* Text may be wanted: then one read brings all. */
		step = msg_load_step(m->msg,
		    m->needles.n > 0 ? MSG_FIRST_ALL : MSG_FIRST_HEADER, e);
		if (step != STEP_DONE)
			return step;
		if (m->needles.n > 0 && msg_load_all(m->msg, e) == -1)
			return STEP_FAIL;
		if (ask_header(m, e) == -1)
			return STEP_FAIL;
		if (evaluate(m->query) != QUERY_UNKNOWN)
			return STEP_DONE;
		begin_text(m);
	}
	step = textwalk_step(&m->walk, e);
	if (step == STEP_DONE) {
		close_needles(m);
		(void)evaluate(m->query);
	}
	return step;
}

/* Flags are asked for by few searches. */
static bool
begin_message(struct matcher *m, uint32_t uid)
{
	struct flags flags = {0};

	m->uid = uid;
	if (m->asks_flags ? !view_flags(m->view, uid, &flags)
			  : !set32_has(view_uids(m->view), uid))
		return false;
	forget(m->query);
	ask_view(m->view, m->query, uid, &flags);
	return true;
}

/* One number that the index knows: nothing is carried up and down a tree. */
static bool
test_only(struct matcher *m, uint32_t uid, bool *hit)
{
	int64_t value;
	struct err e;

	m->uid = uid;
	if (!set32_has(view_uids(m->view), uid) ||
	    fact_of(m, m->only, false, &value, &e) != STEP_DONE)
		return false;
	*hit = compare(m->only->key, value, m->only->number);
	leave_message(m);
	return true;
}

enum step
matcher_test(struct matcher *m, uint32_t uid, bool *hit, struct err *e)
{
	enum step step = STEP_DONE;

	if (m->only != NULL && m->msg == NULL && test_only(m, uid, hit))
		return STEP_DONE;
	if (m->msg == NULL) {
		m->has_read = false;
		*hit = false;
		if (m->asks_flags &&
		    view_freshen(m->view, view_uids(m->view), uid) == STEP_MORE)
			return STEP_MORE;
		if (!begin_message(m, uid))
			return STEP_DONE;
	}
	if (m->msg != NULL || !ask_index(m))
		step = ask_message(m, e);
	if (step == STEP_MORE)
		return STEP_MORE;
	leave_message(m);
	if (step == STEP_FAIL && e->code != ERR_GONE)
		return STEP_FAIL;
	ASSERT(step == STEP_FAIL || m->query->truth != QUERY_UNKNOWN);
	*hit = step == STEP_DONE && m->query->truth == QUERY_YES;
	return STEP_DONE;
}

unsigned
matcher_test_known(struct matcher *m, const struct set32 *of, uint32_t *uid,
    unsigned max, struct set32 *found)
{
	struct view_run run = {0};
	const struct set32 *all = view_uids(m->view);
	int64_t value;
	struct err e;
	unsigned n;

	if (m->only == NULL || m->msg != NULL)
		return 0;
	m->has_read = false;
	for (n = 0; n < max && set32_next(of, *uid, uid); n++, ++*uid) {
		m->uid = *uid;
		m->has_asked = *uid != UINT32_MAX && set32_has(all, *uid);
		m->has_known = m->has_asked &&
		    view_known_next(m->view, *uid, &run, &m->known);
		if (!m->has_known ||
		    fact_of(m, m->only, false, &value, &e) != STEP_DONE)
			break;
		if (compare(m->only->key, value, m->only->number))
			set32_add(found, *uid);
	}
	m->has_asked = m->has_known = false;
	return n;
}

bool
matcher_has_read(const struct matcher *m)
{
	return m->has_read;
}
