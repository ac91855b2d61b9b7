/* SPDX-License-Identifier: ISC */
/*
 * fuzz_append_encode.c - any bytes as a literal8: what is stored has no NUL and
 * is as long as was planned.
 */
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/buf.h"
#include "imapd/append_encode.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Into `out`; false: refused. */
static bool
encode(struct str in, bool odd_cr, struct buf *out, struct encode_plan *plan,
    struct arena *a)
{
	static char room[2 * ENCODE_ROOM];
	struct part_parser *p = part_parser_new(a, &mime_limits_default);
	struct encode_run run = {.plan = plan};
	struct str piece;
	struct err e;
	int rc;

	run.fd = memfd_create("message", MFD_CLOEXEC);
	if (run.fd == -1 || pwrite(run.fd, in.p, in.n, 0) != (ssize_t)in.n)
		abort();
	part_parser_feed(p, in);
	rc = encode_plan_make(
	    a, run.fd, in.n, part_parser_finish(p), odd_cr, plan, &e);
	while (rc == 0 && (rc = encode_next(&run, room, &piece, &e)) == 0 &&
	    piece.n > 0)
		buf_add_str(out, piece);
	close(run.fd);
	if (rc == -1 && e.code != ERR_UNSUPPORTED && e.code != ERR_LIMIT)
		abort();
	return rc == 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str in =
	    str_make(size > 0 ? data + 1 : data, size > 0 ? size - 1 : 0);
	struct encode_plan plan;
	struct buf once;
	struct arena a;

	arena_init(&a);
	buf_init(&once, 1 << 24);
	if (encode(in, size > 0 && (data[0] & 1) != 0, &once, &plan, &a)) {
		if (once.n != plan.size ||
		    str_find(buf_str(&once), '\0') < once.n)
			abort();
	}
	buf_done(&once);
	arena_done(&a);
	return 0;
}
