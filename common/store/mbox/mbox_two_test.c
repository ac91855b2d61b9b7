/* SPDX-License-Identifier: ISC */
/*
 * mbox_two_test.c - two stores, as of two processes, on one mbox, and another
 * program beside them: what one has told its clients holds for the other.
 */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "store/mbox/mbox_impl.h"
#include "tests/lib/other_mbox.h"

#define PSEUDO                                                                 \
	"From MAILER_DAEMON  Sat Nov 21 22:35:51 2026\n"                       \
	"Subject: DON'T DELETE THIS MESSAGE -- FOLDER INTERNAL DATA\n"         \
	"X-IMAP: 1795300550 0000000000\nStatus: RO\n\nThis text is "           \
	"internal.\n\n"
#define TEXT(n) "Subject: " n "\nMessage-ID: <" n "@x>\n\nbody " n "\n"
#define INBOX "spool/joe"

struct two {
	struct box b;
	struct store *stores[2];
};

static void
begin_as(struct two *t, bool poll_only)
{
	box_init_mbox(&t->b);
	box_write(&t->b, INBOX, PSEUDO);
	t->b.poll_only = poll_only;
	for (unsigned i = 0; i < 2; i++) {
		box_open(&t->b);
		t->stores[i] = t->b.store;
	}
}

static void
begin(struct two *t)
{
	begin_as(t, true);
}

static void
end(struct two *t)
{
	store_close(&t->stores[0]);
	store_close(&t->stores[1]);
	t->b.store = NULL;
	box_done(&t->b);
}

static struct view *
view_of(struct two *t, unsigned i, bool read_only)
{
	t->b.store = t->stores[i];
	return box_view(&t->b, "INBOX", read_only);
}

static void
deliver(struct two *t, const char *text)
{
	struct other_mbox o;

	assert_true(other_lock(&o, box_path(&t->b, INBOX), true));
	other_append(&o, text);
	other_unlock(&o);
}

/* The message whose body says so is removed by another program. */
static void
remove_body(struct two *t, const char *body)
{
	struct other_mbox o;

	assert_true(other_lock(&o, box_path(&t->b, INBOX), false));
	other_load(&o);
	for (size_t i = 0; i < o.n; i++)
		if (strcmp(o.v[i].body, body) == 0)
			o.v[i].is_gone = true;
	other_save(&o, false);
	other_unlock(&o);
}

/* An UID that a client has heard of is of no other message, for anybody. */
static void
check_told_uid(bool read_only)
{
	struct two t;
	struct view *v[2];

	begin(&t);
	deliver(&t, TEXT("1"));
	v[0] = view_of(&t, 0, read_only);
	assert_int_equal(view_uid(v[0], 1), 1);
	remove_body(&t, "body 1\n");
	deliver(&t, TEXT("2"));
	v[1] = view_of(&t, 1, false);
	assert_int_equal(view_count(v[1]), 1);
	assert_int_equal(view_uid(v[1], 1), 2);
	view_close(&v[0]);
	view_close(&v[1]);
	end(&t);
}

static void
test_told_uid(UNUSED void **state)
{
	check_told_uid(false);
}

static void
test_told_uid_read_only(UNUSED void **state)
{
	check_told_uid(true);
}

/* One in the middle, which somebody has put before an older one. */
static void
test_told_uid_in_the_middle(UNUSED void **state)
{
	struct two t;
	struct other_mbox o;
	struct other_msg first;
	struct view *v[2];

	begin(&t);
	for (unsigned i = 0; i < 3; i++)
		deliver(&t,
		    i == 0       ? TEXT("1")
			: i == 1 ? TEXT("2")
				 : TEXT("3"));
	v[0] = view_of(&t, 0, false);
	assert_true(other_lock(&o, box_path(&t.b, INBOX), false));
	other_load(&o);
	first = o.v[1];
	o.v[1] = o.v[2];
	o.v[2] = first;
	other_save(&o, false);
	other_unlock(&o);
	/* 2, 1, 3 in the file: the second is given 4, the third 5. */
	v[1] = view_of(&t, 1, false);
	assert_int_equal(view_uid(v[1], 3), 5);
	deliver(&t, TEXT("4"));
	t.b.store = t.stores[0];
	assert_int_equal(box_append(&t.b, "INBOX", TEXT("5"), 0, -1), 7);
	view_close(&v[0]);
	view_close(&v[1]);
	end(&t);
}

/* Moved away and back by another process, between two looks of ours. */
static void
test_back_again(UNUSED void **state)
{
	struct two t;
	struct view *v[2];
	struct set32 uids = box_set(1, 1);
	uint32_t at = 0;
	enum step step;
	struct err e;

	begin(&t);
	deliver(&t, TEXT("1"));
	v[0] = view_of(&t, 0, false);
	v[1] = view_of(&t, 1, false);
	assert_int_equal(
	    box_store(v[0], 1, 1, STORE_ADD, FLAG_DELETED, NULL, &e), 0);
	do
		step = view_expunge(v[0], &uids, &at, &e);
	while (step == STEP_MORE);
	assert_int_equal(step, STEP_DONE);
	t.b.store = t.stores[0];
	assert_int_equal(box_append(&t.b, "INBOX", TEXT("1"), 0, -1), 2);
	assert_string_equal(box_sync(v[1], true), "x1 e1 r1 ");
	assert_int_equal(view_uid(v[1], 1), 2);
	set32_done(&uids);
	view_close(&v[0]);
	view_close(&v[1]);
	end(&t);
}

/*
 * Two who begin at the same time with a large file, which does not say its UIDs
 * yet: what one has told is of no other message for the other.
 */
static void
test_both_begin(UNUSED void **state)
{
	const struct mbox_tuning tuning = mbox_tuning;
	struct two t;
	struct view *v[2] = {0};
	enum step step;
	struct err e;
	int64_t slice = store_slice_ms;

	begin(&t);
	box_write(&t.b, INBOX, "");
	mbox_tuning.eager_bytes = 1;
	for (unsigned i = 0; i < 40; i++)
		deliver(&t, TEXT("1")); /* more than a step reads */
	store_slice_ms = 0;
	assert_int_equal(
	    view_open(t.stores[1], STR("INBOX"), false, &v[1], &e), STEP_MORE);
	v[0] = view_of(&t, 0, false);
	while ((step = view_open(
		    t.stores[1], STR("INBOX"), false, &v[1], &e)) == STEP_MORE)
		store_pause(t.stores[1]);
	assert_int_equal(step, STEP_DONE);
	store_slice_ms = slice;
	deliver(&t, TEXT("3"));
	(void)box_sync(v[0], true);
	assert_int_equal(view_count(v[0]), 41);
	remove_body(&t, "body 3\n");
	deliver(&t, TEXT("4"));
	(void)box_sync(v[1], true);
	assert_int_equal(view_count(v[1]), 41);
	/* One identity, not one of the same second by chance. */
	assert_int_equal(
	    view_mailbox(v[0])->uidvalidity, view_mailbox(v[1])->uidvalidity);
	for (uint32_t seq = 1; seq <= 40; seq++) {
		assert_int_equal(view_uid(v[0], seq), seq);
		assert_int_equal(view_uid(v[1], seq), seq);
	}
	assert_int_not_equal(view_uid(v[0], 41), view_uid(v[1], 41));
	view_close(&v[0]);
	view_close(&v[1]);
	mbox_tuning = tuning;
	end(&t);
}

static enum step
remove_one(struct view *v, uint32_t uid, struct err *e)
{
	struct set32 uids = box_set(uid, uid);
	uint32_t at = 0;
	enum step step = STEP_MORE;

	while (step == STEP_MORE)
		step = view_remove(v, &uids, &at, e);
	set32_done(&uids);
	return step;
}

static void
told_path(struct two *t, char out[300])
{
	char key[MBOX_KEY_BYTES];

	mbox_key(box_path(&t->b, INBOX), key);
	(void)snprintf(
	    out, 300, "%s/mbox/%s" MBOX_TOLD, t->stores[0]->state, key);
}

static bool
has_told(struct two *t)
{
	char path[300];

	told_path(t, path);
	return access(path, F_OK) == 0;
}

/* The same with one who comes later, when more have been told. */
static void
test_later_beside(UNUSED void **state)
{
	const struct mbox_tuning tuning = mbox_tuning;
	struct two t;
	struct view *v[2];
	struct err e;

	begin(&t);
	box_write(&t.b, INBOX, "");
	mbox_tuning.eager_bytes = 1;
	deliver(&t, TEXT("1"));
	v[0] = view_of(&t, 0, false);
	deliver(&t, TEXT("2"));
	deliver(&t, TEXT("3"));
	(void)box_sync(v[0], true);
	assert_int_equal(view_uid(v[0], 3), 3);
	v[1] = view_of(&t, 1, false);
	assert_int_equal(
	    view_mailbox(v[0])->uidvalidity, view_mailbox(v[1])->uidvalidity);
	for (uint32_t seq = 1; seq <= 3; seq++)
		assert_int_equal(view_uid(v[1], seq), seq);
	/* It is removed by either; the other knows it by the same UID. */
	assert_int_equal(remove_one(v[1], 2, &e), STEP_DONE);
	(void)box_sync(v[0], true);
	assert_int_equal(view_count(v[0]), 2);
	assert_int_equal(view_uid(v[0], 2), 3);
	assert_int_equal(remove_one(v[0], 3, &e), STEP_DONE);
	(void)box_sync(v[1], true);
	assert_int_equal(view_count(v[1]), 1);
	assert_non_null(strstr(box_read(&t.b, INBOX), "X-UID: 1"));
	assert_false(has_told(&t));
	view_close(&v[0]);
	view_close(&v[1]);
	mbox_tuning = tuning;
	end(&t);
}

/*
 * What has come is numbered by both, and some of it has gone before the other
 * looks, or another program has put it elsewhere.
 */
static void
test_later_mail(UNUSED void **state)
{
	const struct mbox_tuning tuning = mbox_tuning;
	struct other_mbox o;
	struct other_msg first;
	struct mailbox *m;
	struct two t;
	struct view *v[3];

	begin(&t);
	box_write(&t.b, INBOX, "");
	mbox_tuning.eager_bytes = 1;
	deliver(&t, TEXT("1"));
	deliver(&t, TEXT("2"));
	v[0] = view_of(&t, 0, false);
	v[1] = view_of(&t, 1, false);
	deliver(&t, TEXT("3"));
	deliver(&t, TEXT("4"));
	(void)box_sync(v[0], true);
	assert_int_equal(view_uid(v[0], 4), 4);
	remove_body(&t, "body 3\n");
	deliver(&t, TEXT("5"));
	(void)box_sync(v[1], true);
	assert_int_equal(view_uid(v[1], 3), 4);
	assert_int_equal(view_uid(v[1], 4), 5);
	(void)box_sync(v[0], true);
	assert_int_equal(view_uid(v[0], 4), 5);
	/* 2 before 1, for one who knows nothing yet. */
	assert_true(other_lock(&o, box_path(&t.b, INBOX), false));
	other_load(&o);
	first = o.v[0];
	o.v[0] = o.v[1];
	o.v[1] = first;
	other_save(&o, false);
	other_unlock(&o);
	box_open(&t.b);
	v[2] = box_view(&t.b, "INBOX", false);
	for (uint32_t seq = 1; seq <= 4; seq++)
		assert_int_equal(view_uid(v[2], seq), seq + (seq > 2));
	m = view_mailbox(v[2]);
	assert_true(mbox_slot_of(m, mailbox_rec(m, 2))->off <
	    mbox_slot_of(m, mailbox_rec(m, 1))->off);
	view_close(&v[2]);
	store_close(&t.b.store);
	view_close(&v[0]);
	view_close(&v[1]);
	mbox_tuning = tuning;
	end(&t);
}

static void
spoil(const char *path, off_t at)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	char bytes[3] = {0};

	assert_true(fd != -1);
	assert_true(pread(fd, bytes, sizeof(bytes), at) != -1);
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] ^= 0x5a;
	assert_int_equal(pwrite(fd, bytes, sizeof(bytes), at), sizeof(bytes));
	close(fd);
}

/* Bytes of the file of what was told decide nothing but large numbers. */
static void
test_told_damaged(UNUSED void **state)
{
	const struct mbox_tuning tuning = mbox_tuning;
	struct two t;
	struct view *v[2];

	for (size_t n = 0; n < 140; n += 3) {
		struct mailbox *m;
		char path[300];

		begin(&t);
		box_write(&t.b, INBOX, "");
		mbox_tuning.eager_bytes = 1;
		deliver(&t, TEXT("1"));
		deliver(&t, TEXT("2"));
		v[0] = view_of(&t, 0, false);
		assert_true(has_told(&t));
		told_path(&t, path);
		if (n % 2 == 0)
			assert_int_equal(truncate(path, (off_t)n), 0);
		else
			spoil(path, (off_t)n);
		v[1] = view_of(&t, 1, false);
		assert_int_equal(view_count(v[1]), 2);
		assert_true(view_uid(v[1], 1) < view_uid(v[1], 2));
		/* No UID of another message. */
		m = view_mailbox(v[1]);
		for (uint32_t uid = 1; uid <= 2; uid++) {
			struct msg_rec *rec = mailbox_rec(m, uid);

			if (rec != NULL)
				assert_true((mbox_slot_of(m, rec)->off == 0) ==
				    (uid == 1));
		}
		view_close(&v[0]);
		view_close(&v[1]);
		mbox_tuning = tuning;
		end(&t);
	}
}

/* It is the user's own, who may have put anything there. */
static void
make_odd(const char *path, unsigned kind)
{
	assert_int_equal(unlink(path), 0);
	switch (kind) {
	case 0:
		assert_int_equal(mkfifo(path, 0600), 0);
		break;
	case 1:
		assert_int_equal(symlink("/dev/zero", path), 0);
		break;
	case 2:
		assert_int_equal(mkdir(path, 0700), 0);
		break;
	default:
		close(open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0600));
		assert_int_equal(truncate(path, (off_t)1 << 40), 0);
	}
}

static void
test_told_odd(UNUSED void **state)
{
	const struct mbox_tuning tuning = mbox_tuning;
	struct two t;
	struct view *v[2];

	for (unsigned kind = 0; kind < 4; kind++) {
		char path[300];

		begin(&t);
		box_write(&t.b, INBOX, "");
		mbox_tuning.eager_bytes = 1;
		deliver(&t, TEXT("1"));
		deliver(&t, TEXT("2"));
		v[0] = view_of(&t, 0, false);
		told_path(&t, path);
		make_odd(path, kind);
		v[1] = view_of(&t, 1, false);
		assert_int_equal(view_count(v[1]), 2);
		assert_true(view_uid(v[1], 1) < view_uid(v[1], 2));
		view_close(&v[0]);
		view_close(&v[1]);
		if (kind == 2)
			(void)rmdir(path);
		mbox_tuning = tuning;
		end(&t);
	}
}

/* Where no UID is left, none is given twice. */
static void
test_no_uid_left(UNUSED void **state)
{
	const struct mbox_tuning tuning = mbox_tuning;
	char path[300], text[3 * PATH_MAX];
	struct view *v = NULL;
	struct two t;
	struct err e;
	enum step step;
	int fd, n;

	begin(&t);
	box_write(&t.b, INBOX, "");
	mbox_tuning.eager_bytes = 1;
	deliver(&t, TEXT("1"));
	told_path(&t, path);
	(void)snprintf(text, sizeof(text), "%s/mbox", t.stores[0]->state);
	assert_int_equal(file_make_path(text, &e), 0);
	fd = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
	assert_true(fd != -1);
	assert_int_equal(ftruncate(fd, 200), 0);
	close(fd);
	path[strlen(path) - strlen(MBOX_TOLD)] = '\0';
	n = snprintf(text, sizeof(text),
	    "restante-mbox 1\nuidvalidity 1795300494\nuidnext %u\n"
	    "guid 0123456789abcdef0123456789abcdef\ninode 1\npath %s\n",
	    UINT32_MAX - 1, box_path(&t.b, INBOX));
	fd = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
	assert_true(fd != -1);
	assert_int_equal(write(fd, text, (size_t)n), n);
	close(fd);
	while ((step = view_open(t.stores[0], STR("INBOX"), false, &v, &e)) ==
	    STEP_MORE)
		store_pause(t.stores[0]);
	assert_int_equal(step, STEP_FAIL);
	assert_int_equal(e.code, ERR_LIMIT);
	mbox_tuning = tuning;
	end(&t);
}

/* Begun anew while it is long, it says what it said of all that are there. */
static void
test_told_anew(UNUSED void **state)
{
	const struct mbox_tuning tuning = mbox_tuning;
	struct two t;
	struct view *v[2];
	char text[60], body[20];

	for (uint32_t first = 1; first <= 7; first += 6) {
		begin(&t);
		box_write(&t.b, INBOX, "");
		mbox_tuning.eager_bytes = 1;
		mbox_tuning.told_spare = 0;
		for (uint32_t i = 1; i <= 7; i++) {
			(void)snprintf(text, sizeof(text),
			    "Subject: %u\n\nbody %u\n", i, i);
			deliver(&t, text);
		}
		v[0] = view_of(&t, 0, false);
		/* At its end alone, then all of it. */
		for (uint32_t i = 1; i < first; i++) {
			(void)snprintf(body, sizeof(body), "body %u\n", i);
			remove_body(&t, body);
		}
		deliver(&t, TEXT("8"));
		(void)box_sync(v[0], true);
		v[1] = view_of(&t, 1, false);
		for (uint32_t i = 0; i < 2; i++) {
			assert_int_equal(view_count(v[i]), 9 - first);
			for (uint32_t seq = 1; seq <= 9 - first; seq++)
				assert_int_equal(
				    view_uid(v[i], seq), first + seq - 1);
		}
		view_close(&v[0]);
		view_close(&v[1]);
		mbox_tuning = tuning;
		end(&t);
	}
}

/* As another process that could not see that the first one is 1: it is 7. */
static void
number_anew(struct two *t)
{
	static char text[10000];
	char *p;
	int fd;

	(void)snprintf(text, sizeof(text), "%s", box_read(&t->b, INBOX));
	p = strstr(text, "X-IMAP: ");
	assert_non_null(p);
	p = strchr(p + 8, ' ') + 1;
	memcpy(p, "0000000007", 10);
	p = strstr(text, "X-UID: 1");
	assert_non_null(p);
	p[7] = '7';
	fd = open(box_path(&t->b, INBOX), O_WRONLY | O_CLOEXEC);
	assert_true(fd != -1);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

/*
 * What is to go has another UID by then, which somebody has written: that is no
 * removal, and must not seem to be one, whether it is met on the way or another
 * session has met it before.
 */
static void
test_expunge_renumbered(UNUSED void **state)
{
	for (int met_before = 0; met_before < 2; met_before++) {
		struct two t;
		struct view *v, *other = NULL;
		struct err e;

		begin(&t);
		deliver(&t, TEXT("1"));
		v = view_of(&t, 0, false);
		assert_int_equal(view_uid(v, 1), 1);
		number_anew(&t);
		if (met_before) {
			other = view_of(&t, 0, false);
			assert_int_equal(view_uid(other, 1), 7);
		}
		assert_int_equal(remove_one(v, 1, &e), STEP_FAIL);
		assert_int_equal(e.code, ERR_IN_USE);
		assert_non_null(strstr(box_read(&t.b, INBOX), "body 1\n"));
		/* The next time it is known by that UID. */
		(void)box_sync(v, true);
		assert_int_equal(view_uid(v, 1), 7);
		assert_int_equal(remove_one(v, 7, &e), STEP_DONE);
		assert_null(strstr(box_read(&t.b, INBOX), "body 1\n"));
		if (other != NULL)
			view_close(&other);
		view_close(&v);
		end(&t);
	}
}

/* A keyword that comes with a message is there once APPEND is acknowledged. */
static void
test_keyword_of_append(UNUSED void **state)
{
	struct two t;
	struct str word = STR("word");
	struct flag_wish wish = {FLAG_FLAGGED, &word, 1};
	struct view *v, *open;
	struct append *a;
	struct set32 uids;
	uint32_t validity;
	struct err e;

	begin(&t);
	open = view_of(&t, 0, false); /* so that nothing is written late */
	/* The second time the keyword is known, but a message has no UID. */
	for (unsigned i = 1; i <= 2; i++) {
		if (i == 2)
			deliver(&t, TEXT("1"));
		set32_init(&uids);
		if (now_append_begin(t.stores[0], STR("INBOX"), &a, &e) == -1 ||
		    append_message(a, &wish, -1, strlen(TEXT("2")), &e) == -1 ||
		    append_data(a, STR(TEXT("2")), &e) == -1 ||
		    now_append_commit(a, &validity, &uids, &e) == -1)
			fail_msg("%s", e.text);
		assert_int_equal(set32_at(&uids, 1), i == 1 ? 1 : 3);
		append_free(&a);
		set32_done(&uids);
	}
	v = view_of(&t, 1, true);
	assert_int_equal(view_uid(v, 3), 3);
	assert_string_equal(box_flags(v, 3), "Fr word");
	view_close(&v);
	view_close(&open);
	end(&t);
}

/* As if neither had seen what the other keeps of the file. */
static void
forget_kept(struct two *t)
{
	char key[MBOX_KEY_BYTES], name[128];

	mbox_key(box_path(&t->b, INBOX), key);
	(void)snprintf(
	    name, sizeof(name), ".local/state/restante/mbox/%s", key);
	box_unlink(&t->b, name);
}

/*
 * Both find no file, or an empty one, for which each thinks of an UIDVALIDITY,
 * and neither has told a client of its own: that of the first who writes is
 * everybody's.
 */
static void
check_both_append_first(bool is_there)
{
	struct two t;
	struct append *a[2];
	struct set32 uids;
	uint32_t validity[2];
	struct err e;

	begin(&t);
	box_write(&t.b, INBOX, "");
	if (!is_there)
		box_unlink(&t.b, INBOX);
	for (unsigned i = 0; i < 2; i++) {
		if (now_append_begin(t.stores[i], STR("INBOX"), &a[i], &e) ==
		    -1)
			fail_msg("%s", e.text);
		forget_kept(&t);
	}
	for (unsigned i = 0; i < 2; i++) {
		set32_init(&uids);
		if (append_message(a[i], &(struct flag_wish){0}, -1,
			strlen(TEXT("1")), &e) == -1 ||
		    append_data(a[i], STR(TEXT("1")), &e) == -1 ||
		    now_append_commit(a[i], &validity[i], &uids, &e) == -1)
			fail_msg("%u: %s", i, e.text);
		assert_int_equal(set32_at(&uids, 1), i + 1);
		append_free(&a[i]);
		set32_done(&uids);
	}
	assert_int_equal(validity[0], validity[1]);
	end(&t);
}

static void
test_both_append_first(UNUSED void **state)
{
	check_both_append_first(true);
}

static void
test_both_append_first_of_all(UNUSED void **state)
{
	check_both_append_first(false);
}

static void
set_flag(struct view *v, enum store_op op, uint8_t flag, const char *word)
{
	struct err e;

	if (box_store(v, 1, 1, op, flag, word, &e) == -1)
		fail_msg("%s", e.text);
}

/*
 * While somebody has the lock, flags wait in memory. What the other process
 * changes of the same message then is not lost.
 */
static void
test_both_change(UNUSED void **state)
{
	struct two t;
	struct other_mbox o;
	struct view *v[2];
	const char *flags;
	char word[8];

	begin(&t);
	deliver(&t, TEXT("1"));
	v[0] = view_of(&t, 0, false);
	v[1] = view_of(&t, 1, false);
	for (unsigned i = 0; i < 30; i++) {
		(void)snprintf(word, sizeof(word), "k%02u", i);
		set_flag(v[0], STORE_ADD, i == 0 ? FLAG_SEEN : 0, word);
	}
	(void)box_sync(v[1], true);
	assert_true(other_lock(&o, box_path(&t.b, INBOX), false));
	set_flag(v[0], STORE_ADD, FLAG_FLAGGED, "k30");
	set_flag(v[0], STORE_REMOVE, FLAG_SEEN, "k27");
	set_flag(v[0], STORE_REMOVE, 0, "k03");
	other_unlock(&o);
	set_flag(v[1], STORE_ADD, FLAG_ANSWERED, "k31");
	set_flag(v[1], STORE_REMOVE, 0, "k28");
	set_flag(v[1], STORE_REMOVE, 0, "k04");
	view_close(&v[0]);
	mailbox_close_idle(t.stores[0], true);
	(void)box_sync(v[1], true);
	flags = box_flags(v[1], 1);
	assert_int_equal(strncmp(flags, "RFr k00 k01 k02 k05", 19), 0);
	assert_non_null(strstr(flags, " k26"));
	assert_non_null(strstr(flags, " k29"));
	assert_non_null(strstr(flags, " k30"));
	assert_non_null(strstr(flags, " k31"));
	assert_null(strstr(flags, " k27"));
	assert_null(strstr(flags, " k28"));
	view_close(&v[1]);
	end(&t);
}

/*
 * Another program has made headers longer, within the same tick of the clock as
 * our last look, so that the file's stamp tells nothing: what we write of them
 * must not end in their middle.
 */
static void
check_longer_within_the_tick(bool poll_only)
{
	struct two t;
	struct other_mbox o;
	struct view *v;
	struct mbox *mb;
	struct stat st;
	const char *text;

	begin_as(&t, poll_only);
	deliver(&t, TEXT("1"));
	deliver(&t, TEXT("2"));
	v = view_of(&t, 0, false);
	set_flag(v, STORE_ADD, FLAG_SEEN, NULL);
	assert_true(other_lock(&o, box_path(&t.b, INBOX), false));
	other_load(&o);
	for (size_t i = 0; i < o.n; i++)
		other_set_field(&o.v[i], "X-Keywords", "                    ");
	other_save(&o, false);
	other_unlock(&o);
	mb = mbox_of(view_mailbox(v));
	assert_int_equal(stat(box_path(&t.b, INBOX), &st), 0);
	mb->stamp = file_stamp_of(&st);
	mb->scanned_us = mbox_changed_us(&mb->stamp) + 10 * MBOX_RACY_US;
	set_flag(v, STORE_ADD, FLAG_ANSWERED, NULL);
	view_close(&v);
	mailbox_close_idle(t.stores[0], true);
	/* Each header line is one, and there is one UID for each. */
	text = box_read(&t.b, INBOX);
	assert_null(strstr(text, "\n    "));
	assert_non_null(strstr(text, "X-UID: 2"));
	assert_null(strstr(strstr(text, "X-UID: 2") + 1, "X-UID: 2"));
	v = view_of(&t, 1, false);
	assert_string_equal(box_flags(v, 1), "RS");
	assert_int_equal(view_uid(v, 2), 2);
	view_close(&v);
	end(&t);
}

static void
test_longer_within_the_tick(UNUSED void **state)
{
	check_longer_within_the_tick(true);
	check_longer_within_the_tick(false);
}

/* inotify says whether the times have to be doubted. */
static void
test_quiet(UNUSED void **state)
{
	struct two t;
	struct other_mbox o;
	struct view *v;
	struct mailbox *m;

	begin_as(&t, false);
	deliver(&t, TEXT("1"));
	v = view_of(&t, 0, false);
	m = view_mailbox(v);
	/* What was read when nobody watched. */
	(void)box_sync(v, true);
	deliver(&t, TEXT("2"));
	(void)box_sync(v, true);
	assert_int_equal(view_count(v), 2);
	assert_true(mbox_is_quiet(m));
	set_flag(v, STORE_ADD, FLAG_SEEN, NULL);
	assert_true(mbox_is_quiet(m));
	assert_true(other_lock(&o, box_path(&t.b, INBOX), false));
	other_load(&o);
	other_save(&o, false);
	other_unlock(&o);
	assert_false(mbox_is_quiet(m));
	(void)box_sync(v, true);
	view_close(&v);
	end(&t);
	begin_as(&t, true);
	deliver(&t, TEXT("1"));
	v = view_of(&t, 0, false);
	(void)box_sync(v, true);
	assert_false(mbox_is_quiet(view_mailbox(v)));
	view_close(&v);
	end(&t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_told_uid),
	    cmocka_unit_test(test_told_uid_read_only),
	    cmocka_unit_test(test_told_uid_in_the_middle),
	    cmocka_unit_test(test_back_again),
	    cmocka_unit_test(test_both_begin),
	    cmocka_unit_test(test_expunge_renumbered),
	    cmocka_unit_test(test_later_beside),
	    cmocka_unit_test(test_later_mail),
	    cmocka_unit_test(test_told_damaged),
	    cmocka_unit_test(test_told_odd),
	    cmocka_unit_test(test_no_uid_left),
	    cmocka_unit_test(test_told_anew),
	    cmocka_unit_test(test_keyword_of_append),
	    cmocka_unit_test(test_both_append_first),
	    cmocka_unit_test(test_both_append_first_of_all),
	    cmocka_unit_test(test_both_change),
	    cmocka_unit_test(test_longer_within_the_tick),
	    cmocka_unit_test(test_quiet),
	};

	log_set_level(LOG_LEVEL_FATAL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
