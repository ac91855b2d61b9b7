/* SPDX-License-Identifier: ISC */
/*
 * check_index_test.c - what is said of an index that is wrong, and that a
 * repair leaves a right one, whose mail is what it was.
 */
#include <ev.h>

#include "index/index_check.h"
#include "store/check.h"
#include "store/derived.h"
#include "tests/lib/indexed_box.h"

static char told[8000];
static unsigned n_faults;

/* The index knows all of them, and some facts. */
static void
learn(struct box *b)
{
	struct view *v;
	struct err e;

	settle(b);
	box_open(b);
	v = box_view(b, "INBOX", false);
	for (uint32_t uid = 1; uid <= 300; uid += 7) {
		struct msg *m;
		uint64_t size;

		assert_int_equal(msg_open(v, uid, &m, &e), 0);
		assert_int_equal(msg_wire_size(m, &size, &e), 0);
		msg_close(&m);
		derived_put(view_mailbox(v), uid, INDEX_ENVELOPE, STR("e"));
	}
	assert_int_equal(box_store(v, 5, 5, STORE_ADD, 0, "word", &e), 0);
	settle(b);
	(void)box_sync(v, true);
	view_close(&v);
	box_close(b);
}

/* 300 messages: more than one chunk. */
static void
fill(struct box *b)
{
	char name[64];

	for (int i = 1; i <= 300; i++) {
		(void)snprintf(name, sizeof(name), "cur/%d.m:2,%s", 1000 + i,
		    i % 3 == 0 ? "" : "S");
		box_msg(b, name);
	}
	learn(b);
}

static const char *
index_dir(const struct box *b)
{
	static char dir[100];

	(void)snprintf(dir, sizeof(dir), "%s/index", b->home);
	return dir;
}

static struct store_settings
settings(const struct box *b)
{
	return (struct store_settings){
	    .user = "joe",
	    .home = b->home,
	    .mail_location = b->location,
	    .index_dir = index_dir(b),
	    .poll_only = true,
	};
}

static void
on_found(UNUSED void *arg, const struct check_finding *f)
{
	size_t n = strlen(told);

	if (strcmp(f->kind, "index") != 0)
		fail_msg("%.*s", STR_ARG(f->text));
	n_faults += f->weight == CHECK_FAULT;
	(void)snprintf(told + n, sizeof(told) - n, "%.*s%.*s\n",
	    STR_ARG(f->mailbox), STR_ARG(f->text));
}

/* How many faults; their sentences are in `told`. */
static unsigned
check(struct box *b)
{
	struct store_settings set = settings(b);
	struct check_sum sum;
	struct err e;

	told[0] = '\0';
	n_faults = 0;
	if (store_check(&set, on_found, NULL, &sum, &e) == -1)
		fail_msg("%s", e.text);
	assert_int_equal(sum.messages, 300);
	return n_faults;
}

static void
repair(struct box *b)
{
	struct store_settings set = settings(b);
	struct ev_loop *loop = ev_loop_new(0);
	struct err e;

	told[0] = '\0';
	n_faults = 0;
	if (store_repair(&set, loop, on_found, NULL, &e) == -1)
		fail_msg("%s", e.text);
	ev_loop_destroy(loop);
	assert_int_equal(n_faults, 0);
}

/* ---- wrong in some way --------------------------------------------------- */

struct wrong {
	struct box *b;
	uint32_t box;
	struct index_head head;
	struct buf copy; /* of the head */
};

static int
change_rec(struct index *ix, struct wrong *w, uint32_t uid, index_edit_fn *fn,
    struct err *e)
{
	struct index_sums sums = {0};

	return index_box_edit(ix, w->box, &uid, 1, fn, NULL, &sums, e);
}

static enum index_edit
flag_it(UNUSED void *arg, struct index_rec *r, UNUSED struct str *side)
{
	r->system ^= FLAG_FLAGGED;
	return INDEX_EDIT_CHANGED;
}

static enum index_edit
resize_it(UNUSED void *arg, struct index_rec *r, UNUSED struct str *side)
{
	r->size++;
	return INDEX_EDIT_CHANGED;
}

static enum index_edit
raise_it(UNUSED void *arg, struct index_rec *r, UNUSED struct str *side)
{
	r->modseq = UINT64_MAX / 2;
	return INDEX_EDIT_CHANGED;
}

static enum index_edit
drop_it(UNUSED void *arg, UNUSED struct index_rec *r, UNUSED struct str *side)
{
	return INDEX_EDIT_DROP;
}

static int
wrong_flags(struct index *ix, struct wrong *w, struct err *e)
{
	return change_rec(ix, w, 7, flag_it, e);
}

static int
wrong_size(struct index *ix, struct wrong *w, struct err *e)
{
	return change_rec(ix, w, 8, resize_it, e);
}

static int
wrong_modseq(struct index *ix, struct wrong *w, struct err *e)
{
	return change_rec(ix, w, 8, raise_it, e);
}

static int
lost_record(struct index *ix, struct wrong *w, struct err *e)
{
	return change_rec(ix, w, 9, drop_it, e);
}

static int
stray_fact(struct index *ix, struct wrong *w, struct err *e)
{
	return cache_put(ix, w->box, INDEX_ENVELOPE, 900, STR("x"), e);
}

static int
wrong_counts(struct index *ix, struct wrong *w, struct err *e)
{
	w->head.unseen++;
	return index_box_save_head(ix, &w->head, e);
}

static int
wrong_uidnext(struct index *ix, struct wrong *w, struct err *e)
{
	w->head.uidnext = 301 + 50;
	return index_box_save_head(ix, &w->head, e);
}

static int
wrong_keyword(struct index *ix, struct wrong *w, struct err *e)
{
	w->head.keywords = str_make("other", 6);
	return index_box_save_head(ix, &w->head, e);
}

static int
wrong_live(struct index *ix, struct wrong *w, struct err *e)
{
	w->head.live = STR("\1\5");
	return index_box_save_head(ix, &w->head, e);
}

static int
wrong_sum(struct index *ix, struct wrong *w, struct err *e)
{
	w->head.wire_sum += 5;
	return index_box_save_head(ix, &w->head, e);
}

static int
orphans(struct index *ix, struct wrong *w, struct err *e)
{
	return cache_put(ix, w->box + 3, INDEX_ENVELOPE, 1, STR("x"), e);
}

static const struct {
	const char *name;
	int (*fn)(struct index *ix, struct wrong *w, struct err *e);
	const char *text; /* in what is told */
} wrongs[] = {
    {"flags", wrong_flags,
	"1 messages have other flags than in the mail "
	"(UID 7)"},
    {"size", wrong_size,
	"1 messages have another size than their files "
	"(UID 8)"},
    {"modseq", wrong_modseq, "a message has a higher mod-sequence"},
    {"record", lost_record, "of 300 messages it has the records of 299"},
    {"stray", stray_fact, "facts about messages that are gone (1)"},
    {"counts", wrong_counts,
	"101 unread and 0 deleted messages, in the mail "
	"100 and 0"},
    {"uidnext", wrong_uidnext, "UIDNEXT 351, in the mail"},
    {"keyword", wrong_keyword, "\"other\", in the mail \"word\""},
    {"live", wrong_live, "its list of messages makes no sense"},
    {"sum", wrong_sum, "the sum of all sizes is"},
    {"orphans", orphans, "records of 1 mailboxes that no mailbox has"},
};

static size_t at;

static int
make_wrong(struct index *ix, void *arg, struct err *e)
{
	struct wrong *w = arg;
	struct index_key k = index_key_head(str_of(w->b->root));
	char place[200];
	struct str value;

	(void)snprintf(place, sizeof(place), "%s/.", w->b->root);
	k = index_key_head(str_of(place));
	assert_true(index_get(ix, &k, &value));
	buf_clear(&w->copy);
	(void)buf_add_str(&w->copy, value);
	assert_true(index_head_parse(buf_str(&w->copy), &w->head));
	w->box = w->head.box;
	return wrongs[at].fn(ix, w, e);
}

static void
test_wrong(void **state)
{
	struct box *b = *state;
	struct wrong w = {.b = b};
	struct index *ix;
	struct view *v;
	struct err e;

	fill(b);
	buf_init(&w.copy, 1 << 20);
	if (check(b) != 0)
		fail_msg("%s", told);
	for (at = 0; at < ARRAY_LEN(wrongs); at++) {
		assert_int_equal(index_open(index_dir(b), 0, &ix, &e), 0);
		if (index_write(ix, make_wrong, &w, &e) == -1)
			fail_msg("%s: %s", wrongs[at].name, e.text);
		index_close(&ix);
		if (check(b) == 0 || strstr(told, wrongs[at].text) == NULL)
			fail_msg("%s: %s", wrongs[at].name, told);
		/* It was only looked at. */
		assert_int_not_equal(check(b), 0);
		repair(b);
		if (check(b) != 0)
			fail_msg("%s: %s", wrongs[at].name, told);
		learn(b);
	}
	box_open(b);
	v = box_view(b, "INBOX", false);
	assert_int_equal(view_count(v), 300);
	assert_string_equal(box_flags(v, 7), "S");
	assert_string_equal(box_flags(v, 5), "S word");
	view_close(&v);
	buf_done(&w.copy);
}

/* The mailbox has changed since: the index is old, not wrong. */
static void
test_old(void **state)
{
	struct box *b = *state;

	fill(b);
	box_move(b, "cur/1007.m:2,S", "cur/1007.m:2,FS");
	assert_int_equal(check(b), 0);
}

/* ---- the files ----------------------------------------------------------- */

static void
test_files(void **state)
{
	struct box *b = *state;
	struct index *ix;
	struct err e;
	char path[200];

	/* No index, no finding. */
	fill(b);
	(void)snprintf(path, sizeof(path), "%s/index", b->home);
	assert_int_equal(chmod(path, 0777), 0);
	assert_int_equal(check(b), 1);
	assert_non_null(strstr(told, "Others may write into the index at /"));
	assert_int_equal(chmod(path, 0700), 0);
	assert_int_equal(check(b), 0);
	/* A session has met damage. */
	assert_int_equal(index_open(index_dir(b), 0, &ix, &e), 0);
	index_note_damage(ix, "test");
	index_close(&ix);
	assert_int_equal(check(b), 1);
	assert_non_null(strstr(told, "The index was found damaged."));
	repair(b);
	assert_int_equal(check(b), 0);
	assert_non_null(strstr(told, "kept as"));
	assert_int_equal(file_remove_tree(AT_FDCWD, path, &e), 0);
	assert_int_equal(check(b), 0);
	assert_string_equal(told, "");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	    T(test_wrong),
	    T(test_old),
	    T(test_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
