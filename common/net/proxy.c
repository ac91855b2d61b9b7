/* SPDX-License-Identifier: ISC */
/*
 * proxy.c - PROXY protocol, version 1 (a line) and 2 (binary).
 *
 * Runs in: login workers.
 * Trusts:  the caller has found the peer in the list of trusted proxies; the
 *          bytes are checked all the same.
 * Spec:    haproxy.org, "The PROXY protocol, versions 1 & 2".
 */
#include "base/num.h"
#include "net/proxy.h"

#define V1_LINE_MAX 107
#define V2_FIXED 16
#define TLV_SSL 0x20

static const struct str v1_start = STR_LIT("PROXY ");
static const struct str v2_start = STR_LIT("\r\n\r\n\0\r\nQUIT\n");

static enum step
not_a_header(struct err *e, const char *why)
{
	(void)err_set(e, ERR_SYNTAX, "PROXY header: %s", why);
	return STEP_FAIL;
}

static bool
parse_ip_port(struct str ip, struct str port, uint8_t n, struct addr *out)
{
	uint32_t number;

	if (!addr_parse(ip, out) || !num_parse_u32(port, 0, 65535, &number))
		return false;
	out->port = (uint16_t)number;
	/* A mapped address in a TCP6 line has become IPv4. */
	return out->n == n || n == 16;
}

/* PROXY TCP4 client server client-port server-port CRLF */
static enum step
parse_v1(struct str bytes, struct proxy_header *out, struct err *e)
{
	struct str line = str_head(bytes, V1_LINE_MAX), word[6] = {{0}};
	size_t end = str_find_str(line, STR("\r\n")), n = 0;
	uint8_t ip_bytes;

	if (end == line.n)
		return bytes.n < V1_LINE_MAX ? STEP_MORE
					     : not_a_header(e, "line too long");
	out->n_bytes = end + 2;
	line = str_head(line, end);
	while (n < ARRAY_LEN(word) && str_next(&line, ' ', &word[n]))
		n++;
	if (n >= 2 && str_eq(word[1], STR("UNKNOWN")))
		return STEP_DONE;
	if (n != ARRAY_LEN(word) || line.n != 0)
		return not_a_header(e, "wrong number of words");
	if (str_eq(word[1], STR("TCP4")))
		ip_bytes = 4;
	else if (str_eq(word[1], STR("TCP6")))
		ip_bytes = 16;
	else
		return not_a_header(e, "unknown family");
	if (!parse_ip_port(word[2], word[4], ip_bytes, &out->peer) ||
	    !parse_ip_port(word[3], word[5], ip_bytes, &out->local))
		return not_a_header(e, "bad address");
	out->has_addr = true;
	return STEP_DONE;
}

static uint16_t
get_u16(const char *p)
{
	return (uint16_t)((uint8_t)p[0] << 8 | (uint8_t)p[1]);
}

static struct addr
get_addr(const char *ip, const char *port, uint8_t n)
{
	char text[ADDR_TEXT_MAX];
	struct addr a = {.n = n, .port = get_u16(port)}, again;

	/* Through the text, so that mapped addresses become IPv4. */
	memcpy(a.ip, ip, n);
	addr_text(&a, text);
	if (addr_parse(str_of(text), &again)) {
		again.port = a.port;
		return again;
	}
	return a;
}

/* PP2_TYPE_SSL: u8 client bits (1: over TLS), u32 verify, sub-TLVs */
static bool
find_tls(struct str tlvs, bool *has_tls)
{
	while (tlvs.n > 0) {
		size_t n;

		if (tlvs.n < 3)
			return false;
		n = get_u16(tlvs.p + 1);
		if (tlvs.n - 3 < n)
			return false;
		if ((uint8_t)tlvs.p[0] == TLV_SSL) {
			if (n < 5)
				return false;
			*has_tls = ((uint8_t)tlvs.p[3] & 1) != 0;
		}
		tlvs = str_skip(tlvs, 3 + n);
	}
	return true;
}

static enum step
parse_v2(struct str bytes, struct proxy_header *out, struct err *e)
{
	uint8_t version, family;
	struct str rest;
	size_t n, ip;

	if (bytes.n < V2_FIXED)
		return STEP_MORE;
	version = (uint8_t)bytes.p[12];
	family = (uint8_t)bytes.p[13];
	n = get_u16(bytes.p + 14);
	if (version != 0x20 && version != 0x21)
		return not_a_header(e, "unknown version or command");
	if (n > PROXY_HEADER_MAX - V2_FIXED)
		return not_a_header(e, "too long");
	if (bytes.n < V2_FIXED + n)
		return STEP_MORE;
	out->n_bytes = V2_FIXED + n;
	rest = str_head(str_skip(bytes, V2_FIXED), n);
	/* LOCAL: a health check of the proxy itself. */
	if (version == 0x20)
		return STEP_DONE;
	if (family == 0x00)
		return STEP_DONE;
	if (family != 0x11 && family != 0x21)
		return not_a_header(e, "not TCP over IP");
	ip = family == 0x11 ? 4 : 16;
	if (rest.n < 2 * ip + 4)
		return not_a_header(e, "addresses cut off");
	out->peer = get_addr(rest.p, rest.p + 2 * ip, (uint8_t)ip);
	out->local = get_addr(rest.p + ip, rest.p + 2 * ip + 2, (uint8_t)ip);
	out->has_addr = true;
	if (!find_tls(str_skip(rest, 2 * ip + 4), &out->has_tls))
		return not_a_header(e, "bad TLV");
	return STEP_DONE;
}

/* True when `bytes` and `start` agree as far as both go. */
static bool
may_become(struct str bytes, struct str start)
{
	size_t n = bytes.n < start.n ? bytes.n : start.n;

	return str_eq(str_head(bytes, n), str_head(start, n));
}

enum step
proxy_parse(struct str bytes, struct proxy_header *out, struct err *e)
{
	struct proxy_header h = {0};
	enum step step;

	if (may_become(bytes, v2_start))
		step =
		    bytes.n < v2_start.n ? STEP_MORE : parse_v2(bytes, &h, e);
	else if (may_become(bytes, v1_start))
		step =
		    bytes.n < v1_start.n ? STEP_MORE : parse_v1(bytes, &h, e);
	else
		return not_a_header(e, "missing");
	if (step == STEP_DONE)
		*out = h;
	return step;
}
