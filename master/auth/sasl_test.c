/* SPDX-License-Identifier: ISC */
/*
 * sasl_test.c - each mechanism: good exchanges, wrong ones, nonsense. SCRAM's
 * other side is written out here by the RFC, with the HMACs of nettle.
 */
#include <nettle/hmac.h>
#include <nettle/pbkdf2.h>
#include <nettle/sha2.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#include "auth/sasl.h"
#include "text/base64.h"

static struct sasl_lib *lib;
static const struct sasl_binding no_binding;

static int
set_up(UNUSED void **state)
{
	struct err e;

	return sasl_lib_init(&lib, &e);
}

static int
tear_down(UNUSED void **state)
{
	sasl_lib_free(&lib);
	return 0;
}

static enum sasl_said
one_step(const char *mech, struct str input)
{
	struct sasl *s = sasl_new(lib, str_of(mech), &no_binding);
	enum sasl_said said;
	struct buf out;

	buf_init(&out, 10000);
	assert_non_null(s);
	said = sasl_step(s, input, true, &out);
	sasl_free(&s);
	assert_null(s);
	buf_done(&out);
	return said;
}

static void
test_plain(UNUSED void **state)
{
	struct sasl *s = sasl_new(lib, STR("plain"), &no_binding);
	struct buf out;
	struct str long_password;
	static char big[3000];

	buf_init(&out, 10000);
	/* Without an initial response there is an empty challenge. */
	assert_int_equal(sasl_step(s, STR(""), false, &out), SASL_CHALLENGE);
	assert_int_equal(out.n, 0);
	assert_int_equal(
	    sasl_step(s, STR("z\0bob\0sec ret"), true, &out), SASL_PASSWORD);
	assert_true(str_eq(sasl_name(s), STR("bob")));
	assert_true(str_eq(sasl_authzid(s), STR("z")));
	assert_true(str_eq(sasl_password(s), STR("sec ret")));
	sasl_free(&s);
	s = sasl_new(lib, STR("PLAIN"), &no_binding);
	assert_int_equal(
	    sasl_step(s, STR("\0bob\0\303\244"), true, &out), SASL_PASSWORD);
	assert_int_equal(sasl_authzid(s).n, 0);
	assert_true(str_eq(sasl_password(s), STR("\303\244")));
	sasl_free(&s);
	/* Any bytes but NUL may be in a password, and stay as they are. */
	s = sasl_new(lib, STR("PLAIN"), &no_binding);
	assert_int_equal(
	    sasl_step(s, STR("\0bob\0\t\1\344\302\252 "), true, &out),
	    SASL_PASSWORD);
	assert_true(str_eq(sasl_password(s), STR("\t\1\344\302\252 ")));
	sasl_free(&s);
	assert_int_equal(one_step("PLAIN", STR("\0\0x")), SASL_MALFORMED);
	/* Three NULs, one, none, nothing; a password is never cut at a NUL. */
	assert_int_equal(
	    one_step("PLAIN", STR("\0bob\0sec\0ret")), SASL_MALFORMED);
	assert_int_equal(one_step("PLAIN", STR("\0bob")), SASL_MALFORMED);
	assert_int_equal(one_step("PLAIN", STR("bob")), SASL_MALFORMED);
	assert_int_equal(one_step("PLAIN", STR("")), SASL_MALFORMED);
	memset(big, 'x', sizeof(big));
	big[0] = big[4] = '\0';
	long_password = str_make(big, sizeof(big));
	assert_int_equal(one_step("PLAIN", long_password), SASL_PASSWORD);
	assert_null(sasl_new(lib, STR("CRAM-MD5"), &no_binding));
	assert_null(sasl_new(lib, STR("ANONYMOUS"), &no_binding));
	assert_null(sasl_new(lib, STR(""), &no_binding));
	buf_done(&out);
}

static void
test_login(UNUSED void **state)
{
	struct sasl *s;
	struct buf out;
	int with_initial;

	buf_init(&out, 10000);
	for (with_initial = 0; with_initial < 2; with_initial++) {
		s = sasl_new(lib, STR("LOGIN"), &no_binding);
		if (!with_initial) {
			assert_int_equal(
			    sasl_step(s, STR(""), false, &out), SASL_CHALLENGE);
			assert_true(str_eq(buf_str(&out), STR("Username:")));
		}
		assert_int_equal(
		    sasl_step(s, STR("bob"), true, &out), SASL_CHALLENGE);
		assert_true(str_eq(buf_str(&out), STR("Password:")));
		assert_int_equal(
		    sasl_step(s, STR("secret"), true, &out), SASL_PASSWORD);
		assert_true(str_eq(sasl_name(s), STR("bob")));
		assert_true(str_eq(sasl_password(s), STR("secret")));
		sasl_free(&s);
	}
	assert_int_equal(one_step("LOGIN", STR("b\0b")), SASL_MALFORMED);
	assert_int_equal(one_step("LOGIN", STR("")), SASL_MALFORMED);
	buf_done(&out);
}

/* ---- the client's side of SCRAM-SHA-256 ---- */

#define CLIENT_NONCE "rOprNGfwEbeRWgbNEkqO"

struct scram {
	struct sasl *s;
	struct buf out; /* the server's last challenge */
	struct sasl_keys keys;
	uint8_t salted[32], stored[32], server[32];
	struct buf final;
};

static void
hmac(const uint8_t key[32], struct str text, uint8_t out[32])
{
	struct hmac_sha256_ctx h;

	hmac_sha256_set_key(&h, 32, key);
	hmac_sha256_update(&h, text.n, (const uint8_t *)text.p);
	hmac_sha256_digest(&h, 32, out);
}

static void
make_keys(struct scram *c, const char *password)
{
	struct sha256_ctx h;
	uint8_t client[32];

	c->keys.iter = 4096;
	c->keys.salt = STR("0123456789abcdef");
	pbkdf2_hmac_sha256(strlen(password), (const uint8_t *)password, 4096,
	    16, (const uint8_t *)c->keys.salt.p, 32, c->salted);
	hmac(c->salted, STR("Client Key"), client);
	hmac(c->salted, STR("Server Key"), c->server);
	sha256_init(&h);
	sha256_update(&h, 32, client);
	sha256_digest(&h, 32, c->stored);
	c->keys.stored = str_make(c->stored, 32);
	c->keys.server = str_make(c->server, 32);
}

/* client-final-message for the challenge in c->out (RFC 5802 section 3). */
static void
make_final(struct scram *c, const char *password, const char *bare,
    struct str gs2_and_binding)
{
	uint8_t client[32], stored[32], signature[32], salted[32];
	struct str rest = buf_str(&c->out), nonce;
	struct buf auth, head;
	struct sha256_ctx h;
	int i;

	buf_init(&auth, 4000);
	buf_init(&head, 4000);
	(void)str_cut(&rest, ',', &nonce);
	buf_add_c(&head, "c=");
	base64_encode(&head, gs2_and_binding);
	buf_addf(&head, ",%.*s", STR_ARG(nonce));
	buf_addf(&auth, "%s,%.*s,%.*s", bare, STR_ARG(buf_str(&c->out)),
	    STR_ARG(buf_str(&head)));
	pbkdf2_hmac_sha256(strlen(password), (const uint8_t *)password, 4096,
	    16, (const uint8_t *)c->keys.salt.p, 32, salted);
	hmac(salted, STR("Client Key"), client);
	sha256_init(&h);
	sha256_update(&h, 32, client);
	sha256_digest(&h, 32, stored);
	hmac(stored, buf_str(&auth), signature);
	for (i = 0; i < 32; i++)
		client[i] ^= signature[i];
	buf_clear(&c->final);
	buf_add_str(&c->final, buf_str(&head));
	buf_add_c(&c->final, ",p=");
	base64_encode(&c->final, str_make(client, 32));
	buf_done(&auth);
	buf_done(&head);
}

static void
scram_start(struct scram *c, const char *mech, const struct sasl_binding *b)
{
	*c = (struct scram){0};
	buf_init(&c->out, 10000);
	buf_init(&c->final, 10000);
	make_keys(c, "pencil");
	c->s = sasl_new(lib, str_of(mech), b);
	assert_non_null(c->s);
}

static void
scram_done(struct scram *c)
{
	sasl_free(&c->s);
	buf_done(&c->out);
	buf_done(&c->final);
}

/* A whole exchange; answers what the server says to the final message. */
static enum sasl_said
exchange(struct scram *c, const char *gs2, struct str binding, const char *name,
    const char *password)
{
	struct buf first, cb;
	char bare[200];
	enum sasl_said said;

	buf_init(&first, 1000);
	buf_init(&cb, 1000);
	(void)snprintf(bare, sizeof(bare), "n=%s,r=" CLIENT_NONCE, name);
	buf_addf(&first, "%s%s", gs2, bare);
	said = sasl_step(c->s, buf_str(&first), true, &c->out);
	if (said == SASL_NEEDS_KEYS) {
		said = sasl_keys(c->s, &c->keys, &c->out);
		assert_int_equal(said, SASL_CHALLENGE);
		assert_true(
		    str_starts(buf_str(&c->out), STR("r=" CLIENT_NONCE)));
		buf_add_c(&cb, gs2);
		buf_add_str(&cb, binding);
		make_final(c, password, bare, buf_str(&cb));
		said = sasl_step(c->s, buf_str(&c->final), true, &c->out);
	}
	buf_done(&first);
	buf_done(&cb);
	return said;
}

static void
test_scram(UNUSED void **state)
{
	struct scram c;

	scram_start(&c, "SCRAM-SHA-256", &no_binding);
	assert_int_equal(
	    sasl_step(c.s, STR(""), false, &c.out), SASL_CHALLENGE);
	assert_int_equal(c.out.n, 0);
	assert_int_equal(
	    exchange(&c, "n,,", STR(""), "us=2Cer", "pencil"), SASL_CHALLENGE);
	assert_true(str_eq(sasl_name(c.s), STR("us,er")));
	/* The server proves itself, too. */
	assert_true(str_starts(buf_str(&c.out), STR("v=")));
	assert_int_equal(sasl_step(c.s, STR(""), true, &c.out), SASL_PROVED);
	scram_done(&c);
	/* Something in place of the last empty answer. */
	scram_start(&c, "SCRAM-SHA-256", &no_binding);
	assert_int_equal(exchange(&c, "n,a=bob,", STR(""), "user", "pencil"),
	    SASL_CHALLENGE);
	assert_true(str_eq(sasl_authzid(c.s), STR("bob")));
	assert_int_equal(
	    sasl_step(c.s, STR("x"), true, &c.out), SASL_MALFORMED);
	scram_done(&c);
	scram_start(&c, "SCRAM-SHA-256", &no_binding);
	assert_int_equal(
	    exchange(&c, "n,,", STR(""), "user", "pencils"), SASL_WRONG);
	scram_done(&c);
	/* Supports bindings, was not offered any: fine. */
	scram_start(&c, "SCRAM-SHA-256", &no_binding);
	assert_int_equal(
	    exchange(&c, "y,,", STR(""), "user", "pencil"), SASL_CHALLENGE);
	scram_done(&c);
}

static void
test_scram_binding(UNUSED void **state)
{
	const struct sasl_binding exporter = {
	    .exporter = STR("0123456789abcdef0123456789abcdef"),
	    .offered = true};
	const struct sasl_binding both = {.exporter = STR("exporter"),
	    .unique = STR("unique"),
	    .offered = true};
	const struct sasl_binding not_offered = {.exporter = STR("exporter")};
	struct scram c;

	scram_start(&c, "SCRAM-SHA-256-PLUS", &exporter);
	assert_int_equal(exchange(&c, "p=tls-exporter,,", exporter.exporter,
			     "user", "pencil"),
	    SASL_CHALLENGE);
	assert_int_equal(sasl_step(c.s, STR(""), true, &c.out), SASL_PROVED);
	scram_done(&c);
	scram_start(&c, "SCRAM-SHA-256-PLUS", &both);
	assert_int_equal(
	    exchange(&c, "p=tls-unique,,", STR("unique"), "user", "pencil"),
	    SASL_CHALLENGE);
	scram_done(&c);
	/* Somebody in the middle: another connection's binding. */
	scram_start(&c, "SCRAM-SHA-256-PLUS", &exporter);
	assert_int_equal(
	    exchange(&c, "p=tls-exporter,,",
		STR("0123456789abcdef0123456789abcdeX"), "user", "pencil"),
	    SASL_WRONG);
	scram_done(&c);
	/* A downgrade: "I could, you can not", said to one that can. */
	scram_start(&c, "SCRAM-SHA-256", &exporter);
	assert_int_equal(
	    exchange(&c, "y,,", STR(""), "user", "pencil"), SASL_WRONG);
	scram_done(&c);
	scram_start(&c, "SCRAM-SHA-256", &not_offered);
	assert_int_equal(
	    exchange(&c, "y,,", STR(""), "user", "pencil"), SASL_CHALLENGE);
	scram_done(&c);
	/* A binding where none belongs, none where one does, unknown ones. */
	scram_start(&c, "SCRAM-SHA-256", &exporter);
	assert_int_equal(exchange(&c, "p=tls-exporter,,", exporter.exporter,
			     "user", "pencil"),
	    SASL_WRONG);
	scram_done(&c);
	scram_start(&c, "SCRAM-SHA-256-PLUS", &exporter);
	assert_int_equal(
	    exchange(&c, "n,,", STR(""), "user", "pencil"), SASL_WRONG);
	scram_done(&c);
	scram_start(&c, "SCRAM-SHA-256-PLUS", &exporter);
	assert_int_equal(
	    exchange(&c, "p=tls-unique,,", STR("x"), "user", "pencil"),
	    SASL_WRONG);
	scram_done(&c);
	scram_start(&c, "SCRAM-SHA-256-PLUS", &no_binding);
	assert_int_equal(
	    exchange(&c, "p=tls-exporter,,", STR("x"), "user", "pencil"),
	    SASL_WRONG);
	scram_done(&c);
}

static void
test_scram_nonsense(UNUSED void **state)
{
	static const struct str firsts[] = {STR_LIT(""), STR_LIT("x"),
	    STR_LIT("n"), STR_LIT("n,"), STR_LIT("n,,"), STR_LIT("n,,n="),
	    STR_LIT("n,,n=user"), STR_LIT("n,,r=x"), STR_LIT("n,,n=,r=x"),
	    STR_LIT("n,,n=a\0b,r=x"), STR_LIT("\377\376")};
	struct scram c;
	size_t i, n;

	for (i = 0; i < ARRAY_LEN(firsts); i++)
		assert_int_not_equal(
		    one_step("SCRAM-SHA-256", firsts[i]), SASL_NEEDS_KEYS);
	/* A good final message cut short anywhere never proves anything. */
	scram_start(&c, "SCRAM-SHA-256", &no_binding);
	assert_int_equal(
	    exchange(&c, "n,,", STR(""), "user", "pencil"), SASL_CHALLENGE);
	n = c.final.n;
	scram_done(&c);
	for (i = 0; i < n; i++) {
		enum sasl_said said;

		scram_start(&c, "SCRAM-SHA-256", &no_binding);
		sasl_step(c.s, STR("n,,n=user,r=" CLIENT_NONCE), true, &c.out);
		sasl_keys(c.s, &c.keys, &c.out);
		make_final(&c, "pencil", "n=user,r=" CLIENT_NONCE, STR("n,,"));
		said = sasl_step(c.s, str_make(c.final.p, i), true, &c.out);
		assert_true(said == SASL_MALFORMED || said == SASL_WRONG);
		scram_done(&c);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_plain),
	    cmocka_unit_test(test_login),
	    cmocka_unit_test(test_scram),
	    cmocka_unit_test(test_scram_binding),
	    cmocka_unit_test(test_scram_nonsense),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
