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

#endif
