/* SPDX-License-Identifier: ISC */
/*
 * addr.c - socket addresses: text, prefixes, the block that shares a limit.
 *
 * Runs in: login, master, authd, imapd and pop3d.
 * Trusts:  the kernel's addresses; text comes from the configuration or from a
 *          proxy's header and is checked whole.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>

#include "base/num.h"
#include "net/addr.h"

static const uint8_t mapped_prefix[12] = {
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

static void
set_ip(struct addr *a, const uint8_t *ip, uint8_t n)
{
	if (n == 16 && memcmp(ip, mapped_prefix, 12) == 0) {
		ip += 12;
		n = 4;
	}
	memcpy(a->ip, ip, n);
	a->n = n;
}

struct addr
addr_of_sockaddr(const struct sockaddr_storage *ss)
{
	struct addr a = {0};

	if (ss->ss_family == AF_INET) {
		struct sockaddr_in in;

		memcpy(&in, ss, sizeof(in));
		set_ip(&a, (const uint8_t *)&in.sin_addr, 4);
		a.port = ntohs(in.sin_port);
	} else if (ss->ss_family == AF_INET6) {
		struct sockaddr_in6 in6;

		memcpy(&in6, ss, sizeof(in6));
		set_ip(&a, in6.sin6_addr.s6_addr, 16);
		a.port = ntohs(in6.sin6_port);
	}
	return a;
}

int
addr_peer(int fd, struct addr *out, struct err *e)
{
	struct sockaddr_storage ss = {0};
	socklen_t n = sizeof(ss);

	if (getpeername(fd, (struct sockaddr *)&ss, &n) == -1)
		return err_sys(e, "getpeername");
	*out = addr_of_sockaddr(&ss);
	return 0;
}

int
addr_local(int fd, struct addr *out, struct err *e)
{
	struct sockaddr_storage ss = {0};
	socklen_t n = sizeof(ss);

	if (getsockname(fd, (struct sockaddr *)&ss, &n) == -1)
		return err_sys(e, "getsockname");
	*out = addr_of_sockaddr(&ss);
	return 0;
}

bool
addr_parse(struct str s, struct addr *out)
{
	struct addr a = {0};
	uint8_t ip[16];
	char text[ADDR_TEXT_MAX];

	if (!str_to_c(s, text, sizeof(text)))
		return false;
	if (inet_pton(AF_INET, text, ip) == 1)
		set_ip(&a, ip, 4);
	else if (inet_pton(AF_INET6, text, ip) == 1)
		set_ip(&a, ip, 16);
	else
		return false;
	*out = a;
	return true;
}

void
addr_text(const struct addr *a, char out[ADDR_TEXT_MAX])
{
	if (a->n == 0 ||
	    inet_ntop(a->n == 4 ? AF_INET : AF_INET6, a->ip, out,
		ADDR_TEXT_MAX) == NULL)
		(void)snprintf(out, ADDR_TEXT_MAX, "local");
}

bool
addr_same_ip(const struct addr *a, const struct addr *b)
{
	return str_eq(addr_bytes(a), addr_bytes(b));
}

bool
addr_is_loopback(const struct addr *a)
{
	static const uint8_t one[16] = {[15] = 1};

	if (a->n == 0)
		return true;
	if (a->n == 4)
		return a->ip[0] == 127;
	return memcmp(a->ip, one, 16) == 0;
}

/* Clears what lies behind the first `bits` bits. */
static void
mask(struct addr *a, unsigned bits)
{
	for (unsigned i = 0; i < a->n; i++) {
		unsigned keep = bits > i * 8 ? bits - i * 8 : 0;

		if (keep < 8)
			a->ip[i] &= (uint8_t)(0xff00u >> keep);
	}
}

bool
addr_prefix_parse(struct str s, struct addr_prefix *out)
{
	struct addr_prefix p = {0};
	struct addr masked;
	struct str ip;
	bool has_bits = str_cut(&s, '/', &ip);
	uint32_t bits;

	if (!addr_parse(ip, &p.base))
		return false;
	p.bits = p.base.n * 8u;
	if (has_bits) {
		if (!num_parse_u32(s, 0, p.bits, &bits))
			return false;
		p.bits = bits;
	}
	masked = p.base;
	mask(&masked, p.bits);
	if (!addr_same_ip(&masked, &p.base))
		return false;
	*out = p;
	return true;
}

bool
addr_prefix_has(const struct addr_prefix *p, const struct addr *a)
{
	struct addr masked = *a;

	if (a->n != p->base.n)
		return false;
	mask(&masked, p->bits);
	return addr_same_ip(&masked, &p->base);
}

void
addr_block(const struct addr *a, struct addr *block)
{
	*block = *a;
	block->port = 0;
	if (block->n == 16)
		mask(block, 64);
}
