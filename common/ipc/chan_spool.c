/* SPDX-License-Identifier: ISC */
/*
 * chan_spool.c - mail processes and spoold.
 *
 * Owns:    nothing.
 * Runs in: master, spoold, imapd, pop3d.
 * Trusts:  nothing it parses.
 */
#include "ipc/chan_spool.h"

#include "base/bounds.h"

void
spool_client_write(const struct spool_client_msg *m, struct buf *out)
{
	msg_begin(out, SPOOL_CLIENT, 1);
	msg_put_u32(out, m->pid);
	msg_put_u32(out, m->sysuid);
	msg_put_u32(out, m->sysgid);
	msg_put_str(out, m->user);
}

/* One component that is nobody else's lock. */
static bool
is_file_name(struct str s)
{
	return s.n > 0 && s.n <= SPOOL_NAME_MAX && s.p[0] != '.' &&
	    str_find(s, '/') == s.n && !str_ends(s, STR(".lock"));
}

int
spool_client_parse(struct msg_in *in, struct spool_client_msg *m, struct err *e)
{
	struct spool_client_msg got = {0};

	got.pid = msg_get_u32(in);
	got.sysuid = msg_get_u32(in);
	got.sysgid = msg_get_u32(in);
	got.user = msg_get_str(in, SPOOL_NAME_MAX);
	if (!is_file_name(got.user) || got.pid == 0 || got.pid > INT32_MAX)
		msg_refuse(in);
	if (msg_end(in, e) == -1)
		return -1;
	*m = got;
	return 0;
}

void
spool_lock_write(const struct spool_lock_msg *m, struct buf *out)
{
	msg_begin(out, SPOOL_LOCK, 0);
	msg_put_u32(out, m->ticket);
	msg_put_bool(out, m->create);
}

int
spool_lock_parse(struct msg_in *in, struct spool_lock_msg *m, struct err *e)
{
	struct spool_lock_msg got = {0};

	got.ticket = msg_get_u32(in);
	got.create = msg_get_bool(in);
	if (msg_end(in, e) == -1)
		return -1;
	*m = got;
	return 0;
}

void
spool_which_write(uint16_t type, const struct spool_which *m, struct buf *out)
{
	msg_begin(out, type, 0);
	msg_put_u64(out, m->dev);
	msg_put_u64(out, m->ino);
}

int
spool_which_parse(struct msg_in *in, struct spool_which *m, struct err *e)
{
	struct spool_which got = {0};

	got.dev = msg_get_u64(in);
	got.ino = msg_get_u64(in);
	if (msg_end(in, e) == -1)
		return -1;
	*m = got;
	return 0;
}

void
spool_held_write(const struct spool_held *m, struct buf *out)
{
	msg_begin(out, SPOOL_HELD, 0);
	msg_put_u32(out, m->ticket);
	msg_put_u64(out, m->dev);
	msg_put_u64(out, m->ino);
}

int
spool_held_parse(struct msg_in *in, struct spool_held *m, struct err *e)
{
	struct spool_held got = {0};

	got.ticket = msg_get_u32(in);
	got.dev = msg_get_u64(in);
	got.ino = msg_get_u64(in);
	if (msg_end(in, e) == -1)
		return -1;
	*m = got;
	return 0;
}

void
spool_busy_write(const struct spool_busy *m, struct buf *out)
{
	msg_begin(out, SPOOL_BUSY, 0);
	msg_put_u32(out, m->ticket);
	msg_put_u32(out, m->retry_ms);
	msg_put_str(out, str_head(m->holder, SPOOL_TEXT_MAX));
}

int
spool_busy_parse(struct msg_in *in, struct spool_busy *m, struct err *e)
{
	struct spool_busy got = {0};

	got.ticket = msg_get_u32(in);
	got.retry_ms = msg_get_u32(in);
	got.holder = msg_get_str(in, SPOOL_TEXT_MAX);
	if (msg_end(in, e) == -1)
		return -1;
	*m = got;
	return 0;
}

void
spool_refused_write(const struct spool_refused *m, struct buf *out)
{
	msg_begin(out, SPOOL_REFUSED, 0);
	msg_put_u32(out, m->ticket);
	msg_put_u8(out, (uint8_t)m->code);
	msg_put_str(out, str_head(m->reason, SPOOL_TEXT_MAX));
}

int
spool_refused_parse(struct msg_in *in, struct spool_refused *m, struct err *e)
{
	struct spool_refused got = {0};

	got.ticket = msg_get_u32(in);
	got.code = msg_get_u8(in);
	if (got.code < ERR_OTHER || got.code > ERR_VIOLATION)
		msg_refuse(in);
	got.reason = msg_get_str(in, SPOOL_TEXT_MAX);
	if (msg_end(in, e) == -1)
		return -1;
	*m = got;
	return 0;
}

void
spool_cut_write(uint32_t pid, struct buf *out)
{
	msg_begin(out, SPOOL_CUT, 0);
	msg_put_u32(out, pid);
}

int
spool_cut_parse(struct msg_in *in, uint32_t *pid, struct err *e)
{
	uint32_t got = msg_get_u32(in);

	if (msg_end(in, e) == -1)
		return -1;
	*pid = got;
	return 0;
}
