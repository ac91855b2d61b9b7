/* SPDX-License-Identifier: ISC */
/*
 * mbox_journal.c - the file that says, durably, what is being done to an mbox
 * file.
 *
 * Owns:    the journal "<dev>.<ino>" in the state folder.
 * Runs in: imapd, pop3d, as the mail user, who holds the write lock.
 * Trusts:  nothing in a journal before its checksum.
 * Spec:    security.md 7.3.
 *
 * The records alternate between two places, so that a new one never destroys
 * the one before; small ones lie in room that is there from the start, so that
 * EXPUNGE needs none on a full disk.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "os/file.h"
#include "store/mbox/mbox_shift_impl.h"
#include "store/mbox/mbox_state.h"

#define CHUNK MBOX_CHUNK_MAX
#define HEAD_BYTES 4096
#define HALF_SMALL (28 * 1024) /* two of them and the head: 60 KiB */

static const char magic[8] = "RsMbJ02\n";

static void
journal_path(const struct mbox_shift *s, char out[PATH_MAX])
{
	(void)snprintf(out, PATH_MAX, "%s/%llx.%llx", s->dir,
	    (unsigned long long)s->dev, (unsigned long long)s->ino);
}

int64_t
mbox_shift_written_ns(const struct mbox_shift *s)
{
	char path[PATH_MAX];
	struct stat st;

	journal_path(s, path);
	if (fstatat(AT_FDCWD, path, &st, AT_SYMLINK_NOFOLLOW) == -1)
		return 0;
	return (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
}

int
mbox_journal_open(struct mbox_shift *s, bool make, struct err *e)
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
	rc = mbox_bytes_write(fd, 0, head, sizeof(head), e);
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
	    (seq % 2) * (small ? HALF_SMALL : UINT64_C(2) * MBOX_CHUNK_MAX);
}

/* Small rounds lie in the room that is there; large ones behind it. */
static uint64_t
place_of(uint64_t seq, size_t bytes)
{
	return bytes <= HALF_SMALL ? half_at(seq, true)
				   : HEAD_BYTES + 2 * HALF_SMALL +
		(seq % 2) * UINT64_C(2) * MBOX_CHUNK_MAX;
}

/* Of the record, which begins `head`, with its hashes, and of the data. */
static uint64_t
check_of(struct str head, struct str data)
{
	const size_t skip = offsetof(struct mbox_record, seq);
	uint64_t h =
	    mbox_bytes_hash(MBOX_HASH_INIT, head.p + skip, head.n - skip);

	return mbox_bytes_hash(h, data.p, data.n);
}

/* Of most records, all. */
#define FIRST_READ 512

/* Can this be a record of ours for this file? */
static bool
is_record(const struct mbox_shift *s, const struct mbox_record *r)
{
	return memcmp(r->magic, magic, sizeof(magic)) == 0 &&
	    r->dev == s->dev && r->ino == s->ino &&
	    r->n_hashes <= 2 * MBOX_CHUNK_MAX / MBOX_BLOCK &&
	    r->data_len <= MBOX_CHUNK_MAX + MBOX_CHUNK_MAX / 2 &&
	    r->start_len <= MBOX_GUARD && r->before_len <= MBOX_GUARD &&
	    r->after_len <= MBOX_GUARD;
}

/*
 * A record at a place, whole and valid, which the caller frees; NULL: there is
 * none. *at_end: the journal ends before. -1: it can not be read.
 */
static int
load_at(const struct mbox_shift *s, uint64_t at, struct mbox_record *r,
    char **out, bool *at_end, struct err *e)
{
	char first[FIRST_READ];
	size_t n, n_head, got;
	char *p;

	*out = NULL;
	if (file_read_at(s->journal, at, first, sizeof(first), &got, e) == -1)
		return -1;
	*at_end = got == 0;
	if (got < sizeof(*r))
		return 0;
	memcpy(r, first, sizeof(*r));
	if (!is_record(s, r))
		return 0;
	n_head = sizeof(*r) + (size_t)r->n_hashes * sizeof(uint64_t);
	n = n_head + (size_t)r->data_len;
	p = mem_resize(NULL, 1, n);
	if (n <= got)
		memcpy(p, first, n);
	else if (mbox_bytes_read(s->journal, at, p, n, e) == -1) {
		free(p);
		/* It ends in the midst of the record. */
		return e->code == ERR_CORRUPT ? 0 : -1;
	}
	if (check_of(str_make(p, n_head), str_make(p + n_head, n - n_head)) ==
	    r->check)
		*out = p;
	else
		free(p);
	return 0;
}

/* The newest of the records that are there; NULL: none. */
static int
load_newest(
    struct mbox_shift *s, struct mbox_record *out, char **best, struct err *e)
{
	const uint64_t places[] = {half_at(0, true), half_at(1, true),
	    HEAD_BYTES + 2 * HALF_SMALL,
	    HEAD_BYTES + 2 * HALF_SMALL + UINT64_C(2) * MBOX_CHUNK_MAX};
	bool at_end = false;

	*best = NULL;
	for (size_t i = 0; i < ARRAY_LEN(places) && !at_end; i++) {
		struct mbox_record r;
		char *p;

		if (load_at(s, places[i], &r, &p, &at_end, e) == -1) {
			free(*best);
			*best = NULL;
			return -1;
		}
		if (p == NULL)
			continue;
		if (*best != NULL && r.seq <= out->seq) {
			free(p);
			continue;
		}
		free(*best);
		*best = p;
		*out = r;
	}
	return 0;
}

int
mbox_journal_load(
    struct mbox_shift *s, struct mbox_record *out, char **text, struct err *e)
{
	*text = NULL;
	/* Who may not even look there has never begun a change. */
	if (mbox_journal_open(s, false, e) == -1)
		return e->code == ERR_NOT_FOUND || e->code == ERR_PERM ||
			e->code == ERR_READ_ONLY || e->sys == ENOTDIR
		    ? 0
		    : -1;
	if (load_newest(s, out, text, e) == -1)
		return err_in(e, "journal of %s", s->path);
	if (*text == NULL)
		return 0;
	s->seq = out->seq > s->seq ? out->seq : s->seq;
	if (out->kind == MBOX_IDLE) {
		free(*text);
		*text = NULL;
	}
	return 0;
}

/* Newer than all that lies in the journal. */
static int
learn_seq(struct mbox_shift *s, struct err *e)
{
	struct mbox_record r;
	char *text;

	if (mbox_journal_load(s, &r, &text, e) == -1)
		return -1;
	free(text);
	return 0;
}

int
mbox_journal_save(struct mbox_shift *s, struct mbox_record *r,
    const uint64_t *hashes, const char *data, struct err *e)
{
	size_t n_hashes = (size_t)r->n_hashes * sizeof(*hashes);
	size_t n_head = sizeof(*r) + n_hashes, n_data = (size_t)r->data_len;
	struct str rest = str_make(data, n_data);
	uint64_t at;
	char *head;
	int rc;

	if (mbox_journal_open(s, true, e) == -1)
		return -1;
	if (s->seq == 0 && learn_seq(s, e) == -1)
		return -1;
	memcpy(r->magic, magic, sizeof(magic));
	r->seq = ++s->seq;
	r->dev = s->dev;
	r->ino = s->ino;
	head = mem_resize(NULL, 1, n_head);
	memcpy(head, r, sizeof(*r));
	if (n_hashes > 0)
		memcpy(head + sizeof(*r), hashes, n_hashes);
	r->check = check_of(str_make(head, n_head), rest);
	memcpy(head + offsetof(struct mbox_record, check), &r->check,
	    sizeof(r->check));
	at = place_of(s->seq, n_head + n_data);
	rc = mbox_bytes_write(s->journal, at, head, n_head, e);
	if (rc == 0)
		rc = mbox_bytes_write(s->journal, at + n_head, data, n_data, e);
	free(head);
	if (rc == 0)
		rc = file_sync_data(s->journal, "journal", e);
	return rc == -1 ? err_in(e, "journal of %s", s->path) : 0;
}

int
mbox_journal_write_idle(struct mbox_shift *s, struct err *e)
{
	struct mbox_record r = {.kind = MBOX_IDLE};

	memcpy(r.magic, magic, sizeof(magic));
	r.seq = ++s->seq;
	r.dev = s->dev;
	r.ino = s->ino;
	r.check = check_of(str_make(&r, sizeof(r)), STR(""));
	return mbox_bytes_write(s->journal, place_of(s->seq, sizeof(r)),
	    (const char *)&r, sizeof(r), e);
}

void
mbox_journal_end(struct mbox_shift *s)
{
	uint64_t n;
	struct err e;

	(void)mbox_journal_write_idle(s, &e);
	if (mbox_bytes_size(s->journal, &n, &e) == 0 &&
	    n > HEAD_BYTES + 2 * HALF_SMALL)
		(void)!ftruncate(s->journal, HEAD_BYTES + 2 * HALF_SMALL);
}

size_t
mbox_journal_room(struct mbox_shift *s, uint64_t bytes, struct err *e)
{
	size_t chunk = s->chunk_bytes != 0 ? s->chunk_bytes : CHUNK;

	if (mbox_journal_open(s, true, e) == -1)
		return 0;
	if (bytes <= MBOX_CHUNK_SMALL || chunk <= MBOX_CHUNK_SMALL)
		return chunk < MBOX_CHUNK_SMALL ? chunk : MBOX_CHUNK_SMALL;
	if (bytes < chunk)
		chunk = (size_t)bytes + MBOX_CHUNK_SMALL;
	for (uint64_t half = 0; half < 2; half++) {
		int sys = posix_fallocate(s->journal,
		    (off_t)(HEAD_BYTES + 2 * HALF_SMALL +
			half * 2 * MBOX_CHUNK_MAX),
		    (off_t)(chunk + chunk / 4));

		if (sys == ENOSPC || sys == EDQUOT)
			return MBOX_CHUNK_SMALL;
	}
	return chunk;
}

void
mbox_journal_put_aside(struct mbox_shift *s)
{
	char path[PATH_MAX], aside[PATH_MAX + 16];

	journal_path(s, path);
	(void)snprintf(aside, sizeof(aside), "%s.recovered", path);
	(void)renameat(AT_FDCWD, path, AT_FDCWD, aside);
	close(s->journal);
	s->journal = -1;
}
