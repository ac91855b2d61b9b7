/* SPDX-License-Identifier: ISC */
/*
 * mbox_random_test.c - two processes with two sessions each change one mbox at
 * random, while other programs deliver to it, change flags, and remove
 * messages, all under their own locks.
 *
 * Every message says its number in its text, so it is known again wherever it
 * lies. All write down in shared memory what they saw and what was acknowledged
 * to them:
 *  1. an UID belongs to one message, and a message to one UID, for all and
 *     for ever;
 *  2. in a session UIDs ascend and new ones are larger than all before;
 *  3. the numbers that a session was told of fit what it has;
 *  4. nobody's flag is lost: each actor changes only flags of its own, and at
 *     the end every message has those that it was given last;
 *  5. no message is gone that nobody removed, none is torn or there twice.
 *
 * RESTANTE_TEST_SEED and RESTANTE_TEST_ROUNDS choose another run.
 */
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>

#include "base/log.h"
#include "base/num.h"
#include "store/mbox/mbox_impl.h"
#include "tests/lib/other_mbox.h"

#define MSGS_MAX 4096
#define UIDS_MAX 8192
#define WORKERS 2
#define ACTORS 3 /* and the other programs */
#define TEXT_MAX 100
#define INBOX "spool/joe"

struct shared {
	uint32_t msg_of_uid[UIDS_MAX];
	uint32_t uid_of_msg[MSGS_MAX];
	uint8_t removed[MSGS_MAX]; /* by somebody, on purpose */
	uint8_t flags[ACTORS][MSGS_MAX]; /* 1: has the actor's, 2: has not */
	uint8_t words[ACTORS][MSGS_MAX];
	uint32_t n_msgs;
	bool failed;
	char text[500];
	uint32_t changes, expunges, appends, edits, seen;
};

static struct shared *sh;
static uint64_t rounds = 150;
static uint64_t rng;

static uint32_t
pick(uint32_t n)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return (uint32_t)(rng >> 33) % n;
}

static void complain(const char *fmt, ...) PRINTF_LIKE(1, 2);

static void
complain(const char *fmt, ...)
{
	va_list ap;

	if (__atomic_exchange_n(&sh->failed, true, __ATOMIC_SEQ_CST))
		return;
	va_start(ap, fmt);
	(void)vsnprintf(sh->text, sizeof(sh->text), fmt, ap);
	va_end(ap);
}

static void
count(uint32_t *what)
{
	__atomic_add_fetch(what, 1, __ATOMIC_SEQ_CST);
}

/* The first who looks writes down who belongs together; others compare. */
static void
must_be(uint32_t *cell, uint32_t value, const char *what, uint32_t index)
{
	uint32_t old = 0;

	if (!__atomic_compare_exchange_n(
		cell, &old, value, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST) &&
	    old != value)
		complain("%s %u: %u, now %u", what, index, old, value);
}

static void
text_of(uint32_t msg, char out[TEXT_MAX])
{
	(void)snprintf(out, TEXT_MAX,
	    "Subject: %u\nMessage-ID: <%u@x>\n\nbody of %u\n", msg, msg, msg);
}

static uint32_t
new_msg(char text[TEXT_MAX])
{
	uint32_t msg = __atomic_add_fetch(&sh->n_msgs, 1, __ATOMIC_SEQ_CST);

	if (msg >= MSGS_MAX) {
		complain("too many messages");
		msg = MSGS_MAX - 1;
	}
	text_of(msg, text);
	return msg;
}

/* 0: not a whole message of ours. */
static uint32_t
msg_of_text(const char *text, size_t n)
{
	struct str s = str_make(text, n);
	char want[TEXT_MAX];
	uint64_t msg;

	if (!str_starts(s, STR("Subject: ")))
		return 0;
	s = str_skip(s, 9);
	if (!num_cut_u64(&s, MSGS_MAX - 1, &msg))
		return 0;
	text_of((uint32_t)msg, want);
	return str_eq(str_make(text, n), str_of(want)) ? (uint32_t)msg : 0;
}

/* ---- sessions -------------------------------------------------------------- */

struct session {
	struct view *v;
	unsigned actor;
	uint32_t top;
	uint32_t count; /* by what was told */
};

static void
on_expunge(void *arg, uint32_t seq, UNUSED uint32_t uid)
{
	struct session *s = arg;

	if (seq == 0 || seq > s->count)
		complain("expunge of %u, of %u", seq, s->count);
	s->count--;
}

static void
on_exists(void *arg, uint32_t n)
{
	struct session *s = arg;

	if (n < s->count)
		complain("exists fell from %u to %u", s->count, n);
	s->count = n;
}

static const struct view_sink sink = {
    .expunge = on_expunge,
    .exists = on_exists,
};

/* Number of the message, 0 when it is gone. */
static uint32_t
look_at(struct session *s, uint32_t uid)
{
	struct msg *m;
	char text[200];
	size_t got;
	uint32_t msg = 0;
	struct err e;

	if (msg_open(s->v, uid, &m, &e) == -1)
		return 0;
	if (msg_read(m, 0, text, sizeof(text), &got, &e) == 0) {
		msg = msg_of_text(text, got);
		if (msg == 0)
			complain("uid %u is torn: %.*s", uid, (int)got, text);
	} else if (e.code != ERR_GONE && e.code != ERR_IN_USE) {
		complain("read: %s", e.text);
	}
	msg_close(&m);
	if (msg == 0)
		return 0;
	must_be(&sh->msg_of_uid[uid], msg, "message of uid", uid);
	must_be(&sh->uid_of_msg[msg], uid, "uid of message", msg);
	count(&sh->seen);
	return msg;
}

static void
sync_session(struct session *s, bool may_expunge)
{
	struct err e;
	uint32_t before = s->top;

	if (now_view_sync(s->v, may_expunge, &sink, s, &e) == -1) {
		complain("sync: %s", e.text);
		return;
	}
	if (s->count != view_count(s->v))
		complain("told of %u, has %u", s->count, view_count(s->v));
	for (uint32_t seq = s->count; seq > 0; seq--) {
		uint32_t uid = view_uid(s->v, seq);

		if (uid <= before)
			break;
		if (uid > s->top)
			s->top = uid;
		(void)look_at(s, uid);
	}
}

/* The third is of other programs: \Answered, and no keyword. */
static const uint8_t own_flags[] = {FLAG_FLAGGED, FLAG_DRAFT, FLAG_ANSWERED};
static const char *const own_words[] = {"wordA", "wordB", NULL};

static void
change_one(struct session *s, uint32_t uid, uint32_t msg)
{
	bool on = pick(2) == 0, is_word = pick(3) == 0;
	uint8_t *cell =
	    is_word ? &sh->words[s->actor][msg] : &sh->flags[s->actor][msg];
	struct err e;

	if (box_store(s->v, uid, uid, on ? STORE_ADD : STORE_REMOVE,
		is_word ? 0 : own_flags[s->actor],
		is_word ? own_words[s->actor] : NULL, &e) == -1) {
		complain("store: %s", e.text);
		return;
	}
	*cell = on ? 1 : 2;
	count(&sh->changes);
}

static void
expunge_one(struct session *s, uint32_t uid, uint32_t msg)
{
	struct set32 one = box_set(uid, uid);
	uint32_t at = 0;
	enum step step = STEP_MORE;
	struct err e;

	sh->removed[msg] = 1;
	if (box_store(s->v, uid, uid, STORE_ADD, FLAG_DELETED, NULL, &e) == 0)
		while ((step = view_expunge(s->v, &one, &at, &e)) == STEP_MORE)
			store_pause(view_mailbox(s->v)->store);
	if (step == STEP_FAIL)
		complain("expunge: %s", e.text);
	set32_done(&one);
	count(&sh->expunges);
}

static void
append_one(struct box *b, struct session *s)
{
	char text[TEXT_MAX];
	uint32_t msg = new_msg(text), uid;

	uid = box_append(b, "INBOX", text, pick(2) ? FLAG_SEEN : 0, -1);
	must_be(&sh->msg_of_uid[uid], msg, "message of appended uid", uid);
	must_be(&sh->uid_of_msg[msg], uid, "uid of appended message", msg);
	if (uid <= s->top)
		complain("append got uid %u below %u", uid, s->top);
	count(&sh->appends);
}

static void
act(struct box *b, struct session *s)
{
	uint32_t n = view_count(s->v), uid, msg, what = pick(12);

	if (what == 0) {
		append_one(b, s);
		return;
	}
	if (what <= 5) {
		sync_session(s, what > 2);
		return;
	}
	if (n == 0)
		return;
	uid = view_uid(s->v, 1 + pick(n));
	msg = look_at(s, uid);
	if (msg == 0)
		return;
	if (pick(20) == 0)
		expunge_one(s, uid, msg);
	else if (!sh->removed[msg])
		change_one(s, uid, msg);
}

static void
open_session(struct box *b, struct session *s, unsigned actor)
{
	*s = (struct session){.v = box_view(b, "INBOX", false)};
	s->actor = actor;
	s->count = view_count(s->v);
	for (uint32_t seq = 1; seq <= s->count; seq++) {
		uint32_t uid = view_uid(s->v, seq);

		if (uid <= s->top)
			complain("uid %u behind %u", uid, s->top);
		s->top = uid;
		(void)look_at(s, uid);
	}
}

static void
worker(struct box *b, unsigned actor, uint64_t seed)
{
	struct session s[2];

	log_set_level(LOG_LEVEL_FATAL);
	rng = seed;
	b->poll_only = actor == 1; /* one of each kind */
	box_open(b);
	open_session(b, &s[0], actor);
	open_session(b, &s[1], actor);
	for (uint64_t i = 0; i < rounds && !sh->failed; i++) {
		act(b, &s[pick(2)]);
		if (pick(60) == 0) {
			view_close(&s[0].v);
			open_session(b, &s[0], actor);
		}
	}
	view_close(&s[0].v);
	view_close(&s[1].v);
	box_close(b);
	_exit(0);
}

/* ---- other programs -------------------------------------------------------- */

static void
deliver(struct other_mbox *o)
{
	char text[TEXT_MAX];

	(void)new_msg(text);
	other_append(o, text);
}

/* Reads all, changes some, writes from the first change on. */
static void
edit(struct other_mbox *o)
{
	bool has_changed = false;

	other_load(o);
	for (size_t i = 0; i < o->n; i++) {
		struct other_msg *m = &o->v[i];
		unsigned msg = 0, what = pick(20);

		if (other_is_pseudo(m))
			continue;
		(void)sscanf(m->body, "body of %u", &msg);
		if (msg == 0 || msg >= MSGS_MAX)
			complain("a body is torn: %s", m->body);
		if (what == 0 && i > 0) {
			m->is_gone = has_changed = true;
			sh->removed[msg] = 1;
		} else if (what <= 4) {
			other_toggle(m, "X-Status", 'A');
			sh->flags[2][msg] =
			    other_has_letter(m, "X-Status", 'A') ? 1 : 2;
			has_changed = true;
		}
		if (has_changed)
			other_mutt_fields(m, true);
	}
	if (has_changed)
		other_save(o, pick(4) == 0);
	count(&sh->edits);
}

/* They begin when the file has its base, as every file has that was opened. */
static void
outsider(struct box *b, uint64_t seed)
{
	struct timespec ts = {.tv_nsec = 500000};
	struct other_mbox o;
	unsigned misses = 0;

	rng = seed;
	for (uint64_t i = 0; i < rounds && !sh->failed;) {
		if (!other_lock(&o, box_path(b, INBOX), false)) {
			/* As they all do; but not for ever. */
			if (++misses > 200000)
				complain("never got the locks");
			(void)nanosleep(&ts, NULL);
			continue;
		}
		misses = 0;
		if (pick(3) > 0)
			deliver(&o);
		else
			edit(&o);
		other_unlock(&o);
		i += 4;
		(void)nanosleep(&ts, NULL);
	}
}

/* ---- the end ---------------------------------------------------------------- */

static void
check_flag(
    uint8_t asked, bool has, const char *what, uint32_t msg, unsigned actor)
{
	if ((asked == 1 && !has) || (asked == 2 && has))
		complain("%s of actor %u on message %u is %s", what, actor, msg,
		    has ? "there" : "lost");
}

static void
check_flags(struct session *s, uint32_t uid, uint32_t msg)
{
	struct flags f;

	assert_true(view_flags(s->v, uid, &f));
	for (unsigned a = 0; a < ACTORS && !sh->removed[msg]; a++) {
		size_t number = 0;
		bool has = own_words[a] != NULL &&
		    mailbox_keyword_find(
			view_mailbox(s->v), str_of(own_words[a]), &number) &&
		    (f.keywords & 1u << number) != 0;

		check_flag(sh->words[a][msg], has, "keyword", msg, a);
		check_flag(sh->flags[a][msg], (f.system & own_flags[a]) != 0,
		    "flag", msg, a);
	}
}

static void
check_end(struct box *b)
{
	struct session s;
	uint8_t *met = mem_new(MSGS_MAX, 1);

	box_open(b);
	open_session(b, &s, 0);
	for (uint32_t seq = 1; seq <= s.count; seq++) {
		uint32_t uid = view_uid(s.v, seq);
		uint32_t msg = look_at(&s, uid);

		if (msg == 0) {
			complain("message %u can not be read", uid);
			break;
		}
		if (met[msg]++)
			complain("message %u is there twice", msg);
		check_flags(&s, uid, msg);
	}
	for (uint32_t msg = 1; msg <= sh->n_msgs; msg++)
		if (!met[msg] && !sh->removed[msg])
			complain("message %u is lost", msg);
	view_close(&s.v);
	box_close(b);
	free(met);
}

static void
begin(struct box *b)
{
	struct other_mbox o;
	struct view *v;

	box_init_mbox(b);
	b->has_index = rng % 2 == 0;
	box_write(b, INBOX, "");
	assert_true(other_lock(&o, box_path(b, INBOX), false));
	for (int i = 0; i < 20; i++)
		deliver(&o);
	other_unlock(&o);
	b->poll_only = true;
	box_open(b);
	v = box_view(b, "INBOX", false);
	view_close(&v);
	box_close(b);
}

static void
run(struct box *b, uint64_t seed)
{
	pid_t pids[WORKERS];

	memset(sh, 0, sizeof(*sh));
	rng = seed;
	begin(b);
	(void)fflush(NULL);
	for (unsigned i = 0; i < WORKERS; i++) {
		pids[i] = fork();
		if (pids[i] == 0)
			worker(b, i, seed * 7919 + i + 1);
		assert_true(pids[i] > 0);
	}
	outsider(b, seed * 104729 + 5);
	for (unsigned i = 0; i < WORKERS; i++) {
		int status;

		assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
		if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
			complain("a process ended with %x", status);
	}
	if (!sh->failed)
		check_end(b);
	if (sh->failed)
		fail_msg("seed %llu: %s", (unsigned long long)seed, sh->text);
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
test_random(UNUSED void **state)
{
	uint64_t first = from_env("RESTANTE_TEST_SEED", 1);
	uint64_t last = first +
	    from_env("RESTANTE_TEST_SEEDS",
		getenv("RESTANTE_TEST_SEED") != NULL ? 1 : 3);

	rounds = from_env("RESTANTE_TEST_ROUNDS", rounds);
	for (uint64_t seed = first; seed < last; seed++) {
		struct box b;

		run(&b, seed);
		box_done(&b);
	}
	/* A run in which nothing happened would prove nothing. */
	assert_true(sh->changes > rounds / 10);
	assert_true(sh->appends > 0 && sh->expunges > 0 && sh->edits > 0);
	assert_true(sh->seen > rounds);
	if (getenv("RESTANTE_TEST_SEED") != NULL)
		printf("changes %u expunges %u appends %u edits %u seen %u\n",
		    sh->changes, sh->expunges, sh->appends, sh->edits,
		    sh->seen);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_random),
	};

	sh = mmap(NULL, sizeof(*sh), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (sh == MAP_FAILED)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
