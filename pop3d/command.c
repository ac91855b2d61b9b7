/* SPDX-License-Identifier: ISC */
/*
 * command.c - the commands of the transaction state.
 *
 * Owns:    nothing.
 * Runs in: pop3d, as the mail user.
 * Trusts:  nothing in a command line.
 * Spec:    RFC 1939 sections 5 and 7, RFC 2449 (CAPA, response codes), RFC 6856
 *          (LANG), RFC 1460 (LAST).
 */
#include "base/num.h"
#include "pop3d/session.h"

#define ARGS_MAX 3

typedef enum step handler_fn(
    struct session *s, const struct str *args, size_t n_args);

/* The message that an argument names; NULL: has answered -ERR. */
static struct maildrop_msg *
get_message(struct session *s, struct str arg, uint32_t *number)
{
	struct maildrop_msg *m;

	if (!num_parse_u32(arg, 0, UINT32_MAX, number)) {
		(void)session_err(s, "Not a message number");
		return NULL;
	}
	m = maildrop_get(&s->drop, *number);
	if (m != NULL)
		return m;
	if (*number == 0 || *number > s->drop.n)
		(void)session_err(
		    s, "There is no message %u, only %u", *number, s->drop.n);
	else
		(void)session_err(s, "Message %u is deleted", *number);
	return NULL;
}

static enum step
do_stat(struct session *s, UNUSED const struct str *args, UNUSED size_t n)
{
	return session_ok(s, "%u %llu", s->drop.n - s->drop.n_deleted,
	    (unsigned long long)(s->drop.size - s->drop.deleted_size));
}

/* ---- LIST, UIDL ---------------------------------------------------------- */

/* RFC 1939 section 3: no reply line is longer than 512 octets. */
#define REPLY_LINE_MAX 512

/* Writes at most REPLY_LINE_MAX bytes, CRLF with them; returns how many. */
typedef size_t print_fn(
    char *out, uint32_t number, const struct maildrop_msg *m);

static size_t
print_size(char *out, uint32_t number, const struct maildrop_msg *m)
{
	size_t n = num_write_u64(out, number);

	out[n++] = ' ';
	n += num_write_u64(out + n, m->size);
	memcpy(out + n, "\r\n", 2);
	return n + 2;
}

static size_t
print_uidl(char *out, uint32_t number, const struct maildrop_msg *m)
{
	size_t n = num_write_u64(out, number);
	struct str uidl =
	    str_head(m->uidl, REPLY_LINE_MAX - NUM_DIGITS_MAX - 3);

	out[n++] = ' ';
	memcpy(out + n, uidl.p, uidl.n);
	n += uidl.n;
	memcpy(out + n, "\r\n", 2);
	return n + 2;
}

static enum step
list_more(struct session *s, print_fn *print)
{
	struct maildrop_msg *m;
	unsigned done = 0;

	while (s->list_at < s->drop.n) {
		m = maildrop_get(&s->drop, ++s->list_at);
		if (m == NULL)
			continue;
		conn_written(s->conn,
		    print(conn_write_room(s->conn, REPLY_LINE_MAX), s->list_at,
			m));
		if (++done % 64 == 0 && session_must_yield(s))
			return STEP_MORE;
	}
	conn_write_str(s->conn, STR(".\r\n"));
	return STEP_DONE;
}

static enum step
more_sizes(struct session *s, UNUSED struct err *e)
{
	return list_more(s, print_size);
}

static enum step
more_uidls(struct session *s, UNUSED struct err *e)
{
	return list_more(s, print_uidl);
}

/* The line of one message: as in the listing, behind "+OK". */
static enum step
list_one(struct session *s, struct str arg, print_fn *print)
{
	char line[REPLY_LINE_MAX];
	uint32_t number;
	struct maildrop_msg *m = get_message(s, arg, &number);
	size_t n;

	if (m == NULL)
		return STEP_DONE;
	n = print(line, number, m);
	return session_ok(s, "%.*s", (int)n - 2, line);
}

static enum step
do_list(struct session *s, const struct str *args, size_t n_args)
{
	if (n_args == 1)
		return list_one(s, args[0], print_size);
	s->list_at = 0;
	(void)session_ok(s, "%u messages (%llu octets)",
	    s->drop.n - s->drop.n_deleted,
	    (unsigned long long)(s->drop.size - s->drop.deleted_size));
	return session_go_on(s, more_sizes);
}

static enum step
do_uidl(struct session *s, const struct str *args, size_t n_args)
{
	if (n_args == 1)
		return list_one(s, args[0], print_uidl);
	s->list_at = 0;
	(void)session_ok(s, "Unique ids follow");
	return session_go_on(s, more_uidls);
}

/* ---- messages ------------------------------------------------------------ */

static enum step
do_retr(struct session *s, const struct str *args, UNUSED size_t n)
{
	uint32_t number;
	struct maildrop_msg *m = get_message(s, args[0], &number);

	if (m == NULL)
		return STEP_DONE;
	m->retrieved = true;
	maildrop_note_access(&s->drop, number);
	return send_begin(s, m, -1);
}

static enum step
do_top(struct session *s, const struct str *args, UNUSED size_t n)
{
	uint32_t number, lines;
	struct maildrop_msg *m = get_message(s, args[0], &number);

	if (m == NULL)
		return STEP_DONE;
	if (!num_parse_u32(args[1], 0, UINT32_MAX, &lines))
		return session_err(s, "Not a number of lines");
	maildrop_note_access(&s->drop, number);
	return send_begin(s, m, lines);
}

static enum step
do_dele(struct session *s, const struct str *args, UNUSED size_t n)
{
	uint32_t number;
	struct maildrop_msg *m = get_message(s, args[0], &number);

	if (m == NULL)
		return STEP_DONE;
	maildrop_delete(&s->drop, m);
	return session_ok(s, "Message %u is marked as deleted", number);
}

static enum step
do_rset(struct session *s, UNUSED const struct str *args, UNUSED size_t n)
{
	maildrop_reset(&s->drop);
	return session_ok(s, "%u messages", s->drop.n);
}

/* ---- the session --------------------------------------------------------- */

static enum step
do_noop(struct session *s, UNUSED const struct str *args, UNUSED size_t n)
{
	return session_ok(s, "Nothing done");
}

static enum step
do_capa(struct session *s, UNUSED const struct str *args, UNUSED size_t n)
{
	struct buf b;

	(void)session_ok(s, "Capability list follows");
	buf_init(&b, REPLY_LINE_MAX);
	buf_add_c(&b,
	    "TOP\r\nUIDL\r\nRESP-CODES\r\nAUTH-RESP-CODE\r\nPIPELINING\r\n"
	    "UTF8 USER\r\nLANG\r\n");
	if (s->way.expire_days < 0)
		buf_add_c(&b, "EXPIRE NEVER\r\n");
	else
		buf_addf(&b, "EXPIRE %d\r\n", s->way.expire_days);
	if (s->login_delay_s > 0)
		buf_addf(&b, "LOGIN-DELAY %u\r\n", s->login_delay_s);
	buf_add_c(&b, "IMPLEMENTATION Restante\r\n.\r\n");
	conn_write_str(s->conn, buf_str(&b));
	buf_done(&b);
	return STEP_DONE;
}

static enum step
list_languages(struct session *s)
{
	struct buf b;

	(void)session_ok(s, "Language listing follows");
	buf_init(&b, REPLY_LINE_MAX);
	for (int i = 0; i < POP3_LANGS; i++)
		buf_addf(&b, "%s %s\r\n", pop3_lang_tag((enum pop3_lang)i),
		    pop3_lang_name((enum pop3_lang)i));
	buf_add_c(&b, ".\r\n");
	conn_write_str(s->conn, buf_str(&b));
	buf_done(&b);
	return STEP_DONE;
}

static enum step
do_lang(struct session *s, const struct str *args, size_t n)
{
	if (n == 0)
		return list_languages(s);
	if (!pop3_lang_find(args[0], s->preferred_lang, &s->lang))
		return session_err(s, "There is no such language here");
	return session_ok(s, "%s %s", pop3_lang_tag(s->lang),
	    pop3_text(s->lang, "Language changed"));
}

static enum step
do_utf8(struct session *s, UNUSED const struct str *args, UNUSED size_t n)
{
	return session_err(s, "UTF8 comes before the login");
}

static enum step
do_last(struct session *s, UNUSED const struct str *args, UNUSED size_t n)
{
	if (!s->has_last)
		return session_err(s, "Unknown command");
	return session_ok(s, "%u", s->drop.last);
}

static enum step
do_login(struct session *s, UNUSED const struct str *args, UNUSED size_t n)
{
	return session_err(s, "You are logged in already");
}

static enum step
do_quit(struct session *s, UNUSED const struct str *args, UNUSED size_t n)
{
	s->state = SESSION_UPDATING;
	return STEP_DONE;
}

static const struct command {
	const char *word;
	size_t least, most; /* arguments */
	handler_fn *fn;
} commands[] = {
    {"RETR", 1, 1, do_retr},
    {"DELE", 1, 1, do_dele},
    {"TOP", 2, 2, do_top},
    {"UIDL", 0, 1, do_uidl},
    {"LIST", 0, 1, do_list},
    {"STAT", 0, 0, do_stat},
    {"NOOP", 0, 0, do_noop},
    {"RSET", 0, 0, do_rset},
    {"QUIT", 0, 0, do_quit},
    {"CAPA", 0, 0, do_capa},
    {"LANG", 0, 1, do_lang},
    {"LAST", 0, 0, do_last},
    {"UTF8", 0, 0, do_utf8},
    {"USER", 0, ARGS_MAX, do_login},
    {"PASS", 0, ARGS_MAX, do_login},
    {"APOP", 0, ARGS_MAX, do_login},
    {"AUTH", 0, ARGS_MAX, do_login},
    {"STLS", 0, ARGS_MAX, do_login},
};

/* Words between spaces; ARGS_MAX + 1 when there are too many. */
static size_t
split(struct str line, struct str *args)
{
	struct str word;
	size_t n = 0;

	while (str_next(&line, ' ', &word)) {
		if (word.n == 0)
			continue;
		if (n == ARGS_MAX)
			return ARGS_MAX + 1;
		args[n++] = word;
	}
	return n;
}

enum step
command_run(struct session *s, struct str line)
{
	struct str word, args[ARGS_MAX];
	size_t i, n;

	(void)str_cut(&line, ' ', &word);
	for (i = 0; i < ARRAY_LEN(commands); i++) {
		const struct command *c = &commands[i];

		if (!str_eq_nocase(word, str_of(c->word)))
			continue;
		n = split(line, args);
		if (n < c->least)
			return session_err(s, "%s needs %s", c->word,
			    c->least == 1 ? "a message number"
					  : "a message number and a number of "
					    "lines");
		if (n > c->most && c->fn != do_login)
			return session_err(
			    s, "%s has too many arguments", c->word);
		return c->fn(s, args, n);
	}
	return session_err(s, "Unknown command");
}
