/* SPDX-License-Identifier: ISC */
/*
 * chan_auth.c - the messages between login workers and authd.
 *
 * Owns:    nothing.
 * Runs in: login workers, authd.
 * Trusts:  nothing in a message; every field is checked against its limit.
 */
#include "ipc/chan_auth.h"

static void
write_start(const struct chan_auth_start *s, struct buf *out)
{
	msg_put_u32(out, s->conv);
	msg_put_u64(out, s->conn);
	msg_put_u64(out, s->cookie);
	msg_put_u32(out, (uint32_t)s->service);
	msg_put_u32(out, s->flags);
	msg_put_str(out, s->mech);
	msg_put_bool(out, s->has_initial);
	msg_put_blob(out, s->initial);
	msg_put_blob(out, s->peer_ip);
	msg_put_u16(out, s->peer_port);
	msg_put_blob(out, s->local_ip);
	msg_put_u16(out, s->local_port);
	msg_put_blob(out, s->unique);
	msg_put_blob(out, s->exporter);
}

/* An address as it stands in a packet: 4 or 16 bytes, or none. */
static struct str
get_ip(struct msg_in *in)
{
	struct str ip = msg_get_blob(in, 16);

	if (ip.n != 0 && ip.n != 4 && ip.n != 16)
		msg_refuse(in);
	return ip;
}

static void
read_start(struct msg_in *in, struct chan_auth_start *s)
{
	s->conv = msg_get_u32(in);
	s->conn = msg_get_u64(in);
	s->cookie = msg_get_u64(in);
	s->service = (enum chan_auth_service)msg_get_range(
	    in, CHAN_AUTH_IMAP, CHAN_AUTH_POP3);
	s->flags = msg_get_u32(in);
	if (s->flags & ~CHAN_AUTH_FLAGS)
		msg_refuse(in);
	s->mech = msg_get_str(in, CHAN_AUTH_MECH_MAX);
	if (s->mech.n == 0)
		msg_refuse(in);
	s->has_initial = msg_get_bool(in);
	s->initial = msg_get_blob(in, SASL_BYTES_MAX);
	if (!s->has_initial && s->initial.n > 0)
		msg_refuse(in);
	s->peer_ip = get_ip(in);
	s->peer_port = msg_get_u16(in);
	s->local_ip = get_ip(in);
	s->local_port = msg_get_u16(in);
	s->unique = msg_get_blob(in, CHAN_AUTH_BINDING_MAX);
	s->exporter = msg_get_blob(in, CHAN_AUTH_BINDING_MAX);
}

void
chan_auth_write(const struct chan_auth_msg *m, struct buf *out)
{
	msg_begin(out, (uint16_t)m->type, 0);
	switch (m->type) {
	case CHAN_AUTH_START:
		write_start(&m->start, out);
		break;
	case CHAN_AUTH_MORE:
		msg_put_u32(out, m->more.conv);
		msg_put_blob(out, m->more.data);
		break;
	case CHAN_AUTH_CANCEL:
	case CHAN_AUTH_OK:
		msg_put_u32(out, m->conv);
		break;
	case CHAN_AUTH_FAIL:
		msg_put_u32(out, m->fail.conv);
		msg_put_u32(out, (uint32_t)m->fail.why);
		msg_put_u32(out, m->fail.held_ms);
		break;
	}
}

int
chan_auth_parse(struct msg_in *in, struct chan_auth_msg *out, struct err *e)
{
	struct chan_auth_msg m = {0};

	m.type = (enum chan_auth_type)in->type;
	switch (in->type) {
	case CHAN_AUTH_START:
		read_start(in, &m.start);
		break;
	case CHAN_AUTH_MORE:
		m.more.conv = msg_get_u32(in);
		m.more.data = msg_get_blob(in, SASL_BYTES_MAX);
		break;
	case CHAN_AUTH_CANCEL:
	case CHAN_AUTH_OK:
		m.conv = msg_get_u32(in);
		break;
	case CHAN_AUTH_FAIL:
		m.fail.conv = msg_get_u32(in);
		m.fail.why = (enum chan_auth_why)msg_get_range(
		    in, CHAN_AUTH_BAD, CHAN_AUTH_CANCELLED);
		m.fail.held_ms = msg_get_u32(in);
		break;
	default:
		return err_set(e, ERR_VIOLATION, "chan_auth: no message %u",
		    (unsigned)in->type);
	}
	if (in->n_fds != 0)
		msg_refuse(in);
	if (msg_end(in, e) == -1)
		return err_in(e, "chan_auth message %u", (unsigned)in->type);
	*out = m;
	return 0;
}
