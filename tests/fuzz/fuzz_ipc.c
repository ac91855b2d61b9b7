/* SPDX-License-Identifier: ISC */
/*
 * fuzz_ipc.c - messages between master and every other process: whatever is
 * taken comes out again as the same bytes.
 *
 * Owns:    nothing.
 * Runs in: make fuzz, make check.
 * Trusts:  nothing.
 */
#include <stdint.h>

#include "base/assert.h"
#include "base/bounds.h"
#include "ipc/chan_child.h"
#include "ipc/chan_ctl.h"
#include "ipc/chan_grant.h"
#include "ipc/chan_log.h"
#include "ipc/chan_login.h"
#include "ipc/chan_session.h"
#include "ipc/chan_spool.h"
#include "ipc/child.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Each reads a message and, if it may, writes it again; false: refused. */
typedef bool again_fn(struct msg_in *in, struct buf *out);

#define AGAIN(name, type, parse, write)                                        \
	static bool name(struct msg_in *in, struct buf *out)                   \
	{                                                                      \
		type m;                                                        \
		struct err e;                                                  \
		if (parse == -1)                                               \
			return false;                                          \
		write;                                                         \
		return true;                                                   \
	}

AGAIN(peer, struct child_peer, child_peer_parse(in, &m, &e),
    child_peer_write(&m, out))
AGAIN(file, struct child_file, child_file_parse(in, &m, &e),
    child_file_write(&m, out))
AGAIN(failed, struct str, child_text_parse(in, &m, &e),
    child_failed_write(m, out))
AGAIN(stop, struct str, child_text_parse(in, &m, &e), child_stop_write(m, out))
AGAIN(
    line, struct log_line, log_line_parse(in, &m, &e), log_line_write(&m, out))
AGAIN(source, struct log_source, log_source_parse(in, &m, &e),
    log_source_write(&m, out))
AGAIN(grant, struct grant, grant_parse(in, &m, &e), grant_write(&m, false, out))
AGAIN(grant_held, struct grant, grant_parse(in, &m, &e),
    grant_write(&m, true, out))
AGAIN(listener, struct login_listener, login_listener_parse(in, &m, &e),
    login_listener_write(&m, out))
AGAIN(cert, struct login_cert, login_cert_parse(in, &m, &e),
    login_cert_write(&m, out))
AGAIN(tickets, struct str, login_tickets_parse(in, &m, &e),
    login_tickets_write(m, out))
AGAIN(need, struct login_need, login_need_parse(in, &m, &e),
    login_need_write(&m, out))
AGAIN(retired, int, login_retired_parse(in, &e),
    ((void)m, login_retired_write(out)))
AGAIN(worker, uint32_t, login_number_parse(in, &m, &e),
    login_worker_write(m, out))
AGAIN(worker_kill, uint32_t, login_number_parse(in, &m, &e),
    login_kill_write(m, out))
AGAIN(seen, struct login_seen, login_seen_parse(in, &m, &e),
    login_seen_write(&m, out))
AGAIN(offer, struct handoff_offer, handoff_offer_parse(in, &m, &e),
    handoff_offer_write(&m, out))
AGAIN(taken, uint64_t, handoff_taken_parse(in, &m, &e),
    handoff_taken_write(m, out))
AGAIN(refused, struct handoff_refused, handoff_refused_parse(in, &m, &e),
    handoff_refused_write(&m, out))
AGAIN(connection, struct session_connection,
    session_connection_parse(in, &m, &e), session_connection_write(&m, out))
AGAIN(session_text, struct session_text, session_text_parse(in, &m, &e),
    session_text_write(in->type, &m, out))
AGAIN(session_number, uint64_t, session_number_parse(in, &m, &e),
    session_number_write(in->type, m, out))
AGAIN(session_stop, struct str, session_stop_parse(in, &m, &e),
    session_stop_write(m, out))
AGAIN(request, struct ctl_request, ctl_request_parse(in, &m, &e),
    ctl_request_write(&m, out))
AGAIN(row, struct ctl_row, ctl_row_parse(in, &m, &e), ctl_row_write(&m, out))
AGAIN(
    ctl_last, struct ctl_end, ctl_end_parse(in, &m, &e), ctl_end_write(&m, out))

/* Without fields there is nothing to lose. */
static bool
session_spool(struct msg_in *in, struct buf *out)
{
	struct err e;

	if (session_spool_parse(in, &e) == -1)
		return false;
	if (in->type == SESSION_SPOOL)
		session_spool_write(out);
	else
		session_spool_is_write(in->n_fds == 1, out);
	return true;
}

/* Who the owner is the reader knows. */
static bool
share(struct msg_in *in, struct buf *out)
{
	struct share_record r = {.owner_uid = 1000, .owner = STR("alice")};
	struct err e;

	if (session_share_parse(in, &r, &e) == -1)
		return false;
	ASSERT(share_record_is_sound(&r));
	session_share_write(&r, out);
	return true;
}

AGAIN(spool_which, struct spool_which, spool_which_parse(in, &m, &e),
    spool_which_write(in->type, &m, out))
AGAIN(spool_cut, uint32_t, spool_cut_parse(in, &m, &e), spool_cut_write(m, out))
AGAIN(spool_client, struct spool_client_msg, spool_client_parse(in, &m, &e),
    spool_client_write(&m, out))
AGAIN(spool_lock, struct spool_lock_msg, spool_lock_parse(in, &m, &e),
    spool_lock_write(&m, out))
AGAIN(spool_held, struct spool_held, spool_held_parse(in, &m, &e),
    spool_held_write(&m, out))
AGAIN(spool_busy, struct spool_busy, spool_busy_parse(in, &m, &e),
    spool_busy_write(&m, out))
AGAIN(spool_refused, struct spool_refused, spool_refused_parse(in, &m, &e),
    spool_refused_write(&m, out))

static const struct {
	uint16_t type;
	unsigned n_fds; /* the channel's table checks these before a parser */
	again_fn *fn;
} all[] = {
    {CHILD_PEER, 1, peer},
    {CHILD_FILE, 1, file},
    {CHILD_FAILED, 0, failed},
    {CHILD_STOP, 0, stop},
    {LOG_LINE, 0, line},
    {LOG_SOURCE, 1, source},
    {GRANT, 0, grant},
    {GRANT_HELD, 1, grant_held},
    {LOGIN_LISTENER, 1, listener},
    {LOGIN_CERT, 1, cert},
    {LOGIN_CERT, 2, cert},
    {LOGIN_TICKETS, 0, tickets},
    {LOGIN_NEED, 0, need},
    {LOGIN_RETIRED, 0, retired},
    {LOGIN_WORKER, 3, worker},
    {LOGIN_KILL, 0, worker_kill},
    {LOGIN_SEES, 0, seen},
    {HANDOFF, 2, offer},
    {HANDOFF_TAKEN, 0, taken},
    {HANDOFF_REFUSED, 0, refused},
    {SESSION_CONNECTION, 2, connection},
    {SESSION_KICK, 0, session_text},
    {SESSION_STATE, 0, session_text},
    {SESSION_REFUSE, 0, session_text},
    {SESSION_HAVE, 0, session_number},
    {SESSION_END, 0, session_number},
    {SESSION_STOP, 0, session_stop},
    {SESSION_SPOOL, 0, session_spool},
    {SESSION_SPOOL_IS, 0, session_spool},
    {SESSION_SPOOL_IS, 1, session_spool},
    {SESSION_SHARE, 0, share},
    {SPOOL_CLIENT, 1, spool_client},
    {SPOOL_LOCK, 0, spool_lock},
    {SPOOL_UNLOCK, 0, spool_which},
    {SPOOL_TOUCH, 0, spool_which},
    {SPOOL_CUT, 0, spool_cut},
    {SPOOL_HELD, 0, spool_held},
    {SPOOL_BUSY, 0, spool_busy},
    {SPOOL_REFUSED, 0, spool_refused},
    {CTL_REQUEST, 0, request},
    {CTL_ROW, 0, row},
    {CTL_END, 0, ctl_last},
};

/* Settings lines: what is taken can be asked for. */
static void
try_settings(struct str bytes)
{
	struct child_settings s;
	struct err e;

	if (child_settings_parse(bytes, &s, &e) == -1)
		return;
	for (size_t i = 0; i < s.n; i++) {
		size_t from = 0;

		ASSERT(child_setting(&s, s.v[i].name) != NULL);
		(void)child_setting_u64(&s, s.v[i].name, 1);
		while (child_setting_next(&s, s.v[i].name, &from) != NULL)
			ASSERT(from <= s.n);
	}
	child_settings_done(&s);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct buf out;
	struct str bytes = str_make(data, size);
	struct msg_in in;
	struct err e;

	if (out.max_bytes == 0)
		buf_init(&out, MSG_MAX_BYTES);
	if (size > 0 && data[0] != MSG_VERSION) {
		try_settings(bytes);
		return 0;
	}
	if (msg_parse(bytes, &in, &e) == -1)
		return 0;
	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		if (all[i].type == in.type && all[i].n_fds == in.n_fds) {
			struct msg_in copy = in;

			if (all[i].fn(&copy, &out))
				ASSERT(str_eq(buf_str(&out), bytes));
		}
	return 0;
}
