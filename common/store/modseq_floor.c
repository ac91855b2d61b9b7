/* SPDX-License-Identifier: ISC */
/*
 * modseq_floor.c - no mod-sequence is ever given twice, or out of order, also
 * when the index and the time are lost.
 *
 * Owns:    the file "modseq" in the state folder.
 * Runs in: imapd, pop3d, as the mail user.
 * Trusts:  the number in the file, which is the user's own: one that is too
 *          large makes his numbers large.
 * Spec:    RFC 7162 section 3.1.1: it MUST NOT go back.
 */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/num.h"
#include "index/modlog.h"
#include "os/file.h"
#include "store/modseq_floor.h"

#define HEADER "restante-modseq 1 "
#define FILE_NAME "modseq"
#define FILE_BYTES (sizeof(HEADER) - 1 + 21)
#define LOCK_MS 20 /* in one piece */
#define AGAIN_MS 1000
#define RESERVE (UINT64_C(3600) * 1000000)
/* RFC 7162 has 63 bits. What is above half of that is nonsense. */
#define NUMBER_MAX (UINT64_C(1) << 62)

bool
modseq_parse(struct str bytes, uint64_t *out)
{
	struct str line;

	if (bytes.n != FILE_BYTES || !str_starts(bytes, STR(HEADER)) ||
	    !str_cut(&bytes, '\n', &line))
		return false;
	return num_parse_u64(
	    str_skip(line, sizeof(HEADER) - 1), 1, NUMBER_MAX, out);
}

/* 0: there is none. */
static uint64_t
load(int fd)
{
	char bytes[FILE_BYTES + 1];
	ssize_t n = pread(fd, bytes, sizeof(bytes), 0);
	uint64_t number;

	return n > 0 && modseq_parse(str_make(bytes, (size_t)n), &number)
	    ? number
	    : 0;
}

/*
 * Opens the file with its lock, which other processes of the user hold for a
 * moment; -1: there is no place for it, or ERR_IN_USE.
 */
static int
open_file(const struct store *head, bool create, struct err *e)
{
	char path[PATH_MAX];
	int fd;

	if (snprintf(path, sizeof(path), "%s/" FILE_NAME, head->state) >=
	    (int)sizeof(path))
		return err_set(e, ERR_LIMIT, "the state folder's path");
	if (create && file_make_path(head->state, e) == -1)
		return -1;
	fd = open(path,
	    (create ? O_CREAT : 0) | O_RDWR | O_CLOEXEC | O_NOFOLLOW |
		O_NONBLOCK,
	    0600);
	if (fd == -1)
		return err_sys(e, "%s", path);
	if (file_lock_within(fd, LOCK_MS, e) == -1) {
		close(fd);
		return -1;
	}
	return fd;
}

/* Somebody who has it was stopped: the clock alone decides for a while. */
static bool
is_locked_out(const struct store *head)
{
	return clock_mono_ms() < head->modseq_again_ms;
}

/* False: it is to be had no more later than now. */
static bool
put_off(struct store *head, const struct err *e)
{
	if (e->code != ERR_IN_USE && !file_is_unread(e))
		return false;
	head->modseq_again_ms = clock_mono_ms() + AGAIN_MS;
	return true;
}

static void
read_floor(struct store *head)
{
	struct err e;
	int fd;

	if (head->modseq_is_read || is_locked_out(head))
		return;
	fd = open_file(head, false, &e);
	if (fd == -1) {
		head->modseq_is_read = !put_off(head, &e);
		return;
	}
	head->modseq_is_read = true;
	head->modseq_floor = load(fd);
	close(fd);
}

/* Makes sure that nobody will begin at or below `number`. */
static void
reserve(struct store *head, uint64_t number)
{
	char text[FILE_BYTES + 1];
	uint64_t there;
	struct err e;
	int fd;

	/* What lies there must be known before it is raised. */
	if (!head->modseq_is_read || is_locked_out(head))
		return;
	fd = open_file(head, true, &e);
	if (fd == -1 && put_off(head, &e))
		return; /* by the clock alone, then, until the next time */
	head->modseq_ceiling = number + RESERVE;
	if (fd == -1)
		return;
	there = load(fd);
	if (there >= head->modseq_ceiling) {
		head->modseq_ceiling = there;
	} else {
		(void)snprintf(text, sizeof(text), HEADER "%020llu\n",
		    (unsigned long long)head->modseq_ceiling);
		if (pwrite(fd, text, FILE_BYTES, 0) != (ssize_t)FILE_BYTES ||
		    fdatasync(fd) == -1)
			store_warn(head, "%s/" FILE_NAME " can not be written",
			    head->state);
	}
	close(fd);
}

uint64_t
modseq_floor(struct store *s)
{
	struct store *head = store_head(s);

	read_floor(head);
	return head->modseq_floor;
}

uint64_t
modseq_next(struct store *s, uint64_t highest)
{
	struct store *head = store_head(s);
	uint64_t next = modlog_next(highest);

	if (next > head->modseq_ceiling && next < NUMBER_MAX) {
		read_floor(head);
		reserve(head, next);
	}
	return next;
}
