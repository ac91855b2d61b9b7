/* SPDX-License-Identifier: ISC */
/* mbox_index_test.h - an mbox file that the index knows, for those who test it. */
#ifndef STORE_MBOX_INDEX_TEST_H
#define STORE_MBOX_INDEX_TEST_H

#include <time.h>

#include "store/derived_impl.h"
#include "store/mbox/mbox_impl.h"

#define INDEXED_BOX_IS_MBOX
#include "tests/lib/indexed_box.h"

#define F "From a@b Mon Mar  2 10:01:00 2026\n"
#define BOX "mail/t"
/* More than what is read whole in any case. */
#define FILLER_BYTES (3 * 1024 * 1024)

/* From now on whatever was changed was changed long ago. */
static UNUSED void
settle(void)
{
	static int64_t ahead_us;
	const struct timespec tick = {.tv_nsec = 20000000};

	/* The file's next time is another one. */
	(void)nanosleep(&tick, NULL);
	clock_set_for_test(-1, -1);
	ahead_us += 100000000;
	clock_set_for_test(-1, clock_wall_us() + ahead_us);
}

static int last_uid; /* that the file says */

static UNUSED void
write_msg(FILE *f, int n, const char *status, bool has_uid, size_t filler)
{
	(void)fprintf(f, F "Subject: %d\nMessage-ID: <%d@x>\n", n, n);
	if (has_uid && n == 1)
		(void)fprintf(
		    f, "X-IMAPbase: 1795300494 %010d $Fwd\n", last_uid);
	if (has_uid)
		(void)fprintf(f, "X-UID: %d          \n", n);
	(void)fprintf(f, "Status: %s\n\nbody %d\n", status, n);
	for (; filler > 0; filler -= filler < 64 ? filler : 64)
		(void)fprintf(f, "%.*s\n", filler < 64 ? (int)filler - 1 : 63,
		    "---------------------------------------------------------"
		    "----------");
	(void)fprintf(f, "\n");
}

/* `n` messages; the first one is large. Each third is not seen. */
static UNUSED void
make(struct box *b, int n, bool has_uids)
{
	FILE *f = fopen(box_path(b, BOX), "w");

	assert_non_null(f);
	last_uid = n;
	for (int i = 1; i <= n; i++)
		write_msg(f, i, i % 3 == 0 ? "O " : "RO", has_uids,
		    i == 1 ? FILLER_BYTES : 0);
	assert_int_equal(fclose(f), 0);
}

static UNUSED void
deliver(struct box *b, int n)
{
	FILE *f = fopen(box_path(b, BOX), "a");

	assert_non_null(f);
	write_msg(f, n, "", false, 0);
	assert_int_equal(fclose(f), 0);
}

/* The index knows them as of long ago. */
static UNUSED void
learn(struct box *b, int n)
{
	struct view *v;

	settle();
	box_open(b);
	v = box_view(b, "t", false);
	assert_int_equal(view_count(v), n);
	view_close(&v);
	box_close(b);
	/* What this has written has an age only now. */
	settle();
	box_open(b);
	v = box_view(b, "t", false);
	view_close(&v);
	box_close(b);
}

static UNUSED void
fill(struct box *b, int n)
{
	make(b, n, true);
	learn(b, n);
}

/* As fill(), and opened again. */
static UNUSED struct view *
fill_view(struct box *b, int n)
{
	fill(b, n);
	box_open(b);
	return box_view(b, "t", false);
}

static UNUSED const char *
text_of(struct view *v, uint32_t uid)
{
	static char text[5000];
	struct msg *m;
	struct err e;
	size_t n = 0, got;

	if (msg_open(v, uid, &m, &e) == -1)
		return "gone";
	do {
		if (msg_read(m, n, text + n, sizeof(text) - 1 - n, &got, &e) ==
		    -1)
			fail_msg("msg_read %u: %s", uid, e.text);
		n += got;
	} while (got > 0);
	text[n] = '\0';
	msg_close(&m);
	return text;
}

static UNUSED void
assert_text(struct view *v, uint32_t uid, int n)
{
	char want[200];

	(void)snprintf(want, sizeof(want),
	    "Subject: %d\nMessage-ID: <%d@x>\n\nbody %d\n", n, n, n);
	assert_string_equal(text_of(v, uid), want);
}

/* Replaces the first `old` in the file by `new`, of the same length. */
static UNUSED void
patch(struct box *b, const char *old, const char *new, bool keep_time)
{
	struct timespec t[2];
	struct stat st;
	char *text, *at;
	FILE *f = fopen(box_path(b, BOX), "r+");

	assert_non_null(f);
	assert_int_equal(fstat(fileno(f), &st), 0);
	text = mem_new(1, (size_t)st.st_size + 1);
	assert_int_equal(fread(text, 1, (size_t)st.st_size, f), st.st_size);
	at = strstr(text, old);
	assert_non_null(at);
	assert_int_equal(strlen(old), strlen(new));
	assert_int_equal(fseek(f, at - text, SEEK_SET), 0);
	assert_int_equal(fwrite(new, strlen(new), 1, f), 1);
	t[0] = st.st_atim;
	t[1] = st.st_mtim;
	assert_int_equal(fflush(f), 0);
	if (keep_time)
		assert_int_equal(futimens(fileno(f), t), 0);
	assert_int_equal(fclose(f), 0);
	free(text);
}

static UNUSED void
put_fact(struct view *v, uint32_t uid, const char *text)
{
	view_keep_fact(v, uid, INDEX_ENVELOPE, str_of(text));
	derived_pause(view_mailbox(v)->store);
}

static UNUSED const char *
fact(struct view *v, uint32_t uid)
{
	static char text[100];
	struct str value;

	if (!view_fact(v, uid, INDEX_ENVELOPE, &value) ||
	    !str_to_c(value, text, sizeof(text)))
		return "";
	return text;
}

#endif
