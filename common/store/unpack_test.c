/* SPDX-License-Identifier: ISC */
/* unpack_test.c - gzip and zstd files, whole, cut, damaged, and bombs. */
#include <zlib.h>
#include <zstd.h>

#include "../tests/lib/test_store.h"

#include "base/bounds.h"
#include "base/mem.h"
#include "store/unpack.h"

static char *
text_of(size_t n)
{
	char *p = mem_new(n + 1, 1);

	for (size_t i = 0; i < n; i++)
		p[i] = i % 61 == 60 ? '\n' : (char)('a' + (i * i / 7) % 26);
	return p;
}

static size_t
gzip(const char *p, size_t n, char *to, size_t room)
{
	z_stream z = {.next_in = (unsigned char *)(uintptr_t)p,
	    .avail_in = (uInt)n,
	    .next_out = (unsigned char *)to,
	    .avail_out = (uInt)room};

	assert_int_equal(
	    deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY),
	    Z_OK);
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	assert_int_equal(deflateEnd(&z), Z_OK);
	return room - z.avail_out;
}

static size_t
pack(enum packing kind, const char *p, size_t n, char *to, size_t room)
{
	if (kind == PACKED_GZIP)
		return gzip(p, n, to, room);
	n = ZSTD_compress(to, room, p, n, 3);
	assert_false(ZSTD_isError(n));
	return n;
}

static int
file_of(const char *p, size_t n)
{
	char name[] = "/tmp/unpack-test.XXXXXX";
	int fd = mkstemp(name);

	assert_true(fd != -1);
	assert_int_equal(unlink(name), 0);
	assert_int_equal(write(fd, p, n), n);
	return fd;
}

static int
open_bytes(const char *p, size_t n, struct unpack **u, uint64_t *size, int *fd,
    struct err *e)
{
	*fd = file_of(p, n);
	return unpack_open(*fd, unpack_kind(str_make(p, n)), u, size, e);
}

static void
assert_reads(
    struct unpack *u, uint64_t off, size_t n, const char *text, size_t size)
{
	char *room = mem_new(n + 1, 1);
	size_t want = off >= size ? 0 : size - off, got;
	struct err e;

	if (want > n)
		want = n;
	assert_int_equal(unpack_read(u, off, room, n, &got, &e), 0);
	assert_int_equal(got, want);
	assert_memory_equal(room, text + (want == 0 ? 0 : off), got);
	free(room);
}

static void
test_kinds(void **state)
{
	(void)state;
	assert_int_equal(unpack_kind(STR("")), PACKED_NOT);
	assert_int_equal(unpack_kind(STR("From")), PACKED_NOT);
	assert_int_equal(unpack_kind(STR("\x1f\x8b\x08")), PACKED_NOT);
	assert_int_equal(unpack_kind(STR("\x1f\x8b\x07\x01")), PACKED_NOT);
	assert_int_equal(unpack_kind(STR("\x1f\x8b\x08\xff")), PACKED_NOT);
	assert_int_equal(unpack_kind(STR("\x1f\x8b\x08\x08")), PACKED_GZIP);
	assert_int_equal(unpack_kind(STR("\x28\xb5\x2f\xfd")), PACKED_ZSTD);
}

static void
test_reads(void **state)
{
	static const size_t sizes[] = {
	    0, 1, 100, 32768, 512 * 1024, 512 * 1024 + 1, 3000000};

	(void)state;
	for (unsigned i = 0; i < 2 * ARRAY_LEN(sizes); i++) {
		enum packing kind = i % 2 == 0 ? PACKED_GZIP : PACKED_ZSTD;
		size_t n = sizes[i / 2], room = n + n / 10 + 1000, packed;
		char *text = text_of(n), *to = mem_new(room, 1);
		struct unpack *u;
		uint64_t size;
		struct err e;
		int fd;

		packed = pack(kind, text, n, to, room);
		assert_int_equal(unpack_kind(str_make(to, packed)), kind);
		assert_int_equal(open_bytes(to, packed, &u, &size, &fd, &e), 0);
		assert_int_equal(size, n);
		assert_reads(u, 0, 10, text, n);
		assert_reads(u, 0, n + 10, text, n);
		assert_reads(u, n / 2, 70000, text, n);
		assert_reads(u, n / 3, 5, text, n); /* back */
		assert_reads(u, n, 5, text, n);
		assert_reads(u, n + 1000, 5, text, n);
		for (size_t off = 0; off < n; off += 40000)
			assert_reads(u, off, 40000, text, n);
		unpack_free(&u);
		close(fd);
		free(text);
		free(to);
	}
}

/* Each cut and each bit in the first bytes: an error or the right text. */
static void
test_damage(void **state)
{
	char *text = text_of(5000), to[8000], bad[8000];
	struct unpack *u;
	uint64_t size;
	struct err e;
	int fd;

	(void)state;
	for (int kind = PACKED_GZIP; kind <= PACKED_ZSTD; kind++) {
		size_t n = pack(kind, text, 5000, to, sizeof(to));

		for (size_t cut = UNPACK_MAGIC; cut < n; cut += 7) {
			assert_int_equal(
			    open_bytes(to, cut, &u, &size, &fd, &e), -1);
			assert_int_equal(e.code, ERR_CORRUPT);
			close(fd);
		}
		for (size_t at = 4; at < n; at += 11) {
			memcpy(bad, to, n);
			bad[at] ^= 0x10;
			if (open_bytes(bad, n, &u, &size, &fd, &e) == 0)
				unpack_free(&u);
			else
				assert_true(e.code == ERR_CORRUPT ||
				    e.code == ERR_LIMIT);
			close(fd);
		}
		/* Behind the end. */
		memcpy(to + n, "garbage", 7);
		assert_int_equal(open_bytes(to, n + 7, &u, &size, &fd, &e), -1);
		close(fd);
	}
	free(text);
}

/* Looked through, and gone to a place, in steps none of which takes long. */
static void
test_steps(void **state)
{
	static const size_t n = 9 * 1024 * 1024 + 5;
	char *text = text_of(n), *to = mem_new(1, n), room[100];
	unsigned looks, seeks, back;
	struct unpack *u;
	uint64_t size = 0;
	size_t packed, got;
	struct err e;
	enum step step;
	int fd;

	(void)state;
	for (int kind = PACKED_GZIP; kind <= PACKED_ZSTD; kind++) {
		packed = pack(kind, text, n, to, n);
		fd = file_of(to, packed);
		assert_int_equal(unpack_new(fd, kind, &u, &e), 0);
		for (looks = 0;
		     (step = unpack_look(u, &size, &e)) == STEP_MORE;)
			looks++;
		assert_int_equal(step, STEP_DONE);
		assert_int_equal(size, n);
		assert_in_range(looks, 8, 40);
		for (seeks = 0;
		     (step = unpack_seek(u, n - 50, &e)) == STEP_MORE;)
			seeks++;
		assert_int_equal(step, STEP_DONE);
		assert_in_range(seeks, 8, 40);
		assert_int_equal(
		    unpack_read(u, n - 50, room, sizeof(room), &got, &e), 0);
		assert_int_equal(got, 50);
		assert_memory_equal(room, text + n - 50, got);
		for (back = 0; (step = unpack_seek(u, n / 2, &e)) == STEP_MORE;)
			back++;
		assert_int_equal(step, STEP_DONE);
		assert_in_range(back, 4, 20);
		assert_int_equal(unpack_seek(u, n / 2, &e), STEP_DONE);
		assert_reads(u, n / 2, 100000, text, n);
		/* A little back, as who converts line ends goes. */
		assert_reads(u, n / 2 + 99000, 3000, text, n);
		assert_reads(u, n / 2 + 99000, 200000, text, n);
		assert_reads(u, n / 2 + 298000, 2000, text, n);
		assert_reads(u, n / 2 + 50000, 20, text, n);
		while ((step = unpack_seek(u, n + 7, &e)) == STEP_MORE)
			;
		assert_int_equal(step, STEP_DONE);
		assert_reads(u, n + 7, 1, text, n);
		unpack_free(&u);
		close(fd);
	}
	/* Members that hold nothing take their time, too. */
	for (packed = 0; packed + 100 < n;)
		packed += gzip("", 0, to + packed, 100);
	fd = file_of(to, packed);
	assert_int_equal(unpack_new(fd, PACKED_GZIP, &u, &e), 0);
	for (looks = 0; (step = unpack_look(u, &size, &e)) == STEP_MORE;)
		looks++;
	assert_int_equal(step, STEP_DONE);
	assert_int_equal(size, 0);
	assert_true(looks > 100);
	unpack_free(&u);
	close(fd);
	free(text);
	free(to);
}

/* Two members are one message, as gzip(1) has it. */
static void
test_members(void **state)
{
	char to[2000];
	struct unpack *u;
	uint64_t size;
	struct err e;
	size_t n;
	int fd;

	(void)state;
	for (int kind = PACKED_GZIP; kind <= PACKED_ZSTD; kind++) {
		n = pack(kind, "one ", 4, to, 1000);
		n += pack(kind, "two", 3, to + n, 1000);
		assert_int_equal(open_bytes(to, n, &u, &size, &fd, &e), 0);
		assert_int_equal(size, 7);
		assert_reads(u, 0, 10, "one two", 7);
		unpack_free(&u);
		close(fd);
	}
}

static void
test_bomb(void **state)
{
	static const size_t piece = 16 * 1024 * 1024;
	char *zeros = mem_new(piece, 1), *to = mem_new(1, piece);
	struct unpack *u;
	uint64_t size;
	struct err e;
	size_t one, n = 0;
	int fd;

	(void)state;
	for (int kind = PACKED_GZIP; kind <= PACKED_ZSTD; kind++) {
		one = pack(kind, zeros, piece, to, piece);
		for (n = one; n < one * (UNPACKED_MAX / piece + 1); n += one)
			memcpy(to + n, to, one);
		assert_true(n < 1000000);
		assert_int_equal(open_bytes(to, n, &u, &size, &fd, &e), -1);
		assert_int_equal(e.code, ERR_LIMIT);
		close(fd);
	}
	free(zeros);
	free(to);
}

/* In a mailbox: as if they were not compressed. */
static void
test_in_a_maildir(void **state)
{
	struct box b;
	char text[3000], to[4000], name[100];
	struct view *v;
	struct msg *m;
	struct str header;
	struct err e;
	uint64_t size;
	size_t n, got;
	FILE *f;

	(void)state;
	box_init(&b);
	(void)snprintf(text, sizeof(text), "%s%s", TEST_MSG, "more\nof it\n");
	for (unsigned i = 0; i < 6; i++) {
		n = pack(i % 2 == 0 ? PACKED_GZIP : PACKED_ZSTD, text,
		    strlen(text), to, sizeof(to));
		if (i / 2 == 0) /* as Dovecot does it */
			(void)snprintf(name, sizeof(name),
			    "cur/%u.x,S=%zu,W=%zu:2,", 1000 + i, strlen(text),
			    strlen(text) + 9);
		else if (i / 2 == 1) /* sizes of the wrong thing */
			(void)snprintf(name, sizeof(name),
			    "cur/%u.x,S=12,W=13:2,", 1000 + i);
		else
			(void)snprintf(
			    name, sizeof(name), "cur/%u.x:2,", 1000 + i);
		f = fopen(box_path(&b, name), "w");
		assert_non_null(f);
		assert_int_equal(fwrite(to, n, 1, f), 1);
		assert_int_equal(fclose(f), 0);
	}
	box_write(&b, "cur/1006.x:2,", "\x1f\x8b\x08\x01 broken, all of it");
	box_msg(&b, "cur/1007.x:2,");
	box_open(&b);
	v = box_view(&b, "INBOX", false);
	assert_int_equal(view_count(v), 8);
	for (uint32_t uid = 1; uid <= 6; uid++) {
		char room[4000];

		assert_int_equal(msg_open(v, uid, &m, &e), 0);
		if (uid <= 2) {
			assert_int_equal(msg_size(m, &size, &e), 0);
			assert_int_equal(size, strlen(text));
		}
		assert_int_equal(msg_header(m, &header, &e), 0);
		assert_true(str_starts(header, STR("From: a@example.org\n")));
		assert_int_equal(
		    msg_read(m, 0, room, sizeof(room), &got, &e), 0);
		assert_int_equal(got, strlen(text));
		assert_memory_equal(room, text, got);
		assert_int_equal(msg_size(m, &size, &e), 0);
		assert_int_equal(size, strlen(text));
		assert_int_equal(msg_wire_size(m, &size, &e), 0);
		assert_int_equal(size, strlen(text) + 9);
		msg_close(&m);
	}
	assert_int_equal(msg_open(v, 7, &m, &e), 0);
	assert_int_equal(msg_read(m, 0, to, 10, &got, &e), -1);
	assert_int_equal(e.code, ERR_CORRUPT);
	msg_close(&m);
	assert_int_equal(msg_open(v, 8, &m, &e), 0);
	assert_int_equal(msg_wire_size(m, &size, &e), 0);
	assert_int_equal(size, 134);
	msg_close(&m);
	view_close(&v);
	box_done(&b);
}

/* A wrong size in the name does not say how large it is. */
static void
test_bounds(UNUSED void **state)
{
	struct box b;
	char to[4000];
	uint64_t low, high;
	struct view *v;
	struct msg *m;
	struct str packed;
	struct err e;
	FILE *f;

	box_init(&b);
	packed = str_make(
	    to, pack(PACKED_GZIP, TEST_MSG, strlen(TEST_MSG), to, sizeof(to)));
	f = fopen(box_path(&b, "cur/1000.x,S=12:2,"), "w");
	assert_non_null(f);
	assert_int_equal(fwrite(packed.p, packed.n, 1, f), 1);
	assert_int_equal(fclose(f), 0);
	box_open(&b);
	v = box_view(&b, "INBOX", false);
	assert_int_equal(msg_open(v, 1, &m, &e), 0);
	while (msg_wire_size_bounds(m, 50, &low, &high, &e) == STEP_MORE)
		;
	assert_int_equal(low, 134);
	assert_int_equal(high, 134);
	msg_close(&m);
	view_close(&v);
	box_done(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_kinds),
	    cmocka_unit_test(test_reads),
	    cmocka_unit_test(test_damage),
	    cmocka_unit_test(test_steps),
	    cmocka_unit_test(test_members),
	    cmocka_unit_test(test_bomb),
	    cmocka_unit_test(test_in_a_maildir),
	    cmocka_unit_test(test_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
