/* SPDX-License-Identifier: ISC */
/*
 * grants.c - grants of authd, until they are used.
 *
 * Owns:    struct grant_entry and the channel to a waiting auth child.
 * Runs in: master.
 * Trusts:  authd for who it is; the worker for nothing: the kernel says which
 *          socket it handed over.
 */
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "grants.h"

#include "base/mem.h"
#include "os/fd.h"

#define GRANTS_PER_WORKER_MAX 4

static bool
is_clean(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f)
			return false;
	return true;
}

/* The name also becomes a directory below index_dir. */
static bool
is_usable_name(struct str s)
{
	return s.n > 0 && s.n <= USER_NAME_MAX && s.p[0] != '.' &&
	    s.p[0] != '-' && str_find(s, '/') == s.n && is_clean(s);
}

/* Lines of name=value; names of letters, digits and underscores. */
static bool
is_usable_extra(struct str s)
{
	struct str line, name;

	while (s.n > 0) {
		if (!str_cut(&s, '\n', &line) || !str_cut(&line, '=', &name) ||
		    name.n == 0 || !is_clean(line))
			return false;
		for (size_t i = 0; i < name.n; i++) {
			char c = name.p[i];

			if (!(c == '_' || (c >= 'a' && c <= 'z') ||
				(c >= '0' && c <= '9')))
				return false;
		}
	}
	return true;
}

int
grants_judge(const struct grant *g, const struct settings *s, struct err *e)
{
	enum service service;

	if (!service_find(g->service, &service))
		return err_set(e, ERR_VIOLATION, "unknown service");
	if (!is_usable_name(g->user))
		return err_set(e, ERR_VIOLATION, "unusable user name");
	if (s->privileged && !settings_may_login(s, g->sysuid, g->sysgid))
		return err_set(e, ERR_VIOLATION,
		    "uid %u, gid %u may not log in", g->sysuid, g->sysgid);
	if (!is_clean(g->home) || (g->home.n > 0 && g->home.p[0] != '/'))
		return err_set(e, ERR_VIOLATION, "unusable home directory");
	if (!is_clean(g->mail_location))
		return err_set(e, ERR_VIOLATION, "unusable mail location");
	if (!is_usable_extra(g->extra))
		return err_set(e, ERR_VIOLATION, "unusable extra fields");
	return 0;
}

void
grant_entry_free(struct grant_entry **gp)
{
	struct grant_entry *g = *gp;

	*gp = NULL;
	if (g == NULL)
		return;
	list_remove(&g->link);
	fd_close(&g->hold_fd);
	free(g->user);
	free(g->home);
	free(g->mail_location);
	free(g->extra);
	free(g);
}

static struct grant_entry *
first(struct list *grants)
{
	return list_is_empty(grants)
	    ? NULL
	    : LIST_OF(grants->next, struct grant_entry, link);
}

void
grants_drop_old(struct list *grants, int64_t now_ms)
{
	struct grant_entry *g;

	/* All live equally long: the oldest comes first. */
	while ((g = first(grants)) != NULL && g->expires_ms <= now_ms)
		grant_entry_free(&g);
}

void
grants_drop_all(struct list *grants)
{
	struct grant_entry *g;

	while ((g = first(grants)) != NULL)
		grant_entry_free(&g);
}

void
grants_add(
    struct list *grants, const struct grant *g, int hold_fd, int64_t now_ms)
{
	struct grant_entry *entry = mem_new(1, sizeof(*entry)), *oldest;
	size_t n = 0;

	grants_drop_old(grants, now_ms);
	LIST_EACH(grants, it)
		n++;
	oldest = first(grants);
	if (n >= GRANTS_PER_WORKER_MAX)
		grant_entry_free(&oldest);
	entry->conn = g->conn;
	entry->cookie = g->cookie;
	entry->expires_ms = now_ms + GRANT_LIFE_MS;
	entry->peer_ip_n = (uint8_t)g->peer_ip.n;
	if (g->peer_ip.n > 0)
		memcpy(entry->peer_ip, g->peer_ip.p, g->peer_ip.n);
	entry->peer_port = g->peer_port;
	(void)service_find(g->service, &entry->service);
	entry->sysuid = g->sysuid;
	entry->sysgid = g->sysgid;
	entry->user = str_to_heap(g->user);
	entry->home = str_to_heap(g->home);
	entry->mail_location = str_to_heap(g->mail_location);
	entry->extra = str_to_heap(g->extra);
	entry->hold_fd = hold_fd;
	list_append(grants, &entry->link);
}

struct grant_entry *
grants_take(struct list *grants, uint64_t conn, int64_t now_ms)
{
	grants_drop_old(grants, now_ms);
	LIST_EACH(grants, it) {
		struct grant_entry *g = LIST_OF(it, struct grant_entry, link);

		if (g->conn == conn) {
			list_remove(&g->link);
			return g;
		}
	}
	return NULL;
}

/* The peer's address, 0 bytes for a local socket; v4-mapped as v4. */
static size_t
peer_of(int fd, uint8_t ip[16], uint16_t *port)
{
	static const uint8_t mapped[12] = {
	    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
		struct sockaddr_storage room;
	} a = {0};
	socklen_t n = sizeof(a);

	*port = 0;
	if (getpeername(fd, &a.any, &n) == -1)
		return 0;
	if (a.any.sa_family == AF_INET) {
		memcpy(ip, &a.v4.sin_addr, 4);
		*port = ntohs(a.v4.sin_port);
		return 4;
	}
	if (a.any.sa_family != AF_INET6)
		return 0;
	*port = ntohs(a.v6.sin6_port);
	if (memcmp(&a.v6.sin6_addr, mapped, 12) == 0) {
		memcpy(ip, (const uint8_t *)&a.v6.sin6_addr + 12, 4);
		return 4;
	}
	memcpy(ip, &a.v6.sin6_addr, 16);
	return 16;
}

enum grant_check
grants_compare(const struct grant_entry *g, int fd, bool proxied)
{
	uint64_t cookie;
	socklen_t n = sizeof(cookie);
	uint8_t ip[16];
	uint16_t port;

	if (getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &n) == -1 ||
	    n != sizeof(cookie) || cookie != g->cookie)
		return GRANT_WRONG_COOKIE;
	if (proxied)
		return GRANT_OK;
	if (peer_of(fd, ip, &port) != g->peer_ip_n ||
	    memcmp(ip, g->peer_ip, g->peer_ip_n) != 0 || port != g->peer_port)
		return GRANT_WRONG_PEER;
	return GRANT_OK;
}
