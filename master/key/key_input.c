/* SPDX-License-Identifier: ISC */
/*
 * key_input.c - the form of what a TLS server signs.
 *
 * Runs in: keyd.
 * Trusts:  nothing: the bytes come from a worker that speaks to strangers.
 * Spec:    RFC 8446 section 4.4.3; RFC 8422 sections 5.4 and 5.1.1.
 */
#include "key/key_input.h"

#define RANDOMS 64
#define NAMED_CURVE 3

/* 64 spaces, the context, a zero byte, a digest of SHA-256 or SHA-384. */
static bool
is_tls13(struct str s)
{
	static const char context[] = "TLS 1.3, server CertificateVerify";

	for (size_t i = 0; i < 64; i++) {
		if (i >= s.n || s.p[i] != ' ')
			return false;
	}
	s = str_skip(s, 64);
	if (!str_starts(s, str_make(context, sizeof(context))))
		return false;
	s = str_skip(s, sizeof(context));
	return s.n == 32 || s.n == 48;
}

/* client random, server random, ServerECDHParams */
static bool
is_tls12(struct str s)
{
	static const struct {
		uint8_t group; /* all have 0 as their first byte */
		uint8_t point_bytes;
		bool uncompressed; /* the point begins with 4 */
	} groups[] = {
	    {23, 65, true}, /* secp256r1 */
	    {24, 97, true}, /* secp384r1 */
	    {25, 133, true}, /* secp521r1 */
	    {29, 32, false}, /* x25519 */
	    {30, 56, false}, /* x448 */
	};
	const uint8_t *p = (const uint8_t *)s.p + RANDOMS;

	if (s.n < RANDOMS + 5 || p[0] != NAMED_CURVE || p[1] != 0)
		return false;
	for (size_t i = 0; i < ARRAY_LEN(groups); i++) {
		if (groups[i].group == p[2])
			return p[3] == groups[i].point_bytes &&
			    s.n == RANDOMS + 4u + groups[i].point_bytes &&
			    (!groups[i].uncompressed || p[4] == 4);
	}
	return false;
}

enum key_input
key_input_kind(struct str input)
{
	if (is_tls13(input))
		return KEY_INPUT_TLS13;
	return is_tls12(input) ? KEY_INPUT_TLS12 : KEY_INPUT_NONE;
}
