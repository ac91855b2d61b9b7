/* SPDX-License-Identifier: ISC */
/* maildir_size_test.c - sizes in names and in the UID map. */

#include <fcntl.h>
#include <sys/stat.h>

#include "tests/lib/fresh_box.h"

#include "store/maildir/maildir_test.h"

static void
test_m8_wrong_size_in_name(void **state)
{
	struct box *b = *state;
	struct view *v;
	struct msg *m;
	struct err e;
	uint64_t size;
	char text[200];
	size_t got;

	box_write(b, "dovecot-uidlist", "3 V5 N2 G" GUID "\n1 :x,S=5,W=9\n");
	box_msg(b, "cur/x,S=5,W=9:2,");
	box_open(b);
	v = box_view(b, "INBOX", false);
	assert_int_equal(msg_open(v, 1, &m, &e), 0);
	assert_int_equal(msg_wire_size(m, &size, &e), 0);
	assert_int_equal(size, 134);
	assert_int_equal(msg_size(m, &size, &e), 0);
	assert_int_equal(size, 127);
	assert_int_equal(msg_read(m, 0, text, sizeof(text), &got, &e), 0);
	assert_int_equal(got, 127);
	msg_close(&m);
	assert_true(box_has(b, "cur/x,S=5,W=9:2,"));
	view_close(&v);
}

static uint64_t
wire_size(struct view *v, uint32_t uid)
{
	struct msg *m;
	struct err e;
	uint64_t size;

	assert_int_equal(msg_open(v, uid, &m, &e), 0);
	assert_int_equal(msg_load(m, 0, &e), 0);
	assert_int_equal(msg_wire_size(m, &size, &e), 0);
	msg_close(&m);
	return size;
}

static void
test_counted_sizes_are_kept(void **state)
{
	struct box *b = *state;
	struct view *v;
	char name[80];
	const char *list;

	for (int i = 0; i < 30; i++) {
		(void)snprintf(name, sizeof(name), "cur/%d.x%s:2,", i,
		    i % 3 == 0 ? ",S=127" : "");
		box_msg(b, name);
	}
	box_open(b);
	v = box_view(b, "INBOX", false);
	for (uint32_t uid = 1; uid <= 30; uid++)
		assert_int_equal(wire_size(v, uid), 134);
	assert_null(strstr(box_read(b, "dovecot-uidlist"), "W134"));
	view_close(&v);
	list = box_read(b, "dovecot-uidlist");
	assert_non_null(strstr(list, "\n1 W134 :0.x,S=127\n"));
	assert_non_null(strstr(list, "\n2 S127 W134 :1.x\n"));
	box_close(b);
	/* Believed next time, but only while the file is as large. */
	box_open(b);
	box_write(b, "cur/5.x:2,", "a\nb\n");
	v = box_view(b, "INBOX", false);
	assert_int_equal(wire_size(v, 2), 134);
	assert_int_equal(maildir_of(view_mailbox(v))->n_counted, 0);
	assert_int_equal(wire_size(v, 6), 6);
	if (!box_all_with_index) /* there it is kept in the index */
		assert_int_equal(maildir_of(view_mailbox(v))->n_counted, 1);
	assert_int_equal(box_append(b, "INBOX", TEST_MSG, FLAG_SEEN, -1), 31);
	view_close(&v);
}

static void
read_all(struct view *v, uint32_t uid, size_t piece)
{
	struct msg *m;
	struct err e;
	char text[200];
	size_t got = 1;

	assert_int_equal(msg_open(v, uid, &m, &e), 0);
	for (uint64_t off = 0; got > 0; off += got)
		assert_int_equal(msg_read(m, off, text, piece, &got, &e), 0);
	msg_close(&m);
}

/* The size on disk is right, that on the wire is not: nobody can know before
 * he reads the message, and then it is remembered. */
static void
test_wrong_wire_size_in_name(void **state)
{
	struct box *b = *state;
	struct view *v;
	char name[80];

	for (int i = 1; i <= 25; i++) {
		(void)snprintf(name, sizeof(name), "cur/%d.x,S=127,W=%d:2,",
		    1000 + i, i == 25 ? 134 : 130);
		box_msg(b, name);
	}
	box_open(b);
	v = box_view(b, "INBOX", false);
	assert_int_equal(wire_size(v, 1), 130);
	for (uint32_t uid = 1; uid <= 25; uid++)
		read_all(v, uid, uid * 7);
	for (uint32_t uid = 1; uid <= 25; uid++)
		assert_int_equal(wire_size(v, uid), 134);
	view_close(&v);
	assert_non_null(strstr(
	    box_read(b, "dovecot-uidlist"), "\n1 W134 :1001.x,S=127,W=130\n"));
	assert_non_null(strstr(
	    box_read(b, "dovecot-uidlist"), "\n25 :1025.x,S=127,W=134\n"));
	box_close(b);
	box_open(b);
	v = box_view(b, "INBOX", false);
	assert_int_equal(wire_size(v, 1), 134);
	view_close(&v);
}

/* What a message's first bytes do not tell is asked for when it is needed. */
static void
check_read_first(struct view *v, uint32_t uid, size_t want, const char *text)
{
	size_t n = strlen(text), done = 0, got = 1;
	char piece[5000];
	struct str header;
	int64_t date;
	uint64_t size;
	struct msg *m;
	struct err e;

	assert_int_equal(msg_open(v, uid, &m, &e), 0);
	assert_int_equal(msg_load(m, want, &e), 0);
	assert_int_equal(msg_header(m, &header, &e), 0);
	assert_int_equal(header.n, n < 6 ? n : 6);
	if (want == MSG_FIRST_ALL) {
		assert_int_equal(msg_load_all(m, &e), 0);
		assert_int_equal(
		    msg_at_hand(m, 0, MSG_FIRST_ALL, &header), n > 0);
		assert_int_equal(
		    header.n, n < MSG_FIRST_ALL ? n : MSG_FIRST_ALL);
	}
	for (; got > 0; done += got) {
		assert_int_equal(
		    msg_read(m, done, piece, sizeof(piece), &got, &e), 0);
		assert_true(got <= n - done);
		assert_memory_equal(piece, text + done, got);
	}
	assert_int_equal(done, n);
	assert_int_equal(msg_internal_date(m, &date, &e), 0);
	assert_int_equal(date, 1000000000);
	assert_int_equal(msg_size(m, &size, &e), 0);
	assert_int_equal(size, n);
	assert_int_equal(msg_wire_size(m, &size, &e), 0);
	assert_int_equal(size, n + (n >= 6 ? 2 : 0));
	msg_close(&m);
}

static void
test_read_before_it_is_looked_at(void **state)
{
	static const size_t sizes[] = {0, 1, 1023, 1024, 1025, 2048, 4095, 4096,
	    4097, 8191, 8192, 8193, 16383, 16384, 16385, 65535, 65536, 65537,
	    200000};
	static const size_t wants[] = {
	    MSG_FIRST_HEADER, MSG_FIRST_ALL, 1, 100000};
	const struct timespec old[2] = {
	    {.tv_sec = 900000000}, {.tv_sec = 1000000000}};
	struct box *b = *state;
	struct stat st;
	char name[40];
	struct view *v;
	char *text = mem_new(1, 200001);

	box_write(b, "dovecot-uidlist", "3 V5 N1 G" GUID "\n");
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		memset(text, 'x', sizes[i]);
		memcpy(text, "A: b\n\n", sizes[i] < 6 ? 0 : 6);
		text[sizes[i]] = '\0';
		(void)snprintf(name, sizeof(name), "cur/%zu.x:2,", 1000 + i);
		box_write(b, name, text);
		assert_int_equal(
		    utimensat(AT_FDCWD, box_path(b, name), old, 0), 0);
	}
	for (size_t k = 0; k < ARRAY_LEN(wants); k++) {
		box_open(b);
		v = box_view(b, "INBOX", false);
		for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
			memset(text, 'x', sizes[i]);
			memcpy(text, "A: b\n\n", sizes[i] < 6 ? 0 : 6);
			text[sizes[i]] = '\0';
			check_read_first(v, (uint32_t)i + 1, wants[k], text);
		}
		view_close(&v);
		box_close(b);
	}
	/* To be read leaves no mark on a message, as far as one could see. */
	assert_int_equal(stat(box_path(b, "cur/1004.x:2,"), &st), 0);
	assert_int_equal(st.st_atim.tv_sec, 900000000);
	free(text);
	box_open(b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    T(test_m8_wrong_size_in_name),
	    T(test_counted_sizes_are_kept),
	    T(test_wrong_wire_size_in_name),
	    T(test_read_before_it_is_looked_at),
	};
	int rc;

	rc = cmocka_run_group_tests(tests, NULL, NULL);
	box_all_with_index = true;
	return rc | cmocka_run_group_tests(tests, NULL, NULL);
}
