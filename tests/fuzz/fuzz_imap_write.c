/* SPDX-License-Identifier: ISC */
/*
 * fuzz_imap_write.c - whatever a value holds, as an argument it comes back as
 * that one value and ends where it should.
 *
 * Owns:    nothing.
 * Runs in: make fuzz, make check.
 * Trusts:  nothing.
 */
#include <stdlib.h>

#include "imap/imap_lex.h"
#include "imap/imap_requote.h"
#include "imap/imap_write.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct imap_lex_limits limits = {
    .line_bytes = 1 << 20, .nesting = 1, .args = 2, .literal_bytes = 1 << 20};

/* The lexer's reading of "a X value CRLF", which must hold all of it. */
static void
read_back(struct str line, struct str want)
{
	const struct imap_arg *args;
	struct imap_lex l;
	struct arena a;
	struct str s;
	size_t used;

	arena_init(&a);
	imap_lex_init(&l);
	imap_lex_begin(&l, &limits, &a);
	l.utf8 = true;
	for (;;) {
		enum imap_lex_event ev = imap_lex_feed(&l, line, &used);

		line = str_skip(line, used);
		if (ev == IMAP_LEX_DONE)
			break;
		if (ev != IMAP_LEX_NAME && ev != IMAP_LEX_LITERAL)
			abort();
	}
	args = l.args;
	if (line.n != 0 || !imap_arg_astring(&args, &s) ||
	    !imap_arg_end(args) || !str_eq(s, want))
		abort();
	imap_lex_done(&l);
	arena_done(&a);
}

/* What was written for everybody, for those who have enabled UTF-8. */
static void
requote(struct str in, struct str text)
{
	struct buf plain, b;

	buf_init(&plain, 1 << 21);
	buf_init(&b, 1 << 21);
	imap_write_string(&plain, in);
	buf_add_c(&b, "a X ");
	imap_requote(&b, buf_str(&plain));
	buf_add_c(&b, "\r\n");
	read_back(buf_str(&b), text);
	/* and of any bytes */
	buf_clear(&b);
	imap_requote(&b, in);
	if (b.n > in.n * 2 + 2)
		abort();
	buf_done(&plain);
	buf_done(&b);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str in = str_make(data, size), text;
	char *copy = malloc(size + 1);
	struct buf b;
	size_t i;

	/* NUL can not be sent and becomes something else. */
	for (i = 0; i < size; i++)
		copy[i] = data[i] == 0 ? '\x80' : (char)data[i];
	text = str_make(copy, size);
	buf_init(&b, 1 << 21);
	buf_add_c(&b, "a X ");
	imap_write_string(&b, in);
	buf_add_c(&b, "\r\n");
	read_back(buf_str(&b), text);
	buf_clear(&b);
	buf_add_c(&b, "a X ");
	imap_write_astring(&b, in);
	buf_add_c(&b, "\r\n");
	read_back(buf_str(&b), text);
	requote(in, text);
	buf_clear(&b);
	imap_write_astring_utf8(&b, in);
	imap_write_text(&b, in);
	if (buf_is_over(&b))
		abort();
	buf_done(&b);
	free(copy);
	return 0;
}
