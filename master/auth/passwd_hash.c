/* SPDX-License-Identifier: ISC */
/*
 * passwd_hash.c - is this the password behind this stored value?
 *
 * Owns:    nothing.
 * Runs in: the passwd-file child of authd, as the pass user.
 * Trusts:  the administrator's file as far as its syntax goes; not its sizes.
 * Spec:    crypt(5); RFC 5802 section 3, RFC 7677 (SCRAM-SHA-256); the
 *          prefixes and the SCRAM form are those of Dovecot's passwd-file.
 */
#include <crypt.h>
#include <gsasl.h>
#include <stdlib.h>

#include "auth/passwd_hash.h"
#include "base/bounds.h"
#include "base/buf.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/secret.h"
#include "text/base64.h"

enum scheme {
	SCHEME_CRYPT,
	SCHEME_PLAIN,
	SCHEME_SCRAM_SHA256,
};

static const struct {
	struct str name;
	enum scheme scheme;
} schemes[] = {
    {STR_LIT("CRYPT"), SCHEME_CRYPT},
    {STR_LIT("YESCRYPT"), SCHEME_CRYPT},
    {STR_LIT("BLF-CRYPT"), SCHEME_CRYPT},
    {STR_LIT("SHA512-CRYPT"), SCHEME_CRYPT},
    {STR_LIT("SHA256-CRYPT"), SCHEME_CRYPT},
    {STR_LIT("MD5-CRYPT"), SCHEME_CRYPT},
    {STR_LIT("DES-CRYPT"), SCHEME_CRYPT},
    {STR_LIT("PLAIN"), SCHEME_PLAIN},
    {STR_LIT("CLEAR"), SCHEME_PLAIN},
    {STR_LIT("CLEARTEXT"), SCHEME_PLAIN},
    {STR_LIT("SCRAM-SHA-256"), SCHEME_SCRAM_SHA256},
};

/* Takes "{SCHEME}" off *stored. */
static int
cut_scheme(struct str *stored, enum scheme *scheme, struct err *e)
{
	size_t end, i;
	struct str name;

	*scheme = SCHEME_CRYPT;
	if (stored->n == 0 || stored->p[0] != '{')
		return 0;
	end = str_find(*stored, '}');
	if (end == stored->n)
		return err_set(e, ERR_CORRUPT, "no } behind the scheme");
	name = str_make(stored->p + 1, end - 1);
	for (i = 0; i < ARRAY_LEN(schemes); i++)
		if (str_eq_nocase(name, schemes[i].name)) {
			*scheme = schemes[i].scheme;
			*stored = str_skip(*stored, end + 1);
			return 0;
		}
	return err_set(e, ERR_UNSUPPORTED, "unknown password scheme");
}

static int
verify_crypt(struct str stored, struct str password, bool *match, struct err *e)
{
	struct crypt_data *data;
	struct secret setting, phrase;
	const char *hash;

	*match = false;
	/* "*" and "!" lock an account; crypt(3) reports errors as "*0". */
	if (stored.n < 2 || stored.p[0] == '*' || stored.p[0] == '!')
		return 0;
	if (stored.n >= CRYPT_OUTPUT_SIZE || password.n > PASSWORD_MAX ||
	    str_find(stored, '\0') < stored.n)
		return err_set(e, ERR_CORRUPT, "not a password hash");
	secret_init(&setting, stored);
	secret_init(&phrase, password);
	data = mem_new(1, sizeof(*data));
	hash = crypt_r(phrase.p, setting.p, data);
	*match = hash != NULL && hash[0] != '*' && hash[0] != '!' &&
	    strlen(hash) >= 2 && secret_eq(str_of(hash), stored);
	secret_wipe(data, sizeof(*data));
	MEM_FREE(data);
	secret_done(&setting);
	secret_done(&phrase);
	return 0;
}

/* Base64 of at most `max` bytes; *n says how many they are. */
static bool
get_base64(struct str text, unsigned char *out, size_t max, size_t *n)
{
	struct buf b;
	bool ok;

	buf_init(&b, max + 4); /* the decoder asks for whole groups */
	ok = base64_decode(&b, text) && !buf_is_over(&b) && b.n <= max;
	if (ok && b.n > 0)
		memcpy(out, b.p, b.n);
	*n = b.n;
	buf_wipe(&b);
	buf_done(&b);
	return ok;
}

/* "iterations,salt,StoredKey,ServerKey", the last three in base64. */
static int
parse_scram(struct str s, struct passwd_hash_keys *k, struct err *e)
{
	struct str iter, salt, stored;
	size_t stored_n, server_n;

	memset(k, 0, sizeof(*k));
	if (str_cut(&s, ',', &iter) && str_cut(&s, ',', &salt) &&
	    str_cut(&s, ',', &stored) &&
	    num_parse_u32(iter, 1, PASSWD_HASH_ITER_MAX, &k->iter) &&
	    get_base64(salt, k->salt, sizeof(k->salt), &k->salt_n) &&
	    k->salt_n > 0 &&
	    get_base64(stored, k->stored, sizeof(k->stored), &stored_n) &&
	    get_base64(s, k->server, sizeof(k->server), &server_n) &&
	    stored_n == sizeof(k->stored) && server_n == sizeof(k->server))
		return 0;
	return err_set(e, ERR_CORRUPT,
	    "{SCRAM-SHA-256} is not iterations,salt,StoredKey,ServerKey");
}

/* Makes stored and server key of a password for k's salt and iterations. */
static int
derive(struct str password, struct passwd_hash_keys *k, struct err *e)
{
	char salted[GSASL_HASH_MAX_SIZE], client[GSASL_HASH_MAX_SIZE];
	char server[GSASL_HASH_MAX_SIZE], stored[GSASL_HASH_MAX_SIZE];
	struct secret phrase;
	char *prepared = NULL;
	int rc;

	/* RFC 5802: SASLprep; what it refuses is taken as it is typed. */
	secret_init(&phrase, password);
	if (gsasl_saslprep(phrase.p, GSASL_ALLOW_UNASSIGNED, &prepared, NULL) !=
	    GSASL_OK)
		prepared = NULL;
	rc = gsasl_scram_secrets_from_password(GSASL_HASH_SHA256,
	    prepared != NULL ? prepared : phrase.p, k->iter,
	    (const char *)k->salt, k->salt_n, salted, client, server, stored);
	if (prepared != NULL)
		secret_wipe(prepared, strlen(prepared));
	free(prepared);
	secret_done(&phrase);
	if (rc != GSASL_OK)
		return err_set(
		    e, ERR_OTHER, "SCRAM keys: %s", gsasl_strerror(rc));
	memcpy(k->stored, stored, sizeof(k->stored));
	memcpy(k->server, server, sizeof(k->server));
	secret_wipe(salted, sizeof(salted));
	secret_wipe(client, sizeof(client));
	secret_wipe(server, sizeof(server));
	secret_wipe(stored, sizeof(stored));
	return 0;
}

static int
verify_scram(struct str stored, struct str password, bool *match, struct err *e)
{
	struct passwd_hash_keys want, got;

	if (parse_scram(stored, &want, e) == -1)
		return -1;
	got = want;
	if (derive(password, &got, e) == -1)
		return -1;
	*match = secret_eq(str_make(want.stored, sizeof(want.stored)),
	    str_make(got.stored, sizeof(got.stored)));
	secret_wipe(&want, sizeof(want));
	secret_wipe(&got, sizeof(got));
	return 0;
}

int
passwd_hash_verify(
    struct str stored, struct str password, bool *match, struct err *e)
{
	enum scheme scheme;

	if (cut_scheme(&stored, &scheme, e) == -1)
		return -1;
	/* An empty value or password never opens anything. */
	if (stored.n == 0 || password.n == 0) {
		*match = false;
		return 0;
	}
	switch (scheme) {
	case SCHEME_PLAIN:
		*match = secret_eq(stored, password);
		return 0;
	case SCHEME_SCRAM_SHA256:
		return verify_scram(stored, password, match, e);
	case SCHEME_CRYPT:
		break;
	}
	return verify_crypt(stored, password, match, e);
}

bool
passwd_hash_is_clean(struct str stored)
{
	enum scheme scheme;
	struct err ignored;

	return cut_scheme(&stored, &scheme, &ignored) == 0 &&
	    scheme != SCHEME_SCRAM_SHA256;
}

void
passwd_hash_keys_decoy(void)
{
	struct passwd_hash_keys nobody = {
	    .iter = PASSWD_HASH_ITER_DEFAULT, .salt_n = 16};
	struct err ignored;

	(void)derive(STR("nobody's"), &nobody, &ignored);
}

int
passwd_hash_keys(struct str stored, const unsigned char salt[16],
    struct passwd_hash_keys *out, struct err *e)
{
	enum scheme scheme;

	if (cut_scheme(&stored, &scheme, e) == -1)
		return -1;
	if (scheme == SCHEME_SCRAM_SHA256) {
		if (parse_scram(stored, out, e) == -1)
			return -1;
		passwd_hash_keys_decoy();
		return 0;
	}
	if (scheme != SCHEME_PLAIN || stored.n == 0)
		return err_set(e, ERR_UNSUPPORTED, "no SCRAM keys");
	memset(out, 0, sizeof(*out));
	out->iter = PASSWD_HASH_ITER_DEFAULT;
	out->salt_n = 16;
	memcpy(out->salt, salt, 16);
	return derive(stored, out, e);
}

struct str
passwd_hash_dummy(void)
{
	/* yescrypt with Debian's cost; the hash part belongs to no password. */
	return STR("$y$j9T$F5Jx5fExrKuPp53xLKQ..1$"
		   "...........................................");
}
