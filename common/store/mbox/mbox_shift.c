/* SPDX-License-Identifier: ISC */
/*
 * mbox_shift.c - moves bytes in an mbox file, with a journal.
 *
 * Owns:    the journal "<dev>.<ino>" of the file in the state folder.
 * Runs in: imapd, pop3d, as the mail user, who holds the write lock.
 * Trusts:  nothing in a journal before its checksum; nothing in the file that
 *          is neither what was there before a round nor what it writes.
 * Spec:    security.md 7.3.
 *
 * A file in the midst of a change, outside of a round:
 *
 *	forwards:	new bytes | hole | old bytes	(it becomes shorter)
 *	backwards:	old bytes | hole | new bytes	(it becomes longer)
 *
 * A round writes some new bytes to the hole's one end and newlines to the
 * other. Invariants, at every system call:
 *  1. All bytes that are neither old nor new are newlines (or, just after the
 *     file was made longer, NULs), or lie in a round that is in the journal.
 *  2. The journal is durable before the file changes, the file before the next
 *     round goes to the journal's other half.
 *  3. Nothing that lies behind the end that we saw when locking is touched, but
 *     for being moved.
 *
 * After a crash the last round is done again if every block is either old or
 * new (but for the two where writing broke off); then the hole is taken out,
 * together with moving whatever was appended behind it. A hole that is not one
 * any more was cut off already: nothing is taken then.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/mem.h"
#include "os/file.h"
#include "store/mbox/mbox_shift.h"
#include "store/mbox/mbox_state.h"

#define CHUNK (4 * 1024 * 1024)
#define CHUNK_SMALL (16 * 1024)
#define HEAD_BYTES 4096
#define HALF_SMALL (28 * 1024) /* two of them and the head: 60 KiB */
#define BLOCK 4096
#define GUARD 256
#define FILL_BYTES (64 * 1024)

enum kind { KIND_IDLE = 0, KIND_ROUND = 1, KIND_HOLE = 2 };

/* One half of the journal begins with this; then come hashes, then data. */
struct record {
	char magic[8];
	uint64_t check; /* of all that follows */
	uint64_t seq, dev, ino;
	uint64_t kind;
	uint64_t data_off, data_len; /* what is written */
	uint64_t lines_off, lines_len; /* newlines */
	uint64_t hole_off, hole_len; /* afterwards */
	uint64_t before_off, before_len, before; /* what must be there */
	uint64_t after_off, after_len, after;
	uint64_t n_hashes; /* of the blocks of data_off.. as they were */
	uint64_t start_len;
	char start[GUARD]; /* KIND_HOLE: what may be found in the hole */
};

static const char magic[8] = "RsMbJ01\n";

void
mbox_shift_init(struct mbox_shift *s)
{
	struct stat st;

	s->journal = -1;
	s->seq = 0;
	s->dev = s->ino = 0;
	if (fstat(s->fd, &st) == 0) {
		s->dev = st.st_dev;
		s->ino = st.st_ino;
	}
}

void
mbox_shift_done(struct mbox_shift *s)
{
	if (s->journal != -1)
		close(s->journal);
	s->journal = -1;
}

/* ---- bytes ----------------------------------------------------------------- */

static uint64_t
hash64(uint64_t h, const char *p, size_t n)
{
	/* Eight bytes at once: much of a file goes through here. */
	for (; n >= 8; p += 8, n -= 8) {
		uint64_t v;

		memcpy(&v, p, 8);
		h = (h ^ v) * UINT64_C(0x9e3779b97f4a7c15);
		h ^= h >> 29;
	}
	return mbox_hash(h, str_make(p, n));
}

static int
write_at(int fd, uint64_t off, const char *p, size_t n, struct err *e)
{
	while (n > 0) {
		ssize_t k = pwrite(fd, p, n, (off_t)off);

		if (k == -1 && errno == EINTR)
			continue;
		if (k == -1)
			return err_sys(e, "write");
		if (k == 0)
			return err_set(e, ERR_NO_SPACE, "nothing was written");
		p += k;
		n -= (size_t)k;
		off += (uint64_t)k;
	}
	return 0;
}

static int
write_newlines(int fd, uint64_t off, uint64_t n, struct err *e)
{
	char *fill;
	int rc = 0;

	if (n == 0)
		return 0;
	fill = mem_new(1, FILL_BYTES);
	memset(fill, '\n', FILL_BYTES);
	while (n > 0 && rc == 0) {
		size_t k = n < FILL_BYTES ? (size_t)n : FILL_BYTES;

		rc = write_at(fd, off, fill, k, e);
		off += k;
		n -= k;
	}
	free(fill);
	return rc;
}

static int
read_at(int fd, uint64_t off, char *p, size_t n, struct err *e)
{
	size_t got;

	if (file_read_at(fd, off, p, n, &got, e) == -1)
		return -1;
	return got == n ? 0 : err_set(e, ERR_CORRUPT, "file has shrunk");
}

static int
size_of(int fd, uint64_t *size, struct err *e)
{
	struct stat st;

	*size = 0; /* newer compilers can not see that it is set on success */
	if (fstat(fd, &st) == -1)
		return err_sys(e, "fstat");
	*size = (uint64_t)st.st_size;
	return 0;
}

/* ---- the journal ----------------------------------------------------------- */

static void
journal_path(const struct mbox_shift *s, char out[PATH_MAX])
{
	(void)snprintf(out, PATH_MAX, "%s/%llx.%llx", s->dir,
	    (unsigned long long)s->dev, (unsigned long long)s->ino);
}

/* Made with room for small rounds, so that those need no space later. */
static int
open_journal(struct mbox_shift *s, bool make, struct err *e)
{
	char path[PATH_MAX], head[HEAD_BYTES] = {0};
	int fd, dirfd, rc;

	if (s->journal != -1)
		return 0;
	journal_path(s, path);
	s->journal = openat(
	    AT_FDCWD, path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (s->journal != -1)
		return 0;
	if (errno != ENOENT || !make)
		return err_sys(e, "open %s", path);
	if (file_make_path(s->dir, e) == -1)
		return -1;
	fd = openat(AT_FDCWD, path,
	    O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd == -1)
		return err_sys(e, "create %s", path);
	(void)snprintf(head, sizeof(head),
	    "Journal of changes to an mbox file of Restante:\n%s\n", s->path);
	rc = write_at(fd, 0, head, sizeof(head), e);
	if (rc == 0 &&
	    (errno = posix_fallocate(fd, 0, HEAD_BYTES + 2 * HALF_SMALL)) !=
		0 &&
	    errno != EOPNOTSUPP && errno != EINVAL)
		rc = err_sys(e, "reserve %s", path);
	dirfd = rc == 0 ? file_open_dir(AT_FDCWD, s->dir, true, e) : -1;
	if (rc == 0 &&
	    (dirfd == -1 || file_sync(fd, path, e) == -1 ||
		file_sync(dirfd, "journals", e) == -1))
		rc = -1;
	if (dirfd != -1)
		close(dirfd);
	if (rc == -1) {
		close(fd);
		(void)unlinkat(AT_FDCWD, path, 0);
		return -1;
	}
	s->journal = fd;
	return 0;
}

static uint64_t
half_at(uint64_t seq, bool small)
{
	return HEAD_BYTES +
	    (seq % 2) * (small ? HALF_SMALL : UINT64_C(2) * CHUNK);
}

/* Small rounds lie in the room that is there; large ones behind it. */
static uint64_t
place_of(uint64_t seq, size_t bytes)
{
	return bytes <= HALF_SMALL
	    ? half_at(seq, true)
	    : HEAD_BYTES + 2 * HALF_SMALL + (seq % 2) * UINT64_C(2) * CHUNK;
}

static uint64_t
check_of(const char *p, size_t n)
{
	const size_t skip = offsetof(struct record, seq);

	return hash64(MBOX_HASH_INIT, p + skip, n - skip);
}

static void learn_seq(struct mbox_shift *s);

static int
save_record(struct mbox_shift *s, struct record *r, const uint64_t *hashes,
    const char *data, struct err *e)
{
	size_t n_hashes = (size_t)r->n_hashes * sizeof(*hashes);
	size_t n = sizeof(*r) + n_hashes + (size_t)r->data_len;
	char *p;
	int rc;

	if (open_journal(s, true, e) == -1)
		return -1;
	if (s->seq == 0)
		learn_seq(s);
	memcpy(r->magic, magic, sizeof(magic));
	r->seq = ++s->seq;
	r->dev = s->dev;
	r->ino = s->ino;
	p = mem_resize(NULL, 1, n);
	memcpy(p, r, sizeof(*r));
	if (n_hashes > 0)
		memcpy(p + sizeof(*r), hashes, n_hashes);
	if (r->data_len > 0)
		memcpy(p + sizeof(*r) + n_hashes, data, (size_t)r->data_len);
	r->check = check_of(p, n);
	memcpy(p + offsetof(struct record, check), &r->check, sizeof(r->check));
	rc = write_at(s->journal, place_of(s->seq, n), p, n, e);
	free(p);
	if (rc == 0)
		rc = file_sync_data(s->journal, "journal", e);
	return rc == -1 ? err_in(e, "journal of %s", s->path) : 0;
}

/* A record at a place, whole and valid; NULL. The caller frees it. */
static char *
load_at(const struct mbox_shift *s, uint64_t at, struct record *r)
{
	struct err e;
	size_t n;
	char *p;

	if (read_at(s->journal, at, (char *)r, sizeof(*r), &e) == -1 ||
	    memcmp(r->magic, magic, sizeof(magic)) != 0 || r->dev != s->dev ||
	    r->ino != s->ino || r->n_hashes > 2 * CHUNK / BLOCK ||
	    r->data_len > CHUNK + CHUNK / 2 || r->start_len > GUARD ||
	    r->before_len > GUARD || r->after_len > GUARD)
		return NULL;
	n = sizeof(*r) + (size_t)r->n_hashes * sizeof(uint64_t) +
	    (size_t)r->data_len;
	p = mem_resize(NULL, 1, n);
	if (read_at(s->journal, at, p, n, &e) == 0 &&
	    check_of(p, n) == r->check)
		return p;
	free(p);
	return NULL;
}

/* The last record; NULL when there is none, or nothing to do. */
static char *
load_last(struct mbox_shift *s, struct record *out)
{
	const uint64_t places[] = {half_at(0, true), half_at(1, true),
	    HEAD_BYTES + 2 * HALF_SMALL,
	    HEAD_BYTES + 2 * HALF_SMALL + UINT64_C(2) * CHUNK};
	char *best = NULL;
	struct err e;

	if (open_journal(s, false, &e) == -1)
		return NULL;
	for (size_t i = 0; i < ARRAY_LEN(places); i++) {
		struct record r;
		char *p = load_at(s, places[i], &r);

		if (p == NULL)
			continue;
		if (best != NULL && r.seq <= out->seq) {
			free(p);
			continue;
		}
		free(best);
		best = p;
		*out = r;
	}
	if (best == NULL)
		return NULL;
	s->seq = out->seq > s->seq ? out->seq : s->seq;
	if (out->kind != KIND_IDLE)
		return best;
	free(best);
	return NULL;
}

/* Newer than all that lies in the journal. */
static void
learn_seq(struct mbox_shift *s)
{
	struct record r;

	free(load_last(s, &r));
}

/* Nothing is under way any more. */
static int
write_idle(struct mbox_shift *s, struct err *e)
{
	struct record r = {.kind = KIND_IDLE};

	memcpy(r.magic, magic, sizeof(magic));
	r.seq = ++s->seq;
	r.dev = s->dev;
	r.ino = s->ino;
	r.check = check_of((const char *)&r, sizeof(r));
	return write_at(s->journal, place_of(s->seq, sizeof(r)),
	    (const char *)&r, sizeof(r), e);
}

/*
 * The same after a move; neither synced nor looked at: what the record before
 * says is compared with the file before it is believed. Room that only large
 * rounds need is given back.
 */
static void
set_idle(struct mbox_shift *s)
{
	uint64_t n;
	struct err e;

	(void)write_idle(s, &e);
	if (size_of(s->journal, &n, &e) == 0 && n > HEAD_BYTES + 2 * HALF_SMALL)
		(void)!ftruncate(s->journal, HEAD_BYTES + 2 * HALF_SMALL);
}

bool
mbox_shift_is_pending(struct mbox_shift *s)
{
	struct record r;
	char *p = load_last(s, &r);

	free(p);
	return p != NULL;
}

/* ---- one round ------------------------------------------------------------- */

/* Hashes of the file's blocks below [off, off + n). */
static int
hash_blocks(const struct mbox_shift *s, uint64_t off, uint64_t n,
    uint64_t *hashes, uint64_t *n_hashes, struct err *e)
{
	char block[BLOCK];

	*n_hashes = 0;
	while (n > 0) {
		size_t k = BLOCK - (size_t)(off % BLOCK);

		if (k > n)
			k = (size_t)n;
		if (read_at(s->fd, off, block, k, e) == -1)
			return -1;
		hashes[(*n_hashes)++] = hash64(MBOX_HASH_INIT, block, k);
		off += k;
		n -= k;
	}
	return 0;
}

/* A few bytes at a place that the round leaves alone. */
static int
guard(const struct mbox_shift *s, uint64_t off, uint64_t len, uint64_t *hash,
    struct err *e)
{
	char bytes[GUARD];

	ASSERT(len <= GUARD);
	if (read_at(s->fd, off, bytes, (size_t)len, e) == -1)
		return -1;
	*hash = hash64(MBOX_HASH_INIT, bytes, (size_t)len);
	return 0;
}

static int
set_guards(
    const struct mbox_shift *s, struct record *r, uint64_t size, struct err *e)
{
	uint64_t low = r->data_off, high = r->data_off + r->data_len;

	if (r->lines_len > 0) {
		low = low < r->lines_off ? low : r->lines_off;
		high = high > r->lines_off + r->lines_len
		    ? high
		    : r->lines_off + r->lines_len;
	}
	r->before_len = low < GUARD ? low : GUARD;
	r->before_off = low - r->before_len;
	r->after_off = high;
	r->after_len = size - high < GUARD ? size - high : GUARD;
	return guard(s, r->before_off, r->before_len, &r->before, e) == -1 ||
		guard(s, r->after_off, r->after_len, &r->after, e) == -1
	    ? -1
	    : 0;
}

static int
write_round(const struct mbox_shift *s, const struct record *r,
    const char *data, struct err *e)
{
	if (write_at(s->fd, r->data_off, data, (size_t)r->data_len, e) == -1 ||
	    write_newlines(s->fd, r->lines_off, r->lines_len, e) == -1 ||
	    file_sync_data(s->fd, s->path, e) == -1)
		return -1;
	return 0;
}

static int
do_round(struct mbox_shift *s, struct record *r, struct str data, uint64_t size,
    struct err *e)
{
	uint64_t *hashes = mem_new(data.n / BLOCK + 2, sizeof(*hashes));
	int rc = -1;

	r->kind = KIND_ROUND;
	r->data_len = data.n;
	if (hash_blocks(s, r->data_off, r->data_len, hashes, &r->n_hashes, e) ==
		0 &&
	    set_guards(s, r, size, e) == 0 &&
	    save_record(s, r, hashes, data.p, e) == 0)
		rc = write_round(s, r, data.p, e);
	free(hashes);
	if (s->keep != NULL)
		s->keep(s->arg);
	return rc;
}

/* ---- forwards -------------------------------------------------------------- */

/* What the new bytes are made of, from a place of the old file on. */
struct source {
	const struct mbox_edit *v;
	size_t n, i;
	uint64_t at; /* in the old file */
	uint64_t end;
};

/*
 * Takes about `want` new bytes (never within an edit; a large piece is
 * inserted whole).
 */
static int
take_forwards(const struct mbox_shift *s, struct source *src, size_t want,
    struct buf *out, struct err *e)
{
	buf_clear(out);
	while (out->n < want && (src->at < src->end || src->i < src->n)) {
		uint64_t next = src->i < src->n ? src->v[src->i].off : src->end;
		uint64_t n = next - src->at;
		char *room;

		if (n > want - out->n)
			n = want - out->n;
		if (n > 0) {
			room = buf_room(out, (size_t)n);
			if (read_at(s->fd, src->at, room, (size_t)n, e) == -1)
				return -1;
			out->n += (size_t)n;
			src->at += n;
		}
		if (src->i < src->n && src->at == src->v[src->i].off) {
			(void)buf_add_str(out, src->v[src->i].ins);
			src->at += src->v[src->i].del;
			src->i++;
		}
	}
	return buf_is_over(out) ? err_set(e, ERR_LIMIT, "too much at once") : 0;
}

/* Says that here is a hole, and nothing else is under way. */
static int
save_hole(struct mbox_shift *s, uint64_t off, uint64_t n, struct str start,
    struct err *e)
{
	struct record r = {
	    .kind = KIND_HOLE,
	    .hole_off = off,
	    .hole_len = n,
	    .start_len = start.n < GUARD ? start.n : GUARD,
	};

	memcpy(r.start, start.p, (size_t)r.start_len);
	r.before_len = off < GUARD ? off : GUARD;
	r.before_off = off - r.before_len;
	if (guard(s, r.before_off, r.before_len, &r.before, e) == -1)
		return -1;
	return save_record(s, &r, NULL, NULL, e);
}

/*
 * Takes the hole off that the file ends with. The round before must not be
 * done again when something was appended after that.
 */
static int
cut_hole(struct mbox_shift *s, uint64_t off, uint64_t n, struct err *e)
{
	if (save_hole(s, off, n, STR(""), e) == -1)
		return -1;
	if (ftruncate(s->fd, (off_t)off) == -1)
		return err_sys(e, "cut %s", s->path);
	return file_sync_data(s->fd, s->path, e);
}

/*
 * From the first edit on to the end, which moves to the front; `hole`: there
 * is one already in front of `from`.
 */
static int
go_forwards(struct mbox_shift *s, const struct mbox_edit *v, size_t n,
    uint64_t to, uint64_t from, size_t chunk, struct err *e)
{
	struct source src = {.v = v, .n = n, .at = from};
	struct buf out;
	uint64_t size = 0;
	int rc = -1;

	if (size_of(s->fd, &size, e) == -1)
		return -1;
	src.end = size;
	buf_init(&out, CHUNK + CHUNK / 2);
	while (src.at < src.end || src.i < src.n) {
		uint64_t old_at = src.at, vacated;
		struct record r = {.data_off = to};

		if (to == src.at && src.i == src.n)
			break; /* nothing moves any more */
		if (to == src.at && src.v[src.i].off > src.at) {
			to = src.at = src.v[src.i].off;
			continue;
		}
		if (take_forwards(s, &src, chunk, &out, e) == -1)
			goto out;
		ASSERT(to + out.n <= src.at);
		to += out.n;
		vacated = to > old_at ? to : old_at;
		r.lines_off = vacated;
		r.lines_len = src.at - vacated;
		r.hole_off = to;
		r.hole_len = src.at - to;
		if (do_round(s, &r, buf_str(&out), size, e) == -1)
			goto out;
	}
	rc = to < src.at ? cut_hole(s, to, src.at - to, e) : 0;
out:
	buf_done(&out);
	return rc;
}

/* ---- backwards ------------------------------------------------------------- */

/*
 * Makes the file longer at once, so that whoever appends after a crash does it
 * behind what we take.
 */
static int
extend(struct mbox_shift *s, uint64_t size, uint64_t n, struct str start,
    struct err *e)
{
	if (save_hole(s, size, n, start, e) == -1)
		return -1;
	if (ftruncate(s->fd, (off_t)(size + n)) == -1)
		return err_sys(e, "make %s longer", s->path);
	return 0;
}

/*
 * The new bytes of [*a, h): from behind, about `want` of them. *i: the number
 * of edits before them.
 */
static int
take_backwards(const struct mbox_shift *s, const struct mbox_edit *v,
    uint64_t first, uint64_t h, size_t want, size_t *i, uint64_t *a,
    struct buf *out, struct err *e)
{
	uint64_t at = h, n_new = 0;
	size_t k = *i;
	struct source src;

	while (n_new < want && at > first) {
		uint64_t low = k > 0 ? v[k - 1].off + v[k - 1].del : first;
		uint64_t n = at - low;

		if (n > want - n_new) {
			at -= want - n_new;
			break;
		}
		n_new += n;
		at = low;
		if (k == 0)
			break;
		k--;
		n_new += v[k].ins.n;
		at = v[k].off;
	}
	/* An insertion at the very beginning takes no bytes away. */
	while (k > 0 && at == first && v[k - 1].off == at) {
		k--;
		n_new += v[k].ins.n;
	}
	src = (struct source){.v = v, .n = *i, .i = k, .at = at, .end = h};
	*i = k;
	*a = at;
	return take_forwards(s, &src, SIZE_MAX / 2, out, e);
}

static int
go_backwards(struct mbox_shift *s, const struct mbox_edit *v, size_t n,
    uint64_t growth, size_t chunk, struct err *e)
{
	uint64_t size = 0, h, hole = growth, first = v[0].off;
	struct buf out;
	int rc = -1;

	if (size_of(s->fd, &size, e) == -1)
		return -1;
	if (extend(s, size, growth, STR(""), e) == -1)
		return -1;
	buf_init(&out, CHUNK + CHUNK / 2);
	if (write_newlines(s->fd, size, growth, e) == -1)
		goto out;
	h = size;
	size += growth;
	while (n > 0 || h > first) {
		uint64_t a, hole_after;
		struct record r = {0};

		if (take_backwards(s, v, first, h, chunk, &n, &a, &out, e) ==
		    -1)
			goto out;
		hole_after = hole - (out.n - (h - a));
		r.data_off = a + hole_after;
		r.lines_off = a;
		r.lines_len = h < r.data_off ? h - a : hole_after;
		r.hole_off = a;
		r.hole_len = hole_after;
		if (do_round(s, &r, buf_str(&out), size, e) == -1)
			goto out;
		h = a;
		hole = hole_after;
	}
	ASSERT(hole == 0);
	rc = 0;
out:
	buf_done(&out);
	return rc;
}

/* ---- apply ----------------------------------------------------------------- */

static bool
fits_forwards(const struct mbox_edit *v, size_t n)
{
	uint64_t del = 0, ins = 0;

	for (size_t i = 0; i < n; i++) {
		del += v[i].del;
		ins += v[i].ins.n;
		if (ins > del)
			return false;
	}
	return true;
}

static bool
fits_backwards(const struct mbox_edit *v, size_t n, uint64_t *growth)
{
	uint64_t del = 0, ins = 0;

	for (size_t i = 0; i < n; i++) {
		del += v[i].del;
		ins += v[i].ins.n;
		if (ins < del)
			return false;
	}
	*growth = ins - del;
	return true;
}

static int
apply_one_way(struct mbox_shift *s, const struct mbox_edit *v, size_t n,
    size_t chunk, struct err *e)
{
	uint64_t growth;

	if (n == 0)
		return 0;
	if (fits_forwards(v, n))
		return go_forwards(s, v, n, v[0].off, v[0].off, chunk, e);
	ASSERT(fits_backwards(v, n, &growth));
	return go_backwards(s, v, n, growth, chunk, e);
}

/* First what becomes shorter, then, in its new place, what becomes longer. */
static int
apply_two_ways(struct mbox_shift *s, const struct mbox_edit *v, size_t n,
    size_t chunk, struct err *e)
{
	struct mbox_edit *part = mem_new(n, sizeof(*part));
	uint64_t less = 0;
	size_t k = 0;
	int rc;

	for (size_t i = 0; i < n; i++)
		if (v[i].ins.n <= v[i].del)
			part[k++] = v[i];
	rc = apply_one_way(s, part, k, chunk, e);
	k = 0;
	for (size_t i = 0; i < n; i++) {
		if (v[i].ins.n <= v[i].del) {
			less += v[i].del - v[i].ins.n;
			continue;
		}
		part[k] = v[i];
		part[k++].off -= less;
	}
	if (rc == 0)
		rc = apply_one_way(s, part, k, chunk, e);
	free(part);
	return rc;
}

static int
apply(struct mbox_shift *s, const struct mbox_edit *v, size_t n, size_t chunk,
    struct err *e)
{
	uint64_t growth;

	if (fits_forwards(v, n) || fits_backwards(v, n, &growth))
		return apply_one_way(s, v, n, chunk, e);
	return apply_two_ways(s, v, n, chunk, e);
}

/*
 * A failed round: the file is finished as after a crash, which needs no more
 * room than there is.
 */
static int
undo(struct mbox_shift *s, const struct err *why, struct err *e)
{
	struct err other;
	bool lost;

	(void)mbox_shift_recover(s, &lost, &other);
	*e = *why;
	return -1;
}

/* Is there room for a journal of large rounds? */
static size_t
choose_chunk(struct mbox_shift *s, uint64_t bytes, struct err *e)
{
	size_t chunk = s->chunk_bytes != 0 ? s->chunk_bytes : CHUNK;

	if (open_journal(s, true, e) == -1)
		return 0;
	if (bytes <= CHUNK_SMALL || chunk <= CHUNK_SMALL)
		return chunk < CHUNK_SMALL ? chunk : CHUNK_SMALL;
	if (bytes < chunk)
		chunk = (size_t)bytes + CHUNK_SMALL;
	for (uint64_t half = 0; half < 2; half++) {
		int sys = posix_fallocate(s->journal,
		    (off_t)(HEAD_BYTES + 2 * HALF_SMALL + half * 2 * CHUNK),
		    (off_t)(chunk + chunk / 4));

		if (sys == ENOSPC || sys == EDQUOT)
			return CHUNK_SMALL;
	}
	return chunk;
}

int
mbox_shift_apply(
    struct mbox_shift *s, const struct mbox_edit *v, size_t n, struct err *e)
{
	uint64_t size;
	size_t chunk;
	struct err why;

	if (n == 0)
		return 0;
	if (size_of(s->fd, &size, e) == -1)
		return -1;
	chunk = choose_chunk(s, size - v[0].off, e);
	if (chunk == 0)
		return -1;
	if (apply(s, v, n, chunk, &why) == -1)
		return undo(s, &why, e);
	set_idle(s);
	return 0;
}

/* ---- at the end ------------------------------------------------------------ */

int
mbox_shift_extend(struct mbox_shift *s, uint64_t n, struct str start,
    uint64_t *off, struct err *e)
{
	if (size_of(s->fd, off, e) == -1)
		return -1;
	if (extend(s, *off, n, start, e) == -1) {
		mbox_shift_cut(s, *off);
		return -1;
	}
	return 0;
}

/*
 * Here the end must be in the journal, durably: a message that begins as the
 * record says would be taken for one that was not finished.
 */
int
mbox_shift_end(struct mbox_shift *s, struct err *e)
{
	if (file_sync_data(s->fd, s->path, e) == -1 || write_idle(s, e) == -1 ||
	    file_sync_data(s->journal, "journal", e) == -1)
		return -1;
	return 0;
}

void
mbox_shift_cut(struct mbox_shift *s, uint64_t off)
{
	uint64_t size;
	struct err e;

	if (size_of(s->fd, &size, &e) == 0 && size > off &&
	    ftruncate(s->fd, (off_t)off) == -1)
		return; /* whoever comes next takes it out */
	if (s->journal != -1)
		set_idle(s);
}

/* ---- after a crash --------------------------------------------------------- */

static bool
is_guard_there(
    const struct mbox_shift *s, uint64_t off, uint64_t len, uint64_t hash)
{
	uint64_t now;
	struct err e;

	return guard(s, off, len, &now, &e) == 0 && now == hash;
}

/* Every block as it was, or as it becomes; two may be broken off. */
static bool
is_old_or_new(
    const struct mbox_shift *s, const struct record *r, const char *rest)
{
	const char *data = rest + r->n_hashes * sizeof(uint64_t);
	uint64_t off = r->data_off, left = r->data_len, i = 0;
	unsigned broken = 0;
	char block[BLOCK];
	struct err e;

	while (left > 0) {
		size_t k = BLOCK - (size_t)(off % BLOCK);
		uint64_t old;

		if (k > left)
			k = (size_t)left;
		if (i >= r->n_hashes || read_at(s->fd, off, block, k, &e) == -1)
			return false;
		memcpy(&old, rest + i * sizeof(old), sizeof(old));
		if (memcmp(block, data, k) != 0 &&
		    hash64(MBOX_HASH_INIT, block, k) != old)
			broken++;
		data += k;
		off += k;
		left -= k;
		i++;
	}
	return broken <= 2;
}

/* Nothing but newlines and NULs; behind `start`, if that is how it begins. */
static bool
is_hole(const struct mbox_shift *s, const struct record *r)
{
	uint64_t off = r->hole_off, left = r->hole_len;
	char piece[BLOCK];
	struct err e;
	size_t same = 0;
	bool is_first = true;

	while (left > 0) {
		size_t k = left < BLOCK ? (size_t)left : BLOCK, i = 0;

		if (read_at(s->fd, off, piece, k, &e) == -1)
			return false;
		if (is_first)
			while (same < r->start_len && same < k &&
			    piece[same] == r->start[same])
				same++;
		/* All that was asked for is there: the message is ours. */
		if (same > 0 && same == r->start_len)
			return true;
		for (i = is_first ? same : 0; i < k; i++)
			if (piece[i] != '\n' && piece[i] != '\0')
				return false;
		is_first = false;
		off += k;
		left -= k;
	}
	return true;
}

static int
redo(struct mbox_shift *s, const struct record *r, const char *p, bool *lost,
    struct err *e)
{
	const char *rest = p + sizeof(*r);
	uint64_t size;
	size_t chunk;

	if (size_of(s->fd, &size, e) == -1)
		return -1;
	if (!is_guard_there(s, r->before_off, r->before_len, r->before)) {
		*lost = true;
		return 0;
	}
	if (r->kind == KIND_ROUND) {
		if (!is_guard_there(s, r->after_off, r->after_len, r->after) ||
		    !is_old_or_new(s, r, rest)) {
			*lost = true;
			return 0;
		}
		if (write_round(
			s, r, rest + r->n_hashes * sizeof(uint64_t), e) == -1)
			return -1;
	}
	if (r->hole_len == 0 || size < r->hole_off + r->hole_len ||
	    !is_hole(s, r))
		return 0;
	chunk = choose_chunk(s, size - r->hole_off, e);
	return chunk == 0 ? -1
			  : go_forwards(s, NULL, 0, r->hole_off,
				r->hole_off + r->hole_len, chunk, e);
}

/* For people who look what has become of it. */
static void
put_aside(struct mbox_shift *s)
{
	char path[PATH_MAX], aside[PATH_MAX + 16];

	journal_path(s, path);
	(void)snprintf(aside, sizeof(aside), "%s.recovered", path);
	(void)renameat(AT_FDCWD, path, AT_FDCWD, aside);
	mbox_shift_done(s);
}

int
mbox_shift_recover(struct mbox_shift *s, bool *lost, struct err *e)
{
	struct record r;
	char *p = load_last(s, &r);
	int rc;

	*lost = false;
	if (p == NULL)
		return 0;
	rc = redo(s, &r, p, lost, e);
	free(p);
	if (rc == -1)
		return err_in(e, "finish a change of %s", s->path);
	if (*lost)
		put_aside(s);
	else
		set_idle(s);
	return 0;
}
