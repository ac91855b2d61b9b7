/* SPDX-License-Identifier: ISC */
/*
 * model_test.c - random operations of several sessions, of one process and of
 * two, with another program's edits between them, against a model that says
 * what each session must see.
 *
 * Everything happens in one thread, so a seed is a run. Each operation is done
 * in the smallest steps, and other sessions look at the mailbox between them.
 * The model knows for each mailbox the messages that are there with their
 * flags; each session has a mirror, which knows only what it was told:
 *  1. after a sync with expunges the mirror is the model: no message is
 *     missing, doubled, torn or back again, and flags are what they must be;
 *  2. EXPUNGE names the message that the mirror has there, EXISTS never falls;
 *     without may_expunge no number changes;
 *  3. what changed without having been told is told (flags by somebody else);
 *  4. a message keeps its UID, UIDs ascend in the order of arrival, none is
 *     given twice, the next one is above all.
 *
 * RESTANTE_TEST_SEED runs one seed, RESTANTE_TEST_SEEDS so many,
 * RESTANTE_TEST_TRACE=1 tells what is done. A backend is a line of `backends`.
 */
#include <time.h>

#include "../tests/lib/test_store.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"

#define SEEDS 1000
#define OPS 40
#define SESSIONS 3
#define ENTRIES_MAX 400
#define TEXT_MAX 80

static const uint8_t flag_bits[] = {
    FLAG_SEEN, FLAG_FLAGGED, FLAG_ANSWERED, FLAG_DELETED, FLAG_DRAFT};
static const char *const words[] = {"alpha", "$beta", "Gamma"};

/* ---- the model ----------------------------------------------------------- */

struct entry {
	unsigned text; /* which message it is */
	uint32_t uid; /* 0: nobody has seen it yet */
	uint32_t floor; /* the largest UID seen when it came */
	uint8_t flags, words;
	bool exists;
};

struct model_box {
	struct entry e[ENTRIES_MAX];
	size_t n;
	uint32_t top; /* the largest UID seen */
};

static const char *const box_names[] = {"INBOX", "Other"};

struct session {
	struct store *store;
	struct view *v;
	struct model_box *m;
	uint32_t *uids; /* the mirror */
	uint8_t *flags, *words;
	uint32_t n;
	bool exact; /* this sync must bring it up to date */
	bool quiet; /* no EXPUNGE may come */
};

struct world {
	const struct backend *how;
	struct box box;
	struct store *stores[2];
	struct model_box boxes[2];
	struct session s[SESSIONS];
	unsigned texts;
	unsigned ticks;
	bool is_busy; /* an operation is in the middle */
};

/* What a kind of mailbox is for other programs. */
struct backend {
	const char *name, *location;
	void (*init)(struct box *b);
	void (*deliver)(struct world *w, const char *text);
	/* One of the flags S, F, D of the message with this text. */
	bool (*toggle)(struct world *w, const char *text, char letter);
	bool (*remove)(struct world *w, const char *text);
	/* So that a change within one tick of the clock is seen. */
	void (*touch)(struct world *w);
};

static struct world *w;
static uint64_t seed, rng;
static bool is_traced;

static uint32_t
pick(uint32_t n)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return (uint32_t)(rng >> 33) % n;
}

#define FAIL(...)                                                              \
	do {                                                                   \
		print_error(                                                   \
		    "seed %llu %s: ", (unsigned long long)seed, w->how->name); \
		fail_msg(__VA_ARGS__);                                         \
	} while (0)

static void trace(const char *fmt, ...) PRINTF_LIKE(1, 2);

static void
trace(const char *fmt, ...)
{
	va_list ap;

	if (!is_traced)
		return;
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	(void)fputc('\n', stderr);
}

static void
text_of(unsigned number, char out[TEXT_MAX])
{
	(void)snprintf(
	    out, TEXT_MAX, "Subject: %u\n\nbody of %u\n", number, number);
}

static struct entry *
add_entry(struct model_box *m, unsigned text, uint8_t flags, uint8_t its_words)
{
	struct entry *e = &m->e[m->n++];

	assert_true(m->n <= ENTRIES_MAX);
	*e = (struct entry){text, 0, m->top, flags, its_words, true};
	return e;
}

static struct entry *
by_uid(struct model_box *m, uint32_t uid)
{
	for (size_t i = 0; i < m->n; i++)
		if (m->e[i].uid == uid)
			return &m->e[i];
	return NULL;
}

/* A message got its UID: above all that were seen before it came. */
static void
bind_uid(struct model_box *m, struct entry *e, uint32_t uid)
{
	if (by_uid(m, uid) != NULL || uid <= e->floor)
		FAIL("uid %u for message %u, which came after %u", uid, e->text,
		    e->floor);
	e->uid = uid;
	m->top = uid > m->top ? uid : m->top;
}

static uint32_t
present(const struct model_box *m)
{
	uint32_t n = 0;

	for (size_t i = 0; i < m->n; i++)
		n += m->e[i].exists;
	return n;
}

/* ---- what a session sees ------------------------------------------------- */

static void
see(struct session *s, uint32_t uid, uint8_t *flags, uint8_t *its_words)
{
	struct flags f;
	size_t number;

	if (!view_flags(s->v, uid, &f))
		FAIL("uid %u has no flags", uid);
	*flags = f.system & FLAGS_STORED;
	*its_words = 0;
	for (unsigned i = 0; i < ARRAY_LEN(words); i++)
		if (mailbox_keyword_find(
			view_mailbox(s->v), str_of(words[i]), &number) &&
		    number < 26 && f.keywords & 1u << number)
			*its_words |= (uint8_t)(1 << i);
}

/* Which message it is; 0: it is gone. */
static unsigned
read_text(struct session *s, uint32_t uid)
{
	char text[200], want[TEXT_MAX];
	struct str rest;
	struct msg *m;
	struct err e;
	uint64_t number;
	size_t got;
	int rc;

	if (msg_open(s->v, uid, &m, &e) == -1)
		return 0;
	rc = msg_read(m, 0, text, sizeof(text), &got, &e);
	msg_close(&m);
	if (rc == -1 && e.code == ERR_GONE)
		return 0;
	if (rc == -1)
		FAIL("uid %u: %s", uid, e.text);
	rest = str_skip(str_make(text, got), sizeof("Subject: ") - 1);
	if (!num_cut_u64(&rest, 100000, &number))
		FAIL("uid %u: not one of ours", uid);
	text_of((unsigned)number, want);
	if (got != strlen(want) || memcmp(text, want, got) != 0)
		FAIL("uid %u is torn", uid);
	return (unsigned)number;
}

/*
 * An UID that is new to all: the model learns whose it is, by reading. One that
 * is gone already, or part of what another session is just about, stays
 * unknown.
 */
static void
identify(struct session *s, uint32_t uid)
{
	unsigned text = by_uid(s->m, uid) != NULL ? 0 : read_text(s, uid);

	if (text == 0)
		return;
	for (size_t i = 0; i < s->m->n; i++) {
		struct entry *e = &s->m->e[i];

		if (e->uid == 0 && e->text == text && e->exists) {
			bind_uid(s->m, e, uid);
			return;
		}
	}
	if (!w->is_busy)
		FAIL("uid %u is message %u, which should have another one", uid,
		    text);
}

static void
on_expunge(void *arg, uint32_t seq, uint32_t uid)
{
	struct session *s = arg;

	if (s->quiet)
		FAIL("expunge where none may come");
	if (seq == 0 || seq > s->n || s->uids[seq - 1] != uid)
		FAIL("expunge %u is uid %u, the mirror has %u of %u", seq, uid,
		    seq == 0 || seq > s->n ? 0 : s->uids[seq - 1], s->n);
	for (uint32_t i = seq; i < s->n; i++) {
		s->uids[i - 1] = s->uids[i];
		s->flags[i - 1] = s->flags[i];
		s->words[i - 1] = s->words[i];
	}
	s->n--;
}

static void
take_new(struct session *s, uint32_t count)
{
	if (count < s->n || count > ENTRIES_MAX)
		FAIL("exists %u after %u", count, s->n);
	for (; s->n < count; s->n++) {
		uint32_t uid = view_uid(s->v, s->n + 1);

		if (uid == 0 || (s->n > 0 && uid <= s->uids[s->n - 1]))
			FAIL("uid %u at %u", uid, s->n + 1);
		s->uids[s->n] = uid;
		identify(s, uid);
		see(s, uid, &s->flags[s->n], &s->words[s->n]);
	}
}

static void
on_exists(void *arg, uint32_t count)
{
	take_new(arg, count);
}

static void
on_flags(void *arg, uint32_t seq, uint32_t uid)
{
	struct session *s = arg;

	if (seq == 0 || seq > s->n || s->uids[seq - 1] != uid)
		FAIL("flags of %u uid %u", seq, uid);
	see(s, uid, &s->flags[seq - 1], &s->words[seq - 1]);
}

static const struct view_sink sink = {
    .expunge = on_expunge,
    .exists = on_exists,
    .flags = on_flags,
};

/* 3: what the mirror knows is what there is. */
static void
check_mirror(struct session *s)
{
	uint8_t flags, its_words;

	if (s->n != view_count(s->v))
		FAIL("mirror has %u, view %u", s->n, view_count(s->v));
	for (uint32_t i = 0; i < s->n; i++) {
		if (view_uid(s->v, i + 1) != s->uids[i])
			FAIL("mirror and view differ at %u", i + 1);
		/* Of one that is gone nothing more is told. */
		if (!set32_has(&view_mailbox(s->v)->live, s->uids[i]))
			continue;
		see(s, s->uids[i], &flags, &its_words);
		if (flags != s->flags[i] || its_words != s->words[i])
			FAIL("uid %u: flags %x %x were not told, mirror %x %x",
			    s->uids[i], flags, its_words, s->flags[i],
			    s->words[i]);
	}
}

/* 1 */
static void
check_model(struct session *s)
{
	if (s->n != present(s->m))
		FAIL("%u messages, should be %u", s->n, present(s->m));
	for (uint32_t i = 0; i < s->n; i++) {
		const struct entry *e = by_uid(s->m, s->uids[i]);

		if (e == NULL || !e->exists)
			FAIL("uid %u should not be there", s->uids[i]);
		if (e->flags != s->flags[i] || e->words != s->words[i])
			FAIL("message %u uid %u: flags %x %x, should be %x %x",
			    e->text, e->uid, s->flags[i], s->words[i], e->flags,
			    e->words);
	}
	if (mailbox_uidnext(view_mailbox(s->v)) <= s->m->top)
		FAIL("uidnext %u, uid %u was given",
		    mailbox_uidnext(view_mailbox(s->v)), s->m->top);
}

/* Somebody has a lock: perhaps a session in the middle of its sync. */
static void
wait_for_lock(const struct session *busy)
{
	if (!store_must_wait(busy->store))
		return;
	busy->store->wait_ms = 0;
	for (unsigned i = 0; i < SESSIONS; i++) {
		struct session *s = &w->s[i];
		struct err e;

		if (s == busy || s->v == NULL || !s->v->sync.begun)
			continue;
		s->quiet = false;
		if (view_sync(s->v, true, &sink, s, &e) == STEP_FAIL)
			FAIL("sync: %s", e.text);
	}
}

static void
finish_sync(struct session *s)
{
	enum step step;
	struct err e;

	s->quiet = false;
	while ((step = view_sync(s->v, true, &sink, s, &e)) == STEP_MORE)
		wait_for_lock(s);
	if (step == STEP_FAIL)
		FAIL("sync: %s", e.text);
}

static void
sync_session(struct session *s, bool may_expunge)
{
	enum step step;
	struct err e;

	/* One that was begun tells what was true then. */
	if (!w->is_busy && (s->v->sync.begun || s->v->work == VIEW_TELL))
		finish_sync(s);
	s->quiet = !may_expunge;
	while (
	    (step = view_sync(s->v, may_expunge, &sink, s, &e)) == STEP_MORE) {
		if (w->is_busy && store_must_wait(s->store))
			break; /* the operation between whose steps we are */
		wait_for_lock(s);
	}
	if (step == STEP_FAIL)
		FAIL("sync: %s", e.text);
	if (step != STEP_DONE)
		return;
	check_mirror(s);
	if (may_expunge && !w->is_busy)
		check_model(s);
}

/* Some steps of one, which goes on when the session looks again: what others
 * do meanwhile falls into the middle of it. */
static void
begin_sync(struct session *s)
{
	unsigned n = 1 + pick(6);
	enum step step = STEP_MORE;
	struct err e;

	trace("part of a sync");
	s->quiet = false;
	while (n-- > 0 && step == STEP_MORE)
		step = view_sync(s->v, true, &sink, s, &e);
	if (step == STEP_FAIL)
		FAIL("sync: %s", e.text);
}

static void
open_session(struct session *s)
{
	struct err e;
	unsigned which = pick(4) == 0;
	bool read_only = pick(6) == 0;
	enum step step;

	s->store = w->stores[s == &w->s[SESSIONS - 1]];
	s->m = &w->boxes[which];
	while ((step = view_open(s->store, str_of(box_names[which]), read_only,
		    &s->v, &e)) == STEP_MORE)
		wait_for_lock(s);
	if (step == STEP_FAIL)
		FAIL("open: %s", e.text);
	s->n = 0;
	take_new(s, view_count(s->v));
	check_model(s);
}

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
		if (set32_has(&gone, it->uid))
			FAIL("message %u is gone", it->text);
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
	for (uint32_t i = 0; i < s->n; i++)
		if (read_text(s, s->uids[i]) != by_uid(s->m, s->uids[i])->text)
			FAIL("uid %u is another message", s->uids[i]);
}

/* Another program. */
static void
op_outside(void)
{
	struct model_box *m = &w->boxes[0];
	struct entry *it = m->n == 0 ? NULL : &m->e[pick((uint32_t)m->n)];
	static const struct {
		char letter;
		uint8_t flag;
	} letters[] = {
	    {'S', FLAG_SEEN}, {'F', FLAG_FLAGGED}, {'D', FLAG_DRAFT}};
	char text[TEXT_MAX];
	unsigned what = pick(4), which = pick(3);

	if (what <= 1 || it == NULL || !it->exists) {
		text_of(++w->texts, text);
		trace("deliver %u", w->texts);
		w->how->deliver(w, text);
		(void)add_entry(m, w->texts, 0, 0);
		return;
	}
	text_of(it->text, text);
	/* A text that is there twice, after a copy back, is not touched. */
	for (size_t i = 0; i < m->n; i++)
		if (&m->e[i] != it && m->e[i].exists &&
		    m->e[i].text == it->text)
			return;
	trace("outside: %s of %u", what == 2 ? "flag" : "removal", it->text);
	if (what == 2 && w->how->toggle(w, text, letters[which].letter))
		it->flags ^= letters[which].flag;
	else if (what == 3 && w->how->remove(w, text))
		it->exists = false;
}

static void
act(void)
{
	struct session *s = &w->s[pick(SESSIONS)];
	unsigned what = pick(20);

	if (s->v == NULL) {
		trace("session %d opens", (int)(s - w->s));
		open_session(s);
		return;
	}
	trace("session %d", (int)(s - w->s));
	/* A session does one thing after the other. */
	if (what >= 5 && what != 9 && s->v->sync.begun)
		finish_sync(s);
	if (what < 4) {
		op_outside();
	} else if (what == 4) {
		begin_sync(s);
	} else if (what < 9) {
		sync_session(s, pick(3) > 0);
	} else if (what == 9) {
		view_close(&s->v);
	} else if (view_is_read_only(s->v)) {
		op_read(s);
	} else if (what < 12) {
		op_append(s);
	} else if (what < 15) {
		op_store(s);
	} else if (what == 15) {
		op_expunge(s);
	} else if (what == 16) {
		op_copy(s, false);
	} else if (what == 17) {
		op_copy(s, true);
	} else if (what == 18) {
		op_copy_given_up(s);
	} else {
		op_read(s);
	}
	w->how->touch(w);
}

/* ---- Maildir for other programs ------------------------------------------ */

static void
maildir_init(struct box *b)
{
	box_init_fast(b);
	box_dirs(b, ".Other");
}

static void
maildir_deliver(struct world *in, const char *text)
{
	char tmp[60], to[60];

	(void)snprintf(tmp, sizeof(tmp), "tmp/%u.d.mx1", 1000000 + in->ticks);
	(void)snprintf(to, sizeof(to), "new/%u.d.mx1", 1000000 + in->ticks++);
	box_write(&in->box, tmp, text);
	box_move(&in->box, tmp, to);
}

/* The file of a message: "cur/..." or "new/...". */
static bool
find_file(struct world *in, const char *text, char out[300])
{
	static const char *const dirs[] = {"cur", "new"};
	bool found = false;

	for (unsigned i = 0; i < 2 && !found; i++) {
		DIR *d = opendir(box_path(&in->box, dirs[i]));
		struct dirent *e;

		assert_non_null(d);
		while (!found && (e = readdir(d)) != NULL) {
			if (e->d_name[0] == '.')
				continue;
			(void)snprintf(out, 300, "%s/%s", dirs[i], e->d_name);
			found = strcmp(box_read(&in->box, out), text) == 0;
		}
		closedir(d);
	}
	return found;
}

/* As mutt does it: into cur/, letters in their order. */
static bool
maildir_toggle(struct world *in, const char *text, char letter)
{
	char from[300], to[320], letters[40];
	const char *info;
	size_t n = 0;
	bool had;

	if (!find_file(in, text, from))
		return false;
	info = strstr(from, ":2,");
	info = info == NULL ? "" : info + 3;
	had = strchr(info, letter) != NULL;
	for (char c = 'A'; c <= 'z'; c++)
		if (c == letter ? !had : strchr(info, c) != NULL)
			letters[n++] = c;
	letters[n] = '\0';
	(void)snprintf(to, sizeof(to), "cur/%.*s:2,%s",
	    (int)strcspn(from + 4, ":"), from + 4, letters);
	box_move(&in->box, from, to);
	return true;
}

static bool
maildir_remove_file(struct world *in, const char *text)
{
	char name[300];

	if (!find_file(in, text, name))
		return false;
	box_unlink(&in->box, name);
	return true;
}

/* A clock that never stands still: changes within one tick of the kernel's
 * are found only a second later, which is the subject of other tests. */
static void
maildir_touch(struct world *in)
{
	static const char *const dirs[] = {
	    "new", "cur", ".Other/new", ".Other/cur"};
	struct timespec ts[2] = {{.tv_nsec = UTIME_OMIT}};

	ts[1].tv_sec = time(NULL) - 1000;
	ts[1].tv_nsec = ++in->ticks;
	for (unsigned i = 0; i < ARRAY_LEN(dirs); i++)
		assert_int_equal(
		    utimensat(AT_FDCWD, box_path(&in->box, dirs[i]), ts, 0), 0);
}

static const struct backend backends[] = {
    {"maildir", "maildir:~/Maildir", maildir_init, maildir_deliver,
	maildir_toggle, maildir_remove_file, maildir_touch},
};

/* ---- runs ---------------------------------------------------------------- */

static void
begin(const struct backend *how)
{
	*w = (struct world){.how = how, .s = {{0}}};
	how->init(&w->box);
	w->box.location = how->location;
	w->box.poll_only = true;
	for (unsigned i = 0; i < 2; i++) {
		box_open(&w->box);
		w->stores[i] = w->box.store;
	}
	for (unsigned i = 0; i < SESSIONS; i++) {
		struct session *s = &w->s[i];

		s->uids = mem_new(ENTRIES_MAX, sizeof(*s->uids));
		s->flags = mem_new(ENTRIES_MAX, 1);
		s->words = mem_new(ENTRIES_MAX, 1);
		open_session(s);
		how->touch(w);
	}
}

static void
end(void)
{
	for (unsigned i = 0; i < SESSIONS; i++) {
		struct session *s = &w->s[i];

		if (s->v != NULL)
			sync_session(s, true);
		view_close(&s->v);
		free(s->uids);
		free(s->flags);
		free(s->words);
	}
	store_close(&w->stores[0]);
	store_close(&w->stores[1]);
	w->box.store = NULL;
	box_done(&w->box);
}

static uint64_t
from_env(const char *name, uint64_t preset)
{
	const char *text = getenv(name);
	uint64_t v;

	return text != NULL && num_parse_u64(str_of(text), 1, UINT64_MAX, &v)
	    ? v
	    : preset;
}

static void
test_model(void **state)
{
	uint64_t one = from_env("RESTANTE_TEST_SEED", 0);
	uint64_t last = one != 0 ? one : from_env("RESTANTE_TEST_SEEDS", SEEDS);

	(void)state;
	w = mem_new(1, sizeof(*w));
	store_slice_ms = 0;
	for (seed = one != 0 ? one : 1; seed <= last; seed++) {
		rng = seed * UINT64_C(0x9e3779b97f4a7c15);
		begin(&backends[seed % ARRAY_LEN(backends)]);
		for (unsigned i = 0; i < OPS; i++)
			act();
		end();
	}
	store_slice_ms = 4;
	free(w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_model),
	};

	is_traced = getenv("RESTANTE_TEST_TRACE") != NULL;
	log_set_level(LOG_LEVEL_FATAL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
