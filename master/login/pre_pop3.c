/* SPDX-License-Identifier: ISC */
/*
 * pre_pop3.c - POP3 before login.
 *
 * Runs in: login workers.
 * Trusts:  nothing from the client.
 * Spec:    RFC 1939, RFC 2449, RFC 2595, RFC 3206, RFC 5034, RFC 6856.
 */
#include "login/pre_impl.h"
#include "text/utf8.h"

/* "+OK " or "-ERR ", the response code, the text in the client's language. */
static void
say(const struct pre *p, const char *status, const char *text, struct buf *out)
{
	size_t n = pop3_text_code(text);

	buf_addf(out, "%s%.*s%s\r\n", status, (int)n, text,
	    pop3_text(p->lang, text + n));
}

static void
say_ok(const struct pre *p, const char *text, struct buf *out)
{
	say(p, "+OK ", text, out);
}

static void
say_err(const struct pre *p, const char *text, struct buf *out)
{
	say(p, "-ERR ", text, out);
}

static void
greet(struct pre *p, struct buf *out)
{
	/* No "<...>": that would announce APOP. */
	buf_add_c(out, "+OK ");
	buf_add_c(out, p->settings->greeting);
	buf_add_c(out, "\r\n");
}

static void
bye(struct pre *p, const char *text, struct buf *out)
{
	say_err(p, text, out);
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
	say_err(p, text, out);
	pre_error(p, out);
}

static void
auth_failed(struct pre *p, enum chan_auth_why why, struct buf *out)
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

	say_err(p, texts[why], out);
}

static void
refused(struct pre *p, enum handoff_reason reason, struct buf *out)
{
	say_err(p,
	    reason == HANDOFF_LIMIT_USER
		? "[SYS/TEMP] Too many connections of this user."
		: "[SYS/TEMP] Temporarily unavailable.",
	    out);
}

/* ---- commands ------------------------------------------------------------- */

static void
do_capa(struct pre *p, UNUSED struct str args, UNUSED struct str rest,
    struct buf *out)
{
	const struct pre_settings *set = p->settings;
	const char *by_user = set->by_user ? " USER" : "";
	bool first = true;

	say_ok(p, "Capability list follows", out);
	buf_add_c(out,
	    "TOP\r\nUIDL\r\nRESP-CODES\r\nAUTH-RESP-CODE\r\nPIPELINING\r\n"
	    "UTF8 USER\r\nLANG\r\n");
	if (set->expire_days < 0)
		buf_add_c(out, "EXPIRE NEVER\r\n");
	else
		buf_addf(out, "EXPIRE %d%s\r\n", set->expire_days, by_user);
	if (set->login_delay_s > 0)
		buf_addf(
		    out, "LOGIN-DELAY %u%s\r\n", set->login_delay_s, by_user);
	if (set->offers_tls && !p->has_tls)
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

/* ---- UTF8, LANG (RFC 6856) ------------------------------------------------ */

/* What the client has chosen, for pop3d. */
static void
note_choice(struct pre *p)
{
	struct buf b;

	buf_init(&b, PRE_ID_MAX);
	buf_addf(
	    &b, "%sLANG=%s", p->is_utf8 ? "UTF8 " : "", pop3_lang_tag(p->lang));
	memcpy(p->id, b.p, b.n);
	p->n_id = (uint16_t)b.n;
	buf_done(&b);
}

static void
do_utf8(struct pre *p, UNUSED struct str args, UNUSED struct str rest,
    struct buf *out)
{
	p->is_utf8 = true;
	note_choice(p);
	say_ok(p, "UTF-8 from now on", out);
}

static void
do_lang(struct pre *p, struct str args, UNUSED struct str rest, struct buf *out)
{
	if (args.n == 0) {
		say_ok(p, "Language listing follows", out);
		for (int i = 0; i < POP3_LANGS; i++)
			buf_addf(out, "%s %s\r\n",
			    pop3_lang_tag((enum pop3_lang)i),
			    pop3_lang_name((enum pop3_lang)i));
		buf_add_c(out, ".\r\n");
	} else if (!pop3_lang_find(args, p->settings->language, &p->lang)) {
		bad(p, "There is no such language here", out);
	} else {
		note_choice(p);
		buf_addf(out, "+OK %s %s\r\n", pop3_lang_tag(p->lang),
		    pop3_text(p->lang, "Language changed"));
	}
}

static void
do_quit(struct pre *p, UNUSED struct str args, UNUSED struct str rest,
    struct buf *out)
{
	say_ok(p, "Bye", out);
	pre_close(p, "logged out");
}

static void
do_stls(struct pre *p, UNUSED struct str args, struct str rest, struct buf *out)
{
	if (p->has_tls)
		bad(p, "TLS is already active.", out);
	else if (!p->settings->offers_tls)
		bad(p, "TLS is not available.", out);
	else if (p->is_utf8)
		bad(p, "STLS comes before UTF8", out);
	else if (pre_start_tls(p, rest))
		say_ok(p, "Begin TLS negotiation now.", out);
}

static void
do_user(struct pre *p, struct str args, UNUSED struct str rest, struct buf *out)
{
	if (!pre_can_plain(p))
		bad(p, "[AUTH] Use TLS first.", out);
	else if (args.n > sizeof(p->user))
		bad(p, "The name is too long.", out);
	else if (!utf8_is_valid(args))
		bad(p, "This is not UTF-8.", out);
	else {
		memcpy(p->user, args.p, args.n);
		p->n_user = (uint16_t)args.n;
		say_ok(p, "Now the password.", out);
	}
}

static void
do_pass(struct pre *p, struct str args, UNUSED struct str rest, struct buf *out)
{
	if (!pre_can_plain(p))
		bad(p, "[AUTH] Use TLS first.", out);
	else if (p->n_user == 0)
		bad(p, "USER comes first.", out);
	/* RFC 6856 section 2.2; AUTH takes passwords of any bytes. */
	else if (!utf8_is_valid(args))
		bad(p, "This is not UTF-8.", out);
	/* All of the line is the password, blanks too (RFC 1939). */
	else if (!pre_start_password(p, str_make(p->user, p->n_user), args))
		bad(p, "This can not be a password.", out);
	else
		p->is_prepared = true;
}

static void
list_mechs(const struct pre *p, struct buf *out)
{
	say_ok(p, "Mechanisms follow.", out);
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

	/* Outlook has been seen to put blanks behind the mechanism's name. */
	while (args.n > 0 && args.p[args.n - 1] == ' ')
		args.n--;
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
    {"UTF8", NONE, do_utf8},
    {"LANG", MAYBE, do_lang},
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
