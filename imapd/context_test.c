/* SPDX-License-Identifier: ISC */
/*
 * context_test.c - searches that are kept up to date, while messages come and go
 * between any two turns. The client's copy of each result is kept by what it is
 * told, and must be the same as the server's in the end.
 */
#include "tests/lib/slow_session.h"

#include <malloc.h>

#include "base/num.h"

#define MESSAGES 30
#define ORDER_MAX 200

static void
message(struct box *b, const char *rel, unsigned subject)
{
	char text[200];

	(void)snprintf(text, sizeof(text),
	    "From: a@example.org\nSubject: s%03u\nMessage-ID: "
	    "<m%u@x>\n\nbody\n",
	    subject, subject);
	box_write(b, rel, text);
}

static const char *
old_name(unsigned i, const char *flags)
{
	static char name[4][60];
	static unsigned at;

	at = (at + 1) % 4;
	(void)snprintf(name[at], 60, "cur/1000%02u.M1P1.h:2,%s", i, flags);
	return name[at];
}

static void
fill(struct box *b)
{
	for (unsigned i = 0; i < MESSAGES; i++)
		message(b, old_name(i, ""), i * 7 % MESSAGES);
}

/* ---- the client's side ----------------------------------------------------- */

struct copy {
	uint32_t v[ORDER_MAX];
	size_t n;
};

static uint32_t
number(struct str *s)
{
	uint64_t n;

	assert_true(num_cut_u64(s, UINT32_MAX, &n));
	return (uint32_t)n;
}

static void
put(struct copy *c, size_t at, uint32_t uid)
{
	assert_true(at <= c->n && c->n < ORDER_MAX);
	memmove(c->v + at + 1, c->v + at, (c->n - at) * sizeof(*c->v));
	c->v[at] = uid;
	c->n++;
}

static void
drop(struct copy *c, size_t at, uint32_t uid)
{
	assert_true(at < c->n);
	assert_int_equal(c->v[at], uid);
	c->n--;
	memmove(c->v + at, c->v + at + 1, (c->n - at) * sizeof(*c->v));
}

/* In mailbox order, which position 0 means. */
static size_t
place_of(const struct copy *c, uint32_t uid)
{
	size_t at = 0;

	while (at < c->n && c->v[at] < uid)
		at++;
	return at;
}

/* "1 23:25,22 7 5" */
static void
apply(struct copy *c, struct str s, bool adds)
{
	while (s.n > 0 && s.p[0] != ')') {
		uint32_t pos = number(&s), first, last;

		assert_true(s.n > 0 && s.p[0] == ' ');
		do {
			s = str_skip(s, 1);
			first = last = number(&s);
			if (s.n > 0 && s.p[0] == ':') {
				s = str_skip(s, 1);
				last = number(&s);
			}
			for (; first <= last; first++) {
				size_t at =
				    pos > 0 ? pos - 1 : place_of(c, first);

				if (adds)
					put(c, at, first);
				else
					drop(c, at, first);
				pos += adds && pos > 0;
			}
		} while (s.n > 0 && s.p[0] == ',');
		if (s.n > 0 && s.p[0] == ' ')
			s = str_skip(s, 1);
	}
}

/* All that was heard of the context with this tag. */
static void
apply_heard(struct copy *c, const char *tag)
{
	struct str all = buf_str(&heard), line;
	char start[60];

	(void)snprintf(
	    start, sizeof(start), "* ESEARCH (TAG \"%s\") UID ", tag);
	while (str_next(&all, '\n', &line)) {
		if (!str_starts(line, str_of(start)))
			continue;
		line = str_skip(line, strlen(start));
		if (str_starts(line, STR("ADDTO (")))
			apply(c, str_skip(line, 7), true);
		else if (str_starts(line, STR("REMOVEFROM (")))
			apply(c, str_skip(line, 12), false);
	}
}

/* What "* SORT 1 2 3" or "* SEARCH 1 2 3" says. */
static struct copy
result(const char *word)
{
	struct str all = buf_str(&heard), line;
	struct copy c = {0};

	while (str_next(&all, '\n', &line)) {
		if (!str_starts(line, str_of(word)))
			continue;
		line = str_skip(line, strlen(word));
		while (line.n > 1 && line.p[0] == ' ') {
			line = str_skip(line, 1);
			put(&c, c.n, number(&line));
		}
	}
	return c;
}

static void
turns(unsigned n)
{
	while (n-- > 0)
		turn();
}

/* So that the kernel's events have come. */
static void
settle(void)
{
	tick_ms = 0;
	usleep(2000);
	ev_run(host.loop, EVRUN_NOWAIT);
}

/* ---- sorted ------------------------------------------------------------------ */

/* New messages are being placed; after so many turns half of the old ones go. */
static void
gone_while_placing(unsigned after)
{
	struct copy c, want;

	say("a SELECT INBOX\r\n");
	run_until("a OK");
	buf_clear(&heard);
	say("b UID SORT RETURN (UPDATE) (SUBJECT) UTF-8 ALL\r\n"
	    "c UID SORT (SUBJECT) UTF-8 ALL\r\n");
	run_until("c OK");
	c = result("* SORT");
	assert_int_equal(c.n, MESSAGES);
	buf_clear(&heard);
	for (unsigned i = 0; i < 4; i++) {
		char name[60];

		(void)snprintf(name, sizeof(name), "cur/2000%u.M1P1.h:2,", i);
		message(&box, name, i * 5 + 11);
	}
	settle();
	tick_ms = 5;
	store_slice_ms = 0;
	say("d NOOP\r\n");
	turns(after);
	(void)host_hear(&host, &heard);
	for (unsigned i = 0; i < MESSAGES; i++)
		if (i != 3 && i != 15)
			box_unlink(&box, old_name(i, ""));
	box_unlink(&box, "cur/20001.M1P1.h:2,");
	settle();
	tick_ms = 5;
	run_until("d OK");
	settle();
	say("e NOOP\r\n");
	run_until("e OK");
	apply_heard(&c, "b");
	buf_clear(&heard);
	say("f UID SORT (SUBJECT) UTF-8 ALL\r\n");
	run_until("f OK");
	want = result("* SORT");
	assert_int_equal(c.n, want.n);
	assert_memory_equal(c.v, want.v, c.n * sizeof(*c.v));
	assert_int_equal(c.n, 5);
}

static void
test_gone_while_placing(void **state)
{
	for (unsigned after = 1; after < 100; after += 9) {
		gone_while_placing(after);
		end(state);
		begin(state);
	}
	gone_while_placing(2);
}

/* ---- in mailbox order -------------------------------------------------------- */

static void
check_same(struct copy *c, const char *tag, const char *search)
{
	struct copy want;

	settle();
	say("e NOOP\r\n");
	run_until("e OK");
	apply_heard(c, tag);
	buf_clear(&heard);
	say(search);
	run_until("f OK");
	want = result("* SEARCH");
	assert_int_equal(c->n, want.n);
	assert_memory_equal(c->v, want.v, c->n * sizeof(*c->v));
	buf_clear(&heard);
}

/* Half of the messages are seen now. */
static void
change_flags(void)
{
	for (unsigned i = 0; i < MESSAGES; i += 2)
		box_move(&box, old_name(i, ""), old_name(i, "S"));
	settle();
	tick_ms = 5;
	store_slice_ms = 0;
}

/* Amidst the tests of those that have changed messages go. */
static void
test_gone_while_testing(void **state)
{
	for (unsigned after = 1; after < 100; after += 9) {
		struct copy c;

		say("a SELECT INBOX\r\n"
		    "b UID SEARCH RETURN (UPDATE) UNSEEN BODY body\r\n"
		    "c UID SEARCH UNSEEN\r\n");
		run_until("c OK");
		c = result("* SEARCH");
		assert_int_equal(c.n, MESSAGES);
		buf_clear(&heard);
		change_flags();
		say("d NOOP\r\n");
		turns(after);
		for (unsigned i = 0; i < MESSAGES; i += 3)
			box_unlink(&box, old_name(i, i % 2 == 0 ? "S" : ""));
		settle();
		tick_ms = 5;
		run_until("d OK");
		check_same(&c, "b", "f UID SEARCH UNSEEN BODY body\r\n");
		assert_int_equal(c.n, 10);
		end(state);
		begin(state);
	}
}

/* In IDLE it goes on by itself, whatever time it takes. */
static void
test_idle_in_steps(UNUSED void **state)
{
	struct copy c;

	say("a SELECT INBOX\r\n"
	    "b UID SEARCH RETURN (UPDATE (BODY.PEEK[TEXT])) UNSEEN BODY "
	    "body\r\n"
	    "c UID SEARCH UNSEEN\r\n");
	run_until("c OK");
	c = result("* SEARCH");
	buf_clear(&heard);
	say("d IDLE\r\n");
	run_until("+ idling");
	change_flags();
	settle();
	tick_ms = 5;
	run_until("REMOVEFROM");
	for (unsigned i = 0; i < 20; i++)
		message(&box, old_name(MESSAGES + i, ""), i);
	settle();
	tick_ms = 5;
	run_until("BODY[TEXT]");
	say("DONE\r\n");
	run_until("d OK");
	check_same(&c, "b", "f UID SEARCH UNSEEN BODY body\r\n");
}

/* CANCELUPDATE while, because of NOTIFY, messages are being tested for it. */
static void
test_cancelled_while_testing(void **state)
{
	for (unsigned after = 1; after < 50; after += 7) {
		struct copy c;

		say("a SELECT INBOX\r\n"
		    "n NOTIFY SET (SELECTED (MessageNew MessageExpunge "
		    "FlagChange))\r\n"
		    "b UID SEARCH RETURN (UPDATE) SEEN BODY body\r\n"
		    "x UID SEARCH RETURN (UPDATE) UNSEEN\r\n"
		    "c UID SEARCH UNSEEN\r\n");
		run_until("c OK");
		c = result("* SEARCH");
		buf_clear(&heard);
		change_flags();
		for (unsigned i = 0; i < 200 && !host.is_awake; i++) {
			usleep(1000);
			ev_run(host.loop, EVRUN_NOWAIT);
		}
		turns(after);
		say("d CANCELUPDATE \"b\"\r\n");
		run_until("d OK");
		check_same(&c, "x", "f UID SEARCH UNSEEN\r\n");
		assert_int_equal(c.n, MESSAGES / 2);
		end(state);
		begin(state);
	}
}

/* What is cancelled is forgotten. */
static void
test_cancelled_ones_cost_nothing(UNUSED void **state)
{
	static char text[40000];
	size_t before = 0, at;

	say("a SELECT INBOX\r\n");
	run_until("a OK");
	for (unsigned i = 0; i < 300; i++) {
		at = (size_t)snprintf(text, sizeof(text),
		    "b%u UID SEARCH RETURN (UPDATE) SUBJECT \"", i);
		memset(text + at, 'x', 30000);
		(void)snprintf(text + at + 30000, sizeof(text) - at - 30000,
		    "\"\r\nc%u CANCELUPDATE \"b%u\"\r\n", i, i);
		say(text);
		(void)snprintf(text, sizeof(text), "c%u OK", i);
		run_until(text);
		buf_clear(&heard);
		if (i == 20)
			before = mallinfo2().uordblks;
	}
	assert_true(mallinfo2().uordblks < before + 1000000);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, begin, end)
	const struct CMUnitTest tests[] = {
	    T(test_gone_while_placing),
	    T(test_gone_while_testing),
	    T(test_idle_in_steps),
	    T(test_cancelled_while_testing),
	    T(test_cancelled_ones_cost_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
