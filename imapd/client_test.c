/* SPDX-License-Identifier: ISC */
/* client_test.c - one session on a socketpair, with the real store below. */
#include "../tests/lib/test_store.h"

#include "../tests/lib/fake_host.h"

static struct box box;
static struct host host;
static struct buf heard;

static void
start(const char *tag)
{
	box_init(&box);
	box_msg(&box, "cur/1001.M1P1.h:2,");
	box_msg(&box, "cur/1002.M1P1.h:2,");
	box_open(&box);
	buf_init(&heard, 64 * 1024 * 1024);
	host_begin(&host, box.store, tag);
	host_run(&host);
}

static int
begin(UNUSED void **state)
{
	host = (struct host){0};
	start("");
	return 0;
}

static int
end(UNUSED void **state)
{
	host_end(&host);
	assert_null(host.client);
	buf_done(&heard);
	box_done(&box);
	return 0;
}

/* All that has been heard so far, as a C string, then forgotten. */
static const char *
hear(void)
{
	static char text[4000000];

	host_run(&host);
	while (host_hear(&host, &heard) > 0)
		host_run(&host);
	assert_true(str_to_c(str_make(heard.n == 0 ? "" : heard.p, heard.n),
	    text, sizeof(text)));
	buf_clear(&heard);
	return text;
}

static void
say_bytes(const char *p, size_t n)
{
	ssize_t rc;

	while (n > 0) {
		rc = write(host.fd, p, n);
		if (rc == -1) {
			assert_int_equal(errno, EAGAIN);
			host_run(&host);
			continue;
		}
		p += rc;
		n -= (size_t)rc;
	}
}

static void
say(const char *text)
{
	say_bytes(text, strlen(text));
}

static bool
ends_with(const char *text, const char *end_)
{
	return str_ends(str_of(text), str_of(end_));
}

static void
test_greetings(UNUSED void **state)
{
	const char *text = hear();

	assert_true(
	    str_starts(str_of(text), STR("* PREAUTH [CAPABILITY IMAP4rev1 ")));
	host_end(&host);
	box_done(&box);
	buf_done(&heard);
	start("x]1");
	text = hear();
	assert_true(
	    str_starts(str_of(text), STR("x]1 OK [CAPABILITY IMAP4rev1 ")));
}

static void
test_input_in_pieces(UNUSED void **state)
{
	static const char script[] = "a SELECT {5+}\r\nINBOX\r\n"
				     "b STORE 1 +FLAGS.SILENT (\\Seen)\r\n";
	const char *p;

	(void)hear();
	for (p = script; *p != '\0'; p++) {
		say_bytes(p, 1);
		host_run(&host);
	}
	assert_true(ends_with(hear(), "b OK Stored\r\n"));
}

static void
test_news_are_told_by_noop_alone(UNUSED void **state)
{
	say("a SELECT INBOX\r\n");
	assert_non_null(strstr(hear(), "* 2 EXISTS\r\n"));
	box_msg(&box, "new/1003.M1P1.h");
	assert_string_equal(hear(), "");
	say("b NOOP\r\n");
	assert_string_equal(
	    hear(), "* 3 EXISTS\r\n* 3 RECENT\r\nb OK Done\r\n");
}

static void
test_idle_and_what_follows(UNUSED void **state)
{
	(void)hear();
	say("a SELECT INBOX\r\n");
	(void)hear();
	say("b IDLE\r\nDONE\r\nc NOOP\r\n");
	assert_string_equal(hear(), "+ idling\r\nb OK Done\r\nc OK Done\r\n");
	say("d IDLE\r\n");
	assert_string_equal(hear(), "+ idling\r\n");
	say("DO");
	assert_string_equal(hear(), "");
	say("NE\r\n");
	assert_string_equal(hear(), "d OK Done\r\n");
}

/* Commands until nobody takes any more. */
static int
fill(const char *command)
{
	ssize_t len = (ssize_t)strlen(command);
	int n = 0, tries = 0;

	while (tries < 3 && n < 100000) {
		if (write(host.fd, command, (size_t)len) == len) {
			n++;
			tries = 0;
			continue;
		}
		host_run(&host);
		tries++;
	}
	return n;
}

static void
test_a_client_that_does_not_read(UNUSED void **state)
{
	unsigned turns;
	int n, done = 0;

	(void)hear();
	n = fill("a CAPABILITY\r\n");
	/* It has stopped reading and taking turns, with little in memory. */
	assert_in_range(n, 1000, 99999);
	turns = host.turns;
	host_run(&host);
	assert_int_equal(host.turns, turns);
	while (done < n) {
		size_t lf;

		host_run(&host);
		assert_true(host_hear(&host, &heard) > 0);
		while ((lf = str_find(buf_str(&heard), '\n')) < heard.n) {
			done += str_starts(buf_str(&heard), STR("a OK"));
			buf_drop(&heard, lf + 1);
		}
	}
}

static void
test_append_in_pieces(UNUSED void **state)
{
	char line[1000];
	int i;

	(void)hear();
	memset(line, 'x', sizeof(line));
	line[998] = '\r';
	line[999] = '\n';
	say("a APPEND INBOX {1000000}\r\n");
	assert_string_equal(hear(), "+ OK\r\n");
	for (i = 0; i < 1000; i++) {
		say_bytes(line, sizeof(line));
		if (i % 100 == 0)
			assert_string_equal(hear(), "");
	}
	say("\r\n");
	assert_non_null(strstr(hear(), "a OK [APPENDUID "));
	assert_int_equal(box_files(&box, "cur") + box_files(&box, "new"), 3);
}

static void
test_append_that_breaks_off(UNUSED void **state)
{
	(void)hear();
	say("a APPEND INBOX {100}\r\n");
	assert_string_equal(hear(), "+ OK\r\n");
	say("half");
	(void)hear();
	assert_int_equal(box_files(&box, "tmp"), 1);
	host_end(&host);
	assert_null(host.client);
	assert_int_equal(box_files(&box, "tmp"), 0);
	assert_int_equal(box_files(&box, "cur") + box_files(&box, "new"), 2);
	host_begin(&host, box.store, "");
}

static void
test_bye(UNUSED void **state)
{
	(void)hear();
	client_bye(host.client, "Gone\r\n* 1 EXISTS");
	assert_string_equal(hear(), "* BYE Gone??* 1 EXISTS\r\n");
	assert_null(host.client);
}

static void
test_bye_waits_for_the_reply(UNUSED void **state)
{
	const char *text;
	int i;

	for (i = 3; i < 1500; i++) {
		char name[40];

		(void)snprintf(name, sizeof(name), "cur/%d.M1P1.h:2,", i);
		box_msg(&box, name);
	}
	say("a SELECT INBOX\r\n");
	(void)hear();
	say("b FETCH 1:* (BODY.PEEK[] ENVELOPE)\r\n");
	ev_run(host.loop, EVRUN_NOWAIT);
	(void)client_turn(host.client);
	client_bye(host.client, "Enough");
	text = hear();
	/* The last response is whole, the tagged one comes, then BYE. */
	assert_true(ends_with(text, "\r\n* BYE Enough\r\n"));
	assert_non_null(strstr(text, "\r\nb OK "));
	assert_null(host.client);
}

static void
test_end_of_input(UNUSED void **state)
{
	(void)hear();
	say("a NOOP\r\nb NOO");
	assert_int_equal(shutdown(host.fd, SHUT_WR), 0);
	assert_string_equal(hear(), "a OK Done\r\n");
	assert_null(host.client);
}

/* Input that ends in the middle of a line which is no command. */
static void
test_end_of_input_while_idle(UNUSED void **state)
{
	(void)hear();
	say("a IDLE\r\nDON");
	assert_string_equal(hear(), "+ idling\r\n");
	assert_int_equal(shutdown(host.fd, SHUT_WR), 0);
	assert_string_equal(hear(), "");
	assert_null(host.client);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
	const struct CMUnitTest tests[] = {
	    TEST(test_greetings),
	    TEST(test_input_in_pieces),
	    TEST(test_news_are_told_by_noop_alone),
	    TEST(test_idle_and_what_follows),
	    TEST(test_a_client_that_does_not_read),
	    TEST(test_append_in_pieces),
	    TEST(test_append_that_breaks_off),
	    TEST(test_bye),
	    TEST(test_bye_waits_for_the_reply),
	    TEST(test_end_of_input),
	    TEST(test_end_of_input_while_idle),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
