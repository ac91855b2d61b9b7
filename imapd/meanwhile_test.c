/* SPDX-License-Identifier: ISC */
/*
 * meanwhile_test.c - commands in turns as short as can be, and what others do
 * between two of them: another session of the process expunges, delivers, copies,
 * removes, ends; another program delivers or removes; the client itself vanishes.
 * The command is answered, nothing stays locked, and what the session then knows
 * is what a process finds that opens the mailbox afterwards.
 *
 * RESTANTE_TEST_SEEDS runs so many rounds, each with other moments.
 */
#include <stdlib.h>

#include "base/log.h"
#include "base/num.h"
#include "tests/lib/slow_session.h"

#define MESSAGES 12
#define TURNS_MAX 20000
#define EVENTS_EACH 3 /* for each command, others with the next seed */

static bool is_mbox;
static struct host other; /* another session */
static struct buf other_heard;
static char trying[200]; /* what is being tried, for reports */

/* ---- mail ------------------------------------------------------------------ */

static void
text_of(unsigned i, char out[2000])
{
	(void)snprintf(out, 2000,
	    "From: a%u@example.org\nSubject: s%02u\nMessage-ID: <m%u@x>\n"
	    "References: <m%u@x> <m%u@x>\nMIME-Version: 1.0\n"
	    "Content-Type: multipart/mixed; boundary=b\n\n"
	    "--b\n\nbody %u\n--b\nContent-Type: text/html\n\n<p>%0800u</p>\n"
	    "--b--\n",
	    i % 5, i * 7 % MESSAGES, i, i / 2, i / 3, i, i);
}

static void
fill(struct box *b)
{
	char text[2000], name[60];
	FILE *f = is_mbox ? fopen(box_path(b, "spool/joe"), "w") : NULL;

	if (!is_mbox)
		box_dirs(b, ".other");
	for (unsigned i = 0; i < MESSAGES; i++) {
		text_of(i, text);
		(void)snprintf(name, sizeof(name), "cur/1000%02u.M1P1.h:2,", i);
		if (is_mbox)
			assert_true(fprintf(f,
					"From a@b Mon Mar  2 10:01:00 2026\n"
					"%s\n",
					text) > 0);
		else
			box_write(b, name, text);
	}
	if (f != NULL)
		assert_int_equal(fclose(f), 0);
	else
		return;
	box_write(b, "mail/other", "");
}

/* ---- sessions -------------------------------------------------------------- */

static void
turn_of(struct host *h, struct buf *in)
{
	ev_run(h->loop, EVRUN_NOWAIT);
	if (h->client != NULL && h->is_awake)
		h->is_awake = client_turn(h->client);
	if (h->fd != -1)
		(void)host_hear(h, in);
}

static void
say_to(struct host *h, const char *text)
{
	assert_int_equal(
	    write(h->fd, text, strlen(text)), (ssize_t)strlen(text));
}

static bool
is_in(const struct buf *b, const char *text)
{
	return b->n > 0 && memmem(b->p, b->n, text, strlen(text)) != NULL;
}

static bool
is_answered(const struct buf *b, const char *tag)
{
	char ok[20], no[20];

	(void)snprintf(ok, sizeof(ok), "%s OK", tag);
	(void)snprintf(no, sizeof(no), "%s NO", tag);
	return is_in(b, ok) || is_in(b, no);
}

/* Both have their turns until this one has its answer, or has ended. */
static void
go_on(struct host *h, struct buf *in, const char *tag)
{
	for (unsigned i = 0; i < TURNS_MAX; i++) {
		if (h->client == NULL || (tag != NULL && is_answered(in, tag)))
			return;
		turn_of(&host, &heard);
		turn_of(&other, &other_heard);
		if (!host.is_awake && !other.is_awake) {
			now_ms++;
			usleep(200);
		}
	}
	fail_msg("%s: no answer %s in: %.*s", trying, tag == NULL ? "" : tag,
	    (int)(in->n > 2000 ? 2000 : in->n),
	    in->p + (in->n > 2000 ? in->n - 2000 : 0));
}

static void
start(void)
{
	host = other = (struct host){0};
	buf_init(&heard, 64 * 1024 * 1024);
	buf_init(&other_heard, 64 * 1024 * 1024);
	box_open(&box);
	host_begin(&host, box.store, "");
	host_begin(&other, box.store, "");
}

static void
hang_up(struct host *h, struct buf *in)
{
	if (h->fd == -1)
		return;
	(void)close(h->fd);
	h->fd = -1;
	go_on(h, in, NULL);
}

static void
stop(void)
{
	hang_up(&host, &heard);
	hang_up(&other, &other_heard);
	buf_done(&heard);
	buf_done(&other_heard);
	box_close(&box);
}

/* ---- commands, and what happens meanwhile ------------------------------------ */

static const char append_two[] =
    "c APPEND other {12+}\r\nA: b\r\n\r\ncc\r\n {12+}\r\nA: b\r\n\r\ndd\r\n"
    "\r\n";

static const char *const commands[] = {
    "c SORT (SUBJECT FROM) UTF-8 ALL\r\n",
    "c THREAD REFERENCES UTF-8 BODY body\r\n",
    "c SEARCH BODY body SUBJECT s\r\n",
    "c FETCH 1:* (FLAGS ENVELOPE BODYSTRUCTURE BODY[] PREVIEW)\r\n",
    "c COPY 1:* other\r\n",
    "c MOVE 3:8 other\r\n",
    "c STORE 1:* +FLAGS (\\Flagged fresh)\r\n",
    "c EXPUNGE\r\n",
    append_two,
    "c UID FETCH 1:* BINARY.PEEK[1]\r\n",
    "c LIST \"\" * RETURN (STATUS (MESSAGES UIDNEXT UNSEEN SIZE))\r\n",
    "c UID EXPUNGE 1:*\r\n",
    "c LSUB \"\" *\r\n",
};

enum {
	EXPUNGES,
	APPENDS,
	COPIES,
	ENDS,
	VANISHES, /* the session itself */
	REMOVES, /* the mailbox that is copied to */
	FLAGS,
	DELIVERED, /* by another program: Maildir alone */
	REMOVED,
	EVENTS,
};

/* Whatever it is called by now. */
static void
remove_one(unsigned i)
{
	char start[20];
	const char *found;

	(void)snprintf(start, sizeof(start), "1000%02u.", i);
	found = box_find(&box, "cur", start);
	if (found[0] != '\0')
		(void)unlink(box_path(&box, found));
}

static void
happen(unsigned what)
{
	static const char *const said[EVENTS] = {
	    [EXPUNGES] = "x STORE 2:5 +FLAGS.SILENT (\\Deleted)\r\n"
			 "x2 EXPUNGE\r\n",
	    [APPENDS] = "x APPEND INBOX {12+}\r\nA: b\r\n\r\nee\r\n\r\n"
			"x2 NOOP\r\n",
	    [COPIES] = "x COPY 1:6 INBOX\r\nx2 NOOP\r\n",
	    [REMOVES] = "x DELETE other\r\nx2 NOOP\r\n",
	    [FLAGS] = "x STORE 1:* FLAGS (\\Answered later)\r\nx2 NOOP\r\n",
	};
	char text[2000];

	if (said[what] != NULL) {
		say_to(&other, said[what]);
		go_on(&other, &other_heard, "x2");
	} else if (what == ENDS) {
		hang_up(&other, &other_heard);
	} else if (what == VANISHES) {
		hang_up(&host, &heard);
	} else if (what == DELIVERED) {
		text_of(90, text);
		box_write(&box, "new/100090.M1P1.h", text);
	} else if (what == REMOVED) {
		for (unsigned i = 1; i < MESSAGES; i += 3)
			remove_one(i);
	}
}

/* What is told of all messages, without \Recent, which is for one session. */
static void
take_list(struct host *h, struct buf *in, struct buf *out)
{
	struct str all, line;

	buf_clear(in);
	say_to(h, "l NOOP\r\nm NOOP\r\n");
	go_on(h, in, "m");
	buf_clear(in);
	say_to(h, "n UID FETCH 1:* (FLAGS BODY.PEEK[TEXT])\r\n");
	go_on(h, in, "n");
	all = buf_str(in);
	while (str_next(&all, '\n', &line)) {
		size_t at = str_find_str(line, STR("\\Recent"));
		char sign = at > 0 && at < line.n ? line.p[at - 1] : '\0';

		if (str_starts(line, STR("n ")))
			continue;
		if (at == line.n) {
			(void)buf_add_str(out, line);
		} else {
			(void)buf_add_str(
			    out, str_head(line, sign == ' ' ? at - 1 : at));
			line = str_skip(line, at + 7);
			if (sign == '(' && line.n > 0 && line.p[0] == ' ')
				line = str_skip(line, 1);
			(void)buf_add_str(out, line);
		}
		(void)buf_add_byte(out, '\n');
	}
}

static void
check_list(const struct buf *was)
{
	struct buf now;

	buf_init(&now, 64 * 1024 * 1024);
	start();
	say_to(&host, "a SELECT INBOX\r\n");
	go_on(&host, &heard, "a");
	take_list(&host, &heard, &now);
	if (!str_eq(buf_str(was), buf_str(&now)))
		fail_msg("%s: knows\n%.*s\nis\n%.*s", trying, (int)was->n,
		    was->p, (int)now.n, now.p);
	stop();
	buf_done(&now);
}

static void
try(unsigned cmd, unsigned event, unsigned after)
{
	struct buf list;
	struct host *h = event == VANISHES ? &other : &host;
	struct buf *in = event == VANISHES ? &other_heard : &heard;

	(void)snprintf(trying, sizeof(trying), "%s event %u after %u: %s",
	    is_mbox ? "mbox" : "Maildir", event, after, commands[cmd]);
	buf_init(&list, 64 * 1024 * 1024);
	tick_ms = 0;
	store_slice_ms = 4;
	if (is_mbox)
		box_init_mbox(&box);
	else
		box_init_fast(&box);
	box.loop = ev_default_loop(EVFLAG_NOENV);
	box.has_index = after % 2 == 0;
	fill(&box);
	start();
	say_to(&host,
	    "a SELECT INBOX\r\nb STORE 9:10 +FLAGS.SILENT (\\Deleted)\r\n");
	say_to(&other, "a SELECT INBOX\r\n");
	go_on(&host, &heard, "b");
	go_on(&other, &other_heard, "a");
	buf_clear(&heard);
	tick_ms = 5;
	store_slice_ms = 0;
	say_to(&host, commands[cmd]);
	for (unsigned i = 0; i < after; i++)
		turn_of(&host, &heard);
	happen(event);
	if (event != VANISHES)
		go_on(&host, &heard, "c");
	tick_ms = 0;
	store_slice_ms = 4;
	take_list(h, in, &list);
	/* Nothing is locked: the mailbox can be written to. */
	buf_clear(in);
	say_to(h, "z UID STORE 1:* +FLAGS.SILENT (last)\r\n");
	go_on(h, in, "z");
	if (!is_in(in, "z OK"))
		fail_msg("%s: %.*s", trying, (int)in->n, in->p);
	buf_clear(&list);
	take_list(h, in, &list);
	stop();
	check_list(&list);
	box_done(&box);
	buf_done(&list);
}

static void
try_all(unsigned seed)
{
	unsigned n = seed * 7919, events = is_mbox ? DELIVERED : EVENTS;

	for (unsigned cmd = 0; cmd < ARRAY_LEN(commands); cmd++)
		for (unsigned i = 0; i < EVENTS_EACH; i++) {
			n = n * 1103515245 + 12345;
			try(cmd, (seed + cmd + i * 3) % events,
			    1 + (n >> 16) % 40);
		}
}

static void
run(bool mbox)
{
	const char *text = getenv("RESTANTE_TEST_SEEDS");
	uint32_t seeds = 1;

	if (text != NULL)
		assert_true(num_parse_u32(str_of(text), 1, 100000, &seeds));
	is_mbox = mbox;
	for (unsigned seed = 1; seed <= seeds; seed++)
		try_all(seed);
}

/* The mailbox goes to which messages are being copied or moved, at any moment. */
static void
test_target_goes(UNUSED void **state)
{
	is_mbox = false;
	for (unsigned after = 8; after < 40; after += 5) {
		try(4, REMOVES, after);
		try(5, REMOVES, after);
	}
}

static void
test_maildir(UNUSED void **state)
{
	run(false);
}

static void
test_mbox(UNUSED void **state)
{
	run(true);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_target_goes),
	    cmocka_unit_test(test_maildir),
	    cmocka_unit_test(test_mbox),
	};

	log_set_level(LOG_LEVEL_FATAL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
