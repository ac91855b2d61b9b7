/* SPDX-License-Identifier: ISC */
/*
 * sasl.c - one SASL exchange; LOGIN and SCRAM through libgsasl.
 *
 * Owns:    struct sasl, its gsasl session, the name and password in it.
 * Runs in: authd (the broker), which holds nothing else worth having.
 * Trusts:  nothing of the client's. libgsasl parses; what it lets pass and a
 *          mechanism forbids is refused here (a channel binding in a mechanism
 *          without one, NUL).
 * Spec:    RFC 4616 (PLAIN), RFC 4013 (SASLprep), RFC 5802, RFC 7677 (SCRAM-SHA-256), RFC 9266
 *          (tls-exporter), draft-murchison-sasl-login (LOGIN).
 */
#include <gsasl.h>
#include <stdio.h>
#include <stdlib.h>

#include "auth/sasl.h"
#include "base/assert.h"
#include "base/bounds.h"
#include "base/mem.h"
#include "base/secret.h"
#include "text/ascii.h"
#include "text/base64.h"
#include "text/utf8.h"

struct sasl_lib {
	Gsasl *gsasl;
};

enum mech {
	MECH_PLAIN,
	MECH_LOGIN,
	MECH_SCRAM,
	MECH_SCRAM_PLUS,
};

static const struct {
	struct str name;
	const char *gsasl;
	enum mech mech;
} mechs[] = {
    {STR_LIT("PLAIN"), "PLAIN", MECH_PLAIN},
    {STR_LIT("LOGIN"), "LOGIN", MECH_LOGIN},
    {STR_LIT("SCRAM-SHA-256"), "SCRAM-SHA-256", MECH_SCRAM},
    {STR_LIT("SCRAM-SHA-256-PLUS"), "SCRAM-SHA-256-PLUS", MECH_SCRAM_PLUS},
};

struct sasl {
	struct sasl_lib *lib;
	Gsasl_session *session;
	enum mech mech;
	unsigned steps;
	bool proved; /* the last challenge is on its way */
	bool offered_plus;
	char *unique, *exporter; /* base64, or NULL */
	struct secret name, authzid, password;
	struct secret first; /* SCRAM: the client's first message */
};

/*
 * libgsasl asks in the middle of a step. Passwords are judged later, by a
 * child: they are only noted here. Everything else is set before the step.
 */
static int
on_property(UNUSED Gsasl *gsasl, Gsasl_session *session, Gsasl_property prop)
{
	struct sasl *s = gsasl_session_hook_get(session);

	if (prop != GSASL_VALIDATE_SIMPLE || s == NULL)
		return GSASL_NO_CALLBACK;
	secret_done(&s->password);
	secret_init(
	    &s->password, str_of(gsasl_property_fast(session, GSASL_PASSWORD)));
	return GSASL_OK;
}

int
sasl_lib_init(struct sasl_lib **lib, struct err *e)
{
	Gsasl *gsasl;
	int rc = gsasl_init(&gsasl);

	if (rc != GSASL_OK)
		return err_set(
		    e, ERR_OTHER, "libgsasl: %s", gsasl_strerror(rc));
	gsasl_callback_set(gsasl, on_property);
	*lib = mem_new(1, sizeof(**lib));
	(*lib)->gsasl = gsasl;
	return 0;
}

void
sasl_lib_free(struct sasl_lib **lib)
{
	if (*lib == NULL)
		return;
	gsasl_done((*lib)->gsasl);
	MEM_FREE(*lib);
}

static size_t
find_mech(struct str mech)
{
	size_t i;

	for (i = 0; i < ARRAY_LEN(mechs); i++)
		if (str_eq_nocase(mechs[i].name, mech))
			break;
	return i;
}

bool
sasl_is_mechanism(struct str mech)
{
	return find_mech(mech) < ARRAY_LEN(mechs);
}

bool
sasl_is_plaintext(struct str mech)
{
	size_t i = find_mech(mech);

	return i < ARRAY_LEN(mechs) && mechs[i].mech <= MECH_LOGIN;
}

static char *
base64_to_heap(struct str bytes)
{
	struct buf b;
	char *text;

	if (bytes.n == 0)
		return NULL;
	buf_init(&b, BASE64_ENCODED_SIZE(bytes.n));
	ASSERT(base64_encode(&b, bytes));
	text = str_to_heap(buf_str(&b));
	buf_wipe(&b);
	buf_done(&b);
	return text;
}

/* (Re)starts libgsasl's side of the exchange. */
static bool
start(struct sasl *s)
{
	if (s->session != NULL)
		gsasl_finish(s->session);
	s->session = NULL;
	if (gsasl_server_start(
		s->lib->gsasl, mechs[s->mech].gsasl, &s->session) != GSASL_OK)
		return false;
	gsasl_session_hook_set(s->session, s);
	/*
	 * Where -PLUS was not announced libgsasl must not see a binding, or it
	 * would take a client that supports them for a downgrade victim.
	 */
	if (s->unique != NULL && s->offered_plus)
		gsasl_property_set(s->session, GSASL_CB_TLS_UNIQUE, s->unique);
	if (s->exporter != NULL && s->offered_plus)
		gsasl_property_set(
		    s->session, GSASL_CB_TLS_EXPORTER, s->exporter);
	return true;
}

struct sasl *
sasl_new(struct sasl_lib *lib, struct str mech, const struct sasl_binding *b)
{
	size_t i = find_mech(mech);
	struct sasl *s;

	if (i == ARRAY_LEN(mechs))
		return NULL;
	s = mem_new(1, sizeof(*s));
	s->lib = lib;
	s->mech = mechs[i].mech;
	s->offered_plus = b->offered;
	s->unique = base64_to_heap(b->unique);
	s->exporter = base64_to_heap(b->exporter);
	if (s->mech != MECH_PLAIN && !start(s))
		sasl_free(&s);
	return s;
}

/* libgsasl frees what it knows without wiping it. */
static void
wipe_property(Gsasl_session *session, Gsasl_property prop)
{
	const char *value = gsasl_property_fast(session, prop);

	if (value != NULL)
		secret_wipe((void *)(uintptr_t)value, strlen(value));
}

static void
wipe_text(char **text)
{
	if (*text != NULL)
		secret_wipe(*text, strlen(*text));
	MEM_FREE(*text);
}

void
sasl_free(struct sasl **sp)
{
	struct sasl *s = *sp;

	if (s == NULL)
		return;
	if (s->session != NULL) {
		wipe_property(s->session, GSASL_PASSWORD);
		wipe_property(s->session, GSASL_SCRAM_SERVERKEY);
		wipe_property(s->session, GSASL_SCRAM_STOREDKEY);
		gsasl_finish(s->session);
	}
	secret_done(&s->name);
	secret_done(&s->authzid);
	secret_done(&s->password);
	secret_done(&s->first);
	wipe_text(&s->unique);
	wipe_text(&s->exporter);
	MEM_FREE(*sp);
}

/* Runs one step of libgsasl; its output goes to `out`. */
static int
run(struct sasl *s, struct str input, struct buf *out)
{
	char *answer = NULL;
	size_t n = 0;
	int rc;

	rc = gsasl_step(
	    s->session, input.n > 0 ? input.p : "", input.n, &answer, &n);
	if ((rc == GSASL_OK || rc == GSASL_NEEDS_MORE) && answer != NULL &&
	    !buf_add(out, answer, n))
		rc = GSASL_MECHANISM_PARSE_ERROR;
	if (answer != NULL)
		secret_wipe(answer, n);
	gsasl_free(answer);
	return rc;
}

static void
note_names(struct sasl *s)
{
	secret_done(&s->name);
	secret_done(&s->authzid);
	secret_init(
	    &s->name, str_of(gsasl_property_fast(s->session, GSASL_AUTHID)));
	secret_init(&s->authzid,
	    str_of(gsasl_property_fast(s->session, GSASL_AUTHZID)));
}

static enum sasl_said
failure_of(int rc)
{
	switch (rc) {
	case GSASL_AUTHENTICATION_ERROR:
	case GSASL_NO_CB_TLS_UNIQUE:
	case GSASL_NO_CB_TLS_EXPORTER:
		return SASL_WRONG;
	default:
		return SASL_MALFORMED;
	}
}

/*
 * RFC 4616: [authzid] NUL authcid NUL passwd, no other NUL. Not by libgsasl: it
 * would hand on the password as SASLprep makes it, and refuse those that
 * SASLprep refuses (a tab, Latin-1), while the accounts of a system have
 * passwords of any bytes.
 */
static enum sasl_said
step_plain(struct sasl *s, struct str input)
{
	struct str password = input, authzid, name;

	if (!str_cut(&password, '\0', &authzid) ||
	    !str_cut(&password, '\0', &name) ||
	    str_find(password, '\0') < password.n || name.n == 0)
		return SASL_MALFORMED;
	secret_init(&s->authzid, authzid);
	secret_init(&s->name, name);
	secret_init(&s->password, password);
	return SASL_PASSWORD;
}

/*
 * The words of the two challenges are those which old clients look for,
 * whatever libgsasl would say.
 */
static enum sasl_said
step_login(struct sasl *s, struct str input, struct buf *out)
{
	int rc = run(s, input, out);

	buf_clear(out);
	if (rc == GSASL_OK) {
		note_names(s);
		return SASL_PASSWORD;
	}
	if (rc != GSASL_NEEDS_MORE)
		return failure_of(rc);
	buf_add_c(out, s->steps == 1 ? "Username:" : "Password:");
	return SASL_CHALLENGE;
}

/* The client's first message: who is it? Then libgsasl starts anew. */
static enum sasl_said
step_scram_first(struct sasl *s, struct str input, struct buf *out)
{
	int rc;

	if (str_find(input, '\0') < input.n)
		return SASL_MALFORMED;
	/* RFC 5802 section 6: "p" belongs to the -PLUS form and to no other. */
	if ((input.p[0] == 'p') != (s->mech == MECH_SCRAM_PLUS))
		return SASL_WRONG;
	rc = run(s, input, out);
	buf_clear(out);
	if (rc != GSASL_NEEDS_MORE)
		return failure_of(rc);
	note_names(s);
	if (s->name.n == 0)
		return SASL_MALFORMED;
	secret_init(&s->first, input);
	return SASL_NEEDS_KEYS;
}

static enum sasl_said
step_scram(struct sasl *s, struct str input, struct buf *out)
{
	int rc;

	if (s->proved)
		return input.n == 0 ? SASL_PROVED : SASL_MALFORMED;
	if (s->first.p == NULL)
		return step_scram_first(s, input, out);
	rc = run(s, input, out);
	if (rc != GSASL_OK)
		return failure_of(rc);
	s->proved = true;
	return SASL_CHALLENGE;
}

enum sasl_said
sasl_step(struct sasl *s, struct str input, bool has_input, struct buf *out)
{
	buf_clear(out);
	s->steps++;
	if (!has_input) {
		if (s->steps != 1)
			return SASL_MALFORMED;
		if (s->mech == MECH_LOGIN)
			return step_login(s, input, out);
		return SASL_CHALLENGE;
	}
	if (input.n > SASL_BYTES_MAX)
		return SASL_MALFORMED;
	switch (s->mech) {
	case MECH_LOGIN:
		if (s->steps == 1) { /* an initial response is the name */
			if (step_login(s, STR(""), out) != SASL_CHALLENGE)
				return SASL_MALFORMED;
			s->steps++;
		}
		return step_login(s, input, out);
	case MECH_PLAIN:
		return step_plain(s, input);
	case MECH_SCRAM:
	case MECH_SCRAM_PLUS:
		break;
	}
	if (input.n == 0 && !s->proved)
		return SASL_MALFORMED;
	return step_scram(s, input, out);
}

static void
set_base64(struct sasl *s, Gsasl_property prop, struct str bytes)
{
	char *text = base64_to_heap(bytes);

	if (text != NULL)
		gsasl_property_set(s->session, prop, text);
	wipe_text(&text);
}

enum sasl_said
sasl_keys(struct sasl *s, const struct sasl_keys *k, struct buf *out)
{
	char iter[16];
	int rc;

	buf_clear(out);
	if (!start(s))
		return SASL_MALFORMED;
	(void)snprintf(iter, sizeof(iter), "%u", (unsigned)k->iter);
	gsasl_property_set(s->session, GSASL_SCRAM_ITER, iter);
	set_base64(s, GSASL_SCRAM_SALT, k->salt);
	set_base64(s, GSASL_SCRAM_STOREDKEY, k->stored);
	set_base64(s, GSASL_SCRAM_SERVERKEY, k->server);
	rc = run(s, str_make(s->first.p, s->first.n), out);
	return rc == GSASL_NEEDS_MORE ? SASL_CHALLENGE : failure_of(rc);
}

/* Adds what SASLprep makes of it; false: it holds what that forbids. */
static bool
add_prepared(struct buf *b, struct str part)
{
	char *in, *out = NULL;
	int rc;

	if (utf8_ascii_length(part) == part.n)
		return buf_add_str(b, part);
	in = str_to_heap(part);
	rc = gsasl_saslprep(in, GSASL_ALLOW_UNASSIGNED, &out, NULL);
	if (rc == GSASL_OK && !buf_add_c(b, out))
		rc = GSASL_SASLPREP_ERROR;
	wipe_text(&in);
	if (out != NULL)
		secret_wipe(out, strlen(out));
	gsasl_free(out);
	return rc == GSASL_OK;
}

/*
 * What accounts of a system have in ASCII goes as it is, tabs too, which
 * SASLprep would forbid.
 */
static bool
prepare(struct secret *text)
{
	struct str s = str_make(text->p, text->n);
	struct buf b;
	bool ok = utf8_is_valid(s);
	size_t n;

	buf_init(&b, 8 * s.n + 64);
	while (ok && s.n > 0) {
		for (n = 0; n < s.n && !ascii_is_ctl(s.p[n]);)
			n++;
		ok = n > 0 ? add_prepared(&b, str_head(s, n))
			   : buf_add_byte(&b, s.p[0]);
		s = str_skip(s, n > 0 ? n : 1);
	}
	if (ok) {
		secret_done(text);
		secret_init(text, buf_str(&b));
	}
	buf_wipe(&b);
	buf_done(&b);
	return ok;
}

bool
sasl_prepare(struct sasl *s)
{
	return prepare(&s->name) && prepare(&s->password);
}

struct str
sasl_name(const struct sasl *s)
{
	return str_make(s->name.p, s->name.n);
}

struct str
sasl_authzid(const struct sasl *s)
{
	return str_make(s->authzid.p, s->authzid.n);
}

struct str
sasl_password(const struct sasl *s)
{
	return str_make(s->password.p, s->password.n);
}
