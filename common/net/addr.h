/* SPDX-License-Identifier: ISC */
/* addr.h - socket addresses: text, prefixes, the block that shares a limit. */
#ifndef NET_ADDR_H
#define NET_ADDR_H

#include <sys/socket.h>

#include "base/err.h"
#include "base/str.h"

#define ADDR_TEXT_MAX 46 /* "ffff:...:255.255.255.255" and a NUL */

/* An IPv4-mapped IPv6 address is kept as IPv4. n 0: a local socket, no IP. */
struct addr {
	uint8_t ip[16];
	uint8_t n; /* 0, 4 or 16 bytes of it */
	uint16_t port;
};

struct addr_prefix {
	struct addr base; /* bits behind the prefix are 0 */
	unsigned bits;
};

/* IPv4 in IPv6 as IPv4; of another family: n is 0. */
struct addr addr_of_sockaddr(const struct sockaddr_storage *ss);
/* Addresses of a connected socket; a socket without IP gives n 0. */
int addr_peer(int fd, struct addr *out, struct err *e);
int addr_local(int fd, struct addr *out, struct err *e);
/* "192.0.2.7", "2001:db8::7"; brackets and zones are refused. */
bool addr_parse(struct str s, struct addr *out);
/* Without the port; "local" when there is no IP. */
void addr_text(const struct addr *a, char out[ADDR_TEXT_MAX]);
static inline struct str
addr_bytes(const struct addr *a)
{
	return str_make(a->ip, a->n);
}
/* Family and address are the same; the ports do not count. */
bool addr_same_ip(const struct addr *a, const struct addr *b);
/* 127.0.0.0/8, ::1, or no IP at all. */
bool addr_is_loopback(const struct addr *a);
/*
 * "10.0.0.0/8", "2001:db8::/32", or an address alone. False also when bits
 * behind the prefix are not 0.
 */
bool addr_prefix_parse(struct str s, struct addr_prefix *out);
bool addr_prefix_has(const struct addr_prefix *p, const struct addr *a);
/* Whose connections are counted together: IPv4 /32, IPv6 /64. */
void addr_block(const struct addr *a, struct addr *block);

#endif
