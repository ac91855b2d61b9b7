/* SPDX-License-Identifier: ISC */
/* metadata_watch_test.c - which annotations are told to have changed. */
#include "imapd/metadata_watch.h"
#include "store/meta.h"
#include "tests/lib/fresh_box.h"
#include "tests/lib/unread.h"

#define FILE_NAME "restante-metadata"

static void
on_entry(void *arg, struct str entry)
{
	buf_addf(arg, "%.*s ", STR_ARG(entry));
}

/* What a look tells, when somebody has touched the file. */
static void
assert_look(struct box *b, struct metadata_watch *w, const char *wanted)
{
	struct buf told;

	buf_init(&told, 1000);
	w->seen--;
	metadata_watch_look(w, b->store, STR("INBOX"), on_entry, &told);
	assert_true(str_eq(buf_str(&told), str_of(wanted)));
	buf_done(&told);
}

static void
set(struct box *b, const char *value)
{
	const struct meta_entry one = {
	    .name = STR("/shared/comment"), .value = str_of(value)};
	struct meta_job job = {0};
	struct err e;

	assert_int_equal(
	    meta_change(b->store, &job, STR("INBOX"), &one, NULL, &e),
	    STEP_DONE);
}

static void
test_look(void **state)
{
	struct metadata_watch w = {0};
	struct box *b = *state;

	box_open(b);
	set(b, "one");
	metadata_watch_begin(&w, b->store, STR("INBOX"));
	assert_non_null(w.place);
	assert_look(b, &w, "");
	set(b, "two");
	assert_look(b, &w, "/shared/comment ");
	assert_look(b, &w, "");
	box_unlink(b, FILE_NAME);
	assert_look(b, &w, "/shared/comment ");
	assert_look(b, &w, "");
	metadata_watch_end(&w);
}

/* What can not be read just now is not told to be gone. */
static void
test_unread(void **state)
{
	const struct meta_entry one = {.name = STR("/shared/comment")};
	struct metadata_watch w = {0};
	struct box *b = *state;

	box_open(b);
	set(b, "one");
	metadata_watch_begin(&w, b->store, STR("INBOX"));
	no_open = FILE_NAME;
	assert_look(b, &w, "");
	metadata_watch_told(&w, b->store, STR("INBOX"), &one);
	no_open = NULL;
	assert_look(b, &w, "");
	metadata_watch_end(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_look, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_unread, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
