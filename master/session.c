/* SPDX-License-Identifier: ISC */
/*
 * session.c - matches handoff with grant, and follows each session.
 *
 * Owns:    struct session, a copy of the client's socket until it is taken.
 * Runs in: master, which never reads from a client.
 * Trusts:  authd for who the user is; the kernel for which socket it is; the
 *          worker and the user's process for nothing.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "session.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "grants.h"
#include "ipc/chan_session.h"
#include "os/fd.h"
#include "service.h"
#include "worker.h"

/* Less than the worker waits, so that it hears from us first. */
#define OFFER_WAIT_S 8

void
session_grant(struct generation *g, const struct grant *grant, int hold_fd)
{
	struct worker *w = worker_find(g->m, grant->worker);
	struct err e;

	if (grants_judge(grant, g->settings, &e) == -1) {
		g->m->n_violations++;
		log_error("grant refused user=<%.*s> reason=\"%s\"",
		    STR_ARG(grant->user), e.text);
		fd_close(&hold_fd);
		return;
	}
	/* The worker may have ended meanwhile. */
	if (w == NULL || w->g != g) {
		fd_close(&hold_fd);
		return;
	}
	grants_add(&w->grants, grant, hold_fd, clock_mono_ms());
}

/* ---- answers to the worker ---- */

static void
tell_refused(struct worker *w, uint64_t conn, enum handoff_reason reason)
{
	struct handoff_refused m = {.conn = conn, .reason = reason};
	struct buf *b = chan_frame();
	struct err e;

	w->g->m->n_handoffs_refused++;
	handoff_refused_write(&m, b);
	/* A worker that is gone answers its client no more. */
	(void)chan_send(w->chan, b, NULL, 0, &e);
}

static void
tell_taken(struct worker *w, uint64_t conn)
{
	struct buf *b = chan_frame();
	struct err e;

	handoff_taken_write(conn, b);
	(void)chan_send(w->chan, b, NULL, 0, &e);
}

/* ---- one session ---- */

static struct str
key_of(const struct session *s)
{
	return str_make(&s->number, sizeof(s->number));
}

struct session *
session_find(struct master *m, uint64_t number)
{
	return map_find(&m->sessions, str_make(&number, sizeof(number)));
}

static void
leave_worker(struct session *s)
{
	s->worker = NULL;
	list_remove(&s->worker_link);
}

void
session_worker_gone(struct session *s)
{
	leave_worker(s);
}

static void
session_free(struct session *s)
{
	struct master *m = s->m;

	ev_timer_stop(m->loop, &s->timer);
	(void)map_remove(&m->sessions, key_of(s));
	limit_end(&m->limits, s->service, str_of(s->proc->user), &s->block);
	leave_worker(s);
	list_remove(&s->link);
	s->proc->n_sessions--;
	fd_close(&s->client_fd);
	free(s->text);
	free(s);
}

static void
refuse_worker(struct session *s)
{
	if (s->worker != NULL)
		tell_refused(s->worker, s->conn, HANDOFF_FAILED);
	leave_worker(s);
}

static void
on_timer(UNUSED struct ev_loop *loop, ev_timer *w, UNUSED int events)
{
	struct session *s = w->data;

	log_error("session not taken in time user=<%s> pid=%d", s->proc->user,
	    (int)s->proc->pid);
	/* Whatever the process still does, the client sees nothing of it. */
	(void)shutdown(s->client_fd, SHUT_RDWR);
	fd_close(&s->client_fd);
	refuse_worker(s);
	s->state = SESSION_IS_GIVEN_UP;
}

void
session_taken(struct session *s)
{
	ev_timer_stop(s->m->loop, &s->timer);
	fd_close(&s->client_fd);
	if (s->state != SESSION_IS_OFFERED)
		return;
	s->state = SESSION_IS_TAKEN;
	s->m->n_sessions_begun++;
	if (s->worker != NULL)
		tell_taken(s->worker, s->conn);
	leave_worker(s);
}

void
session_refused(struct session *s, const char *why)
{
	/* The process has said it where everybody looks. */
	log_debug("session refused user=<%s> service=%s reason=\"%s\"",
	    s->proc->user, service_name(s->service), why);
	refuse_worker(s);
	session_free(s);
}

void
session_ended(struct session *s)
{
	refuse_worker(s);
	session_free(s);
}

void
session_process_gone(struct session *s)
{
	refuse_worker(s);
	session_free(s);
}

/* ---- the handoff ---- */

static void
address_text(int fd, bool peer, char *ip, uint16_t *port)
{
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
		struct sockaddr_storage room;
	} a = {0};
	socklen_t n = sizeof(a);
	int rc =
	    peer ? getpeername(fd, &a.any, &n) : getsockname(fd, &a.any, &n);

	ip[0] = '\0';
	*port = 0;
	if (rc == -1)
		return;
	if (a.any.sa_family == AF_INET) {
		(void)inet_ntop(
		    AF_INET, &a.v4.sin_addr, ip, SESSION_ADDRESS_TEXT);
		*port = ntohs(a.v4.sin_port);
	} else if (a.any.sa_family == AF_INET6 &&
	    IN6_IS_ADDR_V4MAPPED(&a.v6.sin6_addr)) {
		(void)inet_ntop(AF_INET, &a.v6.sin6_addr.s6_addr[12], ip,
		    SESSION_ADDRESS_TEXT);
		*port = ntohs(a.v6.sin6_port);
	} else if (a.any.sa_family == AF_INET6) {
		(void)inet_ntop(
		    AF_INET6, &a.v6.sin6_addr, ip, SESSION_ADDRESS_TEXT);
		*port = ntohs(a.v6.sin6_port);
	}
}

static struct session *
session_new(struct worker *w, struct user_proc *proc,
    const struct grant_entry *grant, const struct limit_block *block,
    int client_fd)
{
	struct master *m = w->g->m;
	struct session *s = mem_new(1, sizeof(*s));

	s->m = m;
	s->proc = proc;
	s->worker = w;
	s->number = ++m->last_session;
	s->conn = grant->conn;
	s->service = grant->service;
	s->client_fd = client_fd;
	s->begun_wall_s = clock_wall_s();
	s->block = *block;
	address_text(client_fd, true, s->remote_ip, &s->remote_port);
	address_text(client_fd, false, s->local_ip, &s->local_port);
	list_append(&proc->sessions, &s->link);
	proc->n_sessions++;
	list_append(&w->sessions, &s->worker_link);
	map_put(&m->sessions, key_of(s), s);
	ev_timer_init(&s->timer, on_timer, OFFER_WAIT_S, 0);
	s->timer.data = s;
	ev_timer_start(m->loop, &s->timer);
	return s;
}

/* "address port" of a PROXY header; the client's own port is not needed. */
static void
use_proxied(struct session *s, struct str remote)
{
	struct str ip;
	uint32_t port;

	if (remote.n == 0 || !str_cut(&remote, ' ', &ip) ||
	    !num_parse_u32(remote, 0, UINT16_MAX, &port) ||
	    !str_to_c(ip, s->remote_ip, sizeof(s->remote_ip)))
		return;
	s->remote_port = (uint16_t)port;
}

/* True when the worker speaks about the connection that authd judged. */
static bool
check(struct worker **w, const struct grant_entry *grant, int client_fd,
    bool proxied)
{
	switch (grants_compare(grant, client_fd, proxied)) {
	case GRANT_OK:
		return true;
	case GRANT_WRONG_COOKIE:
		worker_kill(w, "handed over another socket than was granted");
		return false;
	case GRANT_WRONG_PEER:
		worker_kill(w, "the socket's peer is not the one granted");
		return false;
	}
	return false;
}

static bool
is_within_limits(struct worker *w, const struct grant_entry *grant,
    const struct limit_block *block)
{
	struct master *m = w->g->m;
	enum limit_verdict v = limit_begin(&m->limits, m->now->settings,
	    grant->service, str_of(grant->user), block);
	static const char *const words[] = {[LIMIT_USER] = "per user",
	    [LIMIT_ADDRESS] = "per address",
	    [LIMIT_TOTAL] = "in all"};

	if (v == LIMIT_OK)
		return true;
	log_warn("too many sessions user=<%s> service=%s limit=\"%s\"",
	    grant->user, service_name(grant->service), words[v]);
	tell_refused(w, grant->conn,
	    v == LIMIT_TOTAL ? HANDOFF_LIMIT_ALL : HANDOFF_LIMIT_USER);
	return false;
}

static int
offer_to_process(
    struct session *s, struct str tag, int second_fd, struct err *e)
{
	struct session_connection m = {.session = s->number,
	    .tag = tag,
	    .user = str_of(s->proc->user),
	    .remote_ip = str_of(s->remote_ip),
	    .remote_port = s->remote_port,
	    .local_ip = str_of(s->local_ip),
	    .local_port = s->local_port,
	    .stateless = second_fd == -1};
	struct buf *b = chan_frame();

	session_connection_write(&m, b);
	return users_send(s->proc, b, (const int[]){s->client_fd, second_fd},
	    second_fd == -1 ? 1 : 2, e);
}

/* Gives the connection to the user's process. Takes client_fd. */
static void
place(struct worker *w, struct grant_entry *grant,
    const struct handoff_offer *offer, int client_fd, int second_fd)
{
	struct limit_block block;
	struct user_proc *proc;
	struct session *s;
	struct err e;

	limit_block_of(str_make(grant->peer_ip, grant->peer_ip_n), &block);
	if (!is_within_limits(w, grant, &block)) {
		fd_close(&client_fd);
		return;
	}
	/* A worker of an old generation still gets the new settings. */
	proc = users_find_or_start(w->g->m->now, grant, &e);
	if (proc == NULL) {
		log_error("session can not start user=<%s> service=%s "
			  "reason=\"%s\"",
		    grant->user, service_name(grant->service), e.text);
		limit_end(&w->g->m->limits, grant->service, str_of(grant->user),
		    &block);
		tell_refused(w, grant->conn, HANDOFF_FAILED);
		fd_close(&client_fd);
		return;
	}
	s = session_new(w, proc, grant, &block, client_fd);
	use_proxied(s, offer->remote);
	if (offer_to_process(s, offer->tag, second_fd, &e) == -1) {
		log_warn("session can not be offered user=<%s> service=%s "
			 "reason=\"%s\"",
		    proc->user, service_name(s->service), e.text);
		session_refused(s, e.text);
	}
}

void
session_refuse_handoff(struct worker *w, const struct handoff_offer *offer)
{
	struct grant_entry *grant =
	    grants_take(&w->grants, offer->conn, clock_mono_ms());

	grant_entry_free(&grant);
	tell_refused(w, offer->conn, HANDOFF_FAILED);
}

void
session_handoff(struct worker *w, const struct handoff_offer *offer,
    int client_fd, int second_fd)
{
	struct master *m = w->g->m;
	struct grant_entry *grant =
	    grants_take(&w->grants, offer->conn, clock_mono_ms());
	bool proxied = w->g->settings->proxy && offer->remote.n > 0;

	if (grant == NULL) {
		m->n_violations++;
		log_warn("handoff without a grant worker=%u", w->number);
		/* The client hears it; nobody else has its connection. */
		tell_refused(w, offer->conn, HANDOFF_FAILED);
		worker_free(&w);
	} else if (m->stopping) {
		tell_refused(w, offer->conn, HANDOFF_FAILED);
	} else if (check(&w, grant, client_fd, proxied)) {
		place(w, grant, offer, client_fd, second_fd);
		client_fd = -1;
	}
	grant_entry_free(&grant);
	fd_close(&client_fd);
	fd_close(&second_fd);
}
