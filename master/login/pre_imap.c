/* SPDX-License-Identifier: ISC */
/*
 * pre_imap.c - IMAP before login.
 *
 * A command is kept whole, literals included, and parsed once it is whole:
 * it can not be longer than PREAUTH_LINE_MAX. Literals are arguments of LOGIN
 * only. What the client sends behind a literal that is refused is swallowed
 * where it does not wait for our word (RFC 7888), so that no literal is ever
 * read as commands.
 *
 * Runs in: login workers.
 * Trusts:  nothing from the client.
 * Spec:    RFC 3501, RFC 9051, RFC 2971, RFC 4959, RFC 5530, RFC 7888.
 */
#include "login/pre_impl.h"

#include "base/num.h"
#include "text/ascii.h"

/* ---- words ---------------------------------------------------------------- */

static bool
is_masked(const struct pre *p, const char *capability)
{
	struct str list = str_of(p->settings->mask), word;

	while (list.n > 0 && str_next(&list, ' ', &word))
		if (str_eq_nocase(word, str_of(capability)))
			return true;
	return false;
}

static void
tell_capabilities(const struct pre *p, struct buf *out)
{
	static const char *const always[] = {
	    "IMAP4rev1", "IMAP4rev2", "SASL-IR", "ID", "ENABLE", "IDLE"};
	const char *literals =
	    p->settings->literal_minus ? "LITERAL-" : "LITERAL+";

	buf_add_c(out, "CAPABILITY");
	for (size_t i = 0; i <= ARRAY_LEN(always); i++) {
		const char *word = i < ARRAY_LEN(always) ? always[i] : literals;

		if (is_masked(p, word))
			continue;
		buf_add_c(out, " ");
		buf_add_c(out, word);
	}
	if (p->settings->offers_tls && !p->has_tls)
		buf_add_c(out, " STARTTLS");
	if (!pre_can_plain(p))
		buf_add_c(out, " LOGINDISABLED");
	for (int i = 0; i < PRE_MECHS; i++) {
		if (!pre_can_mech(p, (enum pre_mech)i))
			continue;
		buf_add_c(out, " AUTH=");
		buf_add_c(out, pre_mech_name((enum pre_mech)i));
	}
}

/* Without printf: a worker is a fork, and each page touched costs. */
static void
greet(struct pre *p, struct buf *out)
{
	buf_add_c(out, "* OK [");
	tell_capabilities(p, out);
	buf_add_c(out, "] ");
	buf_add_c(out, p->settings->greeting);
	buf_add_c(out, "\r\n");
}

static void
bye(UNUSED struct pre *p, const char *text, struct buf *out)
{
	buf_addf(out, "* BYE %s\r\n", text);
}

static void
challenge(struct str base64, struct buf *out)
{
	buf_add_c(out, "+ ");
	buf_add_str(out, base64);
	buf_add_c(out, "\r\n");
}

/* `tag` has been checked: it has no byte that could do harm. */
static void
tagged(struct str tag, const char *text, struct buf *out)
{
	buf_add_str(out, tag);
	buf_addf(out, " %s\r\n", text);
}

static void
bad(struct pre *p, struct str tag, const char *text, struct buf *out)
{
	if (tag.n == 0)
		tag = STR("*");
	buf_add_str(out, tag);
	buf_addf(out, " BAD %s\r\n", text);
	pre_error(p, out);
}

static void
auth_failed(struct pre *p, enum chan_auth_why why, struct buf *out)
{
	static const char *const texts[] = {
	    [CHAN_AUTH_BAD] =
		"NO [AUTHENTICATIONFAILED] Authentication failed.",
	    [CHAN_AUTH_EXPIRED] = "NO [EXPIRED] The password has expired.",
	    [CHAN_AUTH_CONTACTADMIN] =
		"NO [CONTACTADMIN] Please ask the administrator.",
	    [CHAN_AUTH_NOT_ALLOWED] =
		"NO [AUTHORIZATIONFAILED] This is not allowed.",
	    [CHAN_AUTH_UNAVAILABLE] =
		"NO [UNAVAILABLE] Temporary authentication failure.",
	    [CHAN_AUTH_NEEDS_TLS] = "NO [PRIVACYREQUIRED] Use TLS first.",
	    [CHAN_AUTH_MECHANISM] =
		"NO [CANNOT] Unsupported authentication mechanism.",
	    [CHAN_AUTH_MALFORMED] = "BAD Authentication exchange broken.",
	    [CHAN_AUTH_CANCELLED] = "BAD Authentication cancelled.",
	};

	tagged(str_make(p->tag, p->n_tag), texts[why], out);
}

static void
refused(struct pre *p, enum handoff_reason reason, struct buf *out)
{
	tagged(str_make(p->tag, p->n_tag),
	    reason == HANDOFF_LIMIT_USER
		? "NO [LIMIT] Too many connections of this user."
		: "NO [UNAVAILABLE] Temporarily unavailable.",
	    out);
	bye(p, "Try again later.", out);
}

/* ---- syntax --------------------------------------------------------------- */

/* RFC 9051: tag = 1*<any ASTRING-CHAR except "+"> */
static bool
is_tag(struct str s)
{
	if (s.n == 0 || s.n > PRE_TAG_MAX)
		return false;
	for (size_t i = 0; i < s.n; i++) {
		if (!ascii_is_graph(s.p[i]) ||
		    memchr("(){%*\"\\+", s.p[i], 8) != NULL)
			return false;
	}
	return true;
}

/* RFC 9051: ASTRING-CHAR */
static bool
is_astring_char(char c)
{
	return ascii_is_graph(c) && memchr("(){%*\"\\", c, 7) == NULL;
}

struct literal {
	uint64_t n;
	bool nonsync;
	size_t header_bytes; /* "{5+}" */
};

/* Does a literal begin at the end of this line? */
static bool
ends_in_literal(struct str line, struct literal *out)
{
	size_t open = str_rfind(line, '{');
	struct str digits;
	struct literal l = {0};

	if (open == line.n || !str_ends(line, STR("}")))
		return false;
	digits = str_skip(line, open + 1);
	digits.n--;
	l.header_bytes = digits.n + 2;
	if (str_ends(digits, STR("+"))) {
		l.nonsync = true;
		digits.n--;
	}
	if (!num_parse_u64(digits, 0, UINT64_MAX, &l.n))
		return false;
	*out = l;
	return true;
}

/* `s` begins with {n}CRLF and n bytes: takes them off. */
static bool
cut_literal(struct str *s, struct str *out)
{
	struct str header, rest = *s;
	struct literal l;

	if (!str_cut(&rest, '\n', &header))
		return false;
	if (str_ends(header, STR("\r")))
		header.n--;
	if (!ends_in_literal(header, &l) || l.header_bytes != header.n ||
	    l.n > rest.n)
		return false;
	*out = str_head(rest, (size_t)l.n);
	*s = str_skip(rest, (size_t)l.n);
	return true;
}

/* RFC 9051: quoted; unescaped in place, 8-bit bytes as they come. */
static bool
cut_quoted(struct str *s, struct str *out)
{
	char *p = (char *)(uintptr_t)s->p;
	size_t from = 1, to = 0;

	for (; from < s->n && p[from] != '"'; from++) {
		if (p[from] == '\\' &&
		    (++from == s->n || (p[from] != '"' && p[from] != '\\')))
			return false;
		if (p[from] == '\0' || p[from] == '\r' || p[from] == '\n')
			return false;
		p[to++] = p[from];
	}
	if (from == s->n)
		return false;
	*out = str_make(p, to);
	*s = str_skip(*s, from + 1);
	return true;
}

/* RFC 9051: astring */
static bool
cut_astring(struct str *s, struct str *out)
{
	size_t n = 0;

	if (s->n > 0 && s->p[0] == '"')
		return cut_quoted(s, out);
	if (s->n > 0 && s->p[0] == '{')
		return cut_literal(s, out);
	while (n < s->n && is_astring_char(s->p[n]))
		n++;
	*out = str_head(*s, n);
	*s = str_skip(*s, n);
	return n > 0;
}

static bool
cut_space(struct str *s)
{
	if (s->n == 0 || s->p[0] != ' ')
		return false;
	*s = str_skip(*s, 1);
	return true;
}

/* RFC 2971: "NIL" / "(" string SP nstring ... ")", in its outline. */
static bool
is_id_list(struct str s)
{
	bool quoted = false;

	if (str_eq_nocase(s, STR("NIL")))
		return true;
	if (s.n < 2 || s.p[0] != '(' || s.p[s.n - 1] != ')')
		return false;
	for (size_t i = 1; i < s.n - 1; i++) {
		if (quoted && s.p[i] == '\\')
			i++;
		else if (s.p[i] == '"')
			quoted = !quoted;
		else if (!quoted &&
		    (s.p[i] == '(' || s.p[i] == ')' || s.p[i] == '{'))
			return false;
	}
	return !quoted && memchr(s.p, '\0', s.n) == NULL;
}

/* ---- commands ------------------------------------------------------------- */

struct command {
	struct str tag, args; /* behind the space after the name */
	bool has_args;
	struct str rest; /* what the client sent behind the command */
};

static void
do_capability(struct pre *p, UNUSED const struct command *c, struct buf *out)
{
	buf_add_c(out, "* ");
	tell_capabilities(p, out);
	buf_add_c(out, "\r\n");
	tagged(c->tag, "OK Capability completed.", out);
}

static void
do_noop(UNUSED struct pre *p, const struct command *c, struct buf *out)
{
	tagged(c->tag, "OK Noop completed.", out);
}

static void
do_logout(struct pre *p, const struct command *c, struct buf *out)
{
	bye(p, "Logging out.", out);
	tagged(c->tag, "OK Logout completed.", out);
	pre_close(p, "logged out");
}

static void
do_id(struct pre *p, const struct command *c, struct buf *out)
{
	if (!is_id_list(c->args)) {
		bad(p, c->tag, "ID takes a list of quoted strings or NIL.",
		    out);
		return;
	}
	if (c->args.n <= PRE_ID_MAX) {
		memcpy(p->id, c->args.p, c->args.n);
		p->n_id = (uint16_t)c->args.n;
	}
	buf_add_c(out, "* ID (\"name\" \"Restante\")\r\n");
	tagged(c->tag, "OK ID completed.", out);
}

static void
do_starttls(struct pre *p, const struct command *c, struct buf *out)
{
	if (p->has_tls)
		bad(p, c->tag, "TLS is already active.", out);
	else if (!p->settings->offers_tls)
		bad(p, c->tag, "TLS is not available.", out);
	else if (pre_start_tls(p, c->rest))
		tagged(c->tag, "OK Begin TLS negotiation now.", out);
}

static void
needs_tls(struct pre *p, struct str tag, struct buf *out)
{
	tagged(tag, "NO [PRIVACYREQUIRED] Use TLS first.", out);
	pre_error(p, out);
}

static void
keep_tag(struct pre *p, struct str tag)
{
	memcpy(p->tag, tag.p, tag.n);
	p->n_tag = (uint16_t)tag.n;
}

static void
do_authenticate(struct pre *p, const struct command *c, struct buf *out)
{
	struct str args = c->args, name, initial = {0};
	enum pre_mech mech;

	/* Outlook has been seen to put blanks behind the mechanism's name. */
	while (args.n > 0 && args.p[args.n - 1] == ' ')
		args.n--;
	if (str_cut(&args, ' ', &name))
		initial = args;
	if (!pre_find_mech(p, name, &mech)) {
		tagged(c->tag,
		    "NO [CANNOT] Unsupported authentication mechanism.", out);
		pre_error(p, out);
	} else if (!pre_can_mech(p, mech))
		needs_tls(p, c->tag, out);
	else if (!pre_start_sasl(p, mech, initial))
		bad(p, c->tag, "The initial response is not base64.", out);
	else
		keep_tag(p, c->tag);
}

static void
do_login(struct pre *p, const struct command *c, struct buf *out)
{
	struct str s = c->args, user, password;

	if (!pre_can_plain(p)) {
		needs_tls(p, c->tag, out);
		return;
	}
	if (!cut_astring(&s, &user) || !cut_space(&s) ||
	    !cut_astring(&s, &password) || s.n != 0 ||
	    !pre_start_password(p, user, password))
		bad(p, c->tag, "LOGIN takes a user name and a password.", out);
	else
		keep_tag(p, c->tag);
}

static const struct {
	const char *name;
	bool args; /* takes any */
	void (*fn)(struct pre *p, const struct command *c, struct buf *out);
} commands[] = {
    {"CAPABILITY", false, do_capability},
    {"NOOP", false, do_noop},
    {"LOGOUT", false, do_logout},
    {"ID", true, do_id},
    {"STARTTLS", false, do_starttls},
    {"AUTHENTICATE", true, do_authenticate},
    {"LOGIN", true, do_login},
};

static void
run(struct pre *p, const struct command *c, struct str name, struct buf *out)
{
	for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
		if (!str_eq_nocase(name, str_of(commands[i].name)))
			continue;
		if (commands[i].args != c->has_args)
			bad(p, c->tag, "Wrong number of arguments.", out);
		else
			commands[i].fn(p, c, out);
		return;
	}
	bad(p, c->tag, "This is not possible before login.", out);
}

/* Tag and name; an empty tag if it is none. */
static void
split(struct str command, struct command *c, struct str *name)
{
	struct str s = command;

	*c = (struct command){0};
	c->tag = pre_cut_word(&s);
	if (!is_tag(c->tag)) {
		c->tag = STR("");
		return;
	}
	/* A blank at the end of a command without arguments does no harm. */
	c->has_args = str_cut(&s, ' ', name) && s.n > 0;
	c->args = s;
}

/* A literal follows; true: the command is over all the same. */
static bool
begin_literal(struct pre *p, const struct command *c, struct str name,
    const struct literal *l, struct buf *out)
{
	bool fits = l->n <= PREAUTH_LITERAL_SUM_MAX - p->literal_sum;
	bool wanted = !p->skips && c->tag.n > 0 &&
	    str_eq_nocase(name, STR("LOGIN")) && pre_can_plain(p);

	if (wanted && fits) {
		p->literal_sum += (uint32_t)l->n;
		p->literal_left = (uint32_t)l->n;
		p->line_start = p->n_line;
		if (!l->nonsync)
			buf_add_c(out, "+ OK\r\n");
		return false;
	}
	if (l->nonsync) {
		/* It comes, whatever we say. */
		if (l->n > PREAUTH_LINE_MAX) {
			bye(p, "Literal too large.", out);
			pre_close(p, "literal too large");
			return true;
		}
		p->skips = true;
		p->literal_left = (uint32_t)l->n;
		p->line_start = p->n_line;
		return false;
	}
	if (wanted || p->skips)
		bad(p, c->tag, "Literal too large.", out);
	else if (str_eq_nocase(name, STR("LOGIN")) && c->tag.n > 0)
		needs_tls(p, c->tag, out);
	else
		bad(p, c->tag, "No literals before login.", out);
	return true;
}

static bool
on_line(struct pre *p, struct str command, struct str line, struct str rest,
    struct buf *out)
{
	struct literal l;
	struct command c;
	struct str name = {0};

	split(command, &c, &name);
	c.rest = rest;
	if (ends_in_literal(line, &l))
		return begin_literal(p, &c, name, &l, out);
	if (p->skips)
		bad(p, c.tag, "No literals like this before login.", out);
	else if (c.tag.n == 0)
		bad(p, c.tag, "A command begins with a tag.", out);
	else
		run(p, &c, name, out);
	return true;
}

const struct pre_protocol pre_imap = {
    .greet = greet,
    .line = on_line,
    .challenge = challenge,
    .auth_failed = auth_failed,
    .refused = refused,
    .bye = bye,
};
