/* SPDX-License-Identifier: ISC */
/*
 * context.c - results of searches that are kept up to date.
 *
 * Owns:    a session's struct contexts.
 * Runs in: imapd, as the mail user.
 * Trusts:  nothing in arguments or messages.
 * Spec:    RFC 5267 sections 4.3 and 5; RFC 5465 sections 5 and 7; RFC 7377
 *          section 2.2.
 *
 * A context keeps its keys and its result as UIDs, four bytes each when they are
 * sorted; keys to sort by are read again for the few messages that a new one is
 * compared with.
 *
 * touched --each context: matches?--> TEST --FETCH of new ones--> FETCH
 *	--place in the order--> PLACE --> ADDTO, REMOVEFROM
 */
#include "imapd/context.h"

#include "base/vec.h"
#include "imap/imap_char.h"
#include "imap/imap_set.h"
#include "imap/imap_write.h"
#include "imapd/commands.h"
#include "imapd/fetch_job.h"
#include "imapd/name.h"
#include "imapd/notify.h"
#include "imapd/reply.h"
#include "imapd/search_arg.h"
#include "imapd/sort_job.h"
#include "search/match.h"
#include "store/msg.h"

/* Of one session. */
#define CONTEXTS_MAX 16
#define SORTED_MAX 4
#define KEYS_BYTES_MAX (64 * 1024)

struct context {
	struct arena arena;
	struct str tag;
	bool uid, is_esearch, is_sorted;
	struct query *query;
	struct set32 found; /* also when it is sorted */
	struct criterion criteria[SORT_CRITERIA_MAX];
	size_t n_criteria;
	VEC(uint32_t) order;
	bool has_plan;
	struct fetch_plan plan; /* of new messages */
};

struct contexts {
	VEC(struct context *) all;
	uint32_t top; /* new messages above it were not yet looked at */
	struct set32 touched, fresh; /* to be looked at; of them: new ones */
	/* The present round: */
	struct set32 round, round_fresh;
	size_t at; /* the context being updated */
	enum context_phase {
		CONTEXT_IDLE,
		CONTEXT_TEST,
		CONTEXT_FETCH,
		CONTEXT_PLACE,
	} phase;
	struct matcher *matcher;
	uint32_t uid; /* being tested, or placed */
	struct set32 add, remove;
	struct cmd fetch; /* what fetch_push has instead of a command */
	struct arena arena; /* of that */
	bool in_fetch;
	/* PLACE */
	struct sort sort; /* for sort_keys_read(): its criteria alone */
	struct sort_row row, other;
	bool has_row;
	size_t low, high;
	struct arena row_arena, other_arena;
	struct buf pairs; /* "1 23,22 7 5" */
	uint32_t next_pos; /* behind the last message of `pairs` */
};

/* ---- life -------------------------------------------------------------------- */

static void
context_free(struct context *x)
{
	query_done(x->query);
	set32_done(&x->found);
	VEC_DONE(&x->order);
	arena_done(&x->arena);
	free(x);
}

static void
end_fetch(struct contexts *cs)
{
	if (cs->fetch.cleanup != NULL)
		cs->fetch.cleanup(&cs->fetch);
	cs->fetch = (struct cmd){0};
	arena_reset(&cs->arena);
	cs->in_fetch = false;
}

/* A place half found is sought anew. */
static void
forget_row(struct contexts *cs)
{
	cs->has_row = false;
	msg_close(&cs->sort.msg);
	arena_reset(&cs->sort.scratch);
	arena_reset(&cs->row_arena);
}

/* The present round is not gone on with. */
static void
end_round(struct contexts *cs)
{
	end_fetch(cs);
	matcher_free(&cs->matcher);
	forget_row(cs);
	arena_reset(&cs->other_arena);
	set32_clear(&cs->round);
	set32_clear(&cs->round_fresh);
	set32_clear(&cs->add);
	set32_clear(&cs->remove);
	buf_done(&cs->pairs);
	cs->phase = CONTEXT_IDLE;
}

void
context_end(struct session *s)
{
	struct contexts *cs = s->contexts;

	s->contexts = NULL;
	if (cs == NULL)
		return;
	end_round(cs);
	VEC_EACH(&cs->all, x)
		context_free(*x);
	VEC_DONE(&cs->all);
	set32_done(&cs->touched);
	set32_done(&cs->fresh);
	set32_done(&cs->round);
	set32_done(&cs->round_fresh);
	set32_done(&cs->add);
	set32_done(&cs->remove);
	arena_done(&cs->sort.scratch);
	arena_done(&cs->arena);
	arena_done(&cs->row_arena);
	arena_done(&cs->other_arena);
	free(cs);
}

static struct contexts *
contexts_of(struct session *s)
{
	struct contexts *cs = s->contexts;

	if (cs != NULL)
		return cs;
	cs = s->contexts = mem_new(1, sizeof(*cs));
	cs->top = view_uid(s->view, view_count(s->view));
	arena_init(&cs->arena);
	arena_init(&cs->row_arena);
	arena_init(&cs->other_arena);
	arena_init(&cs->sort.scratch);
	buf_init(&cs->pairs, SIZE_MAX / 2);
	return cs;
}

/* ---- a new one ----------------------------------------------------------------- */

static struct context *
find_tag(const struct session *s, struct str tag)
{
	if (s->contexts == NULL)
		return NULL;
	VEC_EACH(&s->contexts->all, x)
		if (str_eq((*x)->tag, tag))
			return *x;
	return NULL;
}

bool
context_check(struct cmd *c, const struct search_return *r)
{
	const struct imap_arg *a = r->update;
	struct fetch_plan plan;

	if ((r->options & SEARCH_UPDATE) == 0)
		return true;
	if (find_tag(c->s, c->tag) != NULL) {
		(void)reply_bad(c, "The tag is that of another UPDATE");
		return false;
	}
	if (c->s->view == NULL) {
		(void)reply_bad(c, "UPDATE needs a selected mailbox");
		return false;
	}
	if (a != NULL && !fetch_plan_parse(c->arena, &a, &plan)) {
		(void)reply_bad(c, fetch_plan_fault(c->arena, &plan));
		return false;
	}
	return true;
}

static void
refuse(struct cmd *c, const char *why)
{
	reply_begin(c->s);
	buf_addf(&c->s->out, "NO [NOUPDATE \"%.*s\"] %s", STR_ARG(c->tag), why);
	reply_end(c->s);
}

static const char *
why_not(struct cmd *c, const struct context_wish *w)
{
	const struct contexts *cs = c->s->contexts;
	size_t n = cs == NULL ? 0 : cs->all.n, sorted = 0;

	if (w->is_partial)
		return "Not all messages were looked at";
	if (imap_arg_bytes(w->keys) > KEYS_BYTES_MAX)
		return "The keys are too long to be kept";
	for (size_t i = 0; i < n; i++)
		sorted += cs->all.v[i]->is_sorted;
	if (n >= CONTEXTS_MAX || (w->sort != NULL && sorted >= SORTED_MAX))
		return "Too many contexts";
	return NULL;
}

/* The keys once more, where they can stay. They were fine before. */
static bool
take_keys(struct cmd *c, struct context *x, const struct context_wish *w)
{
	const struct imap_arg *a = imap_arg_copy(&x->arena, w->keys);
	struct cmd same = {
	    .s = c->s,
	    .arena = &x->arena,
	    .tag = c->tag,
	    .def = c->def,
	    .uid = c->uid,
	};
	enum search_arg_result result;
	struct err e;

	result = w->charset ? search_arg_parse_charset(&same, &a, &x->query)
			    : search_arg_parse(&same, &a, &x->query);
	if (result != SEARCH_ARG_OK)
		return false;
	if (query_plan(x->query, &e) == 0)
		return true;
	query_done(x->query);
	return false;
}

void
context_add(struct cmd *c, const struct context_wish *w)
{
	struct contexts *cs;
	struct context *x;
	const struct imap_arg *a;
	const char *why;

	if ((w->ret->options & SEARCH_UPDATE) == 0)
		return;
	why = why_not(c, w);
	if (why != NULL) {
		refuse(c, why);
		return;
	}
	cs = contexts_of(c->s);
	x = mem_new(1, sizeof(*x));
	arena_init(&x->arena);
	if (!take_keys(c, x, w)) {
		arena_done(&x->arena);
		free(x);
		refuse(c, "The keys can not be kept");
		return;
	}
	x->tag = arena_str(&x->arena, c->tag);
	x->uid = c->uid || w->is_esearch;
	x->is_esearch = w->is_esearch;
	set32_copy(&x->found, w->found);
	x->is_sorted = w->sort != NULL;
	if (x->is_sorted) {
		memcpy(x->criteria, w->sort->criteria, sizeof(x->criteria));
		x->n_criteria = w->sort->n_criteria;
		for (size_t i = 0; i < w->sort->n_order; i++)
			*VEC_ADD(&x->order) = w->sort->order[i];
	}
	if (w->ret->update != NULL) {
		a = imap_arg_copy(&x->arena, w->ret->update);
		x->has_plan = fetch_plan_parse(&x->arena, &a, &x->plan);
		x->plan.sets_seen = false;
	}
	*VEC_ADD(&cs->all) = x;
}

/* ---- what has happened ------------------------------------------------------------ */

void
context_touch(struct session *s, uint32_t uid)
{
	if (s->contexts != NULL)
		set32_add(&s->contexts->touched, uid);
}

void
context_touch_all(struct session *s, const struct set32 *uids)
{
	for (size_t i = 0; s->contexts != NULL && i < uids->n; i++)
		set32_add_range(
		    &s->contexts->touched, uids->r[i].first, uids->r[i].last);
}

void
context_new(struct session *s)
{
	struct contexts *cs = s->contexts;
	const struct set32 *uids;

	if (cs == NULL)
		return;
	uids = view_uids(s->view);
	for (size_t i = uids->n; i > 0 && uids->r[i - 1].last > cs->top; i--) {
		struct set32_range r = uids->r[i - 1];

		if (r.first <= cs->top)
			r.first = cs->top + 1;
		set32_add_range(&cs->touched, r.first, r.last);
		set32_add_range(&cs->fresh, r.first, r.last);
	}
	if (uids->n > 0)
		cs->top = uids->r[uids->n - 1].last;
}

bool
context_is_due(const struct session *s)
{
	const struct contexts *cs = s->contexts;

	return cs != NULL &&
	    (cs->phase != CONTEXT_IDLE || !set32_is_empty(&cs->touched));
}

bool
context_is_within(const struct session *s)
{
	return s->contexts != NULL && s->contexts->in_fetch;
}

/* ---- telling ------------------------------------------------------------------------ */

static void
begin_line(struct session *s, const struct context *x, const char *word)
{
	struct buf *b = &s->out;
	struct arena a;

	reply_begin(s);
	buf_addf(b, "ESEARCH (TAG \"%.*s\"", STR_ARG(x->tag));
	if (x->is_esearch) {
		arena_init(&a);
		buf_add_c(b, " MAILBOX ");
		name_write(s, b, mailbox_full_name(view_mailbox(s->view), &a));
		buf_addf(b, " UIDVALIDITY %u",
		    mailbox_uidvalidity(view_mailbox(s->view)));
		arena_done(&a);
	}
	buf_addf(b, ")%s %s (", x->uid ? " UID" : "", word);
}

static void
end_line(struct session *s)
{
	buf_add_byte(&s->out, ')');
	reply_end(s);
}

/* In mailbox order the position is 0: the client finds it. */
static void
tell_set(struct session *s, const struct context *x, const char *word,
    const struct set32 *uids)
{
	struct cmd c = {.s = s, .uid = x->uid};
	struct set32 numbers;

	if (set32_is_empty(uids))
		return;
	set32_init(&numbers);
	session_numbers(&c, uids, &numbers);
	begin_line(s, x, word);
	buf_add_c(&s->out, "0 ");
	imap_set_write(&s->out, &numbers);
	end_line(s);
	set32_done(&numbers);
}

/* One of a sorted result; `pos` as it is when those before are done. */
static void
add_pair(struct session *s, struct contexts *cs, const struct context *x,
    uint32_t pos, uint32_t uid, bool follows)
{
	uint32_t number = x->uid ? uid : view_seq(s->view, uid);

	if (cs->pairs.n > 0 && follows)
		buf_addf(&cs->pairs, ",%u", number);
	else
		buf_addf(&cs->pairs, "%s%u %u", cs->pairs.n > 0 ? " " : "", pos,
		    number);
}

static void
tell_pairs(struct session *s, struct contexts *cs, const struct context *x,
    const char *word)
{
	if (cs->pairs.n == 0)
		return;
	begin_line(s, x, word);
	buf_add_str(&s->out, buf_str(&cs->pairs));
	end_line(s);
	buf_done(&cs->pairs);
}

/*
 * Messages go while others are being placed, whose positions are as they were
 * until now: they are told first.
 */
static void
interrupt_place(struct session *s, struct contexts *cs, struct context *x)
{
	if (cs->phase != CONTEXT_PLACE || cs->all.v[cs->at] != x)
		return;
	tell_pairs(s, cs, x, "ADDTO");
	cs->next_pos = 0;
	forget_row(cs);
}

/* `uids` are all in the result. */
static void
remove_sorted(struct session *s, struct contexts *cs, struct context *x,
    const struct set32 *uids)
{
	size_t to = 0;
	bool follows = false;

	interrupt_place(s, cs, x);
	for (size_t i = 0; i < x->order.n; i++) {
		uint32_t uid = x->order.v[i];

		if (!set32_has(uids, uid)) {
			x->order.v[to++] = uid;
			follows = false;
			continue;
		}
		add_pair(s, cs, x, (uint32_t)to + 1, uid, follows);
		follows = true;
	}
	x->order.n = to;
	tell_pairs(s, cs, x, "REMOVEFROM");
}

static void
remove_uids(struct session *s, struct context *x, const struct set32 *uids)
{
	if (set32_is_empty(uids))
		return;
	if (x->is_sorted)
		remove_sorted(s, s->contexts, x, uids);
	else
		tell_set(s, x, "REMOVEFROM", uids);
	for (size_t i = 0; i < uids->n; i++)
		set32_remove_range(
		    &x->found, uids->r[i].first, uids->r[i].last);
}

void
context_gone(struct session *s, const struct set32 *uids)
{
	struct contexts *cs = s->contexts;
	struct set32 mine;

	if (cs == NULL)
		return;
	set32_init(&mine);
	VEC_EACH(&cs->all, x) {
		set32_intersect(&(*x)->found, uids, &mine);
		remove_uids(s, *x, &mine);
	}
	set32_done(&mine);
	/* One that is being read: the round's tests begin anew. */
	if (set32_has(uids, cs->uid)) {
		matcher_free(&cs->matcher);
		forget_row(cs);
	}
	for (size_t i = 0; i < uids->n; i++) {
		struct set32_range r = uids->r[i];

		set32_remove_range(&cs->touched, r.first, r.last);
		set32_remove_range(&cs->fresh, r.first, r.last);
		set32_remove_range(&cs->round, r.first, r.last);
		set32_remove_range(&cs->round_fresh, r.first, r.last);
		set32_remove_range(&cs->add, r.first, r.last);
		set32_remove_range(&cs->remove, r.first, r.last);
	}
}

/* ---- a round --------------------------------------------------------------------------- */

/* Keywords that there were not when the search was read. */
static void
bind_keywords(struct query *q, const struct mailbox *m)
{
	size_t number;

	if (q->key == QUERY_NEVER && q->name.n > 0 &&
	    mailbox_keyword_find(m, q->name, &number)) {
		q->key = QUERY_KEYWORD;
		q->number = (int64_t)number;
	}
	for (q = q->child; q != NULL; q = q->next)
		bind_keywords(q, m);
}

static bool
time_is_up(struct session *s)
{
	struct cmd c = {.s = s};

	return cmd_time_is_up(&c);
}

/* Which of the touched messages come and which go? */
static enum step
test(struct session *s, struct contexts *cs, struct context *x)
{
	struct err e;
	bool hit, was;

	if (cs->matcher == NULL) {
		bind_keywords(x->query, view_mailbox(s->view));
		cs->matcher = matcher_new(s->view, x->query);
		cs->uid = 1;
	}
	while (set32_next(&cs->round, cs->uid, &cs->uid)) {
		enum step step = matcher_test(cs->matcher, cs->uid, &hit, &e);

		if (step == STEP_MORE)
			return STEP_MORE;
		was = set32_has(&x->found, cs->uid);
		/* One that can not be read stays as it is. */
		if (step == STEP_DONE && hit != was)
			set32_add(hit ? &cs->add : &cs->remove, cs->uid);
		if (cs->uid++ == UINT32_MAX)
			break;
		if (time_is_up(s))
			return STEP_MORE;
	}
	matcher_free(&cs->matcher);
	return STEP_DONE;
}

/* FETCH of new messages; with NOTIFY's attributes, too, if there are any. */
static enum step
fetch(struct session *s, struct contexts *cs, struct context *x)
{
	struct set32 uids;

	if (!x->has_plan)
		return STEP_DONE;
	if (!cs->in_fetch) {
		set32_init(&uids);
		set32_intersect(&cs->add, &cs->round_fresh, &uids);
		if (set32_is_empty(&uids))
			return STEP_DONE;
		cs->fetch =
		    (struct cmd){.s = s, .arena = &cs->arena, .uid = true};
		fetch_push_begin(&cs->fetch, &uids, &x->plan);
		set32_done(&uids);
		cs->in_fetch = true;
	}
	if (fetch_push_step(&cs->fetch) == STEP_MORE)
		return STEP_MORE;
	end_fetch(cs);
	return STEP_DONE;
}

/* What a message is compared by, in `a`. */
static enum step
read_row(struct session *s, struct contexts *cs, uint32_t uid, struct arena *a,
    struct sort_row *out)
{
	struct cmd c = {.s = s, .arena = a};
	struct err e;

	return sort_keys_read(&c, &cs->sort, uid, out, &e);
}

/* cs->low is where the message belongs; STEP_FAIL: it is gone. */
static enum step
find_place(struct session *s, struct contexts *cs, struct context *x)
{
	enum step step;
	size_t mid;

	memcpy(cs->sort.criteria, x->criteria, sizeof(x->criteria));
	cs->sort.n_criteria = x->n_criteria;
	if (!cs->has_row) {
		step = read_row(s, cs, cs->uid, &cs->row_arena, &cs->row);
		if (step != STEP_DONE)
			return step;
		cs->has_row = true;
		cs->low = 0;
		cs->high = x->order.n;
	}
	while (cs->low < cs->high) {
		mid = cs->low + (cs->high - cs->low) / 2;
		arena_reset(&cs->other_arena);
		step = read_row(
		    s, cs, x->order.v[mid], &cs->other_arena, &cs->other);
		if (step == STEP_MORE)
			return STEP_MORE;
		/* One that has just gone can stand anywhere. */
		if (step == STEP_FAIL)
			cs->high--;
		else if (sort_keys_compare(&cs->row, &cs->other, &cs->sort) < 0)
			cs->high = mid;
		else
			cs->low = mid + 1;
		if (time_is_up(s))
			return STEP_MORE;
	}
	return STEP_DONE;
}

static void
insert(struct context *x, size_t at, uint32_t uid)
{
	*VEC_ADD(&x->order) = 0;
	memmove(x->order.v + at + 1, x->order.v + at,
	    (x->order.n - 1 - at) * sizeof(*x->order.v));
	x->order.v[at] = uid;
}

static enum step
place(struct session *s, struct contexts *cs, struct context *x)
{
	enum step step;
	uint32_t pos;

	for (; set32_next(&cs->add, cs->uid, &cs->uid); cs->uid++) {
		step = find_place(s, cs, x);
		if (step == STEP_MORE)
			return STEP_MORE;
		if (step == STEP_DONE) {
			pos = (uint32_t)cs->low + 1;
			insert(x, cs->low, cs->uid);
			set32_add(&x->found, cs->uid);
			add_pair(s, cs, x, pos, cs->uid, pos == cs->next_pos);
			cs->next_pos = pos + 1;
		}
		forget_row(cs);
		if (cs->uid == UINT32_MAX)
			break;
	}
	return STEP_DONE;
}

static void
add_uids(struct session *s, struct contexts *cs, struct context *x)
{
	if (x->is_sorted) {
		tell_pairs(s, cs, x, "ADDTO");
		return;
	}
	tell_set(s, x, "ADDTO", &cs->add);
	for (size_t i = 0; i < cs->add.n; i++)
		set32_add_range(
		    &x->found, cs->add.r[i].first, cs->add.r[i].last);
}

static enum step
update(struct session *s, struct contexts *cs, struct context *x)
{
	if (cs->phase == CONTEXT_TEST) {
		if (test(s, cs, x) == STEP_MORE)
			return STEP_MORE;
		cs->phase = CONTEXT_FETCH;
	}
	if (cs->phase == CONTEXT_FETCH) {
		if (fetch(s, cs, x) == STEP_MORE)
			return STEP_MORE;
		remove_uids(s, x, &cs->remove);
		cs->uid = 1;
		cs->next_pos = 0;
		cs->phase = CONTEXT_PLACE;
	}
	if (x->is_sorted && place(s, cs, x) == STEP_MORE)
		return STEP_MORE;
	add_uids(s, cs, x);
	set32_clear(&cs->add);
	set32_clear(&cs->remove);
	return STEP_DONE;
}

static void
begin_round(struct session *s, struct contexts *cs)
{
	set32_intersect(&cs->touched, view_uids(s->view), &cs->round);
	set32_copy(&cs->round_fresh, &cs->fresh);
	set32_clear(&cs->touched);
	set32_clear(&cs->fresh);
	cs->at = 0;
	cs->phase = CONTEXT_TEST;
}

enum step
context_step(struct session *s)
{
	struct contexts *cs = s->contexts;

	if (cs == NULL || s->view == NULL || s->lost)
		return STEP_DONE;
	while (cs->phase != CONTEXT_IDLE || !set32_is_empty(&cs->touched)) {
		if (cs->phase == CONTEXT_IDLE)
			begin_round(s, cs);
		for (; cs->at < cs->all.n; cs->at++) {
			if (conn_is_full(s->conn) ||
			    update(s, cs, cs->all.v[cs->at]) == STEP_MORE)
				return STEP_MORE;
			cs->phase = CONTEXT_TEST;
		}
		end_round(cs);
	}
	return STEP_DONE;
}

/* ---- CANCELUPDATE ------------------------------------------------------------------------ */

static bool
cancel(struct contexts *cs, struct str tag)
{
	for (size_t i = 0; cs != NULL && i < cs->all.n; i++) {
		struct context *x = cs->all.v[i];

		if (!str_eq(x->tag, tag))
			continue;
		context_free(x);
		VEC_REMOVE(&cs->all, i);
		return true;
	}
	return false;
}

enum step
cmd_cancelupdate(struct cmd *c)
{
	const struct imap_arg *a = c->args;
	struct str tag;
	bool any = false;

	/* With NOTIFY a round may be under way, of a context that would go. */
	if (context_step(c->s) == STEP_MORE)
		return STEP_MORE;
	do
		if (!imap_arg_string(&a, &tag) || tag.n == 0 ||
		    !imap_char_all(tag, IMAP_CHAR_TAG))
			return reply_bad(c, "Tags in quotes expected");
	while (!imap_arg_end(a));
	for (a = c->args; imap_arg_string(&a, &tag);)
		any = cancel(c->s->contexts, tag) || any;
	if (!any)
		return reply_no(c, NULL, "There are no such updates");
	return reply_ok(c, NULL, "No further updates");
}
