/* SPDX-License-Identifier: ISC */
/*
 * reload.c - a new configuration for new processes.
 *
 * Owns:    what the certificate files looked like when they were last used.
 * Runs in: master.
 * Trusts:  the configuration's owner.
 */
#include <stdlib.h>
#include <sys/stat.h>

#include "reload.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "control.h"
#include "generation.h"
#include "ipc/chan_child.h"
#include "notify.h"
#include "os/fd.h"
#include "service.h"
#include "spools.h"
#include "users.h"

#define LOOK_S 20
#define DAY_MS (INT64_C(24) * 60 * 60 * 1000)
/* A pair of files is rarely renamed in one instant. */
#define SETTLE_S 3
/* Spares leave in milliseconds. */
#define RETIRE_PATIENCE_S 10

struct reload {
	ev_timer look;
	uint64_t used; /* sum of the files that are in use (or were refused) */
	uint64_t seen; /* the last look, when it differs: settle first */
	bool again; /* asked for during a reload */
	struct generation *old; /* may still take clients: we wait for it */
	ev_timer patience;
};

static uint64_t
sum_of_file(const char *path)
{
	struct stat st;
	uint64_t fields[6] = {0};

	if (path == NULL || stat(path, &st) == -1)
		return 1;
	fields[0] = (uint64_t)st.st_dev;
	fields[1] = (uint64_t)st.st_ino;
	fields[2] = (uint64_t)st.st_size;
	fields[3] = (uint64_t)st.st_mtim.tv_sec;
	fields[4] = (uint64_t)st.st_mtim.tv_nsec;
	return map_hash(str_make(fields, sizeof(fields)));
}

static uint64_t
sum_of_certs(const struct settings *s)
{
	uint64_t sum = 0;

	VEC_EACH(&s->certs, c) {
		sum = sum * 31 + sum_of_file(c->cert);
		sum = sum * 31 + sum_of_file(c->key);
		sum = sum * 31 + sum_of_file(c->ocsp);
	}
	return sum;
}

static void
on_look(struct ev_loop *loop, ev_timer *w, UNUSED int events)
{
	struct master *m = w->data;
	struct reload *r = m->reload;
	uint64_t sum;

	if (m->stopping || reload_is_under_way(m) || m->now == NULL)
		return;
	sum = sum_of_certs(m->now->settings);
	w->repeat = LOOK_S;
	if (sum != r->used && sum == r->seen) {
		r->used = sum;
		reload_begin(m, "certificate files have changed");
	} else if (sum != r->used) {
		r->seen = sum;
		w->repeat = SETTLE_S;
	} else if (m->now->n_keyd > 0 &&
	    clock_mono_ms() - m->ticket_key_ms >= DAY_MS) {
		reload_begin(m, "new ticket key");
	}
	ev_timer_again(loop, w);
}

static void
on_patience(UNUSED struct ev_loop *loop, ev_timer *w, UNUSED int events)
{
	struct reload *r = w->data;

	log_warn("login workers of the old configuration do not leave pid=%d",
	    (int)r->old->login.pid);
	reload_spares_gone(r->old);
}

void
reload_init(struct master *m)
{
	struct reload *r = mem_new(1, sizeof(*r));

	m->reload = r;
	r->used = sum_of_certs(m->now->settings);
	ev_timer_init(&r->look, on_look, LOOK_S, LOOK_S);
	r->look.data = m;
	ev_timer_init(&r->patience, on_patience, 0, 0);
	r->patience.data = r;
	ev_timer_start(m->loop, &r->look);
}

void
reload_done(struct master *m)
{
	if (m->reload == NULL)
		return;
	ev_timer_stop(m->loop, &m->reload->look);
	ev_timer_stop(m->loop, &m->reload->patience);
	free(m->reload);
	m->reload = NULL;
}

static void
log_problems(const struct buf *problems)
{
	struct str rest = buf_str(problems), line;

	while (rest.n > 0) {
		(void)str_cut(&rest, '\n', &line);
		log_error("%.*s", STR_ARG(line));
	}
}

/* logd gets its file anew: that is how log rotation works. */
static void
reopen_log(struct master *m)
{
	const char *role;
	struct err e;
	int fd = logs_open_target(m->now->settings, &role, &e);
	struct child_file msg = {
	    .role = str_of(role), .path = str_of(m->now->settings->log)};
	struct buf *b = chan_frame();

	if (fd == -1) {
		log_error("%s", e.text);
		return;
	}
	child_file_write(&msg, b);
	service_send(&m->logd, b, &fd, 1);
	fd_close(&fd);
}

static void
begin(struct master *m, struct settings *s)
{
	struct reload *r = m->reload;
	struct err e;

	if (listen_renew(&m->listeners, s, &e) == -1) {
		settings_free(&s);
		reload_ended(m, false, e.text);
		return;
	}
	r->used = r->seen = sum_of_certs(s);
	m->next = generation_new(m, s);
	if (generation_start(m->next, &e) == -1) {
		struct generation *g = m->next;

		m->next = NULL;
		listen_settle(&m->listeners, false);
		g->retiring = true;
		generation_kill(g);
		reload_ended(m, false, e.text);
		generation_check_retired(g);
	}
}

void
reload_begin(struct master *m, const char *why)
{
	struct settings *s;
	struct buf problems;
	struct err e;

	if (m->stopping)
		return;
	/* What we start with may have been read before it was changed. */
	if (!m->ready) {
		m->reload_early = true;
		return;
	}
	if (reload_is_under_way(m)) {
		m->reload->again = true;
		return;
	}
	/* First: that is how the log is rotated, however the rest goes. */
	reopen_log(m);
	log_info("reload reason=\"%s\"", why);
	notify_send("RELOADING=1\nMONOTONIC_USEC=%lld",
	    (long long)clock_mono_ms() * 1000);
	buf_init(&problems, (size_t)64 * 1024);
	if (settings_load(m->conf_path, m->conf_optional, &s, &problems, &e) ==
	    -1) {
		log_problems(&problems);
		reload_ended(m, false, e.text);
	} else {
		begin(m, s);
	}
	buf_done(&problems);
}

bool
reload_is_under_way(const struct master *m)
{
	return m->next != NULL || (m->reload != NULL && m->reload->old != NULL);
}

void
reload_switched(struct master *m, struct generation *old)
{
	struct reload *r = m->reload;

	reopen_log(m);
	users_settings_changed(m, m->now);
	r->old = old;
	if (old->login.state == SERVICE_DOWN) {
		reload_spares_gone(old);
		return;
	}
	ev_timer_set(&r->patience, RETIRE_PATIENCE_S, 0);
	ev_timer_start(m->loop, &r->patience);
}

void
reload_spares_gone(struct generation *g)
{
	struct master *m = g->m;
	struct reload *r = m->reload;

	if (r == NULL || r->old != g)
		return;
	r->old = NULL;
	ev_timer_stop(m->loop, &r->patience);
	reload_ended(m, true, "the new configuration is in force");
}

void
reload_ended(struct master *m, bool ok, const char *text)
{
	if (ok)
		log_info("reload done");
	else
		log_error("reload failed, the old configuration stays "
			  "reason=\"%s\"",
		    text);
	if (ok)
		spools_settings_changed(m);
	notify_send("READY=1");
	control_reload_ended(m, ok, text);
	if (m->reload->again) {
		m->reload->again = false;
		reload_begin(m, "asked for again");
	}
}
