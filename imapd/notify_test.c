/* SPDX-License-Identifier: ISC */
/*
 * notify_test.c - NOTIFY in turns as short as can be: what happens amidst a
 * look at mailboxes, or amidst a response.
 */
#include "tests/lib/slow_session.h"

#include "imapd/context.h"
#include "imapd/notify_impl.h"

#define LARGE 3000000

static void
fill(struct box *b)
{
	box_dirs(b, ".aaa");
	box_dirs(b, ".zzz");
	box_msg(b, ".aaa/cur/1001.M1P1.h:2,");
	for (int i = 0; i < 20; i++) {
		char name[60];

		(void)snprintf(
		    name, sizeof(name), ".zzz/cur/10%02d.M1P1.h:2,", i);
		box_msg(b, name);
	}
}

/* Somebody makes a folder while a mailbox is being looked at. */
static void
test_a_look_is_of_one_mailbox(UNUSED void **state)
{
	command("a NOTIFY SET (PERSONAL (MessageNew MessageExpunge "
		"MailboxName))\r\n",
	    "a OK");
	tick_ms = 5;
	store_slice_ms = 0;
	box_msg(&box, ".zzz/new/1099.M1P1.h");
	for (int i = 0; i < WAIT_MS && session()->notify->status == NULL; i++) {
		turn();
		if (!host.is_awake)
			usleep(1000);
	}
	assert_non_null(session()->notify->status);
	assert_string_equal(
	    session()->notify->boxes.v[session()->notify->at].name.p, "zzz");
	box_dirs(&box, ".mmm");
	run_until("mmm\r\n");
	run_until("STATUS zzz (MESSAGES 21 UIDNEXT 22");
	assert_false(has_heard("STATUS aaa"));
	assert_false(has_heard("STATUS INBOX"));
}

/* What comes to a mailbox behind the look at it is seen by another one. */
static void
test_nothing_is_lost_behind_the_look(UNUSED void **state)
{
	struct notify *n;

	command("a NOTIFY SET STATUS (PERSONAL (MessageNew "
		"MessageExpunge))\r\n",
	    "a OK");
	n = session()->notify;
	/* Looks write nothing there any more, which would be a cause itself. */
	box_unlink(&box, ".zzz/cur/1000.M1P1.h:2,");
	box_unlink(&box, ".aaa/cur/1001.M1P1.h:2,");
	run_until("STATUS zzz (MESSAGES 19");
	run_until("STATUS aaa (MESSAGES 0 ");
	now_ms += 1000;
	tick_ms = 5;
	store_slice_ms = 0;
	/* Nothing is found there: that would wake it again, too. */
	box_msg(&box, ".zzz/cur/1099.M1P1.h:2,");
	box_unlink(&box, ".zzz/cur/1099.M1P1.h:2,");
	for (int i = 0; i < WAIT_MS && n->status == NULL; i++) {
		turn();
		if (!host.is_awake)
			usleep(1000);
	}
	assert_non_null(n->status);
	/* aaa is before it; the loop learns of it amidst the look. */
	n->is_woken = false;
	box_msg(&box, ".aaa/cur/1098.M1P1.h:2,");
	for (int i = 0; i < WAIT_MS && !n->is_woken; i++) {
		usleep(1000);
		ev_run(host.loop, EVRUN_NOWAIT);
	}
	run_until("STATUS aaa (MESSAGES 1 ");
}

/* A FETCH response of a large message is half out, as the client does not read. */
static void
begin_push(void)
{
	char *text = malloc(LARGE);
	FILE *f;

	command("a SELECT INBOX\r\n", "a OK");
	command("b NOTIFY SET (SELECTED (MessageNew (BODY.PEEK[]) "
		"MessageExpunge))\r\n",
	    "b OK");
	memset(text, 'x', LARGE);
	memcpy(text, "Subject: x\n\n", 12);
	f = fopen(box_path(&box, "tmp/large"), "w");
	assert_non_null(f);
	assert_int_equal(fwrite(text, LARGE, 1, f), 1);
	assert_int_equal(fclose(f), 0);
	free(text);
}

static void
push_half(void)
{
	box_move(&box, "tmp/large", "new/1097.M1P1.h");
	for (int i = 0; i < WAIT_MS && !notify_is_within(session()); i++) {
		turn();
		if (!host.is_awake)
			usleep(1000);
	}
	assert_true(notify_is_within(session()));
}

/* The literal is whole, and `then` comes behind it. */
static void
check_whole(const char *then)
{
	const char *p;

	run_until(then);
	p = memmem(heard.p, heard.n, "BODY[] {", 8);
	assert_non_null(p);
	p = memchr(p, '\n', 100);
	assert_non_null(p);
	p += 1 + 14;
	for (size_t i = 0; i < LARGE - 12; i++)
		if (p[i] != 'x')
			fail_msg("at %zu: %.60s", i, p + i);
	assert_memory_equal(p + LARGE - 12, ")\r\n", 3);
}

static void
test_done_amidst_a_response(UNUSED void **state)
{
	begin_push();
	say("c IDLE\r\n");
	run_until("+ idling");
	push_half();
	say("DONE\r\n");
	for (int i = 0; i < 20; i++)
		turn();
	check_whole("c OK");
}

static void
test_bye_amidst_a_response(UNUSED void **state)
{
	begin_push();
	push_half();
	client_bye(host.client, "Server is shutting down");
	check_whole("* BYE Server is shutting down\r\n");
}

static void
test_annotations_amidst_a_response(UNUSED void **state)
{
	const struct meta_entry comment = {.name = STR("/shared/comment")};

	begin_push();
	command("c NOTIFY SET (SELECTED (MessageNew (BODY.PEEK[]) "
		"MessageExpunge)) (PERSONAL (ServerMetadataChange))\r\n",
	    "c OK");
	push_half();
	for (int i = 0; i < 5000; i++)
		notify_metadata(NULL, STR(""), &comment);
	check_whole("* OK [NOTIFICATIONOVERFLOW] Too many annotations");
	assert_false(has_heard("* METADATA"));
	/* It is off, the session goes on. */
	command("d NOOP\r\n", "d OK");
}

/* The mailbox goes while the FETCH of a context is half out. */
static void
gone_amidst_a_context(const char *notify)
{
	char *text = malloc(LARGE);
	unsigned phase = 0;
	enum step step;
	struct err e;
	FILE *f;

	command("a SELECT aaa\r\n", "a OK");
	if (notify != NULL)
		command(notify, "n OK");
	command("b UID SEARCH RETURN (UPDATE (BODY.PEEK[])) ALL\r\n", "b OK");
	memset(text, 'x', LARGE);
	memcpy(text, "Subject: x\n\n", 12);
	f = fopen(box_path(&box, "tmp/large"), "w");
	assert_non_null(f);
	assert_int_equal(fwrite(text, LARGE, 1, f), 1);
	assert_int_equal(fclose(f), 0);
	free(text);
	say("c IDLE\r\n");
	run_until("+ idling");
	box_move(&box, "tmp/large", ".aaa/new/1097.M1P1.h");
	for (int i = 0; i < WAIT_MS && !context_is_within(session()); i++) {
		turn();
		if (!host.is_awake)
			usleep(1000);
	}
	assert_true(context_is_within(session()));
	while ((step = store_delete(box.store, STR("aaa"), &phase, &e)) ==
	    STEP_MORE)
		continue;
	assert_int_equal(step, STEP_DONE);
	for (int i = 0; i < 20; i++)
		turn();
	check_whole("* BYE Selected mailbox was deleted\r\n");
}

static void
test_gone_amidst_a_context(UNUSED void **state)
{
	gone_amidst_a_context(NULL);
}

static void
test_gone_amidst_a_context_with_notify(UNUSED void **state)
{
	gone_amidst_a_context(
	    "n NOTIFY SET (SELECTED (MessageNew MessageExpunge))\r\n");
}

static void
test_gone_amidst_a_context_with_names(UNUSED void **state)
{
	gone_amidst_a_context(
	    "n NOTIFY SET (SELECTED (MessageNew MessageExpunge)) (PERSONAL "
	    "(MailboxName MessageNew MessageExpunge))\r\n");
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, begin, end)
	const struct CMUnitTest tests[] = {
	    T(test_a_look_is_of_one_mailbox),
	    T(test_nothing_is_lost_behind_the_look),
	    T(test_done_amidst_a_response),
	    T(test_bye_amidst_a_response),
	    T(test_annotations_amidst_a_response),
	    T(test_gone_amidst_a_context),
	    T(test_gone_amidst_a_context_with_notify),
	    T(test_gone_amidst_a_context_with_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
