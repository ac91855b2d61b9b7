/* SPDX-License-Identifier: ISC */
/*
 * chan_session.c - master and a user's imapd or pop3d.
 *
 * Owns:    nothing.
 * Runs in: master; imapd and pop3d.
 * Trusts:  nothing it parses.
 */
#include "ipc/chan_session.h"

#include "base/bounds.h"

void
session_connection_write(const struct session_connection *m, struct buf *out)
{
	msg_begin(out, SESSION_CONNECTION, m->stateless ? 1 : 2);
	msg_put_u64(out, m->session);
	msg_put_str(out, m->tag);
	msg_put_str(out, m->user);
	msg_put_str(out, m->remote_ip);
	msg_put_u16(out, m->remote_port);
	msg_put_str(out, m->local_ip);
	msg_put_u16(out, m->local_port);
}

int
session_connection_parse(
    struct msg_in *in, struct session_connection *m, struct err *e)
{
	struct session_connection got = {.stateless = in->n_fds == 1};

	got.session = msg_get_u64(in);
	got.tag = msg_get_str(in, SESSION_TEXT_MAX);
	got.user = msg_get_str(in, USER_NAME_MAX);
	got.remote_ip = msg_get_str(in, SESSION_ADDRESS_MAX);
	got.remote_port = msg_get_u16(in);
	got.local_ip = msg_get_str(in, SESSION_ADDRESS_MAX);
	got.local_port = msg_get_u16(in);
	if (msg_end(in, e) == -1)
		return -1;
	*m = got;
	return 0;
}

void
session_text_write(uint16_t type, const struct session_text *m, struct buf *out)
{
	msg_begin(out, type, 0);
	msg_put_u64(out, m->session);
	msg_put_str(out, str_head(m->text, SESSION_TEXT_MAX));
}

int
session_text_parse(struct msg_in *in, struct session_text *m, struct err *e)
{
	struct session_text got = {0};

	got.session = msg_get_u64(in);
	got.text = msg_get_str(in, SESSION_TEXT_MAX);
	if (msg_end(in, e) == -1)
		return -1;
	*m = got;
	return 0;
}

void
session_number_write(uint16_t type, uint64_t session, struct buf *out)
{
	msg_begin(out, type, 0);
	msg_put_u64(out, session);
}

int
session_number_parse(struct msg_in *in, uint64_t *session, struct err *e)
{
	uint64_t got = msg_get_u64(in);

	if (msg_end(in, e) == -1)
		return -1;
	*session = got;
	return 0;
}

void
session_stop_write(struct str why, struct buf *out)
{
	msg_begin(out, SESSION_STOP, 0);
	msg_put_str(out, str_head(why, SESSION_TEXT_MAX));
}

int
session_stop_parse(struct msg_in *in, struct str *why, struct err *e)
{
	struct str got = msg_get_str(in, SESSION_TEXT_MAX);

	if (msg_end(in, e) == -1)
		return -1;
	*why = got;
	return 0;
}

void
session_leaving_write(struct buf *out)
{
	msg_begin(out, SESSION_LEAVING, 0);
}

int
session_leaving_parse(struct msg_in *in, struct err *e)
{
	return msg_end(in, e);
}

void
session_spool_write(struct buf *out)
{
	msg_begin(out, SESSION_SPOOL, 0);
}

void
session_spool_is_write(bool there, struct buf *out)
{
	msg_begin(out, SESSION_SPOOL_IS, there ? 1 : 0);
}

int
session_spool_parse(struct msg_in *in, struct err *e)
{
	return msg_end(in, e);
}

void
session_share_write(const struct share_record *r, struct buf *out)
{
	msg_begin(out, SESSION_SHARE, 0);
	msg_put_u8(out, (uint8_t)r->kind);
	msg_put_u32(out, r->number);
	msg_put_bool(out, r->gives);
	msg_put_str(out, r->location);
	msg_put_str(out, r->folder);
}

int
session_share_parse(struct msg_in *in, struct share_record *r, struct err *e)
{
	struct share_record got = *r;

	got.kind = (enum share_kind)msg_get_u8(in);
	got.number = msg_get_u32(in);
	got.gives = msg_get_bool(in);
	got.location = msg_get_str(in, SHARE_PATH_MAX + 20);
	got.folder = msg_get_str(in, SHARE_PATH_MAX);
	if (!in->bad && !share_record_is_sound(&got))
		msg_refuse(in);
	if (msg_end(in, e) == -1)
		return -1;
	*r = got;
	return 0;
}
