/* SPDX-License-Identifier: ISC */
/*
 * login.c - one connection, from accept() to its handover: reads, sends and
 * waits for the machine of pre.h, in a straight line with deadlines.
 *
 * HELLO --PROXY header, TLS, greeting--> TALK --authd's OK--> HANDOVER
 *       HANDOVER --TAKEN--> gone without a byte
 *       HANDOVER --REFUSED--> answer, close
 *       HANDOVER --no word, master gone--> close without a byte
 *
 * Owns:    the client's socket and its TLS session, until the handover.
 * Runs in: login workers.
 * Trusts:  authd, keyd, master; nothing from the client.
 * Spec:    security.md 3.1 to 3.3.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/secret.h"
#include "ipc/chan_auth.h"
#include "ipc/chan_key.h"
#include "ipc/chan_wait.h"
#include "ipc/handoff.h"
#include "login/login.h"
#include "login/wire.h"
#include "net/proxy.h"
#include "net/tls.h"
#include "os/fd.h"

#define INPUT_BYTES 4096
#define PEER_WAIT_MS 10000 /* keyd, master: they do not think long */
/* authd answers before; it knows how long an attempt may take. */
#define AUTH_WAIT_MS 180000

struct client {
	struct login *l;
	struct login_from from;
	struct wire wire;
	struct addr peer, local;
	bool proxied, proxy_tls;
	bool broken; /* a channel is out of step */
	bool handed; /* the client is somebody else's now */
	int64_t accepted_ms;
	struct buf out;
	size_t n_input;
	const char *why; /* it ended, for the log */
	char why_text[240];
};

/* Not on the stack, so that pages never used are never touched. */
static struct pre pre;
static char input[INPUT_BYTES];

/* ---- channels ------------------------------------------------------------- */

int
login_sign(void *login, unsigned cert, uint16_t scheme, struct str bytes,
    struct buf *signature, struct err *e)
{
	struct login *l = login;
	struct key_sign request = {cert, scheme, bytes};
	int64_t deadline = clock_mono_ms() + PEER_WAIT_MS;
	struct msg_in in;
	struct str got;
	struct buf b;
	int rc = -1;

	buf_init(&b, KEY_FRAME_MAX);
	key_sign_write(&request, &b);
	if (chan_send_wait(l->fd_key, &b, NULL, 0, deadline, e) == -1 ||
	    chan_recv_wait(l->fd_key, 0, &b, &in, NULL, 0, deadline, e) == -1)
		(void)err_in(e, "keyd");
	else if (in.type != KEY_SIGNED)
		(void)err_set(e, ERR_UNSUPPORTED,
		    "keyd has no key %u for scheme 0x%04x", cert, scheme);
	else if (key_signed_parse(&in, &got, e) == 0) {
		(void)buf_add_str(signature, got);
		rc = 0;
	}
	buf_done(&b);
	return rc;
}

static void
tell_parent(struct client *c, enum login_sees state)
{
	struct login_seen seen = {.state = state,
	    .family = c->peer.n == 4 ? 4
		: c->peer.n == 16    ? 6
				     : 0};
	struct buf b;

	buf_init(&b, LOGIN_SEES_BYTES);
	memcpy(seen.address, c->peer.ip, c->peer.n);
	login_seen_write(&seen, &b);
	/* A pipe takes so little at once, or the parent is gone. */
	(void)!write(c->l->fd_parent, b.p, b.n);
	buf_done(&b);
}

/* ---- ends ----------------------------------------------------------------- */

static int
end(struct client *c, const char *why)
{
	if (c->why == NULL)
		c->why = why;
	return -1;
}

static int
end_err(struct client *c, const struct err *e)
{
	if (c->why == NULL) {
		(void)snprintf(c->why_text, sizeof(c->why_text), "%s", e->text);
		c->why = c->why_text;
	}
	return -1;
}

static int
flush(struct client *c)
{
	struct err e;
	int rc = wire_send(&c->wire, buf_str(&c->out), &e);

	buf_clear(&c->out);
	return rc == -1 ? end_err(c, &e) : 0;
}

/* ---- hello ---------------------------------------------------------------- */

static bool
is_proxy(const struct client *c)
{
	const struct login_settings *s = c->l->settings;

	for (size_t i = 0; c->from.proxy && i < s->n_proxies; i++) {
		if (addr_prefix_has(&s->proxies[i], &c->peer))
			return true;
	}
	return false;
}

/* The header is looked at in the kernel's queue, so that what lies behind it,
 * a ClientHello perhaps, stays there. */
static int
read_proxy_header(struct client *c)
{
	struct proxy_header h;
	struct err e = {0};
	size_t seen = 0;
	char peek[PROXY_HEADER_MAX];

	for (;;) {
		ssize_t n = recv(
		    c->wire.fd, peek, sizeof(peek), MSG_PEEK | MSG_DONTWAIT);
		enum step step;

		if (n == 0 || (n == -1 && errno != EAGAIN && errno != EINTR))
			return end(c, "no PROXY header");
		step = n > 0 ? proxy_parse(str_make(peek, (size_t)n), &h, &e)
			     : STEP_MORE;
		if (step == STEP_FAIL)
			return end_err(c, &e);
		if (step == STEP_DONE)
			break;
		/* The queue is not empty, so poll() would return at once. */
		if (n > 0 && (size_t)n == seen) {
			struct timespec pause = {0, 5000000};

			(void)nanosleep(&pause, NULL);
			if (clock_mono_ms() >= c->wire.deadline_ms)
				return end(c, "PROXY header is too slow");
		} else if (fd_wait_unless(c->wire.fd, false, c->wire.stop_fd,
			       c->wire.deadline_ms, &e) == -1)
			return end_err(c, &e);
		seen = n > 0 ? (size_t)n : 0;
	}
	if (recv(c->wire.fd, peek, h.n_bytes, MSG_DONTWAIT) !=
	    (ssize_t)h.n_bytes)
		return end(c, "PROXY header vanished");
	if (h.has_addr) {
		c->peer = h.peer;
		c->local = h.local;
		c->proxied = true;
		c->proxy_tls = h.has_tls;
	}
	return 0;
}

static int
shake_hands(struct client *c)
{
	int64_t whole = c->wire.deadline_ms;
	int64_t soon = clock_mono_ms() + TLS_HANDSHAKE_TIME_MS;
	struct err e;

	if (tls_new(c->l->tls, c->wire.fd,
		c->from.service == LOGIN_IMAP ? "imap" : "pop3", &c->wire.tls,
		&e) == -1)
		return end_err(c, &e);
	tls_set_stop(c->wire.tls, c->wire.stop_fd);
	wire_set_deadline(&c->wire, soon < whole ? soon : whole);
	if (tls_handshake(c->wire.tls, &e) == -1)
		return end_err(c, &e);
	wire_set_deadline(&c->wire, whole);
	return 0;
}

/* A password may be typed: nobody between here and the client can listen. */
static bool
is_safe_path(const struct client *c)
{
	return c->proxy_tls || addr_is_loopback(&c->peer) ||
	    addr_same_ip(&c->peer, &c->local);
}

static int
say_hello(struct client *c)
{
	bool has_binding = false;
	struct err e;
	int one = 1, rc;

	rc = addr_peer(c->wire.fd, &c->peer, &e);
	if (rc == 0)
		rc = addr_local(c->wire.fd, &c->local, &e);
	/* Also who has gone again was a client. */
	tell_parent(c, LOGIN_SEES_CLIENT);
	if (rc == -1)
		return end_err(c, &e);
	(void)setsockopt(
	    c->wire.fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (is_proxy(c)) {
		if (read_proxy_header(c) == -1)
			return -1;
		tell_parent(c, LOGIN_SEES_CLIENT);
	}
	if (c->from.tls) {
		if (shake_hands(c) == -1)
			return -1;
		has_binding = tls_has_binding(c->wire.tls);
	}
	pre_init(&pre, &c->l->settings->pre[c->from.service], c->from.tls,
	    has_binding, is_safe_path(c), &c->out);
	return flush(c);
}

/* ---- authd ---------------------------------------------------------------- */

static void
fill_start(
    struct client *c, struct tls_bindings *bindings, struct chan_auth_start *m)
{
	socklen_t n = sizeof(m->cookie);

	*m = (struct chan_auth_start){.conn = c->l->conn,
	    .conv = ++c->l->conv,
	    .flags = (pre.has_tls || c->proxy_tls ? CHAN_AUTH_TLS : 0) |
		(pre.is_prepared ? CHAN_AUTH_PREPARE : 0) |
		(is_safe_path(c) ? CHAN_AUTH_LOCAL : 0),
	    .service =
		c->from.service == LOGIN_IMAP ? CHAN_AUTH_IMAP : CHAN_AUTH_POP3,
	    .has_initial = pre.has_initial,
	    .peer_port = c->peer.port,
	    .local_port = c->local.port,
	    .mech = str_of(pre_mech_name(pre.mech)),
	    .initial = str_make(pre.sasl, pre.n_sasl),
	    .peer_ip = addr_bytes(&c->peer),
	    .local_ip = addr_bytes(&c->local)};
	(void)getsockopt(c->wire.fd, SOL_SOCKET, SO_COOKIE, &m->cookie, &n);
	/* Also for SCRAM without it: a client that could bind, and was told
	 * that we can not, has been lied to. Unless we did not offer it. */
	if (pre.mech > PRE_MECH_SCRAM_SHA_256 ||
	    !pre_can_mech(&pre, PRE_MECH_SCRAM_SHA_256_PLUS))
		return;
	tls_get_bindings(c->wire.tls, bindings);
	m->exporter = str_make(bindings->exporter, bindings->n_exporter);
	m->unique = str_make(bindings->unique, bindings->n_unique);
}

static int
send_auth(struct client *c, struct chan_auth_msg *m)
{
	struct buf b;
	struct err e;
	int rc;

	buf_init(&b, CHAN_AUTH_FRAME_MAX);
	chan_auth_write(m, &b);
	rc = chan_send_wait(
	    c->l->fd_auth, &b, NULL, 0, clock_mono_ms() + PEER_WAIT_MS, &e);
	buf_wipe(&b);
	buf_done(&b);
	if (rc == -1)
		c->broken = true;
	return rc;
}

/* Master closes the worker's channel when the server is stopped. */
static bool
is_stopping(const struct client *c)
{
	struct pollfd p = {.fd = c->wire.stop_fd, .events = POLLRDHUP};

	return poll(&p, 1, 0) == 1;
}

static int
shut_down(struct client *c)
{
	c->why = "server is shutting down";
	pre_shutdown(&pre, &c->out);
	return 0;
}

/* Waits for authd; false when the client or master has gone meanwhile. */
static bool
wait_for_auth(struct client *c, int64_t deadline)
{
	for (;;) {
		struct pollfd p[3] = {{.fd = c->l->fd_auth, .events = POLLIN},
		    {.fd = c->wire.fd},
		    {.fd = c->wire.stop_fd, .events = POLLRDHUP}};
		int64_t left = deadline - clock_mono_ms();

		if (left <= 0)
			return true;
		if (poll(p, 3, (int)left) == -1 && errno != EINTR)
			return true;
		if (p[0].revents != 0)
			return true;
		if (p[1].revents != 0 || p[2].revents != 0)
			return false;
	}
}

static int
recv_auth(struct client *c, struct buf *room, struct chan_auth_msg *m,
    int64_t deadline, struct err *e)
{
	struct msg_in in;

	for (;;) {
		uint32_t conv;

		if (chan_recv_wait(c->l->fd_auth, 0, room, &in, NULL, 0,
			deadline, e) == -1 ||
		    chan_auth_parse(&in, m, e) == -1)
			return -1;
		conv = m->type == CHAN_AUTH_MORE ? m->more.conv
		    : m->type == CHAN_AUTH_FAIL  ? m->fail.conv
						 : m->conv;
		if (conv == c->l->conv)
			return 0;
	}
}

/* Takes authd's word and gives it to the machine. */
static int
hear_auth(struct client *c)
{
	int64_t begun = clock_mono_ms(), deadline = begun + AUTH_WAIT_MS;
	struct chan_auth_msg m;
	struct buf room;
	struct err e;
	int rc = 0;

	if (!wait_for_auth(c, deadline)) {
		c->broken = true; /* an answer will come, for nobody */
		if (is_stopping(c))
			return shut_down(c);
		return end(c, "client left during login");
	}
	buf_init(&room, CHAN_AUTH_FRAME_MAX);
	if (recv_auth(c, &room, &m, deadline, &e) == -1) {
		c->broken = true;
		log_warn("no answer from authd reason=%s", e.text);
		pre_auth_fail(&pre, CHAN_AUTH_UNAVAILABLE, &c->out);
	} else if (m.type == CHAN_AUTH_MORE)
		pre_auth_more(&pre, m.more.data, &c->out);
	else if (m.type == CHAN_AUTH_FAIL)
		pre_auth_fail(&pre, m.fail.why, &c->out);
	else if (m.type == CHAN_AUTH_OK)
		pre_auth_ok(&pre);
	else
		rc = end(c, "authd is out of step");
	buf_wipe(&room);
	buf_done(&room);
	wire_set_deadline(
	    &c->wire, c->wire.deadline_ms + (clock_mono_ms() - begun));
	return rc;
}

static int
ask_auth(struct client *c)
{
	struct chan_auth_msg m = {0};
	struct tls_bindings bindings;
	int rc;

	if (pre.want == PRE_DO_START) {
		m.type = CHAN_AUTH_START;
		fill_start(c, &bindings, &m.start);
	} else if (pre.want == PRE_DO_ANSWER) {
		m.type = CHAN_AUTH_MORE;
		m.more.conv = c->l->conv;
		m.more.data = str_make(pre.sasl, pre.n_sasl);
	} else {
		m.type = CHAN_AUTH_CANCEL;
		m.conv = c->l->conv;
	}
	/* An earlier exchange went wrong: this channel can not be used. */
	rc = c->broken ? -1 : send_auth(c, &m);
	if (rc == -1) {
		pre_auth_fail(&pre, CHAN_AUTH_UNAVAILABLE, &c->out);
		return 0;
	}
	return hear_auth(c);
}

/* ---- handover ------------------------------------------------------------- */

static struct handoff_direction
of_direction(const struct tls_direction *d)
{
	return (struct handoff_direction){.key = str_make(d->key, d->key_len),
	    .iv = str_make(d->iv, sizeof(d->iv)),
	    .secret = str_make(d->secret, d->secret_len),
	    .seq = d->seq};
}

/* Everything the session needs, in one message; `b` is to be wiped. */
static int
write_state(struct client *c, struct buf *b, struct err *e)
{
	struct handoff h = {.client_id = str_make(pre.id, pre.n_id)};
	struct tls_state st = {0};
	char text[HANDOFF_TLS_TEXT_MAX];
	struct buf unread;
	int rc = 0;

	buf_init(&unread, HANDOFF_UNREAD_MAX);
	(void)buf_add(&unread, input, c->n_input);
	if (c->wire.tls != NULL) {
		rc = tls_export(c->wire.tls, &st, &unread, &h.raw, e);
		h.version = st.version;
		h.suite = st.suite;
		h.max_plain = st.max_plain;
		h.read = of_direction(&st.read);
		h.write = of_direction(&st.write);
		tls_text(c->wire.tls, text, sizeof(text));
		h.tls_text = str_of(text);
	}
	h.unread = buf_str(&unread);
	if (rc == 0)
		handoff_write(&h, b);
	secret_wipe(&st, sizeof(st));
	buf_wipe(&unread);
	buf_done(&unread);
	return rc;
}

static int
send_offer(struct client *c, int state_fd, int64_t deadline, struct err *e)
{
	struct handoff_offer offer = {.conn = c->l->conn,
	    .tag = str_make(pre.tag, pre.n_tag),
	    .stateless = state_fd == -1};
	char remote[64], ip[ADDR_TEXT_MAX];
	const int fds[2] = {c->wire.fd, state_fd};
	struct buf b;
	int rc;

	if (c->proxied) {
		addr_text(&c->peer, ip);
		(void)snprintf(
		    remote, sizeof(remote), "%s %u", ip, c->peer.port);
		offer.remote = str_of(remote);
	}
	buf_init(&b, LOGIN_FRAME_MAX);
	handoff_offer_write(&offer, &b);
	rc = chan_send_wait(
	    c->l->fd_master, &b, fds, state_fd == -1 ? 1 : 2, deadline, e);
	buf_done(&b);
	return rc;
}

static int
offer(struct client *c, int64_t deadline, struct err *e)
{
	struct buf state;
	int pair[2], rc = -1;

	/* Most who come without TLS leave nothing. */
	if (c->wire.tls == NULL && c->n_input == 0 && pre.n_id == 0)
		return send_offer(c, -1, deadline, e);
	if (fd_pair(pair, e) == -1)
		return -1;
	buf_init(&state, MSG_MAX_BYTES);
	if (write_state(c, &state, e) == 0) {
		if (buf_is_over(&state))
			(void)err_set(e, ERR_LIMIT, "too much unread input");
		else if (send(pair[0], state.p, state.n, MSG_NOSIGNAL) !=
		    (ssize_t)state.n)
			(void)err_sys(e, "state for the session");
		else
			rc = send_offer(c, pair[1], deadline, e);
	}
	buf_wipe(&state);
	buf_done(&state);
	fd_close(&pair[0]);
	fd_close(&pair[1]);
	return rc;
}

/* Master's word: taken, refused with its reason, or neither. */
static int
hear_master(struct client *c, int64_t deadline, enum handoff_reason *reason)
{
	struct handoff_refused refused;
	struct msg_in in;
	struct buf room;
	uint64_t conn;
	struct err e;
	int rc = -1;

	buf_init(&room, LOGIN_FRAME_MAX);
	*reason = HANDOFF_FAILED;
	if (chan_recv_wait(
		c->l->fd_master, 0, &room, &in, NULL, 0, deadline, &e) == -1) {
		c->broken = true;
		/* It may have been taken all the same: say nothing. */
		rc = end(c,
		    e.code == ERR_TIMEOUT ? "no word from master"
					  : "master has gone");
	} else if (in.type == HANDOFF_TAKEN &&
	    handoff_taken_parse(&in, &conn, &e) == 0 && conn == c->l->conn)
		rc = 0;
	else if (in.type == HANDOFF_REFUSED &&
	    handoff_refused_parse(&in, &refused, &e) == 0 &&
	    refused.conn == c->l->conn) {
		*reason = refused.reason;
		rc = 1;
	} else {
		c->broken = true;
		rc = end(c, "master is out of step");
	}
	buf_done(&room);
	return rc;
}

static int
hand_over(struct client *c)
{
	int64_t deadline = clock_mono_ms() + HANDOFF_WAIT_MS;
	enum handoff_reason reason = HANDOFF_FAILED;
	struct err e;
	int rc = 1;

	/* The session counts it from now on; it must not be dropped here. */
	tell_parent(c, LOGIN_SEES_DONE);
	if (offer(c, deadline, &e) == -1)
		log_error("can not hand over reason=%s", e.text);
	else
		rc = hear_master(c, deadline, &reason);
	if (rc == 0) {
		c->handed = true;
		return end(c, "taken");
	}
	if (rc == -1)
		return -1;
	c->why = "session refused, see the line before";
	if (c->wire.tls != NULL)
		tls_resume(c->wire.tls);
	c->n_input = 0;
	pre_refused(&pre, reason, &c->out);
	return 0;
}

/* ---- talk ----------------------------------------------------------------- */

static int
read_more(struct client *c)
{
	struct err e;
	size_t n;

	if (wire_recv(&c->wire, input + c->n_input, INPUT_BYTES - c->n_input,
		&n, &e) == -1) {
		(void)end_err(c, &e);
		if (e.code != ERR_TIMEOUT)
			return -1;
		if (is_stopping(c))
			return shut_down(c);
		c->why = "no login in time (login_timeout)";
		pre_timeout(&pre, &c->out);
		return 0;
	}
	if (n == 0)
		return end(c, "client left");
	c->n_input += n;
	return 0;
}

static int
feed(struct client *c)
{
	size_t used;

	if (c->n_input == 0)
		return read_more(c);
	used = pre_feed(&pre, str_make(input, c->n_input), &c->out);
	c->n_input -= used;
	memmove(input, input + used, c->n_input);
	/* A password may have been in it. */
	secret_wipe(input + c->n_input, used);
	return 0;
}

static int
start_tls(struct client *c)
{
	/* Also what came after the machine looked (security.md section 4). */
	if (c->n_input != 0 || !wire_is_empty(&c->wire))
		return end(c, "bytes behind STARTTLS");
	if (flush(c) == -1 || shake_hands(c) == -1)
		return -1;
	pre_tls_started(&pre, tls_has_binding(c->wire.tls));
	return 0;
}

static int
talk(struct client *c)
{
	for (;;) {
		int rc = 0;

		switch (pre.want) {
		case PRE_DO_READ:
			rc = feed(c);
			break;
		case PRE_DO_TLS:
			rc = start_tls(c);
			break;
		case PRE_DO_START:
		case PRE_DO_ANSWER:
		case PRE_DO_CANCEL:
			rc = ask_auth(c);
			break;
		case PRE_DO_HANDOFF:
			rc = hand_over(c);
			break;
		case PRE_DO_CLOSE:
			(void)flush(c);
			return end(c, pre.why);
		}
		if (rc == -1)
			return -1;
		if (pre.want != PRE_DO_TLS && flush(c) == -1)
			return -1;
	}
}

/* ---- one connection ------------------------------------------------------- */

static void
log_end(const struct client *c)
{
	char rip[ADDR_TEXT_MAX], lip[ADDR_TEXT_MAX];

	if (c->handed)
		return;
	addr_text(&c->peer, rip);
	addr_text(&c->local, lip);
	log_info("closed before login service=%s rip=%s lip=%s secs=%lld "
		 "failures=%u tls=%s reason=%s",
	    c->from.service == LOGIN_IMAP ? "imap" : "pop3", rip, lip,
	    (long long)(clock_mono_ms() - c->accepted_ms) / 1000, pre.failures,
	    c->wire.tls != NULL ? "yes" : "no", c->why);
}

static void
wipe(struct client *c)
{
	pre_wipe(&pre);
	secret_wipe(input, c->n_input);
	buf_wipe(&c->out);
	buf_done(&c->out);
	tls_free(&c->wire.tls);
	fd_close(&c->wire.fd);
}

bool
login_serve(struct login *l, const struct login_from *from, int fd)
{
	struct client c = {
	    .l = l, .from = *from, .wire = {.fd = fd, .stop_fd = l->fd_master}};

	l->conn++;
	c.accepted_ms = clock_mono_ms();
	buf_init(&c.out, PRE_OUT_MAX);
	pre.failures = 0;
	wire_set_deadline(&c.wire, c.accepted_ms + l->settings->time_ms);
	if (say_hello(&c) == 0)
		(void)talk(&c);
	if (!c.handed && c.wire.tls != NULL)
		tls_close(c.wire.tls);
	log_end(&c);
	wipe(&c);
	return !c.broken;
}
