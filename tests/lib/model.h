/* SPDX-License-Identifier: ISC */
/*
 * model.h - for model_test.c: what is in the mailboxes, and what each session
 * was told of it.
 */
#ifndef TESTS_LIB_MODEL_H
#define TESTS_LIB_MODEL_H

#include <limits.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "tests/lib/test_store.h"

#define SESSIONS 3
#define ENTRIES_MAX 400
#define UIDS_MAX 4000
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
	uint32_t validity;
	bool is_unsorted; /* messages may get other UIDs, which are new */
	uint16_t given[UIDS_MAX]; /* by UID: 1 and the index of the entry */
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
	const char *name;
	void (*init)(struct box *b);
	void (*outside)(void); /* an edit, unless somebody has a lock */
	/* So that a change within one tick of the clock is seen. */
	void (*touch)(void);
	/* A session that can not look now says what it knows. */
	bool locks_readers;
};

static struct world *w;
static uint64_t seed, rng;

/* Runs in which somebody sorts a file; messages of one text are not told apart
 * then, so nothing is copied. */
static bool
may_sort(void)
{
	return seed % 5 == 0;
}
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
	char id[30] = "";

	/* Some have nothing else to be known by. */
	if (number % 4 > 0)
		(void)snprintf(id, sizeof(id), "Message-ID: <%u@x>\n", number);
	(void)snprintf(
	    out, TEXT_MAX, "Subject: %u\n%s\nbody of %u\n", number, id, number);
}

static struct entry *
add_entry(struct model_box *m, unsigned text, uint8_t flags, uint8_t its_words)
{
	struct entry *e = &m->e[m->n++];

	assert_true(m->n <= ENTRIES_MAX);
	*e = (struct entry){
	    .text = text,
	    .floor = m->top,
	    .flags = flags,
	    .words = its_words,
	    .exists = true,
	};
	return e;
}

/* Whose UID it is, or was. */
static struct entry *
by_uid(struct model_box *m, uint32_t uid)
{
	return uid < UIDS_MAX && m->given[uid] != 0 ? &m->e[m->given[uid] - 1]
						    : NULL;
}

/* A message got its UID: above all that were seen before it came. */
static void
bind_uid(struct model_box *m, struct entry *e, uint32_t uid)
{
	if (by_uid(m, uid) != NULL || uid <= e->floor || uid >= UIDS_MAX)
		FAIL("uid %u for message %u, which came after %u", uid, e->text,
		    e->floor);
	e->uid = uid;
	m->given[uid] = (uint16_t)(1 + (e - m->e));
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

static void wait_for_lock(const struct session *busy);

/* Which message it is; 0: it is gone, or can not be read now. */
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

	enum step step;

	if (msg_open(s->v, uid, &m, &e) == -1)
		return 0;
	/* Somebody may be moving it; he goes on when we look away. */
	for (unsigned i = 0; (step = msg_ready(m, &e)) == STEP_MORE && i < 1000;
	     i++)
		wait_for_lock(s);
	if (step != STEP_DONE) {
		msg_close(&m);
		return step == STEP_MORE || e.code == ERR_GONE ? 0 : UINT_MAX;
	}
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

	if (text == UINT_MAX)
		FAIL("uid %u can not be read", uid);
	if (text == 0)
		return;
	for (size_t i = 0; i < s->m->n; i++) {
		struct entry *e = &s->m->e[i];

		if ((e->uid == 0 || (s->m->is_unsorted && !w->is_busy)) &&
		    e->text == text && e->exists) {
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

/* 4, of the mailbox itself */
static void
check_validity(struct session *s)
{
	uint32_t now = mailbox_uidvalidity(view_mailbox(s->v));

	if (s->m->validity == 0)
		s->m->validity = now;
	if (s->m->validity != now)
		FAIL("uidvalidity %u, was %u", now, s->m->validity);
}

/* 1 */
static void
check_model(struct session *s)
{
	check_validity(s);
	for (uint32_t i = 0; is_traced && i < s->n; i++)
		trace("  %u of session %d: uid %u, text %u", i + 1,
		    (int)(s - w->s), s->uids[i], read_text(s, s->uids[i]));
	if (s->n != present(s->m))
		FAIL("%u messages, should be %u", s->n, present(s->m));
	for (uint32_t i = 0; i < s->n; i++) {
		const struct entry *e;

		if (s->m->is_unsorted)
			identify(s, s->uids[i]); /* if it was too busy */
		e = by_uid(s->m, s->uids[i]);
		if (e == NULL || !e->exists)
			FAIL("session %d, %s: uid %u should not be there",
			    (int)(s - w->s), box_names[s->m - w->boxes],
			    s->uids[i]);
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

/* What the event loop would do for a mailbox. */
static bool
work_on_some(struct store *s)
{
	uint32_t again_ms = 0, most_ms = 0;

	LIST_EACH(&s->mailboxes, l) {
		struct mailbox *m = LIST_OF(l, struct mailbox, link);

		if (m->impl == NULL)
			continue;
		s->ops->work(m, &again_ms);
		most_ms = again_ms > most_ms ? again_ms : most_ms;
		if (!m->has_work)
			mailbox_work_done(m);
	}
	return most_ms > 0;
}

/* Who holds a lock in the midst of his sync goes on. */
static void
finish_others(const struct session *but)
{
	for (unsigned i = 0; i < 2; i++)
		for (unsigned n = 0; n < 50 && work_on_some(w->stores[i]); n++)
			continue;
	for (unsigned i = 0; i < SESSIONS; i++)
		if (&w->s[i] != but && w->s[i].v != NULL &&
		    w->s[i].v->sync.begun)
			finish_sync(&w->s[i]);
}

static void
sync_session(struct session *s, bool may_expunge)
{
	enum step step;
	struct err e;

	if (!w->is_busy && w->how->locks_readers)
		finish_others(s);
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

#endif
