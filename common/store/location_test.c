/* SPDX-License-Identifier: ISC */
/* location_test.c - what mail_location says, and what is found without it. */
#include "store/location.h"
#include "tests/lib/fresh_box.h"

static void
test_location(UNUSED void **state)
{
	static const struct {
		const char *user, *text, *root, *inbox, *control;
		bool fs, utf8;
	} good[] = {
	    {"joe", "maildir:~/Maildir", "/home/joe/Maildir", NULL, NULL, false,
		false},
	    {"joe", "maildir:~/Maildir/", "/home/joe/Maildir", NULL, NULL,
		false, false},
	    {"joe", "maildir:Mail", "/home/joe/Mail", NULL, NULL, false, false},
	    {"joe@ex.org", "maildir:/var/vmail/%d/%n:LAYOUT=fs",
		"/var/vmail/ex.org/joe", NULL, NULL, true, false},
	    {"Joe", "maildir:/v/%Lu/%u:INDEX=/x/%u", "/v/joe/Joe", NULL, NULL,
		false, false},
	    {"joe",
		"maildir:%h/M:INBOX=/var/in/%u:CONTROL=~/ctl:"
		"INDEX=MEMORY:UTF-8:LAYOUT=Maildir++",
		"/home/joe/M", "/var/in/joe", "/home/joe/ctl", false, true},
	    {"joe@x", "maildir:%{home}/%{user|username}/%{domain}",
		"/home/joe/joe/x", NULL, NULL, false, false},
	    {"joe", "maildir:~/a%%b", "/home/joe/a%b", NULL, NULL, false,
		false},
	    {"joe", "mbox:~/mail:INBOX=/var/mail/%u", "/home/joe/mail",
		"/var/mail/joe", NULL, false, false},
	};
	static const struct {
		const char *user, *text;
	} bad[] = {
	    {"joe", "~/Maildir"},
	    {"joe", "sdbox:~/sd"},
	    {"joe", "maildir:~/M:LAYOUT=index"},
	    {"joe", "maildir:~/M:WHAT=x"},
	    {"joe", "maildir:/v/%x"},
	    {"joe", "maildir:/v/%"},
	    {"joe", "maildir:/v/%{user"},
	    {"joe", "maildir:/v/%{rip}"},
	    {"../root", "maildir:/v/%u"},
	    {"..", "maildir:/v/%u"},
	    {"a/b@c", "maildir:/v/%n"},
	};
	struct store_settings set = {.home = "/home/joe"};
	struct location loc;
	struct arena a;
	struct err e;

	arena_init(&a);
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		set.user = good[i].user;
		if (location_parse(&a, &set, str_of(good[i].text), &loc, &e) ==
		    -1)
			fail_msg("%s: %s", good[i].text, e.text);
		assert_true(str_eq(loc.root, str_of(good[i].root)));
		assert_true(str_eq(loc.inbox, str_of(good[i].inbox)));
		assert_true(str_eq(loc.control, str_of(good[i].control)));
		assert_int_equal(loc.is_fs_layout, good[i].fs);
		assert_int_equal(loc.is_utf8, good[i].utf8);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		set.user = bad[i].user;
		if (location_parse(&a, &set, str_of(bad[i].text), &loc, &e) ==
		    0)
			fail_msg("%s", bad[i].text);
	}
	arena_done(&a);
}

static void
test_location_found(void **state)
{
	struct box *b = *state;
	struct store_settings set = {
	    .user = "nobody-here", .home = b->home, .mail_location = "auto"};
	struct location loc;
	struct arena a;
	struct err e;
	char path[200];

	arena_init(&a);
	assert_int_equal(location_get(&a, &set, &loc, &e), 0);
	assert_string_equal(loc.driver, "maildir");
	assert_true(str_eq(loc.root, str_of(b->root)));
	assert_false(loc.is_fs_layout);
	/* Folders without a dot: LAYOUT=fs, unless there are others too. */
	assert_int_equal(mkdir(box_path(b, "level"), 0700), 0);
	assert_int_equal(location_get(&a, &set, &loc, &e), 0);
	assert_false(loc.is_fs_layout);
	box_dirs(b, "level/a");
	assert_int_equal(location_get(&a, &set, &loc, &e), 0);
	assert_true(loc.is_fs_layout);
	box_dirs(b, ".x");
	assert_int_equal(location_get(&a, &set, &loc, &e), 0);
	assert_false(loc.is_fs_layout);
	assert_int_equal(file_remove_tree(AT_FDCWD, b->root, &e), 0);
	(void)snprintf(path, sizeof(path), "%s/mail", b->home);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(location_get(&a, &set, &loc, &e), 0);
	assert_string_equal(loc.driver, "maildir");
	(void)snprintf(path, sizeof(path), "%s/mail/.imap", b->home);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(location_get(&a, &set, &loc, &e), 0);
	assert_string_equal(loc.driver, "mbox");
	arena_done(&a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_location),
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	    T(test_location_found),
	};
	int rc;

	rc = cmocka_run_group_tests(tests, NULL, NULL);
	box_all_with_index = true;
	return rc | cmocka_run_group_tests(tests, NULL, NULL);
}
