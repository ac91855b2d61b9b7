/* SPDX-License-Identifier: ISC */
/*
 * test_store.h - a Maildir in a temporary folder, for unit tests: files are
 * written and read as another program would, beside the store.
 */
#ifndef TESTS_LIB_TEST_STORE_H
#define TESTS_LIB_TEST_STORE_H

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "os/file.h"
#include "store/mailbox_impl.h"
#include "store/msg.h"

/* 127 bytes with LF, 134 with CRLF: MSG(n) of compat-tests.md. */
#define TEST_MSG                                                               \
	"From: a@example.org\nTo: b@example.org\nSubject: msg 1\n"             \
	"Date: Mon, 02 Mar 2026 10:01:00 +0000\n"                              \
	"Message-ID: <m1@example.org>\n\nhello\n"

struct box {
	char home[64];
	char root[80]; /* home/Maildir */
	struct store *store;
	const char *location;
	const char *courier; /* courier_compat */
	const char *quota; /* maildir_quota */
	const char *read_locks, *write_locks; /* mbox_*_locks */
	unsigned lock_timeout_s; /* mbox_lock_timeout */
	bool poll_only; /* closing an inotify instance takes 10 ms */
	bool has_index; /* in home/index, or that name below home */
	const char *index_name;
	struct ev_loop *loop;
	uint32_t mailboxes_max;
};

/* A whole test program once more, with an index for every store. */
static UNUSED bool box_all_with_index;

static UNUSED const char *
box_path(const struct box *b, const char *rel)
{
	static char paths[4][600];
	static unsigned i;
	char *p = paths[i++ % 4];

	(void)snprintf(p, 600, "%s/%s", b->root, rel);
	return p;
}

static UNUSED void
box_write(const struct box *b, const char *rel, const char *text)
{
	FILE *f = fopen(box_path(b, rel), "w");

	if (f == NULL)
		fail_msg("%s: %s", rel, strerror(errno));
	if (*text != '\0')
		assert_int_equal(fwrite(text, strlen(text), 1, f), 1);
	assert_int_equal(fclose(f), 0);
}

/* Content of a file in a static buffer; "" when it is not there. */
static UNUSED const char *
box_read(const struct box *b, const char *rel)
{
	static char text[200000];
	FILE *f = fopen(box_path(b, rel), "r");
	size_t n = 0;

	if (f != NULL) {
		n = fread(text, 1, sizeof(text) - 1, f);
		(void)fclose(f);
	}
	text[n] = '\0';
	return text;
}

static UNUSED bool
box_has(const struct box *b, const char *rel)
{
	return access(box_path(b, rel), F_OK) == 0;
}

static UNUSED void
box_dirs(const struct box *b, const char *folder)
{
	static const char *const subs[] = {"", "/cur", "/new", "/tmp"};
	char rel[300];

	for (size_t i = 0; i < 4; i++) {
		(void)snprintf(rel, sizeof(rel), "%s%s", folder, subs[i]);
		if (mkdir(box_path(b, rel), 0700) == -1)
			assert_int_equal(errno, EEXIST);
	}
}

static UNUSED void
box_msg(const struct box *b, const char *rel)
{
	box_write(b, rel, TEST_MSG);
}

static UNUSED void
box_move(const struct box *b, const char *from, const char *to)
{
	if (rename(box_path(b, from), box_path(b, to)) == -1)
		fail_msg("%s to %s: %s", from, to, strerror(errno));
}

static UNUSED void
box_unlink(const struct box *b, const char *rel)
{
	assert_int_equal(unlink(box_path(b, rel)), 0);
}

/* A file of a directory whose name begins so; fails without. */
static UNUSED const char *
box_find(const struct box *b, const char *dir, const char *start)
{
	static char found[300];
	DIR *d = opendir(box_path(b, dir));
	struct dirent *e;

	found[0] = '\0';
	assert_non_null(d);
	while ((e = readdir(d)) != NULL)
		if (e->d_name[0] != '.' &&
		    strncmp(e->d_name, start, strlen(start)) == 0)
			(void)snprintf(
			    found, sizeof(found), "%s/%s", dir, e->d_name);
	closedir(d);
	return found;
}

static UNUSED unsigned
box_files(const struct box *b, const char *dir)
{
	DIR *d = opendir(box_path(b, dir));
	struct dirent *e;
	unsigned n = 0;

	assert_non_null(d);
	while ((e = readdir(d)) != NULL)
		n += e->d_name[0] != '.';
	closedir(d);
	return n;
}

static UNUSED void
box_init_in(struct box *b, const char *dir)
{
	*b = (struct box){.location = "maildir:~/Maildir"};
	(void)snprintf(
	    b->home, sizeof(b->home), "%s/restante-test.XXXXXX", dir);
	assert_non_null(mkdtemp(b->home));
	(void)snprintf(b->root, sizeof(b->root), "%s/Maildir", b->home);
	assert_int_equal(mkdir(b->root, 0700), 0);
	box_dirs(b, ".");
}

static UNUSED void
box_init(struct box *b)
{
	box_init_in(b, "/tmp");
}

static UNUSED const char *
box_fast_dir(void)
{
	return access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
}

/* In memory, for tests that sync thousands of times. */
static UNUSED void
box_init_fast(struct box *b)
{
	box_init_in(b, box_fast_dir());
}

/* A home with spool/joe for INBOX and mail/ for the others, no Maildir. */
static UNUSED void
box_init_mbox_in(struct box *b, const char *dir)
{
	*b = (struct box){.location = "mbox:~/mail:INBOX=~/spool/%u"};
	(void)snprintf(
	    b->home, sizeof(b->home), "%s/restante-test.XXXXXX", dir);
	assert_non_null(mkdtemp(b->home));
	(void)snprintf(b->root, sizeof(b->root), "%s", b->home);
	assert_int_equal(mkdir(box_path(b, "spool"), 0700), 0);
	assert_int_equal(mkdir(box_path(b, "mail"), 0700), 0);
}

static UNUSED void
box_init_mbox(struct box *b)
{
	box_init_mbox_in(b, box_fast_dir());
}

static UNUSED void
box_open(struct box *b)
{
	char index[80];
	struct store_settings set = {
	    .mailboxes_max = b->mailboxes_max,
	    .user = "joe",
	    .home = b->home,
	    .mail_location = b->location,
	    .host = "mx1",
	    .courier_compat = b->courier,
	    .maildir_quota = b->quota,
	    .mbox_read_locks = b->read_locks,
	    .mbox_write_locks = b->write_locks,
	    .mbox_lock_timeout_s = b->lock_timeout_s,
	    .poll_only = b->poll_only,
	    .index_dir = b->has_index || box_all_with_index ? index : NULL,
	};
	struct err e;

	(void)snprintf(index, sizeof(index), "%s/%s", b->home,
	    b->index_name != NULL ? b->index_name : "index");
	if (store_open(&set, b->loop, &b->store, &e) == -1)
		fail_msg("store_open: %s", e.text);
}

static UNUSED void
box_close(struct box *b)
{
	store_close(&b->store);
}

static UNUSED void
box_done(struct box *b)
{
	struct err e;

	if (b->store != NULL)
		store_close(&b->store);
	if (file_remove_tree(AT_FDCWD, b->home, &e) == -1)
		fail_msg("%s", e.text);
}

/* ---- whole operations, for tests that are not about steps ----------------- */

static UNUSED int
now_view_open(struct store *s, struct str name, bool read_only,
    struct view **out, struct err *e)
{
	enum step step;

	*out = NULL;
	while ((step = view_open(s, name, read_only, out, e)) == STEP_MORE)
		store_pause(s);
	return step == STEP_DONE ? 0 : -1;
}

static UNUSED int
now_view_sync(struct view *v, bool may_expunge, const struct view_sink *sink,
    void *arg, struct err *e)
{
	enum step step;

	while ((step = view_sync(v, may_expunge, sink, arg, e)) == STEP_MORE)
		store_pause(view_mailbox(v)->store);
	return step == STEP_DONE ? 0 : -1;
}

static UNUSED int
now_append_begin(
    struct store *s, struct str name, struct append **out, struct err *e)
{
	enum step step;

	*out = NULL;
	while ((step = append_begin(s, name, out, e)) == STEP_MORE)
		store_pause(s);
	return step == STEP_DONE ? 0 : -1;
}

static UNUSED int
now_append_commit(
    struct append *a, uint32_t *uidvalidity, struct set32 *uids, struct err *e)
{
	enum step step;

	while ((step = append_commit(a, uidvalidity, uids, e)) == STEP_MORE)
		store_pause(a->m->store);
	return step == STEP_DONE ? 0 : -1;
}

static UNUSED int
now_status(struct store *s, struct str name, bool with_size,
    struct mailbox_status *out, struct err *e)
{
	struct status_job *job = NULL;
	enum step step;

	while ((step = store_status(s, name, with_size, &job, out, e)) ==
	    STEP_MORE)
		store_pause(s);
	status_job_free(&job);
	return step == STEP_DONE ? 0 : -1;
}

static UNUSED int
now_list(struct store *s, bool subscribed_only, struct arena *a,
    struct mbox_entry **first, struct err *e)
{
	struct list_job *job = NULL;
	enum step step;

	while ((step = store_list(s,
		    subscribed_only ? LIST_SUBSCRIBED : LIST_EXISTING, a, &job,
		    first, e)) == STEP_MORE)
		store_pause(s);
	list_job_free(&job);
	return step == STEP_DONE ? 0 : -1;
}

static UNUSED int
now_delete(struct store *s, struct str name, struct err *e)
{
	unsigned phase = 0;
	enum step step;

	while ((step = store_delete(s, name, &phase, e)) == STEP_MORE)
		store_pause(s);
	return step == STEP_DONE ? 0 : -1;
}

static UNUSED int
now_rename(struct store *s, struct str from, struct str to, struct err *e)
{
	struct rename_job *job = NULL;
	enum step step;

	while ((step = store_rename(s, from, to, &job, e)) == STEP_MORE)
		store_pause(s);
	rename_job_free(&job);
	return step == STEP_DONE ? 0 : -1;
}

static UNUSED int
now_subscribe(struct store *s, struct str name, bool on, struct err *e)
{
	enum step step;

	while ((step = store_subscribe(s, name, on, e)) == STEP_MORE)
		store_pause(s);
	return step == STEP_DONE ? 0 : -1;
}

static UNUSED struct view *
box_view(struct box *b, const char *name, bool read_only)
{
	struct view *v;
	struct err e;

	if (now_view_open(b->store, str_of(name), read_only, &v, &e) == -1)
		fail_msg("view_open %s: %s", name, e.text);
	return v;
}

/* Flags of a message in words: "S F $Label1", \Recent as "r". */
static UNUSED const char *
box_flags(struct view *v, uint32_t uid)
{
	static char text[2000];
	static const struct {
		uint8_t flag;
		char letter;
	} all[] = {{FLAG_ANSWERED, 'R'}, {FLAG_FLAGGED, 'F'},
	    {FLAG_DELETED, 'T'}, {FLAG_SEEN, 'S'}, {FLAG_DRAFT, 'D'},
	    {FLAG_RECENT, 'r'}};
	struct flags f;
	size_t n = 0;

	if (!view_flags(v, uid, &f))
		return "gone";
	for (size_t i = 0; i < 6; i++)
		if (f.system & all[i].flag)
			text[n++] = all[i].letter;
	text[n] = '\0';
	for (size_t i = 0; i < 26; i++)
		if (f.keywords & 1u << i)
			n += (size_t)snprintf(text + n, sizeof(text) - n,
			    " %.*s",
			    STR_ARG(mailbox_keyword_name(view_mailbox(v), i)));
	for (size_t i = 0; i < f.n_more; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, " %.*s",
		    STR_ARG(mailbox_keyword_name(view_mailbox(v), f.more[i])));
	return text;
}

/* What view_sync told, as text: "x3 e5 f2 k ". */
struct told {
	char text[4000];
	size_t n;
};

static UNUSED void
told_add(struct told *t, char what, uint32_t number)
{
	t->n += (size_t)snprintf(
	    t->text + t->n, sizeof(t->text) - t->n, "%c%u ", what, number);
	if (t->n > sizeof(t->text) - 40)
		t->n = sizeof(t->text) - 40; /* more than a test reads */
}

static UNUSED void
told_expunge(void *arg, uint32_t seq, uint32_t uid)
{
	(void)uid;
	told_add(arg, 'x', seq);
}

static UNUSED void
told_exists(void *arg, uint32_t count)
{
	told_add(arg, 'e', count);
}

static UNUSED void
told_recent(void *arg, uint32_t count)
{
	told_add(arg, 'r', count);
}

static UNUSED void
told_flags(void *arg, uint32_t seq, uint32_t uid)
{
	(void)uid;
	told_add(arg, 'f', seq);
}

static UNUSED void
told_keywords(void *arg)
{
	told_add(arg, 'k', 0);
}

static UNUSED const char *
box_sync(struct view *v, bool may_expunge)
{
	static const struct view_sink sink = {
	    .expunge = told_expunge,
	    .exists = told_exists,
	    .recent = told_recent,
	    .flags = told_flags,
	    .keywords = told_keywords,
	};
	static struct told t;
	struct err e;

	t.n = 0;
	t.text[0] = '\0';
	if (now_view_sync(v, may_expunge, &sink, &t, &e) == -1)
		fail_msg("view_sync: %s", e.text);
	return t.text;
}

static UNUSED struct set32
box_set(uint32_t first, uint32_t last)
{
	struct set32 s;

	set32_init(&s);
	set32_add_range(&s, first, last);
	return s;
}

static UNUSED int
box_store(struct view *v, uint32_t first, uint32_t last, enum store_op op,
    uint8_t system, const char *keyword, struct err *e)
{
	struct set32 s = box_set(first, last);
	struct str name = str_of(keyword);
	struct flag_wish w = {system, &name, keyword != NULL};
	uint32_t at = 0;
	enum step step;

	do
		step = view_store(v, &s, op, &w, true, &at, NULL, e);
	while (step == STEP_MORE);
	set32_done(&s);
	return step == STEP_DONE ? 0 : -1;
}

static UNUSED uint32_t
box_append(struct box *b, const char *name, const char *text, uint8_t system,
    int64_t date_s)
{
	struct append *a;
	struct flag_wish w = {.system = system};
	struct set32 uids;
	uint32_t uid = 0, uidvalidity;
	struct err e;

	set32_init(&uids);
	if (now_append_begin(b->store, str_of(name), &a, &e) == -1 ||
	    append_message(a, &w, date_s, strlen(text), &e) == -1 ||
	    append_data(a, str_of(text), &e) == -1 ||
	    now_append_commit(a, &uidvalidity, &uids, &e) == -1)
		fail_msg("append: %s", e.text);
	append_free(&a);
	uid = set32_at(&uids, 1);
	set32_done(&uids);
	return uid;
}

#endif
