/* SPDX-License-Identifier: ISC */
/*
 * fuzz_mbox_told.c - any bytes as the file of the UIDs that were told of an
 * mbox. The first four are UIDVALIDITY, the next four the UID to begin with.
 *
 * Checked: what comes out ascends, lies within the file, and leaves room for
 * more; it comes out again of what is written of it.
 *
 * Owns:    nothing.
 * Runs in: make fuzz, make check.
 * Trusts:  nothing.
 */
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "store/mbox/mbox_told.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check(const struct mbox_told *t, size_t size)
{
	uint32_t uid = 0;

	if (!t->is_front_good && (t->n > 0 || t->v.n > 0 || t->last != 0))
		abort();
	if (t->v.n > t->n || t->n * sizeof(*t->v.v) > size)
		abort();
	VEC_EACH(&t->v, x) {
		if (x->uid <= uid)
			abort();
		uid = x->uid;
	}
	if (t->last > UINT32_MAX / 2 || (uid != 0 && uid != t->last))
		abort();
}

/* A copy of what was read is read as the same. */
static void
check_again(const struct mbox_told *t, uint32_t uidvalidity, int fd)
{
	struct mbox_told fresh = {.fd = fd}, again = {.fd = fd};
	struct err e;

	if (ftruncate(fd, 0) == -1 ||
	    !mbox_told_write_front(&fresh, uidvalidity) ||
	    !mbox_told_add(&fresh, t->v.v, t->v.n) ||
	    mbox_told_read(&again, uidvalidity, 0, &e) == -1)
		abort();
	if (again.v.n != t->v.n || !again.is_front_good ||
	    (t->v.n > 0 &&
		memcmp(again.v.v, t->v.v, t->v.n * sizeof(*t->v.v)) != 0))
		abort();
	VEC_DONE(&again.v);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct mbox_told t = {0};
	uint32_t first[2];
	struct err e;

	if (size < sizeof(first))
		return 0;
	memcpy(first, data, sizeof(first));
	t.fd = memfd_create("told", MFD_CLOEXEC);
	if (t.fd == -1 ||
	    write(t.fd, data + sizeof(first), size - sizeof(first)) !=
		(ssize_t)(size - sizeof(first)))
		abort();
	if (mbox_told_read(&t, first[0], first[1], &e) == 0) {
		check(&t, size);
		if (t.v.n > 0)
			check_again(&t, first[0], t.fd);
	}
	close(t.fd);
	VEC_DONE(&t.v);
	return 0;
}
