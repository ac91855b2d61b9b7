/* SPDX-License-Identifier: ISC */
/*
 * cmd_thread.c - THREAD and UID THREAD.
 *
 * Owns:    the keys of the messages found, in the command's arena.
 * Runs in: imapd.
 * Trusts:  nothing in arguments or messages.
 * Spec:    RFC 5256 sections 3, 4, 5; RFC 9738.
 *
 * SEARCH --all found--> KEYS --all read--> TREE --made--> answered
 * SEARCH --the kept answer is about these messages--> answered
 */
#include "imapd/commands.h"
#include "imapd/limit.h"
#include "imapd/reply.h"
#include "imapd/search_run.h"
#include "imapd/thread_kept.h"
#include "search/thread.h"
#include "store/kept.h"
#include "store/msg_keys.h"
#include "text/fold.h"

/* Steps of the tree's making between two looks at the clock. */
enum { TREE_STEPS = 2000 };
/* Bytes of the answer between them. */
enum { LOOK_BYTES = 8192 };
/* What is found again as fast is not kept. */
enum { KEPT_MIN = 64 };

struct threading {
	struct search_run run;
	enum thread_kind kind;
	struct str question; /* what a kept answer answers */
	bool is_searched, is_kept, in_kept;
	struct thread_kept kept;
	struct buf text; /* the answer, with UIDs */
	const struct thread_node *head; /* the next thread that goes there */
	bool in_text, has_text;
	struct buf line; /* the answer as it is told */
	size_t line_at; /* of the text */
	struct thread_job *job; /* once all keys are read */
	bool in_keys;
	uint32_t uid; /* the next whose keys are wanted */
	struct thread_msg *msgs;
	size_t n_msgs;
	struct msg *msg; /* being read */
	struct arena scratch; /* of keys as they were read */
};

static void
threading_cleanup(struct cmd *c)
{
	struct threading *t = c->state;

	msg_close(&t->msg);
	arena_done(&t->scratch);
	thread_job_done(t->job);
	buf_done(&t->text);
	buf_done(&t->line);
	search_run_done(&t->run);
}

/* False: answered. */
static bool
threading_begin(struct cmd *c)
{
	static const struct {
		const char *word;
		enum thread_kind kind;
	} algorithms[] = {
	    {"ORDEREDSUBJECT", THREAD_ORDERED_SUBJECT},
	    {"REFERENCES", THREAD_REFERENCES},
	    {"REFS", THREAD_REFS},
	};
	struct threading *t = arena_new(c->arena, 1, sizeof(*t));
	const struct imap_arg *a = c->args;

	arena_init(&t->scratch);
	buf_init(&t->text, SIZE_MAX / 2);
	buf_init(&t->line, SIZE_MAX / 2);
	c->state = t;
	c->cleanup = threading_cleanup;
	if (limit_exceeded(c->s, view_count(c->s->view)) != 0) {
		(void)limit_refuse(c, c->s->message_limit, 0);
		return false;
	}
	for (size_t i = 0; i < ARRAY_LEN(algorithms); i++) {
		if (!imap_arg_word(&a, algorithms[i].word))
			continue;
		t->kind = algorithms[i].kind;
		t->question =
		    arena_printf(c->arena, "THREAD 1 %s", algorithms[i].word);
		return search_run_begin(c, &t->run, a, true);
	}
	(void)reply_bad(c, "ORDEREDSUBJECT, REFERENCES or REFS expected");
	return false;
}

static int
fill(struct cmd *c, struct threading *t, struct msg *m, struct thread_msg *out,
    struct err *e)
{
	struct sort_keys keys;
	struct thread_keys refs = {0};

	if (msg_sort_keys(m, &t->scratch, &keys, e) == -1)
		return -1;
	out->sent_s = keys.sent_s;
	if (!keys.has_date && msg_internal_date(m, &out->sent_s, e) == -1)
		return -1;
	if (t->kind != THREAD_ORDERED_SUBJECT &&
	    msg_thread_keys(m, &t->scratch, &refs, e) == -1)
		return -1;
	out->uid = t->uid;
	out->is_reply = keys.is_reply;
	out->subject = fold_key(c->arena, keys.subject);
	out->id = arena_str(c->arena, refs.id);
	out->refs = arena_str(c->arena, refs.refs);
	return 0;
}

/* One that is gone is left out; one that can not be read, too. */
static enum step
read_one(struct cmd *c, struct threading *t)
{
	enum step step = STEP_DONE;
	struct err e;

	if (t->msg == NULL && msg_open(c->s->view, t->uid, &t->msg, &e) == -1)
		step = STEP_FAIL;
	if (step == STEP_DONE)
		step = msg_keys_ready(
		    t->msg, t->kind != THREAD_ORDERED_SUBJECT, &e);
	if (step == STEP_MORE)
		return STEP_MORE;
	if (step == STEP_DONE &&
	    fill(c, t, t->msg, &t->msgs[t->n_msgs], &e) == -1)
		step = STEP_FAIL;
	msg_close(&t->msg);
	arena_reset(&t->scratch);
	if (step == STEP_DONE)
		t->n_msgs++;
	else if (e.code != ERR_GONE && e.code != ERR_NOT_FOUND)
		t->run.unreadable = reply_code(&e);
	return STEP_DONE;
}

static enum step
read_keys(struct cmd *c, struct threading *t)
{
	if (!t->in_keys) {
		t->in_keys = true;
		t->uid = 1;
		t->msgs = arena_new(c->arena,
		    (size_t)set32_count(&t->run.found) + 1, sizeof(*t->msgs));
	}
	while (t->uid != 0 && set32_next(&t->run.found, t->uid, &t->uid)) {
		if (read_one(c, t) == STEP_MORE)
			return STEP_MORE;
		t->uid++;
		if (cmd_time_is_up(c))
			return STEP_MORE;
	}
	return STEP_DONE;
}

/* The tree of all that was read. */
static enum step
make_tree(struct cmd *c, struct threading *t)
{
	size_t steps;

	if (t->job == NULL)
		t->job = thread_job_new(c->arena, t->kind, t->msgs, t->n_msgs);
	do {
		steps = TREE_STEPS;
		if (thread_job_go(t->job, &steps))
			return STEP_DONE;
	} while (!cmd_time_is_up(c));
	return STEP_MORE;
}

/*
 * "(3 6 (4 23)(44 7 96))": a child alone follows its parent, several have lists
 * of their own. No deeper than THREAD_DEPTH_MAX.
 */
static void
write_thread(struct buf *b, const struct thread_node *n)
{
	const struct thread_node *child;

	buf_add_byte(b, '(');
	for (; n != NULL; n = n->first) {
		if (n->m != NULL)
			buf_add_u64(b, n->m->uid);
		if (n->n_children == 0)
			break;
		if (n->m != NULL)
			buf_add_byte(b, ' ');
		if (n->n_children == 1)
			continue;
		for (child = n->first; child != NULL; child = child->next)
			write_thread(b, child);
		break;
	}
	buf_add_byte(b, ')');
}

/*
 * All threads, as UIDs, one after the other; kept for the next who asks about
 * these messages.
 */
static enum step
write_threads(struct cmd *c, struct threading *t)
{
	size_t looked = t->text.n;

	if (t->has_text)
		return STEP_DONE;
	if (!t->in_text)
		t->head = thread_job_root(t->job)->first;
	t->in_text = true;
	while (t->head != NULL) {
		write_thread(&t->text, t->head);
		t->head = t->head->next;
		if (t->text.n - looked < LOOK_BYTES)
			continue;
		if (cmd_time_is_up(c))
			return STEP_MORE;
		looked = t->text.n;
	}
	t->has_text = true;
	if (t->run.unreadable == NULL && t->n_msgs >= KEPT_MIN)
		kept_put(c->s->view, t->question, buf_str(&t->text));
	return STEP_DONE;
}

/* STEP_DONE: t->text is the answer. */
static enum step
thread_step(struct cmd *c, struct threading *t)
{
	enum step kept;

	if (!t->is_searched) {
		if (search_run_step(c, &t->run) == STEP_MORE)
			return STEP_MORE;
		t->is_searched = t->in_kept = true;
	}
	if (t->in_kept) {
		kept = thread_kept_get(
		    &t->kept, c, t->question, &t->run.found, &t->text);
		if (kept == STEP_MORE)
			return STEP_MORE;
		t->is_kept = kept == STEP_DONE;
		t->in_kept = false;
	}
	if (t->is_kept)
		return STEP_DONE;
	if (t->job == NULL && read_keys(c, t) == STEP_MORE)
		return STEP_MORE;
	if (!t->in_text && make_tree(c, t) == STEP_MORE)
		return STEP_MORE;
	return write_threads(c, t);
}

enum step
cmd_thread(struct cmd *c)
{
	struct threading *t;

	if (c->state == NULL && !threading_begin(c))
		return STEP_DONE;
	t = c->state;
	if (thread_step(c, t) == STEP_MORE)
		return STEP_MORE;
	if (t->line.n == 0)
		buf_add_c(&t->line, t->text.n > 0 ? "* THREAD " : "* THREAD");
	if (thread_kept_write(&t->line, c, buf_str(&t->text), &t->line_at) ==
	    STEP_MORE)
		return STEP_MORE;
	buf_add_c(&t->line, "\r\n");
	session_send(c->s);
	conn_write_str(c->s->conn, buf_str(&t->line));
	if (t->run.unreadable == NULL)
		return reply_ok(c, NULL, "THREAD completed");
	return reply_no(c, t->run.unreadable,
	    "Some messages could not be read and were left out");
}
