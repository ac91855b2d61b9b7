/* SPDX-License-Identifier: ISC */
/* msg_test.c - large messages in steps, small ones in one read. */
#include "base/bounds.h"
#include "store/msg.h"
#include "tests/lib/test_store.h"

#define LARGE_LINES 150000 /* of 80 bytes: 12 MB */
#define LINE                                                                   \
	"0123456789012345678901234567890123456789012345678901234567890123456"  \
	"78901234567\n"

static int
setup(void **state)
{
	static struct box b;

	box_init_fast(&b);
	*state = &b;
	return 0;
}

static int
teardown(void **state)
{
	box_done(*state);
	return 0;
}

/* A message with `n` lines between `head` and `tail`. */
static void
write_message(
    struct box *b, const char *head, const char *line, int n, const char *tail)
{
	FILE *f = fopen(box_path(b, "cur/1.M1.x:2,"), "w");

	assert_non_null(f);
	assert_true(fputs(head, f) >= 0);
	for (int i = 0; i < n; i++)
		assert_true(fputs(line, f) >= 0);
	assert_true(fputs(tail, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static struct msg *
open_first(struct box *b, struct view **v)
{
	struct msg *m;
	struct err e;

	box_open(b);
	*v = box_view(b, "INBOX", false);
	assert_int_equal(msg_open(*v, 1, &m, &e), 0);
	return m;
}

static void
test_steps(void **state)
{
	static const char head[] =
	    "Content-Type: multipart/mixed; boundary=b\n\n--b\n\n";
	struct box *b = *state;
	struct view *v;
	struct msg *m;
	struct part *root;
	struct err e;
	uint64_t size;
	int steps = 1;
	enum step step;

	write_message(b, head, LINE, LARGE_LINES, "--b--\n");
	m = open_first(b, &v);
	while ((step = msg_parts_step(m, &e)) == STEP_MORE)
		steps++;
	assert_int_equal(step, STEP_DONE);
	assert_in_range(steps, 4, 12);
	assert_int_equal(msg_parts(m, &root, &e), 0);
	assert_int_equal(root->n_children, 1);
	assert_int_equal(root->child->body_lines, LARGE_LINES - 1);
	/* Counted while it was parsed. */
	assert_int_equal(msg_wire_size_step(m, &e), STEP_DONE);
	msg_close(&m);
	assert_int_equal(msg_open(v, 1, &m, &e), 0);
	for (steps = 1; (step = msg_wire_size_step(m, &e)) == STEP_MORE;)
		steps++;
	assert_int_equal(step, STEP_DONE);
	assert_in_range(steps, 2, 6);
	assert_int_equal(msg_wire_size(m, &size, &e), 0);
	assert_int_equal(
	    size, strlen(head) + 4 + (strlen(LINE) + 1) * LARGE_LINES + 7);
	msg_close(&m);
	/* Left in the middle of it. */
	assert_int_equal(msg_open(v, 1, &m, &e), 0);
	assert_int_equal(msg_parts_step(m, &e), STEP_MORE);
	msg_close(&m);
	view_close(&v);
}

/* A header stays where it is when the rest is read behind it. */
static void
test_header_then_all(void **state)
{
	struct box *b = *state;
	struct view *v;
	struct msg *m;
	struct str header, again;
	struct err e;

	write_message(b, "Subject: x\n\n", LINE, 500, "");
	m = open_first(b, &v);
	assert_int_equal(msg_header(m, &header, &e), 0);
	assert_int_equal(header.n, 12);
	assert_int_equal(msg_load_all(m, &e), 0);
	assert_int_equal(msg_header(m, &again, &e), 0);
	assert_int_equal(again.n, 12);
	assert_memory_equal(again.p, "Subject: x\n\n", 12);
	msg_close(&m);
	view_close(&v);
}

static void
test_a_small_message_is_read_once(void **state)
{
	struct box *b = *state;
	struct view *v;
	struct msg *m;
	struct part *root;
	struct str header;
	struct err e;
	char piece[8];
	size_t got;

	write_message(b, "Subject: x\n\n", "line\n", 3, "");
	m = open_first(b, &v);
	assert_int_equal(msg_load_all(m, &e), 0);
	assert_int_equal(truncate(box_path(b, "cur/1.M1.x:2,"), 0), 0);
	assert_int_equal(msg_read(m, 12, piece, sizeof(piece), &got, &e), 0);
	assert_int_equal(got, 8);
	assert_memory_equal(piece, "line\nlin", 8);
	assert_int_equal(msg_read(m, 20, piece, sizeof(piece), &got, &e), 0);
	assert_int_equal(got, 7);
	assert_int_equal(msg_read(m, 27, piece, sizeof(piece), &got, &e), 0);
	assert_int_equal(got, 0);
	assert_int_equal(msg_header(m, &header, &e), 0);
	assert_true(str_eq(header, STR("Subject: x\n\n")));
	assert_false(msg_header_is_cut(m));
	assert_int_equal(msg_parts(m, &root, &e), 0);
	assert_int_equal(root->body_lines, 3);
	msg_close(&m);
	view_close(&v);
}

/* The first bytes come with the opening; what goes beyond is read. */
static void
test_first_bytes(void **state)
{
	struct box *b = *state;
	struct view *v;
	struct msg *m;
	struct str s, header;
	struct err e;
	char piece[64];
	uint64_t size, wire;
	size_t got;

	write_message(b, "Subject: x\n\n", LINE, 300, "end\n");
	m = open_first(b, &v);
	assert_false(msg_at_hand(m, 0, 1, &s));
	assert_int_equal(msg_load(m, 4096, &e), 0);
	assert_int_equal(msg_size(m, &size, &e), 0);
	assert_true(size > 10000);
	assert_true(msg_at_hand(m, 0, 4096, &s));
	assert_int_equal(s.n, 4096);
	assert_memory_equal(s.p, "Subject: x\n\n", 12);
	assert_true(msg_at_hand(m, 4000, 96, &s));
	/* Not half of what was asked for, which would look like the end. */
	assert_false(msg_at_hand(m, 4000, 97, &s));
	assert_false(msg_at_hand(m, 4096, 1, &s));
	assert_int_equal(msg_read(m, 4080, piece, 64, &got, &e), 0);
	assert_int_equal(got, 64);
	assert_memory_equal(piece, LINE LINE + (4080 - 12) % strlen(LINE), 64);
	assert_int_equal(msg_header(m, &header, &e), 0);
	assert_true(str_eq(header, STR("Subject: x\n\n")));
	assert_int_equal(msg_wire_size(m, &wire, &e), 0);
	assert_int_equal(wire, size + 303);
	assert_int_equal(msg_load_all(m, &e), 0);
	assert_true(msg_at_hand(m, 0, 1000000, &s));
	assert_int_equal(s.n, size);
	assert_memory_equal(s.p + size - 4, "end\n", 4);
	assert_int_equal(msg_read(m, size, piece, 64, &got, &e), 0);
	assert_int_equal(got, 0);
	msg_close(&m);
	view_close(&v);
}

/* What is kept of it ends at the limit; the tree knows where it does. */
static void
test_a_header_past_the_limit(void **state)
{
	const int n = MIME_HEADER_BLOCK_MAX / 79 + 2;
	struct box *b = *state;
	struct view *v;
	struct msg *m;
	struct part *root;
	struct str header;
	struct err e;

	write_message(b, "", "X: " LINE, n, "\ntext\n");
	m = open_first(b, &v);
	assert_int_equal(msg_header(m, &header, &e), 0);
	assert_int_equal(header.n, MIME_HEADER_BLOCK_MAX);
	assert_true(msg_header_is_cut(m));
	assert_int_equal(msg_parts(m, &root, &e), 0);
	assert_int_equal(root->body_off, (strlen(LINE) + 3) * (size_t)n + 1);
	assert_int_equal(root->body_len, 5);
	msg_close(&m);
	view_close(&v);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_steps, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		test_header_then_all, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		test_a_small_message_is_read_once, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_first_bytes, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		test_a_header_past_the_limit, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
