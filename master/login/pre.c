/* SPDX-License-Identifier: ISC */
/*
 * pre.c - the machine before login: what both protocols have in common.
 *
 * Runs in: login workers.
 * Trusts:  nothing from the client; authd's and master's answers.
 * Spec:    security.md 3.3 and section 4; RFC 4422 section 3; RFC 9051
 *          section 6.2, RFC 1939, RFC 5034; RFC 8446 section 5.1.
 */
#include "login/pre_impl.h"

#include "base/assert.h"
#include "base/secret.h"
#include "text/base64.h"

#define OUT_ENOUGH 2048
/* How a TLS record begins (RFC 8446 section 5.1). */
#define TLS_HANDSHAKE '\x16'

static const struct {
	const char *name;
	bool is_plain; /* shows the password */
	bool binds; /* needs TLS and its channel binding */
} mechs[PRE_MECHS] = {
    [PRE_MECH_SCRAM_SHA_256_PLUS] = {"SCRAM-SHA-256-PLUS", false, true},
    [PRE_MECH_SCRAM_SHA_256] = {"SCRAM-SHA-256", false, false},
    [PRE_MECH_PLAIN] = {"PLAIN", true, false},
    [PRE_MECH_LOGIN] = {"LOGIN", true, false},
};

const struct pre_protocol *
pre_protocol_of(const struct pre *p)
{
	return p->settings->service == LOGIN_IMAP ? &pre_imap : &pre_pop3;
}

const char *
pre_mech_name(enum pre_mech mech)
{
	return mechs[mech].name;
}

bool
pre_can_plain(const struct pre *p)
{
	if (p->has_tls)
		return true;
	return !p->settings->requires_tls &&
	    (p->is_local || p->settings->allows_plain);
}

bool
pre_can_mech(const struct pre *p, enum pre_mech mech)
{
	if ((p->settings->mechs & 1u << mech) == 0)
		return false;
	if (mechs[mech].binds && !(p->has_tls && p->has_binding))
		return false;
	if (mechs[mech].is_plain)
		return pre_can_plain(p);
	return p->has_tls || !p->settings->requires_tls;
}

bool
pre_find_mech(const struct pre *p, struct str name, enum pre_mech *out)
{
	for (int i = 0; i < PRE_MECHS; i++) {
		if ((p->settings->mechs & 1u << i) != 0 &&
		    str_eq_nocase(name, str_of(mechs[i].name))) {
			*out = (enum pre_mech)i;
			return true;
		}
	}
	return false;
}

struct str
pre_cut_word(struct str *s)
{
	struct str word;

	(void)str_cut(s, ' ', &word);
	return word;
}

/* ---- changes of state ----------------------------------------------------- */

static void
forget_line(struct pre *p)
{
	secret_wipe(p->line, p->n_line);
	p->n_line = p->line_start = p->n_command = 0;
	p->literal_sum = 0;
	p->skips = false;
}

void
pre_wipe(struct pre *p)
{
	forget_line(p);
	secret_wipe(p->sasl, p->n_sasl);
	p->n_sasl = 0;
}

static void
set_state(struct pre *p, enum pre_state state, enum pre_do want)
{
	p->state = state;
	p->want = want;
}

void
pre_close(struct pre *p, const char *why)
{
	p->why = why;
	set_state(p, PRE_CLOSED, PRE_DO_CLOSE);
	pre_wipe(p);
	p->literal_left = 0;
}

/*
 * The command has had its answer, and in POP3 there is one for each: a second
 * would be taken for that of the next (RFC 1939 section 3).
 */
static void
bye_behind_answer(struct pre *p, const char *text, struct buf *out)
{
	if (p->settings->service == LOGIN_IMAP)
		pre_protocol_of(p)->bye(p, text, out);
}

void
pre_error(struct pre *p, struct buf *out)
{
	if (++p->errors < PRE_ERRORS_MAX)
		return;
	bye_behind_answer(p, "Too many errors.", out);
	pre_close(p, "too many errors");
}

bool
pre_start_tls(struct pre *p, struct str rest)
{
	if (rest.n > 0) {
		/* Somebody put it there, to be taken for a part of what the
		 * client says under TLS (RFC 9051 section 6.2.1). */
		pre_close(p, "bytes behind STARTTLS");
		return false;
	}
	set_state(p, PRE_TLS, PRE_DO_TLS);
	return true;
}

bool
pre_start_password(struct pre *p, struct str user, struct str password)
{
	if (str_find(user, '\0') != user.n ||
	    str_find(password, '\0') != password.n ||
	    user.n + password.n + 2 > PRE_SASL_MAX)
		return false;
	p->sasl[0] = '\0';
	memcpy(p->sasl + 1, user.p, user.n);
	p->sasl[1 + user.n] = '\0';
	memcpy(p->sasl + 2 + user.n, password.p, password.n);
	p->n_sasl = (uint16_t)(user.n + password.n + 2);
	p->mech = PRE_MECH_PLAIN;
	p->has_initial = true;
	p->is_prepared = false;
	set_state(p, PRE_JUDGING, PRE_DO_START);
	return true;
}

static bool
decode(struct pre *p, struct str base64)
{
	struct buf b;
	bool ok;

	buf_init(&b, PRE_SASL_MAX);
	ok = base64_decode(&b, base64);
	if (ok) {
		p->n_sasl = (uint16_t)b.n;
		if (b.n > 0)
			memcpy(p->sasl, b.p, b.n);
	}
	buf_wipe(&b);
	buf_done(&b);
	return ok;
}

bool
pre_start_sasl(struct pre *p, enum pre_mech mech, struct str initial)
{
	p->n_sasl = 0;
	p->has_initial = initial.p != NULL;
	p->is_prepared = false;
	if (p->has_initial && !str_eq(initial, STR("=")) &&
	    (initial.n == 0 || !decode(p, initial)))
		return false;
	p->mech = mech;
	set_state(p, PRE_JUDGING, PRE_DO_START);
	return true;
}

/* The line that answers a challenge (RFC 4422 section 3.1). */
static void
take_answer(struct pre *p, struct str line)
{
	p->n_sasl = 0;
	/* Nonsense is told to authd as "*" is; its word ends the command. */
	if (!str_eq(line, STR("*")) && decode(p, line))
		set_state(p, PRE_JUDGING, PRE_DO_ANSWER);
	else
		set_state(p, PRE_JUDGING, PRE_DO_CANCEL);
}

/* ---- input ---------------------------------------------------------------- */

/* How much of `in` belongs to the literal or line that is being read. */
static size_t
piece_bytes(const struct pre *p, struct str in)
{
	size_t end;

	if (p->literal_left > 0)
		return in.n < p->literal_left ? in.n : p->literal_left;
	end = str_find(in, '\n');
	return end == in.n ? end : end + 1;
}

/* False: the command is longer than any should be. */
static bool
keep_piece(struct pre *p, struct str piece)
{
	if (piece.n > (size_t)PREAUTH_LINE_MAX - p->n_command)
		return false;
	p->n_command = (uint16_t)(p->n_command + piece.n);
	if (p->skips && p->literal_left > 0)
		return true;
	memcpy(p->line + p->n_line, piece.p, piece.n);
	p->n_line = (uint16_t)(p->n_line + piece.n);
	return true;
}

static void
take_line(struct pre *p, struct str rest, struct buf *out)
{
	struct str command = str_make(p->line, p->n_line);
	bool is_over = true;

	command.n--;
	if (str_ends(command, STR("\r")) && command.n > p->line_start)
		command.n--;
	if (p->state == PRE_CHALLENGED)
		take_answer(p, command);
	else
		is_over = pre_protocol_of(p)->line(
		    p, command, str_skip(command, p->line_start), rest, out);
	if (is_over)
		forget_line(p);
}

/*
 * A TLS record where a command would begin: its sender waits for an answer that
 * never comes. No command begins with that byte.
 */
static bool
speaks_tls(const struct pre *p, struct str in)
{
	return !p->has_tls && p->state == PRE_COMMAND && p->n_command == 0 &&
	    in.n > 0 && in.p[0] == TLS_HANDSHAKE;
}

static void
refuse_tls(struct pre *p)
{
	pre_close(p,
	    p->settings->service == LOGIN_IMAP
		? "TLS spoken on a port without it, the client should use "
		  "STARTTLS or the port for TLS (imaps_port)"
		: "TLS spoken on a port without it, the client should use "
		  "STLS or the port for TLS (pop3s_port)");
}

size_t
pre_feed(struct pre *p, struct str in, struct buf *out)
{
	size_t used = 0;

	ASSERT(p->want == PRE_DO_READ);
	/* Answers leave before more commands are read. */
	while (used < in.n && p->want == PRE_DO_READ && out->n < OUT_ENOUGH) {
		struct str rest = str_skip(in, used), piece;

		if (speaks_tls(p, rest)) {
			refuse_tls(p);
			return in.n;
		}
		piece = str_head(rest, piece_bytes(p, rest));
		if (!keep_piece(p, piece)) {
			pre_protocol_of(p)->bye(p, "Line too long.", out);
			pre_close(p, "line too long");
			break;
		}
		used += piece.n;
		if (p->literal_left > 0) {
			p->literal_left -= (uint32_t)piece.n;
			p->line_start = p->n_line;
		} else if (piece.p[piece.n - 1] == '\n')
			take_line(p, str_skip(in, used), out);
	}
	return used;
}

/* ---- events --------------------------------------------------------------- */

void
pre_init(struct pre *p, const struct pre_settings *settings, bool has_tls,
    bool has_binding, bool is_local, struct buf *out)
{
	/* Not the arrays: their pages may never have been touched. */
	memset(p, 0, offsetof(struct pre, tag));
	p->settings = settings;
	p->has_tls = has_tls;
	p->has_binding = has_binding;
	p->is_local = is_local;
	set_state(p, PRE_COMMAND, PRE_DO_READ);
	pre_protocol_of(p)->greet(p, out);
}

void
pre_tls_started(struct pre *p, bool has_binding)
{
	uint8_t failures = p->failures;
	const struct pre_settings *settings = p->settings;
	bool is_local = p->is_local;

	ASSERT(p->state == PRE_TLS && p->n_line == 0);
	/* What was said in the clear counts for nothing (RFC 9051 section
	 * 6.2.1), but for failed logins. */
	memset(p, 0, offsetof(struct pre, tag));
	p->settings = settings;
	p->is_local = is_local;
	p->failures = failures;
	p->has_tls = true;
	p->has_binding = has_binding;
	set_state(p, PRE_COMMAND, PRE_DO_READ);
}

void
pre_auth_more(struct pre *p, struct str challenge, struct buf *out)
{
	struct buf b;

	ASSERT(p->state == PRE_JUDGING);
	buf_init(&b, BASE64_ENCODED_SIZE(SASL_BYTES_MAX));
	(void)base64_encode(&b, str_head(challenge, SASL_BYTES_MAX));
	pre_protocol_of(p)->challenge(buf_str(&b), out);
	buf_done(&b);
	secret_wipe(p->sasl, p->n_sasl);
	p->n_sasl = 0;
	set_state(p, PRE_CHALLENGED, PRE_DO_READ);
}

void
pre_auth_ok(struct pre *p)
{
	ASSERT(p->state == PRE_JUDGING);
	pre_wipe(p);
	set_state(p, PRE_GRANTED, PRE_DO_HANDOFF);
}

/* Does this answer of authd say something about the password? */
static bool
is_failed_login(enum chan_auth_why why)
{
	switch (why) {
	case CHAN_AUTH_UNAVAILABLE:
	case CHAN_AUTH_NEEDS_TLS:
	case CHAN_AUTH_MECHANISM:
	case CHAN_AUTH_CANCELLED:
		return false;
	case CHAN_AUTH_BAD:
	case CHAN_AUTH_EXPIRED:
	case CHAN_AUTH_CONTACTADMIN:
	case CHAN_AUTH_NOT_ALLOWED:
	case CHAN_AUTH_MALFORMED:
		break;
	}
	return true;
}

void
pre_auth_fail(struct pre *p, enum chan_auth_why why, struct buf *out)
{
	ASSERT(p->state == PRE_JUDGING);
	pre_wipe(p);
	set_state(p, PRE_COMMAND, PRE_DO_READ);
	pre_protocol_of(p)->auth_failed(p, why, out);
	p->n_tag = 0;
	p->n_user = 0;
	if (!is_failed_login(why)) {
		pre_error(p, out);
		return;
	}
	if (++p->failures < PREAUTH_LOGIN_FAILURES_MAX)
		return;
	bye_behind_answer(p, "Too many failed logins.", out);
	pre_close(p, "too many failed logins");
}

void
pre_refused(struct pre *p, enum handoff_reason reason, struct buf *out)
{
	ASSERT(p->state == PRE_GRANTED);
	pre_protocol_of(p)->refused(p, reason, out);
	pre_close(p, "session refused");
}

void
pre_timeout(struct pre *p, struct buf *out)
{
	/* RFC 1939 section 3: in POP3 it could be taken for an answer. */
	if (p->settings->service == LOGIN_IMAP &&
	    (p->state == PRE_COMMAND || p->state == PRE_CHALLENGED))
		pre_protocol_of(p)->bye(p, "No login in time.", out);
	pre_close(p, "no login in time (login_timeout)");
}

void
pre_shutdown(struct pre *p, struct buf *out)
{
	if (p->settings->service == LOGIN_IMAP &&
	    (p->state == PRE_COMMAND || p->state == PRE_CHALLENGED ||
		p->state == PRE_JUDGING))
		pre_protocol_of(p)->bye(p, "The server is shutting down.", out);
	pre_close(p, "server is shutting down");
}
