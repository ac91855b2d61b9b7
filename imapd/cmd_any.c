/* SPDX-License-Identifier: ISC */
/*
 * cmd_any.c - CAPABILITY, NOOP, CHECK, LOGOUT, ID, ENABLE, and the commands
 * for which it is too late.
 *
 * Owns:    nothing.
 * Runs in: imapd, as the mail user.
 * Trusts:  nothing; what ID says is only logged.
 * Spec:    RFC 3501 sections 6.1, 6.4.1; RFC 2971 (ID), RFC 5161 (ENABLE),
 *          RFC 9586 (UIDONLY).
 */
#include "base/log.h"
#include "imap/imap_char.h"
#include "imapd/capability.h"
#include "imapd/commands.h"
#include "imapd/habit.h"
#include "imapd/metadata.h"
#include "imapd/modseq.h"
#include "imapd/reply.h"
#include "imapd/session.h"

/* RFC 2971 section 3.3. */
enum { ID_PAIRS_MAX = 30, ID_FIELD_MAX = 30, ID_VALUE_MAX = 1024 };

enum step
cmd_capability(struct cmd *c)
{
	if (!imap_arg_end(c->args))
		return reply_bad(c, "No arguments expected");
	reply_begin(c->s);
	capability_write(c->s, &c->s->out);
	reply_end(c->s);
	return reply_ok(c, NULL, "Done");
}

enum step
cmd_noop(struct cmd *c)
{
	if (!imap_arg_end(c->args))
		return reply_bad(c, "No arguments expected");
	if (!filter_job_is_done(&c->s->filter_job))
		return STEP_MORE;
	return reply_ok(c, NULL, "Done");
}

enum step
cmd_logout(struct cmd *c)
{
	if (!imap_arg_end(c->args))
		return reply_bad(c, "No arguments expected");
	reply_untagged(c->s, "BYE Logging out");
	c->s->logout = true;
	return reply_ok(c, NULL, "Done");
}

enum step
cmd_logged_in(struct cmd *c)
{
	return reply_bad(c, "Already logged in");
}

/* What a client says of itself, as "name=value" for the log. */
static bool
id_parse(struct cmd *c, const struct imap_arg *a, struct buf *out)
{
	struct str field, value;
	size_t pairs = 0;

	for (; !imap_arg_end(a); pairs++) {
		if (pairs == ID_PAIRS_MAX || !imap_arg_string(&a, &field) ||
		    !imap_arg_nstring(&a, &value) || field.n > ID_FIELD_MAX ||
		    value.n > ID_VALUE_MAX)
			return false;
		habit_id(c->s, field, value);
		if (value.p != NULL)
			buf_addf(out, "%s%.*s=<%.*s>", out->n > 0 ? " " : "",
			    STR_ARG(field), STR_ARG(value));
	}
	if (out->n > 0)
		log_info("client user=<%s> rip=%s %.*s", c->s->user,
		    c->s->remote_ip, STR_ARG(buf_str(out)));
	return true;
}

enum step
cmd_id(struct cmd *c)
{
	const struct imap_arg *a = c->args, *list;
	struct buf said;
	bool ok;

	habit_id_begin(c->s);
	buf_init(&said, ID_PAIRS_MAX * (ID_FIELD_MAX + ID_VALUE_MAX + 8));
	ok = imap_arg_word(&a, "NIL") ||
	    (imap_arg_list(&a, &list) && id_parse(c, list, &said));
	buf_done(&said);
	if (!ok || !imap_arg_end(a))
		return reply_bad(c, "ID list or NIL expected");
	if (habit_is_pressed(c->s))
		return reply_no(c, "UNAVAILABLE", "Busy, come back later");
	reply_untagged(c->s, "ID (\"name\" \"Restante\")");
	return reply_ok(c, NULL, "Done");
}

static void
enable_qresync(struct session *s)
{
	modseq_enable(s);
	s->qresync = true;
}

static void
enable_uid_only(struct session *s)
{
	s->uid_only = true;
}

static void
enable_utf8(struct session *s)
{
	s->utf8 = true;
}

static void
enable_rev2(struct session *s)
{
	s->imap4rev2 = true;
}

static void
enable_metadata(struct session *s)
{
	s->metadata_on = true;
	metadata_enable(s);
}

static void
enable_metadata_server(struct session *s)
{
	s->metadata_server_on = true;
	metadata_enable(s);
}

/* What can be enabled; the flag says that it is. */
static const struct {
	const char *word;
	size_t flag; /* of struct session */
	void (*fn)(struct session *s);
} enablings[] = {
    {"CONDSTORE", offsetof(struct session, condstore), modseq_enable},
    {"QRESYNC", offsetof(struct session, qresync), enable_qresync},
    {"UIDONLY", offsetof(struct session, uid_only), enable_uid_only},
    {"IMAP4rev2", offsetof(struct session, imap4rev2), enable_rev2},
    {"METADATA", offsetof(struct session, metadata_on), enable_metadata},
    {"METADATA-SERVER", offsetof(struct session, metadata_server_on),
	enable_metadata_server},
    {"UTF8=ACCEPT", offsetof(struct session, utf8), enable_utf8},
};

/*
 * Unknown extensions, and those that were on before, are left out of the
 * answer (RFC 5161 section 3.1).
 */
static void
enable(struct session *s, const struct imap_arg *a, struct buf *told)
{
	bool is_on[ARRAY_LEN(enablings)];
	struct str word;

	for (size_t i = 0; i < ARRAY_LEN(enablings); i++)
		is_on[i] = *(bool *)((char *)s + enablings[i].flag);
	while (imap_arg_atom(&a, &word))
		for (size_t i = 0; i < ARRAY_LEN(enablings); i++) {
			if (is_on[i] ||
			    !str_eq_nocase(word, str_of(enablings[i].word)) ||
			    habit_is_masked(s, word))
				continue;
			is_on[i] = true;
			enablings[i].fn(s);
			buf_addf(told, " %s", enablings[i].word);
		}
}

enum step
cmd_enable(struct cmd *c)
{
	const struct imap_arg *a = c->args;
	struct buf told;
	struct str word;
	size_t n = 0;

	for (; imap_arg_atom(&a, &word); n++)
		if (!imap_char_all(word, IMAP_CHAR_ATOM))
			return reply_bad(c, "Capability name expected");
	if (n == 0 || !imap_arg_end(a))
		return reply_bad(c, "Capability name expected");
	buf_init(&told, SIZE_MAX / 2);
	enable(c->s, c->args, &told);
	reply_untagged(c->s, "ENABLED%.*s", STR_ARG(buf_str(&told)));
	buf_done(&told);
	return reply_ok(c, NULL, "Done");
}
