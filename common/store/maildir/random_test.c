/* SPDX-License-Identifier: ISC */
/*
 * random_test.c - two processes with two sessions each change one mailbox at
 * random, while a third program delivers, renames and removes beside them.
 *
 * Every message says its number in its text, so it is known again whatever
 * its file is called. All write down in shared memory what they saw and what
 * was acknowledged to them:
 *  1. an UID belongs to one message, and a message to one UID, for all and
 *     for ever;
 *  2. in a session UIDs ascend and new ones are larger than all before;
 *  3. the numbers that a session was told of fit what it has;
 *  4. nobody's flag is lost: each actor changes only flags of its own, and at
 *     the end every message has those that it was given last;
 *  5. no message is gone that nobody removed.
 *
 * RESTANTE_TEST_SEED and RESTANTE_TEST_ROUNDS choose another run.
 */
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>

#include "base/log.h"
#include "base/num.h"
#include "store/maildir/maildir_impl.h"
#include "tests/lib/test_store.h"
#include "text/ascii.h"

#define MSGS_MAX 4096
#define UIDS_MAX 8192
#define ACTORS 3 /* two processes and the other program */

struct shared {
	uint32_t msg_of_uid[UIDS_MAX];
	uint32_t uid_of_msg[MSGS_MAX];
	uint8_t removed[MSGS_MAX]; /* by somebody, on purpose */
	uint8_t flags[ACTORS]
		     [MSGS_MAX]; /* 1: has the actor's flag, 2: hasn't */
	uint8_t words[ACTORS][MSGS_MAX]; /* the same for its keyword */
	uint32_t n_msgs;
	bool failed;
	char text[500];
	uint32_t changes, expunges, appends, copies, seen;
};

static struct shared *sh;
static unsigned rounds = 300;
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

static uint32_t
new_msg(char text[200])
{
	uint32_t msg = __atomic_add_fetch(&sh->n_msgs, 1, __ATOMIC_SEQ_CST);

	if (msg >= MSGS_MAX) {
		complain("too many messages");
		msg = MSGS_MAX - 1;
	}
	(void)snprintf(text, 200, "Subject: %u\n\nbody of %u\n", msg, msg);
	return msg;
}

static uint32_t
msg_of_text(const char *text, size_t n)
{
	struct str s = str_make(text, n);
	uint64_t msg;

	if (!str_starts(s, STR("Subject: ")))
		return 0;
	s = str_skip(s, 9);
	return num_cut_u64(&s, MSGS_MAX - 1, &msg) ? (uint32_t)msg : 0;
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
on_exists(void *arg, uint32_t count)
{
	struct session *s = arg;

	if (count < s->count)
		complain("exists fell from %u to %u", s->count, count);
	s->count = count;
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
	if (msg_read(m, 0, text, sizeof(text), &got, &e) == 0)
		msg = msg_of_text(text, got);
	else if (e.code != ERR_GONE && e.code != ERR_IN_USE)
		complain("read: %s", e.text);
	msg_close(&m);
	if (msg == 0)
		return 0;
	must_be(&sh->msg_of_uid[uid], msg, "message of uid", uid);
	must_be(&sh->uid_of_msg[msg], uid, "uid of message", msg);
	__atomic_add_fetch(&sh->seen, 1, __ATOMIC_SEQ_CST);
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

static const uint8_t own_flags[] = {FLAG_FLAGGED, FLAG_ANSWERED, FLAG_DRAFT};
static const char *const own_words[] = {"wordA", "wordB", "wordC"};

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
		if (e.code != ERR_IN_USE)
			complain("store: %s", e.text);
		return;
	}
	*cell = on ? 1 : 2;
	__atomic_add_fetch(&sh->changes, 1, __ATOMIC_SEQ_CST);
}

static void
expunge_one(struct session *s, uint32_t uid, uint32_t msg)
{
	struct set32 one = box_set(uid, uid);
	uint32_t at = 0;
	struct err e;

	sh->removed[msg] = 1;
	if (box_store(s->v, uid, uid, STORE_ADD, FLAG_DELETED, NULL, &e) == 0)
		while (view_expunge(s->v, &one, &at, &e) == STEP_MORE)
			continue;
	set32_done(&one);
	__atomic_add_fetch(&sh->expunges, 1, __ATOMIC_SEQ_CST);
}

static void
append_one(struct box *b, struct session *s)
{
	char text[200];
	uint32_t msg = new_msg(text), uid;

	uid = box_append(b, "INBOX", text, pick(2) ? FLAG_SEEN : 0, -1);
	if (uid == 0)
		return; /* lock busy for long */
	must_be(&sh->msg_of_uid[uid], msg, "message of appended uid", uid);
	must_be(&sh->uid_of_msg[msg], uid, "uid of appended message", msg);
	if (uid <= s->top)
		complain("append got uid %u below %u", uid, s->top);
	__atomic_add_fetch(&sh->appends, 1, __ATOMIC_SEQ_CST);
}

static void
act(struct box *b, struct session *s)
{
	uint32_t n = view_count(s->v), uid, msg;

	switch (pick(12)) {
	case 0:
		append_one(b, s);
		return;
	case 1:
	case 2:
		sync_session(s, false);
		return;
	case 3:
	case 4:
	case 5:
		sync_session(s, true);
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
	for (unsigned i = 0; i < rounds && !sh->failed; i++) {
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

/* ---- the other program ------------------------------------------------------ */

static void
deliver(struct box *b)
{
	static unsigned serial;
	char text[200], from[100], to[120];

	(void)new_msg(text);
	(void)snprintf(from, sizeof(from), "tmp/%lld.d%u.mx1",
	    (long long)time(NULL), ++serial);
	box_write(b, from, text);
	(void)snprintf(to, sizeof(to), "new/%s", from + 4);
	box_move(b, from, to);
}

/* A file of cur/, as a mail program that has read the folder knows it. */
static bool
some_file(struct box *b, char out[300])
{
	DIR *d = opendir(box_path(b, "cur"));
	struct dirent *e;
	unsigned n = 0;

	while ((e = readdir(d)) != NULL)
		if (e->d_name[0] != '.' && pick(++n) == 0)
			(void)snprintf(out, 300, "%s", e->d_name);
	closedir(d);
	return n > 0;
}

static uint32_t
msg_of_file(struct box *b, const char *rel)
{
	const char *text = box_read(b, rel);

	return msg_of_text(text, strlen(text));
}

/* Toggles \Draft by a rename that keeps all other letters. */
static void
toggle(struct box *b, const char *name)
{
	char from[320], to[330], *flags;
	uint32_t msg;
	bool had;

	(void)snprintf(from, sizeof(from), "cur/%s", name);
	msg = msg_of_file(b, from);
	flags = strstr(from, ":2,");
	if (msg == 0 || flags == NULL)
		return;
	had = flags[3] == 'D';
	if (had)
		(void)snprintf(to, sizeof(to), "%.*s:2,%s", (int)(flags - from),
		    from, flags + 4);
	else
		(void)snprintf(to, sizeof(to), "%.*s:2,D%s",
		    (int)(flags - from), from, flags + 3);
	if (rename(box_path(b, from), box_path(b, to)) == 0)
		sh->flags[2][msg] = had ? 2 : 1;
}

/* "Unread and new": back to new/, when it has no flags. */
static void
back_to_new(struct box *b, const char *name)
{
	char from[320], to[320];
	const char *flags = strstr(name, ":2,");

	if (flags == NULL || flags[3] != '\0')
		return;
	(void)snprintf(from, sizeof(from), "cur/%s", name);
	(void)snprintf(to, sizeof(to), "new/%.*s", (int)(flags - name), name);
	(void)rename(box_path(b, from), box_path(b, to));
}

static void
remove_file(struct box *b, const char *name)
{
	char rel[320];
	uint32_t msg;

	(void)snprintf(rel, sizeof(rel), "cur/%s", name);
	msg = msg_of_file(b, rel);
	if (msg == 0)
		return;
	sh->removed[msg] = 1;
	(void)unlink(box_path(b, rel));
}

static void
outsider(struct box *b, uint64_t seed)
{
	char name[300];

	rng = seed;
	for (unsigned i = 0; i < rounds && !sh->failed; i++) {
		uint32_t what = pick(10);

		if (what < 2) {
			deliver(b);
		} else if (some_file(b, name)) {
			if (what < 7)
				toggle(b, name);
			else if (what < 9)
				back_to_new(b, name);
			else if (pick(3) == 0)
				remove_file(b, name);
		}
		if (pick(4) == 0) {
			struct timespec ts = {.tv_nsec = 200000};

			(void)nanosleep(&ts, NULL);
		}
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
check_end(struct box *b)
{
	struct session s;
	uint8_t *met = calloc(MSGS_MAX, 1);

	box_open(b);
	open_session(b, &s, 0);
	for (uint32_t seq = 1; seq <= s.count; seq++) {
		uint32_t uid = view_uid(s.v, seq);
		uint32_t msg = look_at(&s, uid);
		struct flags f;

		if (msg == 0) {
			complain("message %u can not be read", uid);
			break;
		}
		if (met[msg]++)
			complain("message %u is there twice", msg);
		assert_true(view_flags(s.v, uid, &f));
		for (unsigned a = 0; a < ACTORS; a++) {
			size_t number = 0;
			bool has = mailbox_keyword_find(view_mailbox(s.v),
				       str_of(own_words[a]), &number) &&
			    (f.keywords & 1u << number) != 0;

			if (sh->removed[msg])
				continue;
			check_flag(sh->words[a][msg], has, "keyword", msg, a);
			check_flag(sh->flags[a][msg],
			    (f.system & own_flags[a]) != 0, "flag", msg, a);
		}
	}
	for (uint32_t msg = 1; msg <= sh->n_msgs; msg++)
		if (!met[msg] && !sh->removed[msg])
			complain("message %u is lost", msg);
	view_close(&s.v);
	box_close(b);
	free(met);
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
run(struct box *b, uint64_t seed)
{
	pid_t pids[2];

	memset(sh, 0, sizeof(*sh));
	for (int i = 0; i < 20; i++)
		deliver(b);
	(void)fflush(NULL);
	for (unsigned i = 0; i < 2; i++) {
		pids[i] = fork();
		if (pids[i] == 0)
			worker(b, i, seed * 7919 + i + 1);
		assert_true(pids[i] > 0);
	}
	outsider(b, seed * 104729 + 5);
	for (unsigned i = 0; i < 2; i++) {
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

static void
test_random(UNUSED void **state)
{
	uint64_t first = from_env("RESTANTE_TEST_SEED", 1), last = first + 4;

	rounds = (unsigned)from_env("RESTANTE_TEST_ROUNDS", rounds);
	if (getenv("RESTANTE_TEST_SEED") != NULL)
		last = first + 1;
	rng = first;
	for (uint64_t seed = first; seed < last; seed++) {
		struct box b;

		if (seed % 2 == 0)
			box_init_fast(&b);
		else
			box_init(&b);
		b.has_index = seed % 4 >= 2;
		run(&b, seed);
		box_done(&b);
	}
	/* A run in which nothing happened would prove nothing. */
	assert_true(sh->changes > rounds / 10);
	assert_true(sh->appends > 0 && sh->expunges > 0);
	assert_true(sh->seen > rounds);
	if (getenv("RESTANTE_TEST_SEED") != NULL)
		printf("changes %u expunges %u appends %u seen %u\n",
		    sh->changes, sh->expunges, sh->appends, sh->seen);
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
