/* SPDX-License-Identifier: ISC */
/* wire.h - a client's socket, with or without TLS; every call has a deadline. */
#ifndef LOGIN_WIRE_H
#define LOGIN_WIRE_H

#include "base/err.h"
#include "base/str.h"

struct tls;

struct wire {
	int fd; /* nonblocking */
	int stop_fd; /* its end is the end of all waiting; -1: none */
	struct tls *tls; /* NULL: in the clear */
	int64_t deadline_ms; /* monotonic */
};

/* 1 to `size` bytes; *n 0 when the peer has closed its side. */
int wire_recv(struct wire *w, char *p, size_t size, size_t *n, struct err *e);
int wire_send(struct wire *w, struct str s, struct err *e);
/* Nothing waits in the kernel. */
bool wire_is_empty(const struct wire *w);
void wire_set_deadline(struct wire *w, int64_t mono_ms);

#endif
