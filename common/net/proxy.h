/* SPDX-License-Identifier: ISC */
/*
 * proxy.h - the header that HAProxy or nginx puts before a connection to say
 * who the client is (PROXY protocol versions 1 and 2). Read only where the
 * configuration says that the other side is such a proxy.
 */
#ifndef NET_PROXY_H
#define NET_PROXY_H

#include "base/err.h"
#include "net/addr.h"

/* A header of ours is never larger; TLVs behind the addresses included. */
#define PROXY_HEADER_MAX 2048

struct proxy_header {
	size_t n_bytes; /* of the header */
	bool
	    has_addr; /* false: LOCAL or UNKNOWN, keep the socket's addresses */
	bool has_tls; /* version 2: the proxy took TLS off */
	struct addr peer, local;
};

/*
 * Looks at the first bytes of a connection. STEP_MORE: the header is not
 * complete. STEP_FAIL with ERR_SYNTAX: not a header.
 */
enum step proxy_parse(
    struct str bytes, struct proxy_header *out, struct err *e);

#endif
