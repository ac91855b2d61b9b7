/* SPDX-License-Identifier: ISC */
/*
 * chan_grant.c - who an authenticated connection belongs to.
 *
 * Owns:    nothing.
 * Runs in: authd (write), master (parse).
 * Trusts:  nothing it parses.
 */
#include "ipc/chan_grant.h"

void
grant_write(const struct grant *m, bool held, struct buf *out)
{
	msg_begin(out, held ? GRANT_HELD : GRANT, held ? 1 : 0);
	msg_put_u32(out, m->worker);
	msg_put_u64(out, m->conn);
	msg_put_u64(out, m->cookie);
	msg_put_blob(out, m->peer_ip);
	msg_put_u16(out, m->peer_port);
	msg_put_str(out, m->service);
	msg_put_str(out, m->user);
	msg_put_u32(out, m->sysuid);
	msg_put_u32(out, m->sysgid);
	msg_put_str(out, m->home);
	msg_put_str(out, m->mail_location);
	msg_put_str(out, m->extra);
}

int
grant_parse(struct msg_in *in, struct grant *m, struct err *e)
{
	struct grant got = {0};

	got.worker = msg_get_u32(in);
	got.conn = msg_get_u64(in);
	got.cookie = msg_get_u64(in);
	got.peer_ip = msg_get_blob(in, 16);
	got.peer_port = msg_get_u16(in);
	if (got.peer_ip.n != 0 && got.peer_ip.n != 4 && got.peer_ip.n != 16)
		msg_refuse(in);
	got.service = msg_get_str(in, GRANT_SERVICE_MAX);
	got.user = msg_get_str(in, USER_NAME_MAX);
	got.sysuid = msg_get_u32(in);
	got.sysgid = msg_get_u32(in);
	got.home = msg_get_str(in, GRANT_PATH_MAX);
	got.mail_location = msg_get_str(in, GRANT_PATH_MAX);
	got.extra = msg_get_str(in, GRANT_EXTRA_MAX);
	if (msg_end(in, e) == -1)
		return -1;
	*m = got;
	return 0;
}
