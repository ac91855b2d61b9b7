/* SPDX-License-Identifier: ISC */
/*
 * tls_sign.c - signatures by a key that is in another process.
 *
 * keyd signs only what is visibly a handshake of a TLS server, so it must see
 * the bytes, not their digest. For RSA and ECDSA keys GnuTLS gives the
 * callback the digest alone. The bytes lie in a buffer which GnuTLS has
 * allocated a moment before; we let it allocate through its own documented
 * function pointers, remember the last few blocks, and take the one whose
 * content has that digest. What is found can not be wrong (the digest
 * decides); should another GnuTLS lay it out differently, nothing is found,
 * and tls_server_warm() says so before the first client.
 *
 * Owns:    the ring of GnuTLS's last allocations.
 * Runs in: login parent and workers.
 * Trusts:  GnuTLS.
 * Spec:    RFC 8446 section 4.4.3, RFC 8422 section 5.4.
 */
#include <gnutls/crypto.h>
#include <stdlib.h>

#include "base/num.h"
#include "net/tls_impl.h"

#define RING 64
#define BLOCK_MAX 8192 /* what is signed is small */
#define VERIFY_FIXED 98 /* 64 spaces, 33 bytes of context, a zero byte */

static struct block {
	void *p;
	size_t n;
} ring[RING];
static unsigned ring_next;

static void
forget(const void *p)
{
	if (p == NULL)
		return;
	for (unsigned i = 0; i < RING; i++) {
		if (ring[i].p == p)
			ring[i].p = NULL;
	}
}

static void *
remember(void *p, size_t n)
{
	if (n <= BLOCK_MAX)
		ring[ring_next++ % RING] = (struct block){p, n};
	return p;
}

static void *
watched_malloc(size_t n)
{
	return remember(malloc(n), n);
}

static void *
watched_calloc(size_t count, size_t n)
{
	size_t sum;

	if (!num_mul(count, n, &sum))
		return NULL;
	return remember(calloc(1, sum), sum);
}

static void *
watched_realloc(void *old, size_t n)
{
	forget(old);
	return remember(realloc(old, n), n);
}

static void
watched_free(void *p)
{
	forget(p);
	free(p);
}

void
tls_sign_watch(void)
{
	gnutls_malloc = watched_malloc;
	gnutls_calloc = watched_calloc;
	gnutls_realloc = watched_realloc;
	gnutls_free = watched_free;
}

static const struct scheme {
	gnutls_sign_algorithm_t sign;
	gnutls_digest_algorithm_t hash;
	uint16_t number; /* IANA TLS SignatureScheme */
} schemes[] = {
    {GNUTLS_SIGN_ECDSA_SECP256R1_SHA256, GNUTLS_DIG_SHA256, 0x0403},
    {GNUTLS_SIGN_ECDSA_SECP384R1_SHA384, GNUTLS_DIG_SHA384, 0x0503},
    {GNUTLS_SIGN_ECDSA_SECP521R1_SHA512, GNUTLS_DIG_SHA512, 0x0603},
    {GNUTLS_SIGN_ECDSA_SHA256, GNUTLS_DIG_SHA256, 0x0403},
    {GNUTLS_SIGN_ECDSA_SHA384, GNUTLS_DIG_SHA384, 0x0503},
    {GNUTLS_SIGN_ECDSA_SHA512, GNUTLS_DIG_SHA512, 0x0603},
    {GNUTLS_SIGN_RSA_PSS_RSAE_SHA256, GNUTLS_DIG_SHA256, 0x0804},
    {GNUTLS_SIGN_RSA_PSS_RSAE_SHA384, GNUTLS_DIG_SHA384, 0x0805},
    {GNUTLS_SIGN_RSA_PSS_RSAE_SHA512, GNUTLS_DIG_SHA512, 0x0806},
    {GNUTLS_SIGN_RSA_SHA256, GNUTLS_DIG_SHA256, 0x0401},
    {GNUTLS_SIGN_RSA_SHA384, GNUTLS_DIG_SHA384, 0x0501},
    {GNUTLS_SIGN_RSA_SHA512, GNUTLS_DIG_SHA512, 0x0601},
    {GNUTLS_SIGN_EDDSA_ED25519, GNUTLS_DIG_UNKNOWN, 0x0807},
};

/* `digest` shrinks to the digest itself when it is a DigestInfo around it. */
static const struct scheme *
find_scheme(gnutls_sign_algorithm_t sign, struct str *digest)
{
	if (sign == GNUTLS_SIGN_RSA_RAW) {
		/* PKCS#1 1.5: the fixed 19 bytes before a SHA-2 digest. */
		switch (digest->n) {
		case 19 + 32:
			sign = GNUTLS_SIGN_RSA_SHA256;
			break;
		case 19 + 48:
			sign = GNUTLS_SIGN_RSA_SHA384;
			break;
		case 19 + 64:
			sign = GNUTLS_SIGN_RSA_SHA512;
			break;
		default:
			return NULL;
		}
		*digest = str_skip(*digest, 19);
	}
	for (size_t i = 0; i < ARRAY_LEN(schemes); i++) {
		if (schemes[i].sign == sign)
			return &schemes[i];
	}
	return NULL;
}

static bool
has_digest(struct str input, gnutls_digest_algorithm_t hash, struct str digest)
{
	uint8_t have[64];

	return gnutls_hash_get_len(hash) == digest.n &&
	    gnutls_hash_fast(hash, input.p, input.n, have) == 0 &&
	    memcmp(have, digest.p, digest.n) == 0;
}

/* What of this block may have been signed? */
static bool
try_block(const struct block *b, gnutls_digest_algorithm_t hash,
    struct str digest, struct str *input)
{
	/* The transcript digest at its end is SHA-256 or SHA-384. */
	for (size_t n = VERIFY_FIXED + 32; n <= VERIFY_FIXED + 48; n += 16) {
		*input = str_make(b->p, n);
		if (b->n >= n && memcmp(b->p, "        ", 8) == 0 &&
		    has_digest(*input, hash, digest))
			return true;
	}
	/* ServerKeyExchange: a block of exactly that size. */
	*input = str_make(b->p, b->n);
	return b->n > 64 && b->n <= TLS_SIGN_INPUT_MAX &&
	    has_digest(*input, hash, digest);
}

static bool
find_input(gnutls_digest_algorithm_t hash, struct str digest, struct str *input)
{
	struct block newest_first[RING];

	/* Hashing allocates: work on a copy. */
	for (unsigned i = 0; i < RING; i++)
		newest_first[i] = ring[(ring_next - 1 - i) % RING];
	for (unsigned i = 0; i < RING; i++) {
		if (newest_first[i].p != NULL &&
		    try_block(&newest_first[i], hash, digest, input))
			return true;
	}
	return false;
}

static int
ask_signer(struct tls_key *key, uint16_t scheme, struct str input,
    gnutls_datum_t *signature)
{
	struct tls_server *ts = key->server;
	struct buf out;
	int rc = GNUTLS_E_PK_SIGN_FAILED;

	buf_init(&out, TLS_SIGNATURE_MAX);
	if (ts->sign == NULL)
		(void)err_set(&ts->sign_err, ERR_OTHER, "no signer set");
	else if (ts->sign(ts->sign_arg, key->cert, scheme, input, &out,
		     &ts->sign_err) == 0) {
		signature->data = gnutls_malloc(out.n);
		signature->size = (unsigned)out.n;
		if (signature->data != NULL) {
			memcpy(signature->data, out.p, out.n);
			rc = 0;
		}
	}
	buf_done(&out);
	return rc;
}

static int
sign_hash(UNUSED gnutls_privkey_t handle, gnutls_sign_algorithm_t sign,
    void *arg, UNUSED unsigned flags, const gnutls_datum_t *hash,
    gnutls_datum_t *signature)
{
	struct tls_key *key = arg;
	struct str digest = str_make(hash->data, hash->size), input;
	const struct scheme *s = find_scheme(sign, &digest);

	if (s == NULL) {
		(void)err_set(&key->server->sign_err, ERR_UNSUPPORTED,
		    "signature algorithm %s", gnutls_sign_get_name(sign));
		return GNUTLS_E_UNKNOWN_PK_ALGORITHM;
	}
	if (!find_input(s->hash, digest, &input)) {
		(void)err_set(&key->server->sign_err, ERR_UNSUPPORTED,
		    "this GnuTLS (%s) does not show what it signs",
		    gnutls_check_version(NULL));
		return GNUTLS_E_PK_SIGN_FAILED;
	}
	return ask_signer(key, s->number, input, signature);
}

/* Ed25519: GnuTLS gives the bytes themselves. */
static int
sign_data(UNUSED gnutls_privkey_t handle, gnutls_sign_algorithm_t sign,
    void *arg, UNUSED unsigned flags, const gnutls_datum_t *data,
    gnutls_datum_t *signature)
{
	struct str none = {0};
	const struct scheme *s = find_scheme(sign, &none);

	if (s == NULL || s->hash != GNUTLS_DIG_UNKNOWN)
		return GNUTLS_E_UNKNOWN_PK_ALGORITHM;
	return ask_signer(
	    arg, s->number, str_make(data->data, data->size), signature);
}

static int
key_info(UNUSED gnutls_privkey_t handle, unsigned flags, void *arg)
{
	const struct tls_key *key = arg;

	if (flags & GNUTLS_PRIVKEY_INFO_PK_ALGO)
		return key->pk;
	if (flags & GNUTLS_PRIVKEY_INFO_PK_ALGO_BITS)
		return (int)key->bits;
	if (flags & GNUTLS_PRIVKEY_INFO_HAVE_SIGN_ALGO) {
		gnutls_sign_algorithm_t sign =
		    (gnutls_sign_algorithm_t)GNUTLS_FLAGS_TO_SIGN_ALGO(flags);

		return sign == GNUTLS_SIGN_RSA_RAW ||
		    gnutls_sign_supports_pk_algorithm(
			sign, (gnutls_pk_algorithm_t)key->pk) != 0;
	}
	return -1;
}

int
tls_sign_key_new(struct tls_key *key, gnutls_privkey_t *out, struct err *e)
{
	int r = gnutls_privkey_init(out);

	if (r < 0)
		return tls_err(e, ERR_OTHER, r, "privkey_init");
	r = gnutls_privkey_import_ext4(
	    *out, key, sign_data, sign_hash, NULL, NULL, key_info, 0);
	if (r < 0) {
		gnutls_privkey_deinit(*out);
		return tls_err(e, ERR_OTHER, r, "external private key");
	}
	return 0;
}
