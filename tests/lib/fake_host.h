/* SPDX-License-Identifier: ISC */
/*
 * fake_host.h - a host of one session on a socketpair, for unit tests and
 * fuzzing of imapd: the real client, loop and store, no process around them.
 * Defines what host.h declares, so common/host is not linked.
 */
#ifndef TESTS_LIB_FAKE_HOST_H
#define TESTS_LIB_FAKE_HOST_H

#include <ev.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "host/host.h"
#include "imapd/client.h"

struct host {
	struct ev_loop *loop;
	struct store *store;
	struct client *client; /* NULL: the session has ended */
	int fd; /* the client's end */
	bool is_awake;
	const char *setting, *value; /* one that differs from its default */
	unsigned turns;
};

void
host_wake(struct host *h, void *session)
{
	(void)session;
	h->is_awake = true;
}

void
host_session_note(struct host *h, void *session, const char *fmt, ...)
{
	(void)h;
	(void)session;
	(void)fmt;
}

void
host_session_ended(struct host *h, void *session)
{
	(void)session;
	h->client = NULL;
}

struct ev_loop *
host_loop(struct host *h)
{
	return h->loop;
}

struct store *
host_store(struct host *h)
{
	return h->store;
}

const char *
host_setting(struct host *h, const char *name)
{
	return h->setting != NULL && strcmp(name, h->setting) == 0 ? h->value
								   : NULL;
}

bool
host_setting_bool(struct host *h, const char *name, bool otherwise)
{
	const char *value = host_setting(h, name);

	return value != NULL ? strcmp(value, "yes") == 0 : otherwise;
}

uint64_t
host_setting_bytes(struct host *h, const char *name, uint64_t otherwise)
{
	const char *value = host_setting(h, name);

	return value == NULL ? otherwise : strtoull(value, NULL, 10);
}

uint32_t
host_setting_number(struct host *h, const char *name, uint32_t otherwise)
{
	return (uint32_t)host_setting_bytes(h, name, otherwise);
}

uint32_t
host_setting_seconds(struct host *h, const char *name, uint32_t otherwise)
{
	return (uint32_t)host_setting_bytes(h, name, otherwise);
}

const char *
host_user(UNUSED struct host *h)
{
	return "joe";
}

bool
host_is_busy(const struct host *h)
{
	return h->is_awake;
}

int64_t
host_idle_ms(UNUSED const struct host *h)
{
	return 0;
}

/* Starts the session; `tag` as of a login command, or "" for PREAUTH. */
static UNUSED void
host_begin(struct host *h, struct store *store, const char *tag)
{
	const struct host_peer peer = {.tag = str_of(tag),
	    .user = STR("joe"),
	    .remote_ip = STR("192.0.2.1")};
	static const struct conn_handlers none = {0};
	int fds[2];

	(void)sigaction(
	    SIGPIPE, &(struct sigaction){.sa_handler = SIG_IGN}, NULL);
	h->loop = ev_default_loop(EVFLAG_NOENV);
	h->store = store;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) == -1)
		abort();
	h->fd = fds[1];
	h->client = client_new(
	    h, conn_new(h->loop, fds[0], fds[0], &none, NULL), &peer);
}

/* Lets the session work until it waits for the client or has ended. */
static UNUSED void
host_run(struct host *h)
{
	unsigned idle = 0;

	while (h->client != NULL && idle < 3) {
		ev_run(h->loop, EVRUN_NOWAIT);
		idle++;
		if (h->client == NULL || !h->is_awake)
			continue;
		idle = 0;
		h->turns++;
		h->is_awake = false;
		if (client_turn(h->client))
			h->is_awake = true;
	}
}

/* What the session has sent; appended to `out`. */
static UNUSED size_t
host_hear(struct host *h, struct buf *out)
{
	size_t before = out->n;
	char *room;
	ssize_t n;

	do {
		room = buf_room(out, 65536);
		n = room == NULL ? -1 : read(h->fd, room, 65536);
		out->n += n > 0 ? (size_t)n : 0;
	} while (n > 0);
	return out->n - before;
}

static UNUSED void
host_end(struct host *h)
{
	(void)close(h->fd);
	host_run(h);
}

#endif
