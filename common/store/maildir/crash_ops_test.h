/* SPDX-License-Identifier: ISC */
/*
 * crash_ops_test.h - what crash_test.c does to a Maildir while it kills: one
 * function for each operation, and how many messages there may be afterwards.
 * The calls of the system fail or kill while is_armed.
 */
#ifndef STORE_MAILDIR_CRASH_OPS_TEST_H
#define STORE_MAILDIR_CRASH_OPS_TEST_H

#include "index/index_state.h"
#include "store/maildir/journal.h"
#include "store/maildir/maildir_impl.h"
#include "store/modseq_floor.h"
#include "tests/lib/test_store.h"

static bool is_armed;

/* The message that goes by this letter. */
static const char *
text_of(char letter)
{
	static char text[sizeof(TEST_MSG)];

	memcpy(text, TEST_MSG, sizeof(text));
	*(strstr(text, "msg 1") + 4) = letter;
	return text;
}

static void
put(const struct box *b, const char *rel, char letter)
{
	box_write(b, rel, text_of(letter));
}

#define GUID "620a5138f51b026bb745000083ecc375"

static int
append_some(
    struct box *b, struct view *v, unsigned n, uint32_t *uid, struct err *e)
{
	struct flag_wish w = {.system = FLAG_SEEN};
	struct set32 uids;
	struct append *a;
	uint32_t validity;
	int rc = -1;

	set32_init(&uids);
	if (now_append_begin(b->store, STR("INBOX"), &a, e) == -1)
		return -1;
	if (v != NULL)
		view_replaces(v, 3, a);
	for (unsigned i = 0; i < n; i++) {
		if (append_message(a, &w, 5000, sizeof(TEST_MSG) - 1, e) ==
			-1 ||
		    append_data(a, str_of(text_of((char)('x' + i))), e) == -1)
			goto out;
		w.system = 0;
	}
	if (now_append_commit(a, &validity, &uids, e) == -1)
		goto out;
	*uid = set32_at(&uids, 1);
	rc = 0;
out:
	append_free(&a);
	set32_done(&uids);
	return rc;
}

static int
op_append(struct box *b, uint32_t *uid, struct err *e)
{
	return append_some(b, NULL, 1, uid, e);
}

/* Two who append at the same time; the second is told that it is there. */
static int
op_group(struct box *b, uint32_t *uid, struct err *e)
{
	const struct flag_wish w = {.system = FLAG_SEEN};
	struct append *a[2] = {NULL, NULL};
	enum step step[2] = {STEP_MORE, STEP_MORE};
	struct set32 uids[2];
	uint32_t validity;
	struct err other;

	set32_init(&uids[0]);
	set32_init(&uids[1]);
	for (unsigned i = 0; i < 2; i++)
		if (now_append_begin(b->store, STR("INBOX"), &a[i], e) == -1 ||
		    append_message(a[i], &w, 5000, sizeof(TEST_MSG) - 1, e) ==
			-1 ||
		    append_data(a[i], str_of(text_of((char)('x' + i))), e) ==
			-1)
			step[0] = step[1] = STEP_FAIL;
	while (step[0] == STEP_MORE || step[1] == STEP_MORE)
		for (unsigned i = 0; i < 2; i++)
			if (step[i] == STEP_MORE)
				step[i] =
				    append_commit(a[i], &validity, &uids[i],
					step[1 - i] == STEP_FAIL ? &other : e);
	if (step[1] == STEP_DONE)
		*uid = set32_at(&uids[1], 1);
	append_free(&a[0]);
	append_free(&a[1]);
	set32_done(&uids[0]);
	set32_done(&uids[1]);
	return step[0] == STEP_DONE && step[1] == STEP_DONE ? 0 : -1;
}

/* RFC 3502: all or none. */
static int
op_multiappend(struct box *b, uint32_t *uid, struct err *e)
{
	return append_some(b, NULL, 3, uid, e);
}

/* RFC 8508: the old one goes when the new one is there. */
static int
op_replace(struct box *b, uint32_t *uid, struct err *e)
{
	struct view *v;
	struct set32 one;
	uint32_t at = 0;
	enum step step = STEP_FAIL;

	if (now_view_open(b->store, STR("INBOX"), false, &v, e) == -1)
		return -1;
	set32_init(&one);
	set32_add(&one, 3);
	if (append_some(b, v, 1, uid, e) == 0)
		do
			step = view_remove(v, &one, &at, e);
		while (step == STEP_MORE);
	set32_done(&one);
	view_close(&v);
	return step == STEP_DONE ? 0 : -1;
}

static int
copy_or_move(struct box *b, bool move, struct err *e)
{
	struct set32 s = box_set(1, 2);
	struct copy_job *job = NULL;
	struct copy_result r = {0};
	struct view *v;
	enum step step;

	if (now_view_open(b->store, STR("INBOX"), false, &v, e) == -1)
		return -1;
	do
		step = view_copy(v, &s, STR("To"), move, &job, &r, e);
	while (step == STEP_MORE);
	copy_job_free(&job);
	view_close(&v);
	set32_done(&s);
	set32_done(&r.from);
	set32_done(&r.to);
	return step == STEP_DONE ? 0 : -1;
}

static int
op_copy(struct box *b, UNUSED uint32_t *uid, struct err *e)
{
	return copy_or_move(b, false, e);
}

static int
op_move(struct box *b, UNUSED uint32_t *uid, struct err *e)
{
	return copy_or_move(b, true, e);
}

static int
op_expunge(struct box *b, UNUSED uint32_t *uid, struct err *e)
{
	struct view *v;
	uint32_t at = 0;
	enum step step;

	if (now_view_open(b->store, STR("INBOX"), false, &v, e) == -1)
		return -1;
	if (box_store(v, 1, 2, STORE_ADD, FLAG_DELETED, NULL, e) == -1) {
		view_close(&v);
		return -1;
	}
	do
		step = view_expunge(v, NULL, &at, e);
	while (step == STEP_MORE);
	view_close(&v);
	return step == STEP_DONE ? 0 : -1;
}

static int
op_rewrite(struct box *b, uint32_t *uid, struct err *e)
{
	struct view *v;
	int rc;

	if (now_view_open(b->store, STR("INBOX"), false, &v, e) == -1)
		return -1;
	maildir_of(view_mailbox(v))->list.must_rewrite = true;
	rc = append_some(b, NULL, 1, uid, e);
	view_close(&v);
	return rc;
}

static int
op_deliver(struct box *b, UNUSED uint32_t *uid, struct err *e)
{
	struct view *v;
	int rc;

	is_armed = false;
	put(b, "new/1795300400.M1P1.mx1", 'z');
	is_armed = true;
	rc = now_view_open(b->store, STR("INBOX"), false, &v, e);
	if (rc == 0)
		view_close(&v);
	return rc;
}

static int
op_keyword(struct box *b, UNUSED uint32_t *uid, struct err *e)
{
	struct view *v;
	int rc;

	if (now_view_open(b->store, STR("INBOX"), false, &v, e) == -1)
		return -1;
	rc = box_store(v, 1, 3, STORE_ADD, FLAG_FLAGGED, "fresh", e);
	view_close(&v);
	return rc;
}

static int
op_flags(struct box *b, UNUSED uint32_t *uid, struct err *e)
{
	struct view *v;
	int rc;

	if (now_view_open(b->store, STR("INBOX"), false, &v, e) == -1)
		return -1;
	rc = box_store(v, 1, 3, STORE_ADD, FLAG_FLAGGED, NULL, e);
	view_close(&v);
	return rc;
}

/* The 26 letters are taken: a file of our own, and its lines. */
static int
op_more_keywords(struct box *b, UNUSED uint32_t *uid, struct err *e)
{
	struct view *v;
	int rc;

	is_armed = false;
	if (now_view_open(b->store, STR("INBOX"), false, &v, e) == -1)
		return -1;
	for (char c = 'A'; c <= 'Y'; c++) {
		char word[] = {c, 'k', 'w', '\0'};
		size_t number;

		while (maildir_keyword(view_mailbox(v), str_of(word), &number,
			   e) == STEP_MORE)
			continue;
	}
	is_armed = true;
	rc = box_store(v, 1, 3, STORE_ADD, FLAG_FLAGGED, "fresh", e);
	view_close(&v);
	return rc;
}

static int
op_rename_inbox(struct box *b, UNUSED uint32_t *uid, struct err *e)
{
	return now_rename(b->store, STR("INBOX"), STR("Moved"), e);
}

static int
op_create(struct box *b, UNUSED uint32_t *uid, struct err *e)
{
	return store_create(b->store, STR("Fresh"), e);
}

static int
op_delete(struct box *b, UNUSED uint32_t *uid, struct err *e)
{
	return now_delete(b->store, STR("To"), e);
}

static int
op_rename(struct box *b, UNUSED uint32_t *uid, struct err *e)
{
	return now_rename(b->store, STR("To"), STR("Moved"), e);
}

static int
op_subscribe(struct box *b, UNUSED uint32_t *uid, struct err *e)
{
	return now_subscribe(b->store, STR("To"), true, e);
}

static int
op_first_open(struct box *b, UNUSED uint32_t *uid, struct err *e)
{
	struct view *v;
	int rc;

	is_armed = false;
	box_unlink(b, "dovecot-uidlist");
	is_armed = true;
	rc = now_view_open(b->store, STR("INBOX"), false, &v, e);
	if (rc == 0)
		view_close(&v);
	return rc;
}

/* A journal whose writer was killed among the renames, or the links. */
static int
finish_journal(struct box *b, const char *lines, const char *box, struct err *e)
{
	struct view *v;
	struct buf t;
	char rel[100];
	int rc;

	buf_init(&t, 4096);
	journal_begin(&t, str_head(str_of(index_state_boot()), 36));
	(void)buf_add_c(&t, lines);
	(void)journal_end(&t); /* also of lines that are none */
	(void)buf_add_byte(&t, '\0');
	(void)snprintf(rel, sizeof(rel), "%s%s",
	    strcmp(box, "INBOX") == 0 ? "" : ".To/", JOURNAL_FILE);
	box_write(b, rel, t.p);
	buf_done(&t);
	is_armed = true;
	rc = now_view_open(b->store, str_of(box), false, &v, e);
	if (rc == 0)
		view_close(&v);
	return rc;
}

static int
op_redo(struct box *b, UNUSED uint32_t *uid, struct err *e)
{
	is_armed = false;
	put(b, "new/1795300401.M1P1.mx1", 'x');
	put(b, "tmp/1795300401.M2P1.mx1", 'y');
	put(b, "tmp/1795300401.M3P1.mx1", 'z');
	return finish_journal(b,
	    "+n/1795300401.M1P1.mx1/1795300401.M1P1.mx1\n"
	    "+n/1795300401.M2P1.mx1/1795300401.M2P1.mx1\n"
	    "+c/1795300401.M3P1.mx1/1795300401.M3P1.mx1,S=9:2,S\n",
	    "INBOX", e);
}

static int
op_undo(struct box *b, UNUSED uint32_t *uid, struct err *e)
{
	char from[300];

	is_armed = false;
	(void)snprintf(from, sizeof(from), "%s", box_path(b, "cur/b:2,Fa"));
	assert_int_equal(link(from, box_path(b, ".To/cur/b:2,F")), 0);
	return finish_journal(b, "=b\n=c\n", "To", e);
}

static int
op_redo_replace(struct box *b, UNUSED uint32_t *uid, struct err *e)
{
	is_armed = false;
	put(b, "tmp/1795300401.M1P1.mx1", 'x');
	return finish_journal(b,
	    "+n/1795300401.M1P1.mx1/1795300401.M1P1.mx1,S=9\n-c\n", "INBOX", e);
}

struct op {
	const char *name;
	int (*fn)(struct box *b, uint32_t *uid, struct err *e);
	unsigned inbox_min, inbox_max; /* after a kill */
	unsigned inbox_ok, inbox_failed;
	unsigned to_min, to_max, to_ok, to_failed;
	bool renumbers;
};

#define ANY 99

static const struct op ops[] = {
    {"append", op_append, 3, 4, 4, 3, 1, 1, 1, 1, false},
    {"group", op_group, 3, 5, 5, ANY, 1, 1, 1, 1, false},
    {"multiappend", op_multiappend, 3, 6, 6, 3, 1, 1, 1, 1, false},
    {"redo", op_redo, 6, 6, 6, ANY, 1, 1, 1, 1, false},
    {"undo", op_undo, 3, 3, 3, 3, 1, 1, 1, 1, false},
    {"redo replace", op_redo_replace, 3, 3, 3, ANY, 1, 1, 1, 1, false},
    {"replace", op_replace, 3, 3, 3, ANY, 1, 1, 1, 1, false},
    {"rewrite", op_rewrite, 3, 4, 4, 3, 1, 1, 1, 1, false},
    {"copy", op_copy, 3, 3, 3, 3, 1, 3, 3, 1, false},
    {"move", op_move, 1, 3, 1, ANY, 1, 3, 3, ANY, false},
    {"expunge", op_expunge, 1, 3, 1, ANY, 1, 1, 1, 1, false},
    {"deliver", op_deliver, 4, 4, 4, 4, 1, 1, 1, 1, false},
    {"keyword", op_keyword, 3, 3, 3, 3, 1, 1, 1, 1, false},
    {"flags", op_flags, 3, 3, 3, 3, 1, 1, 1, 1, false},
    {"more keywords", op_more_keywords, 3, 3, 3, 3, 1, 1, 1, 1, false},
    {"rename INBOX", op_rename_inbox, 0, 3, 0, ANY, 1, 4, 4, ANY, false},
    {"create", op_create, 3, 3, 3, 3, 1, 1, 1, 1, false},
    {"delete", op_delete, 3, 3, 3, 3, 0, 1, 0, ANY, false},
    {"rename", op_rename, 3, 3, 3, 3, 1, 1, 1, 1, false},
    {"subscribe", op_subscribe, 3, 3, 3, 3, 1, 1, 1, 1, false},
    {"first open", op_first_open, 3, 3, 3, 3, 1, 1, 1, 1, true},
};

#endif
