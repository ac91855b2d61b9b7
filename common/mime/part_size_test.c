/* SPDX-License-Identifier: ISC */
/*
 * part_size_test.c - 50 MB messages of nasty shapes: each is parsed in little
 * memory and in time that grows with its size only.
 */
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <cmocka.h>

#include "base/buf.h"
#include "mime/part.h"

#define BYTES (50 * 1024 * 1024)
#define PIECE (64 * 1024)
#define BLOCK (1024 * 1024) /* comes again and again */
#define HEAP_BYTES (8 * 1024 * 1024)

/* A message is `head`, then `body` again and again; "%d" is a number. */
static const struct {
	const char *what, *head, *body;
} shapes[] = {
    {"one base64 part",
	"Content-Type: multipart/mixed; boundary=b\n\n--b\n"
	"Content-Transfer-Encoding: base64\n\n",
	"QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWZnaGlqa2xtbm9wcXJzdHV2\n"},
    {"plain text", "Subject: x\n\n", "line of text, short\r\n"},
    {"empty lines", "\n", "\n"},
    {"one line", "\n", "xxxxxxxxxxxxxxxx"},
    {"one line of hyphens", "Content-Type: multipart/mixed; boundary=b\n\n",
	"----------------"},
    {"lines like boundaries", "Content-Type: multipart/mixed; boundary=b\n\n",
	"--c\n"},
    {"NULs", "Content-Type: multipart/mixed; boundary=b\n\n", "\1\n\1"},
    {"a header that never ends", "", "X-Header-%d: some value\n"},
    {"a header line that never ends", "Subject: ", "xxxxxxxxxxxxxxxx"},
    {"a folded line that never ends", "Subject:", " folded\n"},
    {"subjects", "", "Subject: %d\n"},
    {"addresses", "", "To: a%d@x\n"},
    {"addresses in long fields", "To: ", "a%d@x, \n "},
    {"groups", "", "To: a:b;\n"},
    {"comments", "To: ", "((((((((((((((((\n "},
    {"quotes", "To: ", "\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\n "},
    {"parameters", "Content-Type: text/plain", ";a%d=b\n "},
    {"sections of parameters", "Content-Type: text/plain", ";a*%d=b\n "},
    {"parts", "Content-Type: multipart/mixed; boundary=b\n\n", "--b\n\n%d\n"},
    {"parts with types", "Content-Type: multipart/mixed; boundary=b\n\n",
	"--b\nContent-Type: a/b;c=d;e=f;g=h\nContent-ID: <%d>\n\n%d\n"},
    {"messages in messages", "", "From: a@b\nContent-Type: message/rfc822\n\n"},
    {"digest", "Content-Type: multipart/digest; boundary=b\n\n",
	"--b\n\nFrom: a@b\nTo: c@d\n\nx\n"},
    {"multiparts in multiparts", "",
	"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n"},
};

static size_t
heap_in_use(void)
{
	struct mallinfo2 m = mallinfo2();

	return m.uordblks + m.hblkhd;
}

static struct str
make_unit(struct buf *b, const char *body, int number)
{
	const char *p;

	buf_clear(b);
	for (p = body; *p != '\0'; p++) {
		if (p[0] == '%' && p[1] == 'd') {
			buf_addf(b, "%d", number);
			p++;
		} else {
			buf_add_byte(b, *p == '\1' ? '\0' : *p);
		}
	}
	return buf_str(b);
}

static double
cpu_s(void)
{
	return (double)clock() / CLOCKS_PER_SEC;
}

static void
make_block(struct buf *block, const char *body)
{
	struct buf unit;
	int number = 0;

	buf_init(&unit, 1000);
	buf_clear(block);
	while (block->n < BLOCK)
		buf_add_str(block, make_unit(&unit, body, number++));
	buf_done(&unit);
}

static void
test_shape(const char *what, const char *head, struct str block)
{
	size_t fed, before = heap_in_use(), peak = 0;
	struct part_parser *p;
	struct arena a;
	struct str rest;
	double spent, began = cpu_s();

	arena_init(&a);
	p = part_parser_new(&a, NULL);
	part_parser_feed(p, str_of(head));
	for (fed = 0; fed < BYTES; fed += block.n)
		for (rest = block; rest.n > 0; rest = str_skip(rest, PIECE)) {
			part_parser_feed(p, str_head(rest, PIECE));
			if (heap_in_use() - before > peak)
				peak = heap_in_use() - before;
		}
	(void)part_parser_finish(p);
	if (heap_in_use() - before > peak)
		peak = heap_in_use() - before;
	arena_done(&a);
	spent = cpu_s() - began;
	print_message("%5zu KiB %.3f s  %s\n", peak / 1024, spent, what);
#ifndef RESTANTE_SANITIZE
	assert_true(peak < HEAP_BYTES);
	assert_true(spent < 1.5);
#endif
}

static void
test_shapes(UNUSED void **state)
{
	struct buf block;
	size_t i;

	buf_init(&block, BLOCK * 2);
	for (i = 0; i < ARRAY_LEN(shapes); i++) {
		make_block(&block, shapes[i].body);
		test_shape(shapes[i].what, shapes[i].head, buf_str(&block));
	}
	buf_done(&block);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_shapes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
