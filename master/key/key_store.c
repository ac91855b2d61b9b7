/* SPDX-License-Identifier: ISC */
/*
 * key_store.c - private keys, and signatures by them over handshakes alone.
 *
 * Owns:    the keys.
 * Runs in: keyd.
 * Trusts:  nothing in a request.
 * Spec:    RFC 8446 section 4.2.3.
 */
#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>

#include "base/mem.h"
#include "key/key_input.h"
#include "key/key_store.h"

struct key_store {
	gnutls_privkey_t keys[KEY_FILES_MAX];
	size_t n;
};

static const struct scheme {
	uint16_t number;
	gnutls_sign_algorithm_t sign;
	bool tls12_only;
} schemes[] = {
    {0x0403, GNUTLS_SIGN_ECDSA_SHA256, false},
    {0x0503, GNUTLS_SIGN_ECDSA_SHA384, false},
    {0x0603, GNUTLS_SIGN_ECDSA_SHA512, false},
    {0x0804, GNUTLS_SIGN_RSA_PSS_RSAE_SHA256, false},
    {0x0805, GNUTLS_SIGN_RSA_PSS_RSAE_SHA384, false},
    {0x0806, GNUTLS_SIGN_RSA_PSS_RSAE_SHA512, false},
    {0x0807, GNUTLS_SIGN_EDDSA_ED25519, false},
    {0x0401, GNUTLS_SIGN_RSA_SHA256, true},
    {0x0501, GNUTLS_SIGN_RSA_SHA384, true},
    {0x0601, GNUTLS_SIGN_RSA_SHA512, true},
};

struct key_store *
key_store_new(void)
{
	return mem_new(1, sizeof(struct key_store));
}

void
key_store_free(struct key_store **s)
{
	if (*s == NULL)
		return;
	for (size_t i = 0; i < KEY_FILES_MAX; i++) {
		if ((*s)->keys[i] != NULL)
			gnutls_privkey_deinit((*s)->keys[i]);
	}
	MEM_FREE(*s);
}

size_t
key_store_count(const struct key_store *s)
{
	return s->n;
}

int
key_store_add(struct key_store *s, uint32_t number, struct str path,
    struct str pem, struct err *e)
{
	gnutls_datum_t d = {(unsigned char *)(uintptr_t)pem.p, (unsigned)pem.n};
	gnutls_privkey_t key;
	int r;

	if (number >= KEY_FILES_MAX || s->keys[number] != NULL)
		return err_set(e, ERR_VIOLATION, "key number %u", number);
	r = gnutls_privkey_init(&key);
	if (r == 0) {
		r = gnutls_privkey_import_x509_raw(
		    key, &d, GNUTLS_X509_FMT_PEM, NULL, 0);
		if (r < 0)
			gnutls_privkey_deinit(key);
	}
	if (r == GNUTLS_E_DECRYPTION_FAILED)
		return err_set(e, ERR_CORRUPT,
		    "%.*s: the key is protected by a password; store it "
		    "without one, readable for root alone",
		    STR_ARG(path));
	if (r < 0)
		return err_set(e, ERR_CORRUPT, "%.*s: %s", STR_ARG(path),
		    gnutls_strerror(r));
	s->keys[number] = key;
	s->n++;
	return 0;
}

static const struct scheme *
find_scheme(uint16_t number)
{
	for (size_t i = 0; i < ARRAY_LEN(schemes); i++) {
		if (schemes[i].number == number)
			return &schemes[i];
	}
	return NULL;
}

int
key_store_sign(struct key_store *s, const struct key_sign *request,
    struct buf *signature, struct err *e)
{
	const struct scheme *scheme = find_scheme(request->scheme);
	enum key_input kind = key_input_kind(request->input);
	gnutls_datum_t data = {(unsigned char *)(uintptr_t)request->input.p,
	    (unsigned)request->input.n};
	gnutls_datum_t out = {0};
	gnutls_privkey_t key;
	int r;

	if (kind == KEY_INPUT_NONE)
		return err_set(e, ERR_VIOLATION,
		    "asked to sign what is not a TLS handshake");
	if (scheme == NULL || (scheme->tls12_only && kind == KEY_INPUT_TLS13))
		return err_set(e, ERR_VIOLATION, "asked for scheme 0x%04x",
		    request->scheme);
	if (request->number >= KEY_FILES_MAX ||
	    s->keys[request->number] == NULL)
		return err_set(
		    e, ERR_NOT_FOUND, "there is no key %u", request->number);
	key = s->keys[request->number];
	if (!gnutls_sign_supports_pk_algorithm(scheme->sign,
		(gnutls_pk_algorithm_t)gnutls_privkey_get_pk_algorithm(
		    key, NULL)))
		return err_set(e, ERR_UNSUPPORTED,
		    "key %u can not sign by scheme 0x%04x", request->number,
		    request->scheme);
	r = gnutls_privkey_sign_data2(key, scheme->sign, 0, &data, &out);
	if (r < 0)
		return err_set(e, ERR_UNSUPPORTED, "key %u: %s",
		    request->number, gnutls_strerror(r));
	(void)buf_add(signature, out.data, out.size);
	gnutls_free(out.data);
	return 0;
}
