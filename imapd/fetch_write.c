/* SPDX-License-Identifier: ISC */
/*
 * fetch_write.c - ENVELOPE and BODYSTRUCTURE in IMAP syntax.
 *
 * Owns:    nothing.
 * Runs in: imapd.
 * Trusts:  the tree's shape (mime/part bounds its depth); no byte in it.
 * Spec:    RFC 3501 sections 7.4.2 and 9 (envelope, body).
 */
#include "imap/imap_write.h"
#include "imapd/fetch_write.h"

/* ---- ENVELOPE -------------------------------------------------------------- */

static void
write_addresses(struct buf *b, const struct mime_addr *a)
{
	if (a == NULL) {
		buf_add_c(b, "NIL");
		return;
	}
	buf_add_byte(b, '(');
	for (; a != NULL; a = a->next) {
		buf_add_byte(b, '(');
		imap_write_nstring(b, a->name);
		buf_add_byte(b, ' ');
		imap_write_nstring(b, a->adl);
		buf_add_byte(b, ' ');
		imap_write_nstring(b, a->mailbox);
		buf_add_byte(b, ' ');
		imap_write_nstring(b, a->host);
		buf_add_byte(b, ')');
	}
	buf_add_byte(b, ')');
}

void
fetch_write_envelope(struct buf *b, const struct envelope *env)
{
	/* Absent Sender and Reply-To are From (RFC 3501 section 7.4.2). */
	const struct mime_addr *lists[] = {
	    env->from,
	    env->sender != NULL ? env->sender : env->from,
	    env->reply_to != NULL ? env->reply_to : env->from,
	    env->to,
	    env->cc,
	    env->bcc,
	};
	size_t i;

	buf_add_byte(b, '(');
	imap_write_nstring(b, env->date);
	buf_add_byte(b, ' ');
	imap_write_nstring(b, env->subject);
	for (i = 0; i < ARRAY_LEN(lists); i++) {
		buf_add_byte(b, ' ');
		write_addresses(b, lists[i]);
	}
	buf_add_byte(b, ' ');
	imap_write_nstring(b, env->in_reply_to);
	buf_add_byte(b, ' ');
	imap_write_nstring(b, env->message_id);
	buf_add_byte(b, ')');
}

/* ---- BODY and BODYSTRUCTURE ------------------------------------------------ */

static void
write_params(struct buf *b, const struct mime_param *p)
{
	bool first = true;

	if (p == NULL) {
		buf_add_c(b, "NIL");
		return;
	}
	buf_add_byte(b, '(');
	for (; p != NULL; p = p->next) {
		if (!first)
			buf_add_byte(b, ' ');
		first = false;
		imap_write_string(b, p->name);
		buf_add_byte(b, ' ');
		imap_write_string(b, p->value);
	}
	buf_add_byte(b, ')');
}

static void
write_disposition(struct buf *b, const struct part *p)
{
	if (p->disposition.p == NULL) {
		buf_add_c(b, "NIL");
		return;
	}
	buf_add_byte(b, '(');
	imap_write_string(b, p->disposition);
	buf_add_byte(b, ' ');
	write_params(b, p->disposition_params);
	buf_add_byte(b, ')');
}

/* Content-Language (RFC 3282): a list, of one tag too, as Dovecot does it. */
static void
write_language(struct buf *b, struct str raw)
{
	struct str tag, rest = raw;
	size_t n = 0;

	while (raw.p != NULL && str_next(&rest, ',', &tag))
		n += str_trim(tag).n > 0;
	if (n == 0) {
		buf_add_c(b, "NIL");
		return;
	}
	buf_add_byte(b, '(');
	for (rest = raw, n = 0; str_next(&rest, ',', &tag);) {
		tag = str_trim(tag);
		if (tag.n == 0)
			continue;
		if (n++ > 0)
			buf_add_byte(b, ' ');
		imap_write_string(b, tag);
	}
	buf_add_byte(b, ')');
}

/* Disposition, language, location: the end of every extended form. */
static void
write_tail(struct buf *b, const struct part *p)
{
	buf_add_byte(b, ' ');
	write_disposition(b, p);
	buf_add_byte(b, ' ');
	write_language(b, p->language_raw);
	buf_add_byte(b, ' ');
	imap_write_nstring(b, p->location);
}

static void
end_multipart(struct buf *b, const struct part *p, bool extended)
{
	/* The grammar wants one part at least. */
	if (p->child == NULL)
		buf_add_c(b,
		    "(\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL "
		    "\"7bit\" 0 0)");
	buf_add_byte(b, ' ');
	imap_write_string(b, p->subtype);
	if (extended) {
		buf_add_byte(b, ' ');
		write_params(b, p->params);
		write_tail(b, p);
	}
	buf_add_byte(b, ')');
}

/* body-fields: params, id, description, encoding, octets. */
static void
write_fields(struct buf *b, const struct part *p)
{
	buf_add_byte(b, ' ');
	write_params(b, p->params);
	buf_add_byte(b, ' ');
	imap_write_nstring(b, p->id);
	buf_add_byte(b, ' ');
	imap_write_nstring(b, p->description);
	buf_add_byte(b, ' ');
	imap_write_string(b, p->encoding);
	buf_addf(b, " %llu", (unsigned long long)p->body_wire);
}

/* RFC 6532: a message with UTF-8 in its header; no message for RFC 3501. */
static bool
is_global(const struct part *p)
{
	return p->is_message && str_eq_nocase(p->subtype, STR("global"));
}

/* A message that is shown as one. */
static bool
has_message(const struct part *p, bool global)
{
	return p->is_message && p->child != NULL && (global || !is_global(p));
}

static void
end_single(struct buf *b, const struct part *p, bool extended, bool global)
{
	if (str_eq_nocase(p->type, STR("text")) || has_message(p, global))
		buf_addf(b, " %u", p->body_lines);
	if (extended) {
		buf_add_byte(b, ' ');
		imap_write_nstring(b, p->md5);
		write_tail(b, p);
	}
	buf_add_byte(b, ')');
}

/* A message that was too deep to look into must not look like one. */
static void
write_type(struct buf *b, const struct part *p, bool global)
{
	if (p->is_message && p->child == NULL && (global || !is_global(p))) {
		buf_add_c(b, "\"application\" \"octet-stream\"");
		return;
	}
	imap_write_string(b, p->type);
	buf_add_byte(b, ' ');
	imap_write_string(b, p->subtype);
}

/* Up to where children stand. */
static void
begin(struct buf *b, const struct part *p, bool global)
{
	buf_add_byte(b, '(');
	if (p->is_multipart)
		return;
	write_type(b, p, global);
	write_fields(b, p);
	if (has_message(p, global)) {
		buf_add_byte(b, ' ');
		fetch_write_envelope(b, p->child->envelope);
		buf_add_byte(b, ' ');
	}
}

static void
end(struct buf *b, const struct part *p, bool extended, bool global)
{
	if (p->is_multipart)
		end_multipart(b, p, extended);
	else
		end_single(b, p, extended, global);
}

void
fetch_write_body(
    struct buf *b, const struct part *root, bool extended, bool global)
{
	const struct part *p = root;

	for (;;) {
		begin(b, p, global);
		if (p->is_multipart ? p->child != NULL
				    : has_message(p, global)) {
			p = p->child;
			continue;
		}
		end(b, p, extended, global);
		while (p != root && p->next == NULL) {
			p = p->parent;
			end(b, p, extended, global);
		}
		if (p == root)
			return;
		p = p->next;
	}
}

bool
fetch_write_has_global(const struct part *root)
{
	const struct part *p = root;

	while (p != NULL && !is_global(p)) {
		if (p->child != NULL) {
			p = p->child;
			continue;
		}
		while (p != root && p->next == NULL)
			p = p->parent;
		p = p == root ? NULL : p->next;
	}
	return p != NULL;
}
