/* SPDX-License-Identifier: ISC */
/*
 * fuzz_imap_lex.c - a client's bytes: any division into pieces must give the
 * same commands.
 *
 * Owns:    nothing.
 * Runs in: make fuzz, make check.
 * Trusts:  nothing.
 */
#include <stdlib.h>

#include "imap/imap_lex.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct imap_lex_limits limits = {.line_bytes = 500,
    .nesting = 5,
    .args = 40,
    .literal_bytes = 100,
    .nonsync_bytes = 1000,
    .skip_bytes = 2000};

static void
dump(struct buf *b, const struct imap_arg *a)
{
	for (; a->type != IMAP_ARG_END; a++) {
		buf_addf(b, "%d,%d,%d,%llu,%zu:", a->type, a->binary,
		    a->nonsync, (unsigned long long)a->size, a->s.n);
		buf_add_str(b, a->s);
		if (a->type == IMAP_ARG_LIST) {
			buf_add_byte(b, '(');
			dump(b, a->list);
			buf_add_byte(b, ')');
		}
	}
}

/* Modes as a command's name would set them. */
static void
choose(struct imap_lex *l)
{
	l->stream = str_eq_nocase(l->name, STR("APPEND")) ? 1
	    : str_eq_nocase(l->name, STR("REPLACE"))      ? 2
							  : 0;
	l->sections = str_eq_nocase(l->name, STR("FETCH"));
	if (str_eq_nocase(l->name, STR("X")))
		imap_lex_reject(l, "X");
}

static void
run(struct str in, size_t step, struct buf *out)
{
	struct imap_lex l;
	struct arena a;
	enum imap_lex_event ev;
	size_t used;

	arena_init(&a);
	imap_lex_init(&l);
	imap_lex_begin(&l, &limits, &a);
	while (in.n > 0) {
		ev = imap_lex_feed(&l, str_head(in, step), &used);
		if (used > step || (used == 0 && ev == IMAP_LEX_MORE))
			abort();
		in = str_skip(in, used);
		if (ev == IMAP_LEX_MORE)
			continue;
		buf_addf(out, "\n%d ", ev);
		if (ev == IMAP_LEX_NAME)
			choose(&l);
		if (ev == IMAP_LEX_DONE || ev == IMAP_LEX_STREAM)
			dump(out, l.args);
		if (ev == IMAP_LEX_STREAM) {
			if (l.stream_arg->type != IMAP_ARG_STREAM)
				abort();
			if (l.stream_arg->size > in.n)
				break;
			in = str_skip(in, (size_t)l.stream_arg->size);
			imap_lex_forget_args(&l);
		}
		if (ev != IMAP_LEX_DONE && ev != IMAP_LEX_BAD)
			continue;
		if (ev == IMAP_LEX_BAD && l.why == NULL)
			abort();
		if (l.must_close)
			break;
		buf_add_str(out, l.tag);
		arena_reset(&a);
		imap_lex_begin(&l, &limits, &a);
	}
	imap_lex_done(&l);
	arena_done(&a);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str in = str_make(data, size);
	struct buf whole, pieces;

	if (size > 8192)
		return 0;
	buf_init(&whole, 1 << 24);
	buf_init(&pieces, 1 << 24);
	run(in, size + 1, &whole);
	run(in, 1, &pieces);
	if (!str_eq(buf_str(&whole), buf_str(&pieces)))
		abort();
	buf_clear(&pieces);
	run(in, 1 + size % 13, &pieces);
	if (!str_eq(buf_str(&whole), buf_str(&pieces)))
		abort();
	buf_done(&whole);
	buf_done(&pieces);
	return 0;
}
