/* SPDX-License-Identifier: ISC */
/*
 * chan_child.c - start and end of a service process.
 *
 * Owns:    nothing.
 * Runs in: master and its service processes.
 * Trusts:  nothing it parses.
 */
#include "ipc/chan_child.h"

void
child_peer_write(const struct child_peer *m, struct buf *out)
{
	msg_begin(out, CHILD_PEER, 1);
	msg_put_u8(out, (uint8_t)m->kind);
	msg_put_u32(out, m->number);
}

int
child_peer_parse(struct msg_in *in, struct child_peer *m, struct err *e)
{
	struct child_peer got = {0};

	got.kind = msg_get_u8(in);
	got.number = msg_get_u32(in);
	if (got.kind < CHILD_KIND_WORKER || got.kind > CHILD_KIND_LAST)
		msg_refuse(in);
	if (msg_end(in, e) == -1)
		return -1;
	*m = got;
	return 0;
}

void
child_file_write(const struct child_file *m, struct buf *out)
{
	msg_begin(out, CHILD_FILE, 1);
	msg_put_str(out, m->role);
	msg_put_u32(out, m->number);
	msg_put_str(out, str_head(m->path, CHILD_TEXT_MAX));
}

int
child_file_parse(struct msg_in *in, struct child_file *m, struct err *e)
{
	struct child_file got = {0};

	got.role = msg_get_str(in, CHILD_TEXT_MAX);
	got.number = msg_get_u32(in);
	got.path = msg_get_str(in, CHILD_TEXT_MAX);
	if (msg_end(in, e) == -1)
		return -1;
	*m = got;
	return 0;
}

void
child_go_write(struct buf *out)
{
	msg_begin(out, CHILD_GO, 0);
}

void
child_ready_write(struct buf *out)
{
	msg_begin(out, CHILD_READY, 0);
}

static void
text_write(uint16_t type, struct str text, struct buf *out)
{
	msg_begin(out, type, 0);
	msg_put_str(out, str_head(text, CHILD_TEXT_MAX));
}

void
child_failed_write(struct str reason, struct buf *out)
{
	text_write(CHILD_FAILED, reason, out);
}

void
child_stop_write(struct str why, struct buf *out)
{
	text_write(CHILD_STOP, why, out);
}

int
child_empty_parse(struct msg_in *in, struct err *e)
{
	return msg_end(in, e);
}

int
child_text_parse(struct msg_in *in, struct str *text, struct err *e)
{
	struct str got = msg_get_str(in, CHILD_TEXT_MAX);

	if (msg_end(in, e) == -1)
		return -1;
	*text = got;
	return 0;
}
