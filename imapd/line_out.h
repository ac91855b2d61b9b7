/* SPDX-License-Identifier: ISC */
/*
 * line_out.h - many short pieces into a connection's queue, without a call and
 * a second copy for each.
 *
 *	line_out_begin --line_out_need, then put what it allows--> line_out_end
 */
#ifndef IMAPD_LINE_OUT_H
#define IMAPD_LINE_OUT_H

#include "base/num.h"
#include "net/conn.h"

struct line_out {
	struct conn *conn;
	char *from, *p, *end; /* the present room, and what is used of it */
	size_t n; /* bytes that were handed over */
};

#define LINE_OUT_ROOM 8192

/*
 * A number that is the one behind the last, most of the time. Its digits are in
 * one word, as they lie in memory: what is stored by bytes and read as a whole
 * makes the processor wait.
 */
struct line_number {
	uint64_t v, digits;
	unsigned n; /* digits; 0: none yet, or more than the word has */
	unsigned left; /* so many more until the last one is 9 */
};

static inline void
line_out_begin(struct line_out *o, struct conn *conn)
{
	*o = (struct line_out){.conn = conn};
}

/* All that was put belongs to the connection now. */
static inline void
line_out_end(struct line_out *o)
{
	size_t n = (size_t)(o->p - o->from);

	if (o->from != NULL)
		conn_written(o->conn, n);
	o->n += n;
	o->from = o->p = o->end = NULL;
}

/* Room for `n` bytes. */
static inline void
line_out_need(struct line_out *o, size_t n)
{
	size_t room = n < LINE_OUT_ROOM ? LINE_OUT_ROOM : n;

	if ((size_t)(o->end - o->p) >= n)
		return;
	line_out_end(o);
	o->from = o->p = conn_write_room(o->conn, room);
	o->end = o->p + room;
}

/* These need room that was asked for. */
static inline void
line_out_put(struct line_out *o, struct str s)
{
	memcpy(o->p, s.p, s.n);
	o->p += s.n;
}

static inline void
line_out_number(struct line_out *o, uint64_t v)
{
	o->p += num_write_u64(o->p, v);
}

static inline uint64_t
line_last_digit(unsigned n)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	return UINT64_C(1) << (n - 1) * 8;
#else
	return UINT64_C(1) << (sizeof(uint64_t) - n) * 8;
#endif
}

/* Needs room for NUM_DIGITS_MAX bytes. */
static inline void
line_out_next(struct line_out *o, struct line_number *last, uint64_t v)
{
	if (last->n > 0 && last->left > 0 && v == last->v + 1) {
		last->digits += line_last_digit(last->n);
		last->left--;
		last->v = v;
		memcpy(o->p, &last->digits, sizeof(last->digits));
		o->p += last->n;
		return;
	}
	last->v = v;
	last->n = (unsigned)num_write_u64(o->p, v);
	last->left = 9 - (unsigned)(v % 10);
	memcpy(&last->digits, o->p, sizeof(last->digits));
	o->p += last->n;
	if (last->n > sizeof(last->digits))
		last->n = 0;
}

#endif
