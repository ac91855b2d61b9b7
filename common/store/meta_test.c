/* SPDX-License-Identifier: ISC */
/* meta_test.c - annotations: names, the file, what becomes of it. */
#include <fcntl.h>
#include <unistd.h>

#include "base/clock.h"
#include "store/meta.h"
#include "store/notify.h"
#include "store/special.h"
#include "tests/lib/fresh_box.h"

static void
test_names(UNUSED void **state)
{
	static const struct {
		const char *name;
		bool valid, complete;
	} cases[] = {
	    {"/private/comment", true, true},
	    {"/SHARED/Comment", true, true},
	    {"/private", true, false},
	    {"/shared", true, false},
	    {"/shared/vendor/cmu/x", true, true},
	    {"/shared/vendor/cmu", true, false},
	    {"/private/vendor", true, false},
	    {"/privately/x", false, false},
	    {"private/x", false, false},
	    {"", false, false},
	    {"/", false, false},
	    {"/private/x/", false, false},
	    {"/private//x", false, false},
	    {"/private/*", false, false},
	    {"/private/a%", false, false},
	    {"/private/a b", true, true},
	    {"/private/\xc3\xa4", false, false},
	    {"/private/\x01", false, false},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct str name = str_of(cases[i].name);

		assert_int_equal(meta_name_is_valid(name), cases[i].valid);
		if (cases[i].valid)
			assert_int_equal(
			    meta_name_is_complete(name), cases[i].complete);
	}
}

static void
test_file(UNUSED void **state)
{
	static const char good[] = "restante-metadata 1\n"
				   "/private/comment 4\na\0\nb\n"
				   "/private/x 0\n\n";
	struct meta_entry *first;
	struct arena a;
	struct buf b;

	arena_init(&a);
	buf_init(&b, 1000);
	assert_true(
	    meta_file_parse(&a, str_make(good, sizeof(good) - 1), &first));
	assert_true(str_eq(meta_find(first, STR("/PRIVATE/comment"))->value,
	    str_make("a\0\nb", 4)));
	meta_file_write(first, &b);
	assert_true(str_eq(buf_str(&b), str_make(good, sizeof(good) - 1)));
	/* What lies before the damage is there. */
	for (size_t n = 0; n < sizeof(good) - 1; n++) {
		bool ok = meta_file_parse(&a, str_make(good, n), &first);

		if (ok)
			assert_true(n == 20 || n == 44);
		if (n > 44)
			assert_non_null(first);
	}
	buf_done(&b);
	arena_done(&a);
}

static void
set(struct box *b, const char *mailbox, const char *name, const char *value)
{
	const struct meta_entry one = {
	    .name = str_of(name), .value = str_of(value)};
	struct meta_job job = {0};
	struct err e;

	if (meta_change(b->store, &job, str_of(mailbox), &one, NULL, &e) !=
	    STEP_DONE)
		fail_msg("%s: %s", mailbox, e.text);
}

static const char *
get(struct box *b, const char *mailbox, const char *name)
{
	static char text[200];
	struct meta_entry *first, *x;
	struct arena a;
	struct err e;

	arena_init(&a);
	(void)snprintf(text, sizeof(text), "-");
	if (meta_load(b->store, str_of(mailbox), &a, &first, &e) == -1)
		(void)snprintf(text, sizeof(text), "error %d", (int)e.code);
	else if ((x = meta_find(first, str_of(name))) != NULL)
		(void)snprintf(text, sizeof(text), "%.*s", STR_ARG(x->value));
	arena_done(&a);
	return text;
}

/* A file goes where its folder goes, and is not there without an entry. */
static void
test_life(void **state)
{
	struct box *b = *state;
	struct rename_job *job = NULL;
	unsigned phase = 0;
	enum step step;
	struct err e;

	box_open(b);
	assert_int_equal(store_create(b->store, STR("A"), &e), 0);
	set(b, "A", "/private/comment", "mine");
	set(b, "A", "/shared/comment", "ours");
	assert_true(box_has(b, ".A/restante-private"));
	assert_true(box_has(b, ".A/restante-metadata"));
	assert_string_equal(get(b, "A", "/Private/COMMENT"), "mine");
	assert_int_equal(
	    store_rename(b->store, STR("A"), STR("B"), &job, &e), STEP_DONE);
	rename_job_free(&job);
	assert_string_equal(get(b, "B", "/shared/comment"), "ours");
	set(b, "B", "/shared/comment", NULL);
	assert_false(box_has(b, ".B/restante-metadata"));
	assert_string_equal(get(b, "B", "/private/comment"), "mine");
	do
		step = store_delete(b->store, STR("B"), &phase, &e);
	while (step == STEP_MORE);
	assert_int_equal(step, STEP_DONE);
	assert_int_equal(store_create(b->store, STR("B"), &e), 0);
	assert_string_equal(get(b, "B", "/private/comment"), "-");
}

/* A damaged file costs what lies behind the damage, and is mended. */
static void
test_damage(void **state)
{
	struct box *b = *state;

	box_open(b);
	box_write(b, "restante-private",
	    "restante-metadata 1\n/private/comment 1\nx\n/private/b 9\nc\n");
	assert_string_equal(get(b, "INBOX", "/private/comment"), "x");
	assert_string_equal(get(b, "INBOX", "/private/b"), "-");
	set(b, "INBOX", "/private/b", "d");
	assert_string_equal(get(b, "INBOX", "/private/comment"), "x");
	assert_string_equal(get(b, "INBOX", "/private/b"), "d");
	box_write(b, "restante-private", "");
	assert_string_equal(get(b, "INBOX", "/private/b"), "-");
}

/* A lock that another process holds is waited for; nothing is half done. */
static void
test_lock(void **state)
{
	struct box *b = *state;
	const struct meta_entry one = {
	    .name = STR("/private/comment"), .value = STR("x")};
	struct meta_job job = {0};
	struct err e;

	box_open(b);
	box_write(b, "restante-private.lock", "1:other");
	assert_int_equal(
	    meta_change(b->store, &job, STR("INBOX"), &one, NULL, &e),
	    STEP_MORE);
	assert_string_equal(get(b, "INBOX", "/private/comment"), "-");
	box_unlink(b, "restante-private.lock");
	assert_int_equal(
	    meta_change(b->store, &job, STR("INBOX"), &one, NULL, &e),
	    STEP_DONE);
	assert_false(box_has(b, "restante-private.lock"));
}

static unsigned
uses_of(struct box *b, const char *mailbox)
{
	unsigned uses = 0;
	struct arena a;

	arena_init(&a);
	for (const struct meta_use *u = meta_uses(b->store, &a); u != NULL;
	     u = u->next)
		if (str_eq(u->name, str_of(mailbox)))
			uses = u->uses;
	arena_done(&a);
	return uses;
}

/* What another process writes into the list of special uses stays there. */
static void
test_list_lock(void **state)
{
	struct box *b = *state;
	const struct meta_entry one = {
	    .name = STR("/private/specialuse"), .value = STR("\\Sent")};
	struct meta_job job = {0};
	struct err e;

	box_open(b);
	assert_int_equal(store_create(b->store, STR("A"), &e), 0);
	assert_int_equal(store_create(b->store, STR("C"), &e), 0);
	box_write(b, "restante-special.lock", "1:other");
	assert_int_equal(
	    meta_change(b->store, &job, STR("A"), &one, NULL, &e), STEP_MORE);
	box_write(b, "restante-special", "restante-special 1\nC\n");
	box_unlink(b, "restante-special.lock");
	assert_int_equal(
	    meta_change(b->store, &job, STR("A"), &one, NULL, &e), STEP_DONE);
	assert_non_null(strstr(box_read(b, "restante-special"), "\nA\n"));
	assert_non_null(strstr(box_read(b, "restante-special"), "\nC\n"));
	assert_false(box_has(b, "restante-special.lock"));
}

/* A mailbox that is locked just then gives its use up, too. */
static void
test_taken_when_locked(void **state)
{
	struct box *b = *state;
	const struct meta_entry one = {
	    .name = STR("/private/specialuse"), .value = STR("\\Sent")};
	struct meta_job job = {0};
	struct err e;

	box_open(b);
	assert_int_equal(store_create(b->store, STR("A"), &e), 0);
	assert_int_equal(store_create(b->store, STR("B"), &e), 0);
	set(b, "A", "/private/specialuse", "\\Sent");
	box_write(b, ".A/restante-private.lock", "1:other");
	assert_int_equal(
	    meta_change(b->store, &job, STR("B"), &one, NULL, &e), STEP_MORE);
	assert_int_not_equal(uses_of(b, "B"), 0);
	box_unlink(b, ".A/restante-private.lock");
	assert_int_equal(
	    meta_change(b->store, &job, STR("B"), &one, NULL, &e), STEP_DONE);
	assert_int_equal(uses_of(b, "A"), 0);
	assert_int_not_equal(uses_of(b, "B"), 0);
	assert_false(box_has(b, "restante-special.lock"));
}

/* Whoever was to make the other give its use up has gone, or was killed. */
static void
test_taken_and_gone(void **state)
{
	struct box *b = *state;
	const struct meta_entry one = {
	    .name = STR("/private/specialuse"), .value = STR("\\Sent")};
	struct meta_job job = {0};
	struct err e;

	box_open(b);
	assert_int_equal(store_create(b->store, STR("A"), &e), 0);
	assert_int_equal(store_create(b->store, STR("B"), &e), 0);
	/* B stands before A in the list, and takes it from there again. */
	set(b, "A", "/private/specialuse", "\\Archive");
	set(b, "B", "/private/specialuse", "\\Junk");
	set(b, "A", "/private/specialuse", "\\Sent \\Archive");
	for (unsigned i = 0; i < 2; i++) {
		const char *loser = i == 0 ? "A" : "B";
		const char *winner = i == 0 ? "B" : "A";
		const char *lock = i == 0 ? ".A/restante-private.lock"
					  : ".B/restante-private.lock";

		box_write(b, lock, "1:other");
		job = (struct meta_job){0};
		assert_int_equal(
		    meta_change(b->store, &job, str_of(winner), &one, NULL, &e),
		    STEP_MORE);
		box_close(b);
		box_open(b);
		/* One alone has it, at once. */
		assert_true(uses_of(b, winner) & 1u << USE_SENT);
		assert_false(uses_of(b, loser) & 1u << USE_SENT);
		box_unlink(b, lock);
		(void)uses_of(b, winner);
		assert_null(
		    strstr(get(b, loser, "/private/specialuse"), "Sent"));
	}
	/* What had nothing to do with it is there. */
	assert_true(uses_of(b, "A") & 1u << USE_SENT);
}

/* Who has lost its use, and was not told of it, does not win by another name. */
static void
test_loser_renamed(void **state)
{
	struct box *b = *state;
	const struct meta_entry one = {
	    .name = STR("/private/specialuse"), .value = STR("\\Sent")};
	struct meta_job job = {0};
	struct err e;

	box_open(b);
	assert_int_equal(store_create(b->store, STR("A"), &e), 0);
	assert_int_equal(store_create(b->store, STR("B"), &e), 0);
	set(b, "B", "/private/specialuse", "\\Sent");
	box_write(b, ".B/restante-private.lock", "1:other");
	assert_int_equal(
	    meta_change(b->store, &job, STR("A"), &one, NULL, &e), STEP_MORE);
	box_close(b);
	box_unlink(b, ".B/restante-private.lock");
	box_open(b);
	assert_int_equal(now_rename(b->store, STR("B"), STR("C"), &e), 0);
	assert_true(uses_of(b, "A") & 1u << USE_SENT);
	assert_false(uses_of(b, "C") & 1u << USE_SENT);
}

/* RENAME tries again while somebody has the list, and holds nobody meanwhile. */
static void
test_rename_waits_in_steps(void **state)
{
	struct box *b = *state;
	struct rename_job *job = NULL;
	int64_t began;
	enum step step;
	struct err e;

	box_open(b);
	assert_int_equal(store_create(b->store, STR("A"), &e), 0);
	set(b, "A", "/private/specialuse", "\\Sent");
	box_write(b, "restante-special.lock", "1:other");
	began = clock_mono_ms();
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(
		    store_rename(b->store, STR("A"), STR("B"), &job, &e),
		    STEP_MORE);
	assert_true(store_must_wait(b->store));
	assert_true(clock_mono_ms() - began < 900);
	assert_true(store_exists(b->store, STR("A")));
	box_unlink(b, "restante-special.lock");
	do
		step = store_rename(b->store, STR("A"), STR("B"), &job, &e);
	while (step == STEP_MORE);
	assert_int_equal(step, STEP_DONE);
	rename_job_free(&job);
	assert_true(uses_of(b, "B") & 1u << USE_SENT);
	assert_false(box_has(b, "restante-special.lock"));
	/* Whom it does not concern does not wait. */
	assert_int_equal(store_create(b->store, STR("C"), &e), 0);
	box_write(b, "restante-special.lock", "1:other");
	assert_int_equal(now_rename(b->store, STR("C"), STR("D"), &e), 0);
}

/* The list of special uses is not written anew when it can not be read. */
static void
test_uses_that_can_not_be_read(void **state)
{
	struct box *b = *state;
	const struct meta_entry one = {
	    .name = STR("/private/specialuse"), .value = STR("\\Trash")};
	struct meta_job job = {0};
	struct stat st;
	struct err e;

	box_open(b);
	assert_int_equal(store_create(b->store, STR("A"), &e), 0);
	assert_int_equal(store_create(b->store, STR("B"), &e), 0);
	set(b, "A", "/private/specialuse", "\\Sent");
	box_move(b, "restante-special", "kept");
	assert_int_equal(symlink("kept", box_path(b, "restante-special")), 0);
	assert_int_equal(
	    meta_change(b->store, &job, STR("B"), &one, NULL, &e), STEP_FAIL);
	assert_int_equal(lstat(box_path(b, "restante-special"), &st), 0);
	assert_true(S_ISLNK(st.st_mode));
	assert_non_null(strstr(box_read(b, "kept"), "\nA\n"));
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_names),
	    cmocka_unit_test(test_file),
	    T(test_life),
	    T(test_damage),
	    T(test_lock),
	    T(test_uses_that_can_not_be_read),
	    T(test_list_lock),
	    T(test_taken_when_locked),
	    T(test_taken_and_gone),
	    T(test_loser_renamed),
	    T(test_rename_waits_in_steps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
