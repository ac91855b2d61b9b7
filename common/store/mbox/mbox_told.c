/* SPDX-License-Identifier: ISC */
/*
 * mbox_told.c - the file of the UIDs that were told of an mbox.
 *
 * Owns:    nothing; the descriptor is the caller's.
 * Runs in: imapd, pop3d, as the mail user.
 * Trusts:  nothing in the file: one that is none of ours is begun anew.
 * Spec:    formats.md 7.3.
 *
 * A front of 64 bytes, then entries of 12, ascending by UID. Numbers are in the
 * order of the machine, for no other reads it.
 */
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "index/index_state.h"
#include "os/file.h"
#include "store/mbox/mbox_told.h"

#define MAGIC "restante-told 1\n"
#define ORDER 0x01020304u
#define BOOT_BYTES 40
#define ENTRIES_MAX (16u * 1024 * 1024)

struct front {
	char magic[16];
	uint32_t order; /* of bytes in a number */
	uint32_t uidvalidity;
	char boot[BOOT_BYTES]; /* what was written before it may be lost */
};

_Static_assert(sizeof(struct front) == MBOX_TOLD_FRONT, "as it is written");
_Static_assert(sizeof(struct mbox_told_entry) == 12, "as it is written");

static int
read_at(int fd, uint64_t off, void *p, size_t n, struct err *e)
{
	size_t got;

	if (file_read_at(fd, off, p, n, &got, e) == -1)
		return -1;
	return got == n ? 0 : err_set(e, ERR_SYS, "what was told: too short");
}

static int
read_entries(
    int fd, uint64_t at, struct mbox_told_entry *out, size_t n, struct err *e)
{
	return read_at(
	    fd, MBOX_TOLD_FRONT + at * sizeof(*out), out, n * sizeof(*out), e);
}

static void
put_boot(char out[BOOT_BYTES])
{
	memset(out, 0, BOOT_BYTES);
	(void)snprintf(out, BOOT_BYTES, "%s", index_state_boot());
}

/* The first entry from this UID on. */
static int
find_floor(
    const struct mbox_told *t, uint32_t uid, uint64_t *out, struct err *e)
{
	uint64_t lo = 0, hi = t->n;
	struct mbox_told_entry x;

	while (uid > 1 && lo < hi) {
		uint64_t mid = lo + (hi - lo) / 2;

		if (read_entries(t->fd, mid, &x, 1, e) == -1)
			return -1;
		if (x.uid < uid)
			lo = mid + 1;
		else
			hi = mid;
	}
	*out = lo;
	return 0;
}

/* It is none that we have written; it is begun anew. */
static int
drop(struct mbox_told *t)
{
	t->is_front_good = t->is_of_this_boot = false;
	t->n = 0;
	t->last = 0;
	t->v.n = 0;
	return 0;
}

static bool
is_ascending(const struct mbox_told *t)
{
	for (size_t i = 1; i < t->v.n; i++)
		if (t->v.v[i].uid <= t->v.v[i - 1].uid)
			return false;
	return t->v.n == 0 || t->v.v[0].uid != 0;
}

int
mbox_told_read(
    struct mbox_told *t, uint32_t uidvalidity, uint32_t floor, struct err *e)
{
	char boot[BOOT_BYTES];
	struct mbox_told_entry last;
	struct stat st;
	struct front f;
	uint64_t first;

	if (fstat(t->fd, &st) == -1)
		return err_sys(e, "what was told");
	if ((uint64_t)st.st_size < sizeof(f))
		return 0;
	if (read_at(t->fd, 0, &f, sizeof(f), e) == -1)
		return -1;
	t->is_front_good = memcmp(f.magic, MAGIC, sizeof(f.magic)) == 0 &&
	    f.order == ORDER && f.uidvalidity == uidvalidity;
	if (!t->is_front_good)
		return 0;
	put_boot(boot);
	t->is_of_this_boot =
	    boot[0] != '\0' && memcmp(boot, f.boot, BOOT_BYTES) == 0;
	t->n = ((uint64_t)st.st_size - sizeof(f)) / sizeof(last);
	if (t->n > ENTRIES_MAX)
		return err_set(e, ERR_LIMIT, "what was told: too much");
	if (t->n == 0)
		return 0;
	if (read_entries(t->fd, t->n - 1, &last, 1, e) == -1)
		return -1;
	if (last.uid == 0 || last.uid > UINT32_MAX / 2)
		return drop(t);
	t->last = last.uid;
	if (last.uid < floor)
		return 0;
	if (find_floor(t, floor, &first, e) == -1)
		return -1;
	for (uint64_t i = first; i < t->n; i++)
		(void)VEC_ADD(&t->v);
	if (t->v.n > 0 && read_entries(t->fd, first, t->v.v, t->v.n, e) == -1)
		return -1;
	return is_ascending(t) ? 0 : drop(t);
}

bool
mbox_told_write_front(const struct mbox_told *t, uint32_t uidvalidity)
{
	struct front f = {.order = ORDER, .uidvalidity = uidvalidity};

	memcpy(f.magic, MAGIC, sizeof(f.magic));
	put_boot(f.boot);
	return pwrite(t->fd, &f, sizeof(f), 0) == (ssize_t)sizeof(f);
}

bool
mbox_told_add(struct mbox_told *t, const struct mbox_told_entry *v, size_t n)
{
	ssize_t bytes = (ssize_t)(n * sizeof(*v));

	if (pwrite(t->fd, v, (size_t)bytes,
		(off_t)(MBOX_TOLD_FRONT + t->n * sizeof(*v))) != bytes)
		return false;
	t->n += n;
	return true;
}
