/* SPDX-License-Identifier: ISC */
/*
 * reply.c - tagged and untagged replies; words for error codes.
 *
 * Owns:    nothing.
 * Runs in: imapd, as the mail user.
 * Trusts:  nothing; tags were checked by the lexer, the rest is our own text.
 * Spec:    RFC 3501 section 7, RFC 5530 (response codes).
 */
#include "imapd/reply.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/log.h"
#include "imap/imap_write.h"
#include "imapd/metadata.h"
#include "imapd/session.h"

enum { SEND_BYTES = 16 * 1024, TAGGED_MAX_BYTES = 1 << 23 };

static void
write_tagged(struct cmd *c, struct buf *b, const char *word, const char *code,
    const char *text)
{
	buf_add_str(b, c->tag);
	buf_add_c(b, " ");
	buf_add_c(b, word);
	buf_add_c(b, " ");
	if (code != NULL)
		buf_addf(b, "[%s] ", code);
	imap_write_text(b, str_of(text));
	buf_add_c(b, "\r\n");
}

static enum step
reply_now(struct cmd *c, const char *word, const char *code, const char *text)
{
	write_tagged(c, &c->s->out, word, code, text);
	if (c->s->out.n >= SEND_BYTES)
		session_send(c->s);
	return STEP_DONE;
}

/* What has changed is told first, which may take more than one turn. */
static enum step
reply_behind_changes(
    struct cmd *c, const char *word, const char *code, const char *text)
{
	if ((c->def->flags & CMD_NO_SYNC) != 0 ||
	    (c->s->view == NULL && !metadata_has_news(c->s)))
		return reply_now(c, word, code, text);
	buf_init(&c->tagged, TAGGED_MAX_BYTES);
	write_tagged(c, &c->tagged, word, code, text);
	c->is_replied = true;
	return STEP_DONE;
}

enum step
reply_ok(struct cmd *c, const char *code, const char *text)
{
	return reply_behind_changes(c, "OK", code, text);
}

enum step
reply_no(struct cmd *c, const char *code, const char *text)
{
	return reply_behind_changes(c, "NO", code, text);
}

/* Nothing at all has happened, so nothing else is told. */
enum step
reply_bad(struct cmd *c, const char *text)
{
	return reply_now(c, "BAD", NULL, text);
}

enum step
reply_uid_required(struct cmd *c)
{
	return reply_now(c, "BAD", "UIDREQUIRED",
	    "UIDONLY is enabled, use UIDs in place of message numbers");
}

struct words {
	const char *code, *text;
	bool is_log; /* the administrator should know */
};

static const struct words words[] = {
    [ERR_OTHER] = {"SERVERBUG", "Internal error", true},
    [ERR_SYS] = {"SERVERBUG", "Internal error", true},
    [ERR_NOT_FOUND] = {"NONEXISTENT", "No such mailbox", false},
    [ERR_EXISTS] = {"ALREADYEXISTS", "Mailbox exists already", false},
    [ERR_LIMIT] = {"LIMIT", "A limit of this server was met", false},
    [ERR_CORRUPT] = {"CORRUPTION", "The mailbox is damaged", true},
    [ERR_SYNTAX] = {"CLIENTBUG", "Not understood", false},
    [ERR_BAD_NAME] = {"CANNOT", "Mailbox name can not be used", false},
    [ERR_READ_ONLY] = {"READ-ONLY", "Mailbox is read-only", false},
    [ERR_PERM] = {"NOPERM", "Permission denied", false},
    [ERR_NO_SPACE] = {"OVERQUOTA", "No space left", true},
    [ERR_IN_USE] = {"INUSE", "Mailbox is in use, try again", false},
    [ERR_TIMEOUT] = {"INUSE", "Mailbox is locked, try again", true},
    [ERR_GONE] = {"EXPUNGEISSUED", "Some messages no longer exist", false},
    [ERR_UNSUPPORTED] = {"CANNOT", "Not possible here", false},
    [ERR_BAD_CHARSET] = {"BADCHARSET", "Unknown charset", false},
    [ERR_CLOSED] = {"UNAVAILABLE", "Try again later", true},
    [ERR_OVER_QUOTA] = {"OVERQUOTA", "Quota exceeded", false},
    [ERR_HAS_CHILDREN] = {"HASCHILDREN", "There are mailboxes below it", false},
    [ERR_FORMAT] = {"CANNOT",
	"The mailbox is in a format that is not read here, it must be "
	"converted first",
	true},
    [ERR_VIOLATION] = {"SERVERBUG", "Internal error", true},
};

static const struct words *
words_of(enum err_code code)
{
	size_t at = (size_t)code;

	if (at >= ARRAY_LEN(words) || words[at].text == NULL)
		at = ERR_OTHER;
	return &words[at];
}

/* What the kernel says of itself, or of the disk (RFC 5530). */
static const struct words *
words_of_err(const struct err *e)
{
	static const struct words busy = {
	    "UNAVAILABLE", "Too busy, try again later", true};
	static const struct words damaged = {
	    "CORRUPTION", "The mailbox is damaged", true};

	if (e->code != ERR_SYS)
		return words_of(e->code);
	switch (e->sys) {
	case EMFILE:
	case ENFILE:
	case ENOMEM:
	case EAGAIN:
		return &busy;
	case EIO:
	case EUCLEAN:
	case ELOOP:
	case ENOTDIR:
	case EISDIR:
		return &damaged;
	default:
		return words_of(e->code);
	}
}

const char *
reply_code(const struct err *e)
{
	return words_of_err(e)->code;
}

enum step
reply_err(struct cmd *c, const struct err *e)
{
	const struct words *w = words_of_err(e);

	if (w->is_log)
		log_error("command failed user=<%s> command=%s reason=%s",
		    c->s->user, c->def->name, e->text);
	else
		log_debug("command refused user=<%s> command=%s reason=%s",
		    c->s->user, c->def->name, e->text);
	return reply_no(c, w->code, w->text);
}

void
reply_begin(struct session *s)
{
	buf_add_c(&s->out, "* ");
}

void
reply_end(struct session *s)
{
	buf_add_c(&s->out, "\r\n");
	if (s->out.n >= SEND_BYTES)
		session_send(s);
}

void
reply_untagged(struct session *s, const char *fmt, ...)
{
	char text[512];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= sizeof(text))
		return;
	reply_begin(s);
	buf_add(&s->out, text, (size_t)n);
	reply_end(s);
}
