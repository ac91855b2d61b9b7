/* SPDX-License-Identifier: ISC */
/*
 * fuzz_mbox_scan.c - any bytes as an mbox file: messages do not overlap, cover
 * the file, have true sizes, and are the same however the bytes come.
 *
 * Owns:    nothing.
 * Runs in: make fuzz, make check.
 * Trusts:  nothing.
 */
#include <stdlib.h>

#include "store/mbox/mbox_scan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct source {
	struct str bytes;
	size_t piece;
};

static int
read_source(void *arg, uint64_t off, void *p, size_t n, size_t *got,
    UNUSED struct err *e)
{
	const struct source *s = arg;
	struct str rest = str_skip(s->bytes, (size_t)off);

	if (off > s->bytes.n)
		abort();
	*got = n < rest.n ? n : rest.n;
	if (*got > 0)
		memcpy(p, rest.p, *got);
	return 0;
}

/* Bytes that gain a CR. */
static uint64_t
bare(struct str s)
{
	uint64_t n = 0;

	for (size_t i = 0; i < s.n; i++)
		n += s.p[i] == '\n' && (i == 0 || s.p[i - 1] != '\r');
	return n;
}

static void
check_sizes(const struct mbox_msg *m, struct str in)
{
	struct str body =
	    str_head(str_skip(in, (size_t)m->body_off), (size_t)m->body_len);
	uint64_t size = m->head_len + m->body_len;
	uint64_t wire = size + bare(m->header) + bare(body);
	struct mbox_range r;
	uint32_t at = 0, before = 0;

	while (mbox_hidden_next(m->header, &at, &r)) {
		if (r.off < before || r.off + r.len > m->head_len)
			abort();
		before = r.off + r.len;
		size -= r.len;
		wire -=
		    r.len + bare(str_head(str_skip(m->header, r.off), r.len));
	}
	if (m->size != size || m->wire_size != wire)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct source src = {.bytes = str_make(data, size)};
	struct mbox_scan s, again;
	struct mbox_msg m, other;
	uint64_t end = 0;
	struct err e;
	bool found, other_found;

	mbox_scan_init(&s, read_source, &src, size, 0);
	while (mbox_scan_next(&s, &m, &found, &e) == 0 && found) {
		if (m.off < end || m.body_off < m.off + m.from_len ||
		    m.body_off + m.body_len > m.end || m.end > size ||
		    m.end <= m.off || (end > 0 && m.off != end))
			abort();
		end = m.end;
		check_sizes(&m, src.bytes);
		/* From its own beginning it is the same message. */
		mbox_scan_init(&again, read_source, &src, size, m.off);
		again.is_begun = true;
		if (mbox_scan_next(&again, &other, &other_found, &e) == -1 ||
		    !other_found || other.end != m.end ||
		    other.size != m.size || other.state.hash != m.state.hash)
			abort();
		mbox_scan_done(&again);
	}
	mbox_scan_done(&s);
	return 0;
}
