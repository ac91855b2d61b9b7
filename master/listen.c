/* SPDX-License-Identifier: ISC */
/*
 * listen.c - the sockets on which clients arrive.
 *
 * Owns:    the listening sockets.
 * Runs in: master.
 * Trusts:  the configuration, systemd.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "listen.h"

#include "base/num.h"
#include "os/fd.h"

#define BACKLOG 4096 /* the kernel takes no more than net.core.somaxconn */
#define SYSTEMD_FIRST_FD 3
#define SYSTEMD_FDS_MAX 64

union address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

static socklen_t
address_size(const union address *a)
{
	return a->any.sa_family == AF_INET ? sizeof(a->v4) : sizeof(a->v6);
}

static bool
parse_address(const char *text, uint16_t port, union address *out)
{
	*out = (union address){0};
	if (strcmp(text, "*") == 0)
		text = "0.0.0.0";
	if (inet_pton(AF_INET, text, &out->v4.sin_addr) == 1) {
		out->v4.sin_family = AF_INET;
		out->v4.sin_port = htons(port);
		return true;
	}
	if (inet_pton(AF_INET6, text, &out->v6.sin6_addr) == 1) {
		out->v6.sin6_family = AF_INET6;
		out->v6.sin6_port = htons(port);
		return true;
	}
	return false;
}

static void
set_options(int fd, int family)
{
	int on = 1;

	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (family == AF_INET6)
		(void)setsockopt(
		    fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
	/* Accepted sockets inherit these: no call for each connection. */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	(void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
}

static bool
bind_to(int fd, const union address *a)
{
	return bind(fd, &a->any, address_size(a)) == 0 &&
	    listen(fd, BACKLOG) == 0;
}

static void
share_port(int fd, bool on)
{
	int value = on;

	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &value, sizeof(value));
}

/*
 * "*" becomes one address, or the other way round, while the old socket is still
 * open. Not for longer than that: a second server on the same port is to be told
 * that it is taken.
 */
static bool
bind_beside(struct listeners *l, int fd, const union address *a, uint16_t port)
{
	bool ok, is_ours = false;
	int sys;

	VEC_EACH(&l->v, have)
		if (have->port == port) {
			share_port(have->fd, true);
			is_ours = true;
		}
	errno = EADDRINUSE;
	if (!is_ours)
		return false;
	share_port(fd, true);
	ok = bind_to(fd, a);
	sys = errno;
	share_port(fd, false);
	VEC_EACH(&l->v, have)
		if (have->port == port)
			share_port(have->fd, false);
	errno = sys;
	return ok;
}

/*
 * Another service gets this port: the old one has the socket until its last spare
 * has gone, so it can not be bound anew.
 */
static int
take_over(const struct listeners *l, const struct setting_listener *want)
{
	struct err ignored;

	VEC_EACH(&l->v, have)
		if (have->port == want->port &&
		    strcmp(have->address, want->address) == 0)
			return fd_dup(have->fd, &ignored);
	return -1;
}

static int
open_socket(struct listeners *l, const struct setting_listener *want,
    const union address *a)
{
	int fd = take_over(l, want);

	if (fd != -1)
		return fd;
	fd = socket(
	    a->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd == -1)
		return -1;
	set_options(fd, a->any.sa_family);
	if (!bind_to(fd, a) &&
	    !(errno == EADDRINUSE && bind_beside(l, fd, a, want->port)))
		fd_close(&fd);
	return fd;
}

/* 1: bound; 0: this host has no IPv6 and only the wildcard was asked for. */
static int
bind_one(struct listeners *l, const struct setting_listener *want,
    struct listener *out, struct err *e)
{
	union address a;
	int fd;

	if (!parse_address(want->address, want->port, &a))
		return err_set(e, ERR_SYNTAX, "%s: %s is not an IP address",
		    want->name, want->address);
	fd = open_socket(l, want, &a);
	if (fd == -1 && strcmp(want->address, "::") == 0 &&
	    (errno == EAFNOSUPPORT || errno == EADDRNOTAVAIL))
		return 0;
	if (fd == -1)
		return err_sys(e, "%s: bind %s port %u", want->name,
		    want->address, want->port);
	*out = (struct listener){.fd = fd,
	    .service = want->service,
	    .tls = want->tls,
	    .port = want->port,
	    .wanted = true,
	    .fresh = true};
	(void)snprintf(out->name, sizeof(out->name), "%s", want->name);
	(void)snprintf(out->address, sizeof(out->address), "%s", want->address);
	return 1;
}

static struct listener *
find(struct listeners *l, const struct setting_listener *want)
{
	VEC_EACH(&l->v, have)
		if (have->port == want->port &&
		    have->service == want->service && have->tls == want->tls &&
		    strcmp(have->address, want->address) == 0)
			return have;
	return NULL;
}

static bool
has_systemd(const struct listeners *l)
{
	VEC_EACH(&l->v, have)
		if (have->from_systemd)
			return true;
	return false;
}

int
listen_renew(struct listeners *l, const struct settings *s, struct err *e)
{
	if (has_systemd(l))
		return 0;
	VEC_EACH(&l->v, have)
		have->wanted = false;
	VEC_EACH(&s->listeners, want) {
		struct listener *have = find(l, want), fresh;
		const struct setting_listener *other = settings_clash(s, want);
		int rc = 0;

		if (other != NULL)
			rc = err_set(e, ERR_SYNTAX,
			    "%s: %s has %s port %u already", want->name,
			    other->name, want->address, (unsigned)want->port);
		else if (have != NULL)
			have->wanted = true;
		else
			rc = bind_one(l, want, &fresh, e);
		if (rc == -1) {
			listen_settle(l, false);
			return -1;
		}
		if (rc == 1)
			*VEC_ADD(&l->v) = fresh;
	}
	if (l->v.n == 0)
		return err_set(
		    e, ERR_NOT_FOUND, "there is no address to listen on");
	return 0;
}

void
listen_settle(struct listeners *l, bool keep_new)
{
	for (size_t i = l->v.n; i > 0; i--) {
		struct listener *have = &l->v.v[i - 1];
		bool keep = keep_new ? have->wanted : !have->fresh;

		have->wanted = true;
		have->fresh = false;
		if (keep)
			continue;
		fd_close(&have->fd);
		VEC_REMOVE(&l->v, i - 1);
	}
}

void
listen_close_all(struct listeners *l)
{
	VEC_EACH(&l->v, have)
		fd_close(&have->fd);
	VEC_DONE(&l->v);
}

/* ---- systemd ---- */

static const struct {
	const char *name;
	enum service service;
	bool tls;
} socket_names[] = {
    {"imap", SERVICE_IMAP, false},
    {"imaps", SERVICE_IMAP, true},
    {"pop3", SERVICE_POP3, false},
    {"pop3s", SERVICE_POP3, true},
};

static int
take_socket(struct listeners *l, int fd, struct str name, struct err *e)
{
	int type = 0;
	socklen_t n = sizeof(type);

	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &n) == -1 ||
	    type != SOCK_STREAM)
		return err_set(e, ERR_OTHER,
		    "socket %.*s of systemd is no stream socket",
		    STR_ARG(name));
	if (fd_set_cloexec(fd, true, e) == -1 ||
	    fd_set_nonblock(fd, true, e) == -1)
		return -1;
	for (size_t i = 0; i < ARRAY_LEN(socket_names); i++)
		if (str_eq(name, str_of(socket_names[i].name))) {
			struct listener *li = VEC_ADD(&l->v);

			set_options(fd, AF_INET);
			*li = (struct listener){.fd = fd,
			    .service = socket_names[i].service,
			    .tls = socket_names[i].tls,
			    .from_systemd = true,
			    .wanted = true};
			(void)snprintf(li->name, sizeof(li->name), "%s",
			    socket_names[i].name);
			(void)snprintf(
			    li->address, sizeof(li->address), "systemd");
			return 0;
		}
	return err_set(e, ERR_OTHER,
	    "socket of systemd has the name \"%.*s\"; FileDescriptorName= must "
	    "be imap, imaps, pop3 or pop3s",
	    STR_ARG(name));
}

int
listen_from_systemd(struct listeners *l, struct err *e)
{
	const char *pid = getenv("LISTEN_PID"), *fds = getenv("LISTEN_FDS");
	const char *names = getenv("LISTEN_FDNAMES");
	struct str rest = str_of(names == NULL ? "" : names), name;
	uint32_t for_pid, n;
	int rc = 0;

	if (pid == NULL || fds == NULL ||
	    !num_parse_u32(str_of(pid), 1, UINT32_MAX, &for_pid) ||
	    for_pid != (uint32_t)getpid())
		return 0;
	if (!num_parse_u32(str_of(fds), 0, SYSTEMD_FDS_MAX, &n))
		return err_set(e, ERR_SYNTAX, "LISTEN_FDS=%s", fds);
	for (uint32_t i = 0; rc == 0 && i < n; i++) {
		if (!str_next(&rest, ':', &name))
			name = STR("");
		rc = take_socket(l, SYSTEMD_FIRST_FD + (int)i, name, e);
	}
	(void)unsetenv("LISTEN_PID");
	(void)unsetenv("LISTEN_FDS");
	(void)unsetenv("LISTEN_FDNAMES");
	return rc;
}
