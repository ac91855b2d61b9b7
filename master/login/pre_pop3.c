/* SPDX-License-Identifier: ISC */
/*
 * pre_pop3.c - POP3 before login.
 *
 * Runs in: login workers.
 * Trusts:  nothing from the client.
 * Spec:    RFC 1939, RFC 2449, RFC 2595, RFC 3206, RFC 5034.
 */
#include "login/pre_impl.h"

static void
greet(struct pre *p, struct buf *out)
{
	/* No "<...>": that would announce APOP. */
	buf_add_c(out, "+OK ");
	buf_add_c(out, p->settings->greeting);
	buf_add_c(out, "\r\n");
}

static void
bye(UNUSED struct pre *p, const char *text, struct buf *out)
{
	buf_addf(out, "-ERR %s\r\n", text);
}

static void
challenge(struct str base64, struct buf *out)
{
	buf_add_c(out, "+ ");
	buf_add_str(out, base64);
	buf_add_c(out, "\r\n");
}

static void
bad(struct pre *p, const char *text, struct buf *out)
{
	buf_addf(out, "-ERR %s\r\n", text);
	pre_error(p, out);
}

static void
auth_failed(UNUSED struct pre *p, enum chan_auth_why why, struct buf *out)
{
	static const char *const texts[] = {
	    [CHAN_AUTH_BAD] = "[AUTH] Authentication failed.",
	    [CHAN_AUTH_EXPIRED] = "[AUTH] The password has expired.",
	    [CHAN_AUTH_CONTACTADMIN] = "[AUTH] Please ask the administrator.",
	    [CHAN_AUTH_NOT_ALLOWED] = "[AUTH] This is not allowed.",
	    [CHAN_AUTH_UNAVAILABLE] =
		"[SYS/TEMP] Temporary authentication failure.",
	    [CHAN_AUTH_NEEDS_TLS] = "[AUTH] Use TLS first.",
	    [CHAN_AUTH_MECHANISM] = "Unsupported authentication mechanism.",
	    [CHAN_AUTH_MALFORMED] = "Authentication exchange broken.",
	    [CHAN_AUTH_CANCELLED] = "Authentication cancelled.",
	};

	buf_addf(out, "-ERR %s\r\n", texts[why]);
}

static void
refused(UNUSED struct pre *p, enum handoff_reason reason, struct buf *out)
{
	buf_addf(out, "-ERR [SYS/TEMP] %s\r\n",
	    reason == HANDOFF_LIMIT_USER ? "Too many connections of this user."
					 : "Temporarily unavailable.");
}

/* ---- commands ------------------------------------------------------------- */

static void
do_capa(struct pre *p, UNUSED struct str args, UNUSED struct str rest,
    struct buf *out)
{
	bool first = true;

	buf_add_c(out,
	    "+OK\r\nTOP\r\nUIDL\r\nRESP-CODES\r\nAUTH-RESP-CODE\r\n"
	    "PIPELINING\r\nEXPIRE NEVER\r\n");
	if (p->settings->offers_tls && !p->has_tls)
		buf_add_c(out, "STLS\r\n");
	if (pre_can_plain(p))
		buf_add_c(out, "USER\r\n");
	for (int i = 0; i < PRE_MECHS; i++) {
		if (!pre_can_mech(p, (enum pre_mech)i))
			continue;
		buf_addf(out, "%s%s", first ? "SASL " : " ",
		    pre_mech_name((enum pre_mech)i));
		first = false;
	}
	buf_addf(
	    out, "%sIMPLEMENTATION Restante\r\n.\r\n", first ? "" : "\r\n");
}

static void
do_quit(struct pre *p, UNUSED struct str args, UNUSED struct str rest,
    struct buf *out)
{
	buf_add_c(out, "+OK Bye.\r\n");
	pre_close(p);
}

static void
do_stls(struct pre *p, UNUSED struct str args, struct str rest, struct buf *out)
{
	if (p->has_tls)
		bad(p, "TLS is already active.", out);
	else if (!p->settings->offers_tls)
		bad(p, "TLS is not available.", out);
	else if (pre_start_tls(p, rest))
		buf_add_c(out, "+OK Begin TLS negotiation now.\r\n");
}

static void
do_user(struct pre *p, struct str args, UNUSED struct str rest, struct buf *out)
{
	if (!pre_can_plain(p))
		bad(p, "[AUTH] Use TLS first.", out);
	else if (args.n > sizeof(p->user))
		bad(p, "The name is too long.", out);
	else {
		memcpy(p->user, args.p, args.n);
		p->n_user = (uint16_t)args.n;
		buf_add_c(out, "+OK\r\n");
	}
}

static void
do_pass(struct pre *p, struct str args, UNUSED struct str rest, struct buf *out)
{
	if (!pre_can_plain(p))
		bad(p, "[AUTH] Use TLS first.", out);
	else if (p->n_user == 0)
		bad(p, "USER comes first.", out);
	/* All of the line is the password, blanks too (RFC 1939). */
	else if (!pre_start_password(p, str_make(p->user, p->n_user), args))
		bad(p, "This can not be a password.", out);
}

static void
list_mechs(const struct pre *p, struct buf *out)
{
	buf_add_c(out, "+OK\r\n");
	for (int i = 0; i < PRE_MECHS; i++) {
		if (pre_can_mech(p, (enum pre_mech)i))
			buf_addf(
			    out, "%s\r\n", pre_mech_name((enum pre_mech)i));
	}
	buf_add_c(out, ".\r\n");
}

static void
do_auth(struct pre *p, struct str args, UNUSED struct str rest, struct buf *out)
{
	struct str name, initial = {0};
	enum pre_mech mech;

	if (args.n == 0) {
		/* Never a standard, but asked by old clients. */
		list_mechs(p, out);
		return;
	}
	if (str_cut(&args, ' ', &name))
		initial = args;
	if (!pre_find_mech(p, name, &mech))
		bad(p, "Unsupported authentication mechanism.", out);
	else if (!pre_can_mech(p, mech))
		bad(p, "[AUTH] Use TLS first.", out);
	else if (!pre_start_sasl(p, mech, initial))
		bad(p, "The initial response is not base64.", out);
}

static const struct {
	const char *name;
	enum { NONE, ONE, MAYBE } args;
	void (*fn)(
	    struct pre *p, struct str args, struct str rest, struct buf *out);
} commands[] = {
    {"CAPA", NONE, do_capa},
    {"QUIT", NONE, do_quit},
    {"STLS", NONE, do_stls},
    {"USER", ONE, do_user},
    {"PASS", ONE, do_pass},
    {"AUTH", MAYBE, do_auth},
};

static bool
on_line(struct pre *p, UNUSED struct str command, struct str line,
    struct str rest, struct buf *out)
{
	struct str args = line, name;
	bool has_args = str_cut(&args, ' ', &name) && args.n > 0;

	for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
		if (!str_eq_nocase(name, str_of(commands[i].name)))
			continue;
		if (commands[i].args != MAYBE &&
		    (commands[i].args == ONE) != has_args)
			bad(p, "Wrong number of arguments.", out);
		else if (str_find(args, '\0') != args.n)
			bad(p, "Not a line of text.", out);
		else
			commands[i].fn(p, args, rest, out);
		return true;
	}
	bad(p, "This is not possible before login.", out);
	return true;
}

const struct pre_protocol pre_pop3 = {
    .greet = greet,
    .line = on_line,
    .challenge = challenge,
    .auth_failed = auth_failed,
    .refused = refused,
    .bye = bye,
};
