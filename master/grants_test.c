/* SPDX-License-Identifier: ISC */
/*
 * grants_test.c - who gets a session: single cases, then every sequence of what
 * authd, two workers (lying in all ways they can) and the clock may do, to a
 * depth, against a model that is written down differently.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/bounds.h"
#include "grants.h"
#include "os/fd.h"

/* ---- sockets ---- */

struct pair {
	int near, far;
	uint64_t cookie;
	uint8_t ip[16];
	size_t ip_n;
	uint16_t port;
};

static void
connect_pair(struct pair *p)
{
	struct sockaddr_in a = {
	    .sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	socklen_t n = sizeof(a), cn = sizeof(p->cookie);
	int l = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(l, (struct sockaddr *)&a, n), 0);
	assert_int_equal(listen(l, 1), 0);
	assert_int_equal(getsockname(l, (struct sockaddr *)&a, &n), 0);
	p->near = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(p->near, (struct sockaddr *)&a, n), 0);
	p->far = accept4(l, (struct sockaddr *)&a, &n, SOCK_CLOEXEC);
	assert_int_not_equal(p->far, -1);
	memcpy(p->ip, &a.sin_addr, 4);
	p->ip_n = 4;
	p->port = ntohs(a.sin_port);
	assert_int_equal(
	    getsockopt(p->far, SOL_SOCKET, SO_COOKIE, &p->cookie, &cn), 0);
	fd_close(&l);
}

static void
close_pair(struct pair *p)
{
	fd_close(&p->near);
	fd_close(&p->far);
}

static struct grant
grant_for(const struct pair *p, uint64_t conn)
{
	return (struct grant){.worker = 1,
	    .conn = conn,
	    .cookie = p->cookie,
	    .peer_ip = str_make(p->ip, p->ip_n),
	    .peer_port = p->port,
	    .service = STR("imap"),
	    .user = STR("joe"),
	    .sysuid = 1000,
	    .sysgid = 1000,
	    .home = STR("/home/joe"),
	    .mail_location = STR(""),
	    .extra = STR("")};
}

/* ---- single cases ---- */

static void
test_judge(UNUSED void **state)
{
	struct settings s = {.privileged = true,
	    .first_uid = 1000,
	    .first_gid = 1,
	    .last_uid = 2000};
	struct pair none = {0};
	const struct grant good = grant_for(&none, 1);
	struct grant g;
	struct err e;

	assert_int_equal(grants_judge(&good, &s, &e), 0);
#define REFUSED(field, value)                                                  \
	(g = good, g.field = (value),                                          \
	    assert_int_equal(grants_judge(&g, &s, &e), -1),                    \
	    assert_int_equal(e.code, ERR_VIOLATION))
	REFUSED(service, STR("smtp"));
	REFUSED(service, STR(""));
	REFUSED(user, STR(""));
	REFUSED(user, STR("."));
	REFUSED(user, STR(".."));
	REFUSED(user, STR("../joe"));
	REFUSED(user, STR("joe/x"));
	REFUSED(user, STR("joe\n"));
	REFUSED(user, STR("-joe"));
	REFUSED(user, str_make("jo\0e", 4));
	REFUSED(sysuid, 0);
	REFUSED(sysuid, 999);
	REFUSED(sysuid, 2001);
	REFUSED(sysuid, UINT32_MAX);
	REFUSED(sysgid, 0);
	REFUSED(home, STR("home"));
	REFUSED(home, STR("/home\njoe"));
	REFUSED(mail_location, STR("maildir:~\x01"));
	REFUSED(extra, STR("a"));
	REFUSED(extra, STR("=b\n"));
	REFUSED(extra, STR("a=b"));
	REFUSED(extra, STR("A=b\n"));
	REFUSED(extra, STR("a b=c\n"));
	g = good;
	g.user = STR("j\xc3\xb6@example.org");
	g.extra = STR("a_1=b=c\nd=\n");
	g.home = STR("");
	assert_int_equal(grants_judge(&g, &s, &e), 0);
	/* Unprivileged: nobody changes ids. */
	s.privileged = false;
	g.sysuid = 0;
	assert_int_equal(grants_judge(&g, &s, &e), 0);
}

static void
test_compare(UNUSED void **state)
{
	struct pair a, b;
	struct list grants;
	struct grant_entry *g;
	struct grant from;
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	connect_pair(&a);
	connect_pair(&b);
	list_init(&grants);
	from = grant_for(&a, 1);
	grants_add(&grants, &from, -1, 0);
	g = grants_take(&grants, 1, 0);
	assert_non_null(g);
	assert_int_equal(grants_compare(g, a.far, false), GRANT_OK);
	assert_int_equal(grants_compare(g, b.far, false), GRANT_WRONG_COOKIE);
	assert_int_equal(grants_compare(g, a.near, false), GRANT_WRONG_COOKIE);
	assert_int_equal(grants_compare(g, null, false), GRANT_WRONG_COOKIE);
	assert_int_equal(grants_compare(g, -1, false), GRANT_WRONG_COOKIE);
	g->peer_port++;
	assert_int_equal(grants_compare(g, a.far, false), GRANT_WRONG_PEER);
	assert_int_equal(grants_compare(g, a.far, true), GRANT_OK);
	g->peer_port--;
	g->peer_ip[3]++;
	assert_int_equal(grants_compare(g, a.far, false), GRANT_WRONG_PEER);
	g->peer_ip_n = 0;
	assert_int_equal(grants_compare(g, a.far, false), GRANT_WRONG_PEER);
	grant_entry_free(&g);
	grant_entry_free(&g);
	close_pair(&a);
	close_pair(&b);
	fd_close(&null);
}

/* Those not used do not pile up, and their holders' channels are closed. */
static void
test_many(UNUSED void **state)
{
	struct pair none = {0};
	struct list grants;
	struct grant_entry *g;
	int fds[2];
	char c;

	list_init(&grants);
	assert_int_equal(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
	for (uint64_t conn = 1; conn <= 20; conn++) {
		struct grant from = grant_for(&none, conn);

		grants_add(&grants, &from, conn == 1 ? fds[1] : -1, 0);
	}
	assert_int_equal(read(fds[0], &c, 1), 0); /* closed with the grant */
	assert_null(grants_take(&grants, 1, 0));
	g = grants_take(&grants, 20, 0);
	assert_non_null(g);
	grant_entry_free(&g);
	assert_null(grants_take(&grants, 20, 0));
	grants_drop_all(&grants);
	assert_true(list_is_empty(&grants));
	fd_close(&fds[0]);
}

/* ---- every sequence ---- */

#define DEPTH 6
#define WORKERS 2
#define CONNS 2
#define STEP_MS 8000

enum { /* what may happen; worker, connection and socket in the number */
	DO_GRANT, /* authd: this connection of this worker is socket conn */
	DO_HAND_OWN, /* the worker hands over the socket that was granted */
	DO_HAND_OTHER, /* ... or another one */
	DO_CLOSE, /* the worker ends; a new one takes its place */
	DO_WAIT,
};

static struct pair sockets[CONNS];
static uint64_t sequences, sessions;

/* The model: when was this connection of this worker granted, if it was? */
struct model {
	int64_t granted_ms[WORKERS][CONNS]; /* -1: not, or used */
	int64_t now_ms;
};

struct world {
	struct model m;
	struct list grants[WORKERS];
};

static void
copy_grants(struct list *to, const struct list *from)
{
	list_init(to);
	LIST_EACH((struct list *)(uintptr_t)from, it) {
		struct grant_entry *g = LIST_OF(it, struct grant_entry, link);
		struct grant_entry *copy = calloc(1, sizeof(*copy));

		assert_non_null(copy);
		*copy = *g;
		copy->user = strdup(g->user);
		copy->home = strdup(g->home);
		copy->mail_location = strdup(g->mail_location);
		copy->extra = strdup(g->extra);
		list_append(to, &copy->link);
	}
}

/* True: a session came of it. */
static bool
hand_over(struct world *w, int worker, int conn, int socket)
{
	struct grant_entry *g =
	    grants_take(&w->grants[worker], (uint64_t)conn, w->m.now_ms);
	bool ok;

	if (g == NULL)
		return false;
	ok = grants_compare(g, sockets[socket].far, false) == GRANT_OK;
	grant_entry_free(&g);
	return ok;
}

static bool
model_hand_over(struct model *m, int worker, int conn, int socket)
{
	int64_t at = m->granted_ms[worker][conn];

	m->granted_ms[worker][conn] = -1;
	return at >= 0 && m->now_ms < at + GRANT_LIFE_MS && socket == conn;
}

static void
apply(struct world *w, int what, int worker, int conn)
{
	struct grant g;
	bool got, want;
	int socket;

	switch (what) {
	case DO_GRANT:
		/* authd never grants one connection twice at a time. */
		if (w->m.granted_ms[worker][conn] != -1 &&
		    w->m.now_ms < w->m.granted_ms[worker][conn] + GRANT_LIFE_MS)
			return;
		g = grant_for(&sockets[conn], (uint64_t)conn);
		grants_add(&w->grants[worker], &g, -1, w->m.now_ms);
		w->m.granted_ms[worker][conn] = w->m.now_ms;
		break;
	case DO_HAND_OWN:
	case DO_HAND_OTHER:
		socket = what == DO_HAND_OWN ? conn : 1 - conn;
		want = model_hand_over(&w->m, worker, conn, socket);
		got = hand_over(w, worker, conn, socket);
		assert_int_equal(got, want);
		sessions += got;
		break;
	case DO_CLOSE:
		grants_drop_all(&w->grants[worker]);
		for (int i = 0; i < CONNS; i++)
			w->m.granted_ms[worker][i] = -1;
		break;
	case DO_WAIT:
		w->m.now_ms += STEP_MS;
		break;
	}
}

static void
search(const struct world *from, int depth)
{
	if (depth == 0) {
		sequences++;
		return;
	}
	for (int n = 0; n < 5 * WORKERS * CONNS; n++) {
		int what = n / (WORKERS * CONNS), worker = n / CONNS % WORKERS;
		int conn = n % CONNS;
		struct world w = {.m = from->m};

		/* These do not depend on all numbers. */
		if ((what == DO_CLOSE && conn != 0) ||
		    (what == DO_WAIT && (conn != 0 || worker != 0)))
			continue;
		for (int i = 0; i < WORKERS; i++)
			copy_grants(&w.grants[i], &from->grants[i]);
		apply(&w, what, worker, conn);
		search(&w, depth - 1);
		for (int i = 0; i < WORKERS; i++)
			grants_drop_all(&w.grants[i]);
	}
}

static void
test_all_sequences(UNUSED void **state)
{
	struct world start = {.m = {.granted_ms = {{-1, -1}, {-1, -1}}}};
	int depth = DEPTH;

#ifdef RESTANTE_SANITIZE
	depth = 4;
#else
	if (getenv("RESTANTE_LONG") == NULL)
		depth = 5;
#endif
	for (int i = 0; i < CONNS; i++)
		connect_pair(&sockets[i]);
	for (int i = 0; i < WORKERS; i++)
		list_init(&start.grants[i]);
	search(&start, depth);
	print_message("%llu sequences, %llu sessions\n",
	    (unsigned long long)sequences, (unsigned long long)sessions);
	assert_true(sessions > 0);
	for (int i = 0; i < CONNS; i++)
		close_pair(&sockets[i]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_judge),
	    cmocka_unit_test(test_compare), cmocka_unit_test(test_many),
	    cmocka_unit_test(test_all_sequences)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
