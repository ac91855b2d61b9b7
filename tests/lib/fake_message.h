/* SPDX-License-Identifier: ISC */
/*
 * fake_message.h - a message in memory and a connection that keeps what it is
 * given, for unit tests. Defines what msg.h and conn.h declare.
 */
#ifndef TESTS_LIB_FAKE_MESSAGE_H
#define TESTS_LIB_FAKE_MESSAGE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/buf.h"
#include "net/conn.h"
#include "store/msg.h"

static struct str stored;
static struct buf sent;
static size_t room_until_full;
static UNUSED size_t bytes_read;
static size_t shrunk_to = SIZE_MAX; /* by another program, meanwhile */

int
msg_read(UNUSED struct msg *m, uint64_t off, void *p, size_t n, size_t *got,
    UNUSED struct err *e)
{
	struct str s =
	    str_head(str_skip(str_head(stored, shrunk_to), (size_t)off), n);

	if (s.n > 0)
		memcpy(p, s.p, s.n);
	bytes_read += s.n;
	*got = s.n;
	return 0;
}

enum step
msg_seek(UNUSED struct msg *m, UNUSED uint64_t off, UNUSED struct err *e)
{
	return STEP_DONE;
}

bool
msg_seeks_slowly(UNUSED const struct msg *m)
{
	return false;
}

bool
msg_at_hand(UNUSED struct msg *m, UNUSED uint64_t off, UNUSED size_t n,
    UNUSED struct str *out)
{
	return false;
}

bool
conn_is_full(UNUSED const struct conn *c)
{
	return sent.n >= room_until_full;
}

char *
conn_write_room(UNUSED struct conn *c, size_t n)
{
	return buf_room(&sent, n);
}

void
conn_written(UNUSED struct conn *c, size_t n)
{
	sent.n += n;
}

#endif
