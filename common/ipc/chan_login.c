/* SPDX-License-Identifier: ISC */
/*
 * chan_login.c - login parent and workers with master.
 *
 * Owns:    nothing.
 * Runs in: master, the login parent, its workers.
 * Trusts:  nothing it parses.
 */
#include <string.h>

#include "ipc/chan_login.h"

static enum login_service
get_service(struct msg_in *in)
{
	uint8_t v = msg_get_u8(in);

	if (v != LOGIN_IMAP && v != LOGIN_POP3) {
		msg_refuse(in);
		return LOGIN_IMAP;
	}
	return (enum login_service)v;
}

void
login_listener_write(const struct login_listener *m, struct buf *out)
{
	msg_begin(out, LOGIN_LISTENER, 1);
	msg_put_u8(out, (uint8_t)m->service);
	msg_put_bool(out, m->tls);
	msg_put_bool(out, m->proxy);
	msg_put_str(out, m->name);
}

int
login_listener_parse(struct msg_in *in, struct login_listener *m, struct err *e)
{
	struct login_listener got = {0};

	got.service = get_service(in);
	got.tls = msg_get_bool(in);
	got.proxy = msg_get_bool(in);
	got.name = msg_get_str(in, LOGIN_PATH_MAX);
	if (msg_end(in, e) == -1)
		return -1;
	*m = got;
	return 0;
}

void
login_cert_write(const struct login_cert *m, struct buf *out)
{
	msg_begin(out, LOGIN_CERT, m->ocsp ? 2 : 1);
	msg_put_u32(out, m->number);
	msg_put_bool(out, m->ocsp);
	msg_put_str(out, m->path);
}

int
login_cert_parse(struct msg_in *in, struct login_cert *m, struct err *e)
{
	struct login_cert got = {0};

	got.number = msg_get_u32(in);
	got.ocsp = msg_get_bool(in);
	got.path = msg_get_str(in, LOGIN_PATH_MAX);
	if (in->n_fds != (got.ocsp ? 2U : 1U))
		msg_refuse(in);
	if (msg_end(in, e) == -1)
		return -1;
	*m = got;
	return 0;
}

void
login_tickets_write(struct str key, struct buf *out)
{
	msg_begin(out, LOGIN_TICKETS, 0);
	msg_put_blob(out, key);
}

int
login_tickets_parse(struct msg_in *in, struct str *key, struct err *e)
{
	struct str got = msg_get_blob(in, LOGIN_TICKET_KEY_MAX);

	if (got.n == 0)
		msg_refuse(in);
	if (msg_end(in, e) == -1)
		return -1;
	*key = got;
	return 0;
}

void
login_need_write(const struct login_need *m, struct buf *out)
{
	msg_begin(out, LOGIN_NEED, 0);
	msg_put_u32(out, m->wanted);
	msg_put_u32(out, m->spare);
	msg_put_u32(out, m->serving);
}

int
login_need_parse(struct msg_in *in, struct login_need *m, struct err *e)
{
	struct login_need got = {0};

	got.wanted = msg_get_range(in, 0, LOGIN_NEED_MAX);
	got.spare = msg_get_u32(in);
	got.serving = msg_get_u32(in);
	if (msg_end(in, e) == -1)
		return -1;
	*m = got;
	return 0;
}

void
login_retired_write(struct buf *out)
{
	msg_begin(out, LOGIN_RETIRED, 0);
}

int
login_retired_parse(struct msg_in *in, struct err *e)
{
	return msg_end(in, e);
}

void
login_worker_write(uint32_t number, struct buf *out)
{
	msg_begin(out, LOGIN_WORKER, 3);
	msg_put_u32(out, number);
}

void
login_kill_write(uint32_t number, struct buf *out)
{
	msg_begin(out, LOGIN_KILL, 0);
	msg_put_u32(out, number);
}

int
login_number_parse(struct msg_in *in, uint32_t *number, struct err *e)
{
	uint32_t got = msg_get_u32(in);

	if (msg_end(in, e) == -1)
		return -1;
	*number = got;
	return 0;
}

void
login_seen_write(const struct login_seen *m, struct buf *out)
{
	msg_begin(out, LOGIN_SEES, 0);
	msg_put_u8(out, (uint8_t)m->state);
	msg_put_u8(out, m->family);
	msg_put_blob(out, str_make(m->address, sizeof(m->address)));
}

int
login_seen_parse(struct msg_in *in, struct login_seen *m, struct err *e)
{
	struct login_seen got = {0};
	uint8_t state = msg_get_u8(in);
	struct str address;

	got.state = (enum login_sees)state;
	got.family = msg_get_u8(in);
	address = msg_get_blob(in, sizeof(got.address));
	if (state < LOGIN_SEES_CLIENT || state > LOGIN_SEES_IDLE ||
	    (got.family != 0 && got.family != 4 && got.family != 6) ||
	    address.n != sizeof(got.address))
		msg_refuse(in);
	if (msg_end(in, e) == -1)
		return -1;
	memcpy(got.address, address.p, sizeof(got.address));
	*m = got;
	return 0;
}

void
handoff_offer_write(const struct handoff_offer *m, struct buf *out)
{
	msg_begin(out, HANDOFF, m->stateless ? 1 : 2);
	msg_put_u64(out, m->conn);
	msg_put_str(out, m->tag);
	msg_put_str(out, m->remote);
}

int
handoff_offer_parse(struct msg_in *in, struct handoff_offer *m, struct err *e)
{
	struct handoff_offer got = {.stateless = in->n_fds == 1};

	got.conn = msg_get_u64(in);
	got.tag = msg_get_str(in, LOGIN_TAG_MAX);
	got.remote = msg_get_str(in, LOGIN_REMOTE_MAX);
	if (msg_end(in, e) == -1)
		return -1;
	*m = got;
	return 0;
}

void
handoff_taken_write(uint64_t conn, struct buf *out)
{
	msg_begin(out, HANDOFF_TAKEN, 0);
	msg_put_u64(out, conn);
}

int
handoff_taken_parse(struct msg_in *in, uint64_t *conn, struct err *e)
{
	uint64_t got = msg_get_u64(in);

	if (msg_end(in, e) == -1)
		return -1;
	*conn = got;
	return 0;
}

void
handoff_refused_write(const struct handoff_refused *m, struct buf *out)
{
	msg_begin(out, HANDOFF_REFUSED, 0);
	msg_put_u64(out, m->conn);
	msg_put_u8(out, (uint8_t)m->reason);
}

int
handoff_refused_parse(
    struct msg_in *in, struct handoff_refused *m, struct err *e)
{
	struct handoff_refused got = {0};
	uint8_t reason;

	got.conn = msg_get_u64(in);
	reason = msg_get_u8(in);
	if (reason < HANDOFF_FAILED || reason > HANDOFF_LIMIT_ALL)
		msg_refuse(in);
	got.reason = (enum handoff_reason)reason;
	if (msg_end(in, e) == -1)
		return -1;
	*m = got;
	return 0;
}
