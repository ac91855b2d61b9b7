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
#include <sys/file.h>
#include <unistd.h>

#include "base/num.h"
#include "index/modlog.h"
#include "os/file.h"
#include "store/modseq_floor.h"

#define HEADER "restante-modseq 1 "
#define FILE_NAME "modseq"
#define FILE_BYTES (sizeof(HEADER) - 1 + 21)
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
 * moment; -1: there is no place for it.
 */
static int
open_file(const struct store *head, bool create)
{
	char path[PATH_MAX];
	struct err e;
	int fd;

	if (snprintf(path, sizeof(path), "%s/" FILE_NAME, head->state) >=
		(int)sizeof(path) ||
	    (create && file_make_path(head->state, &e) == -1))
		return -1;
	fd = open(path,
	    (create ? O_CREAT : 0) | O_RDWR | O_CLOEXEC | O_NOFOLLOW |
		O_NONBLOCK,
	    0600);
	if (fd != -1 && flock(fd, LOCK_EX) == -1) {
		close(fd);
		return -1;
	}
	return fd;
}

static void
read_floor(struct store *head)
{
	int fd;

	if (head->modseq_is_read)
		return;
	head->modseq_is_read = true;
	fd = open_file(head, false);
	if (fd == -1)
		return;
	head->modseq_floor = load(fd);
	close(fd);
}

/* Makes sure that nobody will begin at or below `number`. */
static void
reserve(struct store *head, uint64_t number)
{
	char text[FILE_BYTES + 1];
	int fd = open_file(head, true);
	uint64_t there;

	head->modseq_ceiling = number + RESERVE;
	if (fd == -1)
		return; /* by the clock alone, then */
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
		/* What lies there must be known before it is raised. */
		read_floor(head);
		reserve(head, next);
	}
	return next;
}
