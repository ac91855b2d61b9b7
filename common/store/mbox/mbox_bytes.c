/* SPDX-License-Identifier: ISC */
/*
 * mbox_bytes.c - whole reads and writes, sizes and sums of bytes of a file.
 *
 * Owns:    nothing.
 * Runs in: imapd, pop3d, as the mail user.
 * Trusts:  nothing: a short read is an error, a short write goes on.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "os/file.h"
#include "store/mbox/mbox_shift_impl.h"
#include "store/mbox/mbox_state.h"

#define FILL_BYTES (64 * 1024)

#define MULT UINT64_C(0x9e3779b97f4a7c15)

static uint64_t
mix(uint64_t h, uint64_t v)
{
	h = (h ^ v) * MULT;
	return h ^ h >> 29;
}

static uint64_t
word_at(const char *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

/* Four lanes, so that the multiplications do not wait for one another. */
uint64_t
mbox_bytes_hash(uint64_t h, const char *p, size_t n)
{
	uint64_t a = h, b = ~h, c = h + MULT, d = h ^ MULT;

	if (n >= 32) {
		for (; n >= 32; p += 32, n -= 32) {
			a = mix(a, word_at(p));
			b = mix(b, word_at(p + 8));
			c = mix(c, word_at(p + 16));
			d = mix(d, word_at(p + 24));
		}
		h = mix(mix(mix(a, b), c), d);
	}
	for (; n >= 8; p += 8, n -= 8)
		h = mix(h, word_at(p));
	return mbox_hash(h, str_make(p, n));
}

int
mbox_bytes_write(int fd, uint64_t off, const char *p, size_t n, struct err *e)
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

int
mbox_bytes_newlines(int fd, uint64_t off, uint64_t n, struct err *e)
{
	char *fill;
	int rc = 0;

	if (n == 0)
		return 0;
	fill = mem_new(1, FILL_BYTES);
	memset(fill, '\n', FILL_BYTES);
	while (n > 0 && rc == 0) {
		size_t k = n < FILL_BYTES ? (size_t)n : FILL_BYTES;

		rc = mbox_bytes_write(fd, off, fill, k, e);
		off += k;
		n -= k;
	}
	free(fill);
	return rc;
}

int
mbox_bytes_read(int fd, uint64_t off, char *p, size_t n, struct err *e)
{
	size_t got;

	if (file_read_at(fd, off, p, n, &got, e) == -1)
		return -1;
	return got == n ? 0 : err_set(e, ERR_CORRUPT, "file has shrunk");
}

int
mbox_bytes_size(int fd, uint64_t *size, struct err *e)
{
	struct stat st;

	*size = 0; /* newer compilers can not see that it is set on success */
	if (fstat(fd, &st) == -1)
		return err_sys(e, "fstat");
	*size = (uint64_t)st.st_size;
	return 0;
}
