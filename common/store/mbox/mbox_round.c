/* SPDX-License-Identifier: ISC */
/*
 * mbox_round.c - one move of bytes in an mbox file: made, or made again after
 * a crash.
 *
 * Owns:    the bytes that a record of the journal speaks of.
 * Runs in: imapd, pop3d, as the mail user, who holds the write lock.
 * Trusts:  nothing in the file that is neither what was there before a round
 *          nor what it writes.
 * Spec:    security.md 7.3; the invariants are in mbox_shift.c.
 */
#include <stdlib.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/mem.h"
#include "os/file.h"
#include "store/mbox/mbox_shift_impl.h"
#include "store/mbox/mbox_state.h"

/* So much of the file is read at once. */
#define PIECE_BYTES (16 * MBOX_BLOCK)

/* Hashes of the file's blocks below [off, off + n). */
static int
hash_blocks(const struct mbox_shift *s, uint64_t off, uint64_t n,
    uint64_t *hashes, uint64_t *n_hashes, struct err *e)
{
	char *piece = mem_resize(NULL, 1, PIECE_BYTES);
	int rc = 0;

	*n_hashes = 0;
	while (n > 0 && rc == 0) {
		size_t in_piece = PIECE_BYTES - (size_t)(off % MBOX_BLOCK), k;

		if (in_piece > n)
			in_piece = (size_t)n;
		rc = mbox_bytes_read(s->fd, off, piece, in_piece, e);
		for (size_t i = 0; i < in_piece && rc == 0; i += k) {
			k = MBOX_BLOCK - (size_t)((off + i) % MBOX_BLOCK);
			if (k > in_piece - i)
				k = in_piece - i;
			hashes[(*n_hashes)++] =
			    mbox_bytes_hash(MBOX_HASH_INIT, piece + i, k);
		}
		off += in_piece;
		n -= in_piece;
	}
	free(piece);
	return rc;
}

/* A few bytes at a place that the round leaves alone. */
static int
guard(const struct mbox_shift *s, uint64_t off, uint64_t len, uint64_t *hash,
    struct err *e)
{
	char bytes[MBOX_GUARD];

	ASSERT(len <= MBOX_GUARD);
	if (mbox_bytes_read(s->fd, off, bytes, (size_t)len, e) == -1)
		return -1;
	*hash = mbox_bytes_hash(MBOX_HASH_INIT, bytes, (size_t)len);
	return 0;
}

static int
set_guards(const struct mbox_shift *s, struct mbox_record *r, uint64_t size,
    struct err *e)
{
	uint64_t low = r->data_off, high = r->data_off + r->data_len;

	if (r->lines_len > 0) {
		low = low < r->lines_off ? low : r->lines_off;
		high = high > r->lines_off + r->lines_len
		    ? high
		    : r->lines_off + r->lines_len;
	}
	r->before_len = low < MBOX_GUARD ? low : MBOX_GUARD;
	r->before_off = low - r->before_len;
	r->after_off = high;
	r->after_len = size - high < MBOX_GUARD ? size - high : MBOX_GUARD;
	return guard(s, r->before_off, r->before_len, &r->before, e) == -1 ||
		guard(s, r->after_off, r->after_len, &r->after, e) == -1
	    ? -1
	    : 0;
}

int
mbox_round_write(const struct mbox_shift *s, const struct mbox_record *r,
    const char *data, struct err *e)
{
	if (mbox_bytes_write(
		s->fd, r->data_off, data, (size_t)r->data_len, e) == -1 ||
	    mbox_bytes_newlines(s->fd, r->lines_off, r->lines_len, e) == -1 ||
	    file_sync_data(s->fd, s->path, e) == -1)
		return -1;
	return 0;
}

int
mbox_round_note(struct mbox_shift *s, struct mbox_record *r, struct str data,
    uint64_t size, struct err *e)
{
	uint64_t *hashes = mem_new(data.n / MBOX_BLOCK + 2, sizeof(*hashes));
	int rc = -1;

	r->kind = MBOX_ROUND;
	r->data_len = data.n;
	if (hash_blocks(s, r->data_off, r->data_len, hashes, &r->n_hashes, e) ==
		0 &&
	    set_guards(s, r, size, e) == 0 &&
	    mbox_journal_save(s, r, hashes, data.p, e) == 0)
		rc = 0;
	free(hashes);
	if (s->keep != NULL)
		s->keep(s->arg);
	return rc;
}

int
mbox_round_hole(struct mbox_shift *s, enum mbox_record_kind kind, uint64_t off,
    uint64_t n, struct str start, struct err *e)
{
	struct mbox_record r = {
	    .kind = kind,
	    .hole_off = off,
	    .hole_len = n,
	    .start_len = start.n < MBOX_GUARD ? start.n : MBOX_GUARD,
	};

	memcpy(r.start, start.p, (size_t)r.start_len);
	r.before_len = off < MBOX_GUARD ? off : MBOX_GUARD;
	r.before_off = off - r.before_len;
	if (guard(s, r.before_off, r.before_len, &r.before, e) == -1)
		return -1;
	return mbox_journal_save(s, &r, NULL, NULL, e);
}

/* The round before must not be done again when something was appended then. */
int
mbox_round_cut(struct mbox_shift *s, uint64_t off, uint64_t n, struct err *e)
{
	if (mbox_round_hole(s, MBOX_HOLE, off, n, STR(""), e) == -1)
		return -1;
	if (ftruncate(s->fd, (off_t)off) == -1)
		return err_sys(e, "cut %s", s->path);
	return file_sync_data(s->fd, s->path, e);
}

/* ---- after a crash --------------------------------------------------------- */

/*
 * The questions below are asked of the file with an empty error. What could not
 * be read for now is no answer: the file is left as it is, with its journal.
 */
static bool
is_unread(const struct err *why)
{
	return why->text[0] != '\0' && why->code != ERR_CORRUPT &&
	    why->code != ERR_FORMAT;
}

static bool
is_guard_there(const struct mbox_shift *s, uint64_t off, uint64_t len,
    uint64_t hash, struct err *why)
{
	uint64_t now;

	return guard(s, off, len, &now, why) == 0 && now == hash;
}

/* Every block as it was, or as it becomes; two may be broken off. */
static bool
is_old_or_new(const struct mbox_shift *s, const struct mbox_record *r,
    const char *rest, struct err *why)
{
	const char *data = rest + r->n_hashes * sizeof(uint64_t);
	uint64_t off = r->data_off, left = r->data_len, i = 0;
	unsigned broken = 0;
	char block[MBOX_BLOCK];

	while (left > 0) {
		size_t k = MBOX_BLOCK - (size_t)(off % MBOX_BLOCK);
		uint64_t old;

		if (k > left)
			k = (size_t)left;
		if (i >= r->n_hashes ||
		    mbox_bytes_read(s->fd, off, block, k, why) == -1)
			return false;
		memcpy(&old, rest + i * sizeof(old), sizeof(old));
		if (memcmp(block, data, k) != 0 &&
		    mbox_bytes_hash(MBOX_HASH_INIT, block, k) != old)
			broken++;
		data += k;
		off += k;
		left -= k;
		i++;
	}
	return broken <= 2;
}

/* So many bytes are those that the hole was to begin with. */
static size_t
same_start(const struct mbox_record *r, const char *p, size_t n)
{
	size_t same = 0;

	while (same < r->start_len && same < n && p[same] == r->start[same])
		same++;
	return same;
}

static bool
is_blank(const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (p[i] != '\n' && p[i] != '\0')
			return false;
	return true;
}

/* Is this what the hole was to begin with, or what is left of that? */
static bool
is_rest_of_start(const struct mbox_record *r, const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (p[i] != '\n' && p[i] != '\0' &&
		    (i >= r->start_len || p[i] != r->start[i]))
			return false;
	return true;
}

/* Nothing but newlines and NULs; behind `start`, if that is how it begins. */
static bool
is_hole(
    const struct mbox_shift *s, const struct mbox_record *r, struct err *why)
{
	uint64_t off = r->hole_off, left = r->hole_len;
	char piece[MBOX_BLOCK];

	while (left > 0) {
		size_t k = left < MBOX_BLOCK ? (size_t)left : MBOX_BLOCK;

		if (mbox_bytes_read(s->fd, off, piece, k, why) == -1)
			return false;
		if (off != r->hole_off) {
			if (!is_blank(piece, k))
				return false;
		} else if (r->start_len > 0 &&
		    same_start(r, piece, k) == r->start_len) {
			/* All that was asked for is there: it is ours. */
			return true;
		} else if (!is_rest_of_start(r, piece, k)) {
			return false;
		}
		off += k;
		left -= k;
	}
	return true;
}

/* So much is written or not, whoever breaks it off, or it is a write's end. */
#define UNIT 512

static bool
is_nul(const char *p, size_t n)
{
	return n > 0 && *p == '\0' && memcmp(p, p + 1, n - 1) == 0;
}

/* Is a unit of [off, off + n) missing, as `p` says? */
static bool
has_gap(const char *p, uint64_t off, size_t n)
{
	for (size_t i = 0, k; i < n; i += k) {
		k = UNIT - (size_t)((off + i) % UNIT);
		if (k > n - i)
			k = n - i;
		if (is_nul(p + i, k))
			return true;
	}
	return false;
}

/*
 * Has what was to come into this room not come all? It has no NUL, so a part
 * that was not written shows; what is whole may have been acknowledged, and
 * changed by others since.
 */
static bool
is_half_filled(
    const struct mbox_shift *s, const struct mbox_record *r, struct err *why)
{
	uint64_t off = r->hole_off, left = r->hole_len;
	char piece[MBOX_BLOCK];
	bool has = false;

	while (left > 0) {
		size_t k = left < MBOX_BLOCK ? (size_t)left : MBOX_BLOCK, same;

		if (mbox_bytes_read(s->fd, off, piece, k, why) == -1)
			return false;
		same = off == r->hole_off ? same_start(r, piece, k) : k;
		/* Somebody else's: ours, or nothing yet. */
		if (same < k && same < r->start_len && piece[same] != '\0')
			return false;
		has = has || has_gap(piece, off, k) ||
		    /* A write that broke off. */
		    piece[k - 1] == '\0';
		off += k;
		left -= k;
	}
	return has;
}

/*
 * A message that somebody was appending has filled a part of the hole: that
 * becomes newlines, as what is moved next relies on. From behind, page by
 * page, so that its beginning is known again until it is gone.
 */
int
mbox_round_blank(
    const struct mbox_shift *s, const struct mbox_record *r, struct err *e)
{
	uint64_t end = r->hole_off + r->hole_len;
	uint64_t start_end = r->hole_off + r->start_len;
	char piece[MBOX_BLOCK];

	while (end > r->hole_off) {
		uint64_t low = end > start_end ? start_end : r->hole_off;
		uint64_t at = (end - 1) / MBOX_BLOCK * MBOX_BLOCK;

		if (at < low)
			at = low;
		if (mbox_bytes_read(s->fd, at, piece, (size_t)(end - at), e) ==
			-1 ||
		    (!is_blank(piece, (size_t)(end - at)) &&
			mbox_bytes_newlines(s->fd, at, end - at, e) == -1))
			return -1;
		end = at;
	}
	return file_sync_data(s->fd, s->path, e);
}

/* What we write lies in the file, which has been made long enough before. */
static bool
is_within(const struct mbox_record *r, uint64_t size)
{
	return r->data_off <= size && r->data_len <= size - r->data_off &&
	    r->lines_off <= size && r->lines_len <= size - r->lines_off;
}

int
mbox_round_redo(struct mbox_shift *s, const struct mbox_record *r,
    const char *p, bool *lost, bool *has_hole, struct err *e)
{
	const char *rest = p + sizeof(*r);
	struct err why = {0};
	uint64_t size;

	*lost = *has_hole = false;
	if (mbox_bytes_size(s->fd, &size, e) == -1)
		return -1;
	*lost =
	    !is_guard_there(s, r->before_off, r->before_len, r->before, &why) ||
	    (r->kind == MBOX_ROUND &&
		(!is_within(r, size) ||
		    !is_guard_there(
			s, r->after_off, r->after_len, r->after, &why) ||
		    !is_old_or_new(s, r, rest, &why)));
	if (is_unread(&why)) {
		*lost = false;
		*e = why;
		return -1;
	}
	if (*lost)
		return 0;
	if (r->kind == MBOX_ROUND &&
	    mbox_round_write(s, r, rest + r->n_hashes * sizeof(uint64_t), e) ==
		-1)
		return -1;
	*has_hole = r->hole_len > 0 && r->start_len <= r->hole_len &&
	    r->hole_off <= size && r->hole_len <= size - r->hole_off &&
	    (r->kind == MBOX_ROOM ? is_half_filled(s, r, &why)
				  : is_hole(s, r, &why));
	if (!is_unread(&why))
		return 0;
	*e = why;
	return -1;
}
