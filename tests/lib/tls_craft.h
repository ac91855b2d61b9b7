/* SPDX-License-Identifier: ISC */
/*
 * tls_craft.h - a second, plain sealer of TLS records, for tests: any type, any
 * padding, also what no peer may send.
 */
#ifndef TESTS_LIB_TLS_CRAFT_H
#define TESTS_LIB_TLS_CRAFT_H

#include <nettle/nettle-meta.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/mem.h"
#include "net/tls_record.h"

static UNUSED const struct nettle_aead *
tls_craft_aead(uint16_t suite)
{
	switch (suite) {
	case 0x1303:
	case 0xcca8:
	case 0xcca9:
		return &nettle_chacha_poly1305;
	case 0x1301:
	case 0xc02b:
	case 0xc02f:
		return &nettle_gcm_aes128;
	default:
		return &nettle_gcm_aes256;
	}
}

/* Appends a record with the keys of `d` and sequence number `seq` to `out`. */
static UNUSED void
tls_craft(uint16_t version, uint16_t suite, const struct tls_direction *d,
    uint64_t seq, uint8_t type, struct str bytes, size_t padding,
    struct buf *out)
{
	const struct nettle_aead *aead = tls_craft_aead(suite);
	bool is_13 = version == 0x0304;
	bool is_explicit = !is_13 && aead != &nettle_chacha_poly1305;
	size_t inner_n = is_13 ? bytes.n + 1 + padding : bytes.n;
	size_t body_n = inner_n + 16 + (is_explicit ? 8 : 0);
	uint8_t header[5] = {
	    is_13 ? 23 : type, 3, 3, (uint8_t)(body_n >> 8), (uint8_t)body_n};
	uint8_t nonce[12], seq_bytes[8], aad[13], tag[16];
	uint8_t *inner = mem_new(1, inner_n + 1);
	void *ctx = mem_new(1, aead->context_size);
	int i;

	for (i = 0; i < 8; i++)
		seq_bytes[i] = (uint8_t)(seq >> (56 - 8 * i));
	memcpy(nonce, d->iv, 12);
	if (is_explicit)
		memcpy(nonce + 4, seq_bytes, 8);
	else
		for (i = 0; i < 8; i++)
			nonce[4 + i] ^= seq_bytes[i];
	if (bytes.n > 0)
		memcpy(inner, bytes.p, bytes.n);
	if (is_13)
		inner[bytes.n] = type;
	aead->set_encrypt_key(ctx, d->key);
	aead->set_nonce(ctx, nonce);
	memcpy(aad, seq_bytes, 8);
	memcpy(aad + 8, header, 3);
	aad[11] = (uint8_t)(bytes.n >> 8);
	aad[12] = (uint8_t)bytes.n;
	aead->update(ctx, is_13 ? 5 : 13, is_13 ? header : aad);
	aead->encrypt(ctx, inner_n, inner, inner);
	aead->digest(ctx, 16, tag);
	buf_add(out, header, 5);
	if (is_explicit)
		buf_add(out, seq_bytes, 8);
	buf_add(out, inner, inner_n);
	buf_add(out, tag, 16);
	free(inner);
	free(ctx);
}

#endif
