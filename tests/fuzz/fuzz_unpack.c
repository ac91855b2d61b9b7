/* SPDX-License-Identifier: ISC */
/*
 * fuzz_unpack.c - any bytes as a compressed message: reading in pieces, forwards
 * and again from the start, gives the size that was found and the same bytes.
 *
 * Owns:    nothing.
 * Runs in: make fuzz, make check.
 * Trusts:  nothing.
 */
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "store/unpack.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t
sum_of(struct unpack *u, uint64_t size, size_t piece)
{
	char room[70000];
	uint64_t sum = 0, off = 0;
	size_t got = 1;
	struct err e;

	for (; got > 0; off += got) {
		if (unpack_read(u, off, room, piece, &got, &e) == -1)
			abort();
		for (size_t i = 0; i < got; i++)
			sum = sum * 31 + (unsigned char)room[i];
	}
	if (off != size)
		abort();
	return sum;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum packing kind = unpack_kind(str_make(data, size));
	struct unpack *u;
	uint64_t found;
	struct err e;
	int fd;

	if (kind == PACKED_NOT)
		return 0;
	fd = memfd_create("fuzz", MFD_CLOEXEC);
	if (fd == -1 || write(fd, data, size) != (ssize_t)size)
		abort();
	if (unpack_open(fd, kind, &u, &found, &e) == 0) {
		if (found < 4000000 &&
		    sum_of(u, found, 70000) != sum_of(u, found, 999))
			abort();
		unpack_free(&u);
	} else if (e.code != ERR_CORRUPT && e.code != ERR_LIMIT) {
		abort();
	}
	close(fd);
	return 0;
}
