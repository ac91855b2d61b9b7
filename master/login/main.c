/* SPDX-License-Identifier: ISC */
/*
 * main.c - login: the parent of the login workers. It makes everything ready
 * that a worker needs, confines itself, and forks.
 *
 * LOADING --CHILD_GO--> PREPARING --first set of channels: certificates
 * checked, TLS warmed, confined--> SERVING --CHILD_STOP--> LAST --> exit
 *
 * The certificates are checked here because only here certificate and key
 * meet: by a signature that keyd makes. When one does not fit, master hears
 * CHILD_FAILED with the reason, and keeps the parent it has.
 *
 * Owns:    listening sockets, certificates, the ticket key, the pool.
 * Runs in: login parent: its own user, empty root.
 * Trusts:  master.
 */
#include <ev.h>
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/secret.h"
#include "ipc/chan.h"
#include "ipc/chan_child.h"
#include "ipc/chan_login.h"
#include "ipc/child.h"
#include "login/lean.h"
#include "login/pool.h"
#include "net/tls.h"
#include "os/fd.h"
#include "os/proc.h"
#include "os/sandbox.h"

#define HEAP_STEP_BYTES (256 * 1024)
#define HEAP_KEEP_BYTES (1024 * 1024)
#define HEAP_ROOM_BYTES ((size_t)64 * 1024)
#define CERT_FILE_MAX ((size_t)256 * 1024)
#define OCSP_FILE_MAX ((size_t)64 * 1024)
/* Who renews by a program does so long before. */
#define SOON_S (INT64_C(7) * 86400)

enum { LOADING = 1, PREPARING = 2, SERVING = 4, LAST = 8 };

struct parent {
	struct ev_loop *loop;
	struct chan *master;
	struct child_settings raw;
	struct login_settings settings;
	struct login_listening listeners[LOGIN_LISTENERS_MAX];
	size_t n_listeners;
	struct parent_cert {
		bool used, has_ocsp;
		struct buf pem, ocsp;
		char *path;
	} certs[TLS_CERTS_MAX];
	struct secret ticket_key;
	struct tls_server *tls;
	struct pool *pool;
};

static struct parent self;

/* ---- what master sends ---------------------------------------------------- */

static int
on_listener(UNUSED struct chan *c, struct chan_msg *m, void *arg, struct err *e)
{
	struct parent *p = arg;
	struct login_listener l;
	int fd;

	if (login_listener_parse(&m->in, &l, e) == -1)
		return -1;
	if (p->n_listeners == LOGIN_LISTENERS_MAX)
		return err_set(e, ERR_LIMIT, "more than %d listening sockets",
		    LOGIN_LISTENERS_MAX);
	fd = chan_take_fd(m, 0);
	p->listeners[p->n_listeners++] = (struct login_listening){.fd = fd,
	    .from = {.service = l.service, .tls = l.tls, .proxy = l.proxy}};
	/* A spare that comes second must not be caught in accept(). */
	return fd_set_nonblock(fd, true, e);
}

static int
on_cert(UNUSED struct chan *c, struct chan_msg *m, void *arg, struct err *e)
{
	struct parent *p = arg;
	struct parent_cert *to;
	struct login_cert cert;

	if (login_cert_parse(&m->in, &cert, e) == -1)
		return -1;
	if (cert.number >= TLS_CERTS_MAX || p->certs[cert.number].used)
		return err_set(
		    e, ERR_LIMIT, "certificate number %u", cert.number);
	to = &p->certs[cert.number];
	to->used = true;
	to->has_ocsp = cert.ocsp;
	to->path = str_to_heap(cert.path);
	buf_init(&to->pem, CERT_FILE_MAX);
	buf_init(&to->ocsp, OCSP_FILE_MAX);
	if (fd_read_all(m->fds[0], &to->pem, e) == -1 ||
	    (cert.ocsp && fd_read_all(m->fds[1], &to->ocsp, e) == -1))
		return err_in(e, "%s", to->path);
	return 0;
}

static int
on_tickets(UNUSED struct chan *c, struct chan_msg *m, void *arg, struct err *e)
{
	struct parent *p = arg;
	struct str key;

	if (login_tickets_parse(&m->in, &key, e) == -1)
		return -1;
	secret_done(&p->ticket_key);
	secret_init(&p->ticket_key, key);
	return 0;
}

/* ---- TLS ------------------------------------------------------------------ */

/*
 * A date is no reason not to serve: nobody would be helped, and other changes
 * would be refused with it. Clients say what they think of it.
 */
static void
log_dates(const struct tls_cert_info *c, const char *path)
{
	int64_t now = clock_wall_s();
	time_t t = now < c->not_before_s ? c->not_before_s : c->not_after_s;
	struct tm tm = {0};
	char day[32];

	if (now >= c->not_before_s && now < c->not_after_s - SOON_S)
		return;
	(void)gmtime_r(&t, &tm);
	if (strftime(day, sizeof(day), "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
		day[0] = '\0';
	if (now < c->not_before_s)
		log_error("certificate is not valid yet, clients will refuse "
			  "it file=<%s> from=%s cure=\"look at this host's "
			  "clock, or use another certificate\"",
		    path, day);
	else if (now >= c->not_after_s)
		log_error("certificate has expired, clients will refuse it "
			  "file=<%s> since=%s cure=\"put a new one in its "
			  "place, it is noticed by itself\"",
		    path, day);
	else
		log_warn("certificate expires soon file=<%s> at=%s cure=\"put "
			 "a new one in its place, it is noticed by itself\"",
		    path, day);
}

static void
log_certs(const struct parent *p)
{
	struct tls_cert_info c;

	for (size_t i = 0; tls_server_cert(p->tls, i, &c); i++) {
		log_dates(&c, p->certs[i].path);
		if (p->certs[i].has_ocsp && p->certs[i].ocsp.n == 0)
			c.ocsp_problem = "the file is empty";
		if (c.ocsp_problem[0] != '\0')
			log_warn("OCSP response is not stapled "
				 "certificate=<%s> reason=\"%s\" cure=\"fetch "
				 "a new response for this certificate\"",
			    p->certs[i].path, c.ocsp_problem);
	}
}

static int
load_certs(struct parent *p, struct err *e)
{
	struct tls_cert_bytes certs[TLS_CERTS_MAX];
	struct tls_server_settings s = {.certs = certs,
	    .ticket_key = str_make(p->ticket_key.p, p->ticket_key.n),
	    .ticket_life_s = p->settings.ticket_life_s,
	    .only_tls13 = p->settings.only_tls13};
	int rc;

	for (; s.n_certs < TLS_CERTS_MAX && p->certs[s.n_certs].used;
	     s.n_certs++) {
		struct parent_cert *from = &p->certs[s.n_certs];

		certs[s.n_certs] =
		    (struct tls_cert_bytes){.chain_pem = buf_str(&from->pem),
			.ocsp_der = buf_str(&from->ocsp),
			.name = from->path};
	}
	if (p->ticket_key.n == 0)
		s.ticket_life_s = 0;
	rc = tls_server_new(&s, &p->tls, e);
	if (rc == 0)
		log_certs(p);
	secret_done(&p->ticket_key);
	for (size_t i = 0; i < TLS_CERTS_MAX; i++) {
		buf_done(&p->certs[i].pem);
		buf_done(&p->certs[i].ocsp);
		MEM_FREE(p->certs[i].path);
	}
	return rc;
}

static int
check_certs(struct parent *p, struct err *e)
{
	struct login asker = {.fd_key = pool_key_fd(p->pool)};
	int rc;

	tls_server_set_signer(p->tls, login_sign, &asker);
	rc = tls_server_check(p->tls, e);
	if (rc == 0)
		rc = tls_server_warm(p->tls, e);
	tls_server_set_signer(p->tls, NULL, NULL);
	return rc;
}

/* ---- start ---------------------------------------------------------------- */

static void
ask_for_sets(uint32_t wanted, uint32_t spare, uint32_t serving, void *arg)
{
	struct parent *p = arg;
	struct login_need m = {wanted, spare, serving};
	struct buf *frame = chan_frame();
	struct err e;

	login_need_write(&m, frame);
	if (chan_send(p->master, frame, NULL, 0, &e) == -1)
		log_error("can not ask for channels reason=%s", e.text);
}

static void
on_retired(void *arg)
{
	struct parent *p = arg;
	struct buf *frame = chan_frame();
	struct err e;

	login_retired_write(frame);
	if (chan_send(p->master, frame, NULL, 0, &e) == -1)
		log_error("master does not listen reason=%s", e.text);
}

static void
on_empty(void *arg)
{
	struct parent *p = arg;

	ev_break(p->loop, EVBREAK_ALL);
}

static int
on_go(struct chan *c, struct chan_msg *m, void *arg, struct err *e)
{
	struct parent *p = arg;
	struct pool_settings s = {.settings = &p->settings,
	    .listeners = p->listeners,
	    .need = ask_for_sets,
	    .on_retired = on_retired,
	    .on_empty = on_empty,
	    .arg = p};

	if (child_empty_parse(&m->in, e) == -1)
		return -1;
	p->settings.tls = p->certs[0].used;
	p->settings.pre[LOGIN_IMAP].offers_tls = p->settings.tls;
	p->settings.pre[LOGIN_POP3].offers_tls = p->settings.tls;
	if (p->settings.tls && load_certs(p, e) == -1)
		return -1;
	for (size_t i = 0; i < p->n_listeners && !p->settings.tls; i++) {
		if (p->listeners[i].from.tls)
			return err_set(e, ERR_OTHER,
			    "a socket for TLS, but no certificate");
	}
	s.tls = p->tls;
	s.n_listeners = p->n_listeners;
	chan_set_state(c, PREPARING);
	p->pool = pool_new(p->loop, &s);
	return 0;
}

static int
confine(struct parent *p, struct err *e)
{
	struct sandbox_report report;

	if (sandbox_prepare_worker(false, e) == -1 ||
	    child_confine(&p->raw, SANDBOX_LOGIN, &report, e) == -1)
		return -1;
	if (report.text[0] != '\0')
		log_info("confined with less missing=<%s>", report.text);
	return 0;
}

/* With the first set keyd can be asked: is everything as it should be? */
static int
get_ready(struct parent *p, struct err *e)
{
	struct buf *frame, room;
	unsigned n;

	if (p->tls != NULL && check_certs(p, e) == -1)
		return -1;
	n = lean_forks();
	log_debug("workers do without mappings=%u", n);
	if (confine(p, e) == -1)
		return -1;
	/* What is free now lies together, so that a worker which allocates
	 * does not touch, and thereby copy, pages all over the heap. */
	(void)malloc_trim(0);
	/* And behind it there is room that no worker has to ask for. */
	buf_init(&room, HEAP_ROOM_BYTES);
	(void)buf_room(&room, HEAP_ROOM_BYTES);
	buf_done(&room);
	chan_set_state(p->master, SERVING);
	frame = chan_frame();
	child_ready_write(frame);
	if (chan_send(p->master, frame, NULL, 0, e) == -1)
		return -1;
	pool_start(p->pool);
	return 0;
}

static int
on_worker(struct chan *c, struct chan_msg *m, void *arg, struct err *e)
{
	struct parent *p = arg;
	uint32_t number;
	int fds[3];

	if (login_number_parse(&m->in, &number, e) == -1)
		return -1;
	for (size_t i = 0; i < 3; i++)
		fds[i] = chan_take_fd(m, i);
	pool_add_set(p->pool, number, fds);
	if (chan_state(c) != PREPARING || get_ready(p, e) == 0)
		return 0;
	/* Also when keyd has gone: it is not master who has. */
	if (e->code == ERR_CLOSED)
		e->code = ERR_OTHER;
	return -1;
}

static int
on_kill(UNUSED struct chan *c, struct chan_msg *m, void *arg, struct err *e)
{
	struct parent *p = arg;
	uint32_t number;

	if (login_number_parse(&m->in, &number, e) == -1)
		return -1;
	pool_kill(p->pool, number);
	return 0;
}

/* Another parent serves from now on; ours finish with who they have. */
static int
on_stop(struct chan *c, struct chan_msg *m, void *arg, struct err *e)
{
	struct parent *p = arg;
	struct str why;

	if (child_text_parse(&m->in, &why, e) == -1)
		return -1;
	if (p->pool == NULL)
		exit(0);
	chan_set_state(c, LAST);
	for (size_t i = 0; i < p->n_listeners; i++)
		fd_close(&p->listeners[i].fd);
	pool_stop(p->pool);
	return 0;
}

static int
on_late_set(
    UNUSED struct chan *c, struct chan_msg *m, UNUSED void *arg, struct err *e)
{
	uint32_t number;

	return login_number_parse(&m->in, &number, e);
}

static const struct chan_entry master_entries[] = {
    {LOGIN_LISTENER, 1, LOADING, LOGIN_FRAME_MAX, on_listener},
    {LOGIN_CERT, 1, LOADING, LOGIN_FRAME_MAX, on_cert},
    {LOGIN_CERT, 2, LOADING, LOGIN_FRAME_MAX, on_cert},
    {LOGIN_TICKETS, 0, LOADING, LOGIN_FRAME_MAX, on_tickets},
    {CHILD_GO, 0, LOADING, CHILD_FRAME_MAX, on_go},
    {LOGIN_WORKER, 3, PREPARING | SERVING, LOGIN_FRAME_MAX, on_worker},
    {LOGIN_WORKER, 3, LAST, LOGIN_FRAME_MAX, on_late_set},
    {LOGIN_KILL, 0, SERVING | LAST, LOGIN_FRAME_MAX, on_kill},
    {CHILD_STOP, 0, CHAN_ANY_STATE, CHILD_FRAME_MAX, on_stop},
};

static void
on_master_close(struct chan *c, const struct err *why, UNUSED void *arg)
{
	child_master_closed(c, why, "login");
}

/* One worker less, for now. */
static int
on_lost(struct chan *c, struct msg_in *in, void *arg, struct err *e)
{
	struct parent *p = arg;

	if (in->type != LOGIN_WORKER || (chan_state(c) & (SERVING | LAST)) == 0)
		return -1;
	pool_lost_set(p->pool, e->text);
	return 0;
}

static const struct chan_def master_def = {
    .name = "master",
    .entries = master_entries,
    .n_entries = ARRAY_LEN(master_entries),
    .on_close = on_master_close,
    .on_lost = on_lost,
};

int
main(int argc, char **argv)
{
	struct parent *p = &self;
	struct err e;

	/* A worker is to have its buffers without asking the kernel. */
	(void)mallopt(M_TOP_PAD, HEAP_STEP_BYTES);
	(void)mallopt(M_TRIM_THRESHOLD, HEAP_KEEP_BYTES);
	proc_title_init(argc, argv);
	if (child_start("login", &p->raw, &e) == -1)
		log_fatal("can not start reason=%s", e.text);
	proc_title("login");
	if (sigaction(SIGPIPE, &(struct sigaction){.sa_handler = SIG_IGN},
		NULL) == -1)
		log_fatal("can not start reason=sigaction");
	/* Not the default one: that has a handler for SIGCHLD, which would wake
	 * us for each worker's end; the pool looks for them itself. */
	p->loop = ev_loop_new(EVFLAG_AUTO);
	if (p->loop == NULL)
		log_fatal("can not start reason=\"no event loop\"");
	p->master = chan_new(p->loop, CHILD_FD_MASTER, &master_def, p);
	if (login_settings_read(&p->raw, &p->settings, &e) == -1)
		on_master_close(p->master, &e, p);
	ev_run(p->loop, 0);
	/* The children of an ended parent end with it: all have by now. */
	chan_free(&p->master);
	return 0;
}
