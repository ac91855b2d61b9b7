/* SPDX-License-Identifier: ISC */
/*
 * sasl.h - one SASL exchange as a machine without I/O: bytes of the client in,
 * what to do next out. The mechanisms are libgsasl's.
 *
 *	FIRST --step--> SASL_CHALLENGE --step--> ... SASL_PASSWORD   (PLAIN, LOGIN)
 *	FIRST --step--> SASL_NEEDS_KEYS --keys--> SASL_CHALLENGE
 *	      --step--> SASL_CHALLENGE --step (empty)--> SASL_PROVED  (SCRAM)
 *	any   --step--> SASL_WRONG, SASL_MALFORMED
 */
#ifndef AUTH_SASL_H
#define AUTH_SASL_H

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

struct sasl;
struct sasl_lib;

enum sasl_said {
	SASL_CHALLENGE, /* `out` goes to the client, then the next step */
	SASL_PASSWORD, /* done: sasl_name() says he knows sasl_password() */
	SASL_NEEDS_KEYS, /* call sasl_keys() with those of sasl_name() */
	SASL_PROVED, /* done: it is sasl_name() */
	SASL_WRONG, /* done: it is not, or the binding is another one's */
	SASL_MALFORMED, /* done: not what the mechanism allows */
};

/* Loads libgsasl's tables; before the sandbox. */
int sasl_lib_init(struct sasl_lib **lib, struct err *e);
void sasl_lib_free(struct sasl_lib **lib);

/* True for a mechanism that can be had here at all, any case. */
bool sasl_is_mechanism(struct str mech);
/* True when the mechanism sends the password itself. */
bool sasl_is_plaintext(struct str mech);

struct sasl_binding {
	struct str unique, exporter; /* empty: not there */
	bool offered; /* the -PLUS form was announced to this client */
};

/* Starts an exchange; NULL when there is no such mechanism. */
struct sasl *sasl_new(
    struct sasl_lib *lib, struct str mech, const struct sasl_binding *b);
/* Wipes what it knows. */
void sasl_free(struct sasl **sp);

/*
 * What the client sent; `has_input` is false at the start when there was no
 * initial response. `out` is emptied first; it is filled for SASL_CHALLENGE.
 */
enum sasl_said sasl_step(
    struct sasl *s, struct str input, bool has_input, struct buf *out);

/* What is kept for SCRAM (RFC 5802); borrowed. */
struct sasl_keys {
	uint32_t iter;
	struct str salt, stored, server;
};
/* Answers SASL_NEEDS_KEYS. Who is unknown gets keys too, random ones. */
enum sasl_said sasl_keys(
    struct sasl *s, const struct sasl_keys *k, struct buf *out);

/*
 * After SASL_PASSWORD: what is not ASCII in name and password becomes what
 * SASLprep makes of it (RFC 4013, as a query); false: what it forbids.
 */
bool sasl_prepare(struct sasl *s);

/* As the client said them; borrowed until sasl_free(); may be empty. */
struct str sasl_name(const struct sasl *s);
struct str sasl_authzid(const struct sasl *s);
struct str sasl_password(const struct sasl *s);

#endif
