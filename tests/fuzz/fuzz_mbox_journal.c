/* SPDX-License-Identifier: ISC */
/*
 * fuzz_mbox_journal.c - any bytes as the journal of any bytes as an mbox file:
 * what was begun there is finished, or nothing is touched.
 *
 * Owns:    nothing.
 * Runs in: make fuzz, make check.
 * Trusts:  nothing.
 *
 * The first byte says what becomes of the rest:
 *
 *	0	u16, so many bytes of journal as they are, the file
 *	1, 2	a record with a right sum, made of numbers; its bytes; the file
 *		(2: of another file)
 *
 * Of a record that is believed every byte of the file is checked: what it says
 * is written, what it calls a hole may go, nothing else is another.
 */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "os/file.h"
#include "store/mbox/mbox_shift_impl.h"
#include "store/mbox/mbox_state.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FILE_MAX 20000
#define SMALL 512 /* for ranges of a record */

static char dir[64], box[80];
static int boxfd = -1;

/* Nothing here is to survive. */
int
fdatasync(int fd)
{
	(void)fd;
	return 0;
}

int
fsync(int fd)
{
	(void)fd;
	return 0;
}

static void
at_end(void)
{
	struct err e;

	(void)file_remove_tree(AT_FDCWD, dir, &e);
}

static void
set_up(void)
{
	static bool is_done;

	if (is_done)
		return;
	is_done = true;
	(void)snprintf(dir, sizeof(dir), "%s/restante-fuzz.XXXXXX",
	    access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	if (mkdtemp(dir) == NULL || atexit(at_end) != 0)
		abort();
	(void)snprintf(box, sizeof(box), "%s/box", dir);
	boxfd =
	    openat(AT_FDCWD, box, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (boxfd == -1)
		abort();
}

static void
fill(int fd, struct str bytes)
{
	struct err e;

	if (ftruncate(fd, 0) == -1 ||
	    mbox_bytes_write(fd, 0, bytes.p, bytes.n, &e) == -1)
		abort();
}

/* ---- records --------------------------------------------------------------- */

static unsigned
take(struct str *in)
{
	unsigned v;

	if (in->n < 2) {
		*in = str_skip(*in, in->n);
		return 0;
	}
	v = (unsigned)(uint8_t)in->p[0] | (unsigned)(uint8_t)in->p[1] << 8;
	*in = str_skip(*in, 2);
	return v;
}

/* A place in the file, or now and then far away. */
static uint64_t
take_off(struct str *in)
{
	unsigned v = take(in);

	return v >= 0xfff0 ? UINT64_MAX << (v & 15) * 4 : v % (2 * SMALL);
}

static uint64_t
hash_of(struct str file, uint64_t off, uint64_t n)
{
	return off <= file.n && n <= file.n - off
	    ? mbox_bytes_hash(MBOX_HASH_INIT, file.p + off, (size_t)n)
	    : 0;
}

/* What must be there is there, but for what `flaws` says. */
static void
set_guards(
    struct mbox_record *r, struct str file, uint64_t *hashes, unsigned flaws)
{
	uint64_t off = r->data_off, left = r->data_len;

	r->before = hash_of(file, r->before_off, r->before_len) + (flaws & 1);
	r->after = hash_of(file, r->after_off, r->after_len) + (flaws >> 1 & 1);
	while (left > 0) {
		uint64_t k = MBOX_BLOCK - off % MBOX_BLOCK;

		k = k > left ? left : k;
		hashes[r->n_hashes++] =
		    hash_of(file, off, k) + (flaws >> 2 & 1);
		off += k;
		left -= k;
	}
}

static struct mbox_record
take_record(struct str *in, unsigned *flaws)
{
	unsigned kind = take(in);
	struct mbox_record r = {
	    .kind = kind % 6,
	    .data_off = take_off(in),
	    .data_len = take(in) % SMALL,
	    .lines_off = take_off(in),
	    .lines_len = take_off(in),
	    .hole_off = take_off(in),
	    .hole_len = take_off(in),
	    .before_off = take_off(in),
	    .before_len = take(in) % (MBOX_GUARD + 1),
	    .after_off = take_off(in),
	    .after_len = take(in) % (MBOX_GUARD + 1),
	    .start_len = take(in) % (MBOX_GUARD + 1),
	};

	*flaws = take(in);
	for (size_t i = 0; i < r.start_len && i < in->n; i++)
		r.start[i] = in->p[i];
	return r;
}

/* ---- what comes of it ------------------------------------------------------ */

static bool
is_at(struct str file, uint64_t off, uint64_t n)
{
	return off <= file.n && n <= file.n - off;
}

/* Is `now` what it was with the record done, with or without its hole? */
static bool
is_done(const struct mbox_record *r, const char *bytes, struct str was,
    struct str now)
{
	char *want = mem_resize(NULL, 1, was.n + 1);
	size_t rest;
	bool ok;

	if (was.n > 0)
		memcpy(want, was.p, was.n);
	if (r->kind == MBOX_ROUND && is_at(was, r->data_off, r->data_len) &&
	    is_at(was, r->lines_off, r->lines_len)) {
		if (r->data_len > 0)
			memcpy(want + r->data_off, bytes, (size_t)r->data_len);
		memset(want + r->lines_off, '\n', (size_t)r->lines_len);
	}
	ok = str_eq(now, str_make(want, was.n));
	if (!ok && is_at(was, r->hole_off, r->hole_len) &&
	    now.n == was.n - r->hole_len) {
		rest = was.n - (size_t)(r->hole_off + r->hole_len);
		memmove(
		    want + r->hole_off, want + r->hole_off + r->hole_len, rest);
		ok = str_eq(now, str_make(want, now.n));
	}
	free(want);
	return ok;
}

static struct mbox_shift
open_box(void)
{
	struct mbox_shift s = {.fd = boxfd, .dir = dir, .path = box};

	mbox_shift_init(&s);
	return s;
}

/* Recovers; `r` and `bytes`: what may be done, or nothing. */
static void
recover(struct str file, const struct mbox_record *r, const char *bytes)
{
	static char now[2 * FILE_MAX];
	struct mbox_shift s = open_box();
	bool lost = false, is_pending;
	struct err e;
	ssize_t n;
	int rc;

	rc = mbox_shift_recover(&s, &lost, &e);
	n = pread(boxfd, now, sizeof(now), 0);
	if (n == -1 || n == sizeof(now))
		abort();
	if ((r == NULL || lost || rc == -1) &&
	    !str_eq(file, str_make(now, (size_t)n)))
		abort();
	if (r != NULL && !lost && rc == 0 &&
	    !is_done(r, bytes, file, str_make(now, (size_t)n)))
		abort();
	if (rc == 0 &&
	    (mbox_shift_look(&s, &is_pending, &e) == -1 || is_pending))
		abort();
	mbox_shift_done(&s);
}

static void
remove_journal(const struct mbox_shift *s, char path[PATH_MAX])
{
	(void)snprintf(path, PATH_MAX, "%s/%llx.%llx", dir,
	    (unsigned long long)s->dev, (unsigned long long)s->ino);
	(void)unlinkat(AT_FDCWD, path, 0);
}

static void
any_bytes(struct str in)
{
	size_t n = take(&in);
	struct mbox_shift s = open_box();
	struct str journal = str_head(in, n < in.n ? n : in.n);
	struct str file = str_skip(in, journal.n);
	char path[PATH_MAX];
	int fd;

	remove_journal(&s, path);
	fd = openat(
	    AT_FDCWD, path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd == -1)
		abort();
	fill(fd, journal);
	close(fd);
	fill(boxfd, file);
	recover(file, NULL, NULL);
	mbox_shift_done(&s);
}

static void
a_record(struct str in, bool is_ours)
{
	struct mbox_shift s = open_box();
	uint64_t hashes[SMALL / MBOX_BLOCK + 3];
	unsigned flaws;
	struct mbox_record r = take_record(&in, &flaws);
	char bytes[SMALL] = {0}, path[PATH_MAX];
	struct err e;

	remove_journal(&s, path);
	for (size_t i = 0; i < r.data_len && i < in.n; i++)
		bytes[i] = in.p[i];
	fill(boxfd, in);
	set_guards(&r, in, hashes, flaws);
	if (!is_ours)
		s.ino++;
	if (mbox_journal_save(&s, &r, hashes, bytes, &e) == -1)
		abort();
	if (!is_ours) {
		char from[PATH_MAX];

		s.ino--;
		remove_journal(&s, path);
		(void)snprintf(from, sizeof(from), "%s/%llx.%llx", dir,
		    (unsigned long long)s.dev, (unsigned long long)s.ino + 1);
		if (renameat(AT_FDCWD, from, AT_FDCWD, path) == -1)
			abort();
	}
	mbox_shift_done(&s);
	recover(in, is_ours ? &r : NULL, bytes);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 1 || size > FILE_MAX)
		return 0;
	set_up();
	if (data[0] % 3 == 0)
		any_bytes(str_make(data + 1, size - 1));
	else
		a_record(str_make(data + 1, size - 1), data[0] % 3 == 1);
	return 0;
}
