/* SPDX-License-Identifier: ISC */
/*
 * notify.c - tells systemd how we are.
 *
 * Owns:    the address of the socket.
 * Runs in: master.
 * Trusts:  the environment it was started with.
 * Spec:    sd_notify(3).
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "notify.h"

#include "os/fd.h"

static struct sockaddr_un address;
static socklen_t address_n;

void
notify_init(void)
{
	const char *path = getenv("NOTIFY_SOCKET");
	size_t n = path == NULL ? 0 : strlen(path);

	if (n < 2 || n >= sizeof(address.sun_path) ||
	    (path[0] != '/' && path[0] != '@'))
		return;
	address.sun_family = AF_UNIX;
	memcpy(address.sun_path, path, n);
	/* An abstract name begins with a NUL. */
	if (path[0] == '@')
		address.sun_path[0] = '\0';
	address_n = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
	(void)unsetenv("NOTIFY_SOCKET");
}

void
notify_send(const char *fmt, ...)
{
	char text[512];
	va_list ap;
	int fd, n;

	if (address_n == 0)
		return;
	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= sizeof(text))
		return;
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd == -1)
		return;
	(void)sendto(fd, text, (size_t)n, MSG_NOSIGNAL | MSG_DONTWAIT,
	    (const struct sockaddr *)&address, address_n);
	fd_close(&fd);
}
