/* SPDX-License-Identifier: ISC */
/*
 * msg_uidl.c - POP3's unique ids, the same as the server before us gave.
 *
 * Owns:    nothing.
 * Runs in: pop3d, as the mail user.
 * Trusts:  the format (the administrator's); no stored id that RFC 1939 does
 *          not allow.
 * Spec:    formats.md section 5; RFC 1939 section 7.
 *
 * A number in hexadecimal has lower-case digits although the format says X:
 * that is what Dovecot does.
 */
#include <stdio.h>

#include "base/buf.h"
#include "base/num.h"
#include "mime/header.h"
#include "store/msg_impl.h"
#include "text/ascii.h"

#define UIDL_MAX 70
#define XUIDL "xuidl:"
#define DEFAULT_FORMAT "%08Xu%08Xv"

/* Names of formats.md for forms that other servers have. */
static const struct {
	const char *name, *format;
} named[] = {
    {"uid8hex,v8hex", "%08Xu%08Xv"},
    {"v-uid", "%v-%u"},
    {"uid", "%u"},
    {"base", "%f"},
    {"v8hex,uid8hex", "%08Xv%08Xu"},
    {"v.uid", "%v.%u"},
};

/* Dovecot 2.4 writes %{uid|hex(8)}. */
static const struct {
	const char *name;
	char letter;
} words[] = {
    {"uid", 'u'},
    {"uidvalidity", 'v'},
    {"filename", 'f'},
    {"guid", 'g'},
};

struct field {
	bool is_hex, is_zero_padded;
	uint32_t width;
	char letter;
};

static bool
cut_word(struct str *f, struct field *out)
{
	struct str body, name;
	uint64_t width;

	if (!str_cut(f, '}', &body))
		return false;
	(void)str_cut(&body, '|', &name);
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (str_eq(name, str_of(words[i].name)))
			out->letter = words[i].letter;
	if (str_starts(body, STR("hex"))) {
		out->is_hex = true;
		body = str_skip(body, 3);
		if (body.n > 0 && *body.p == '(') {
			body = str_skip(body, 1);
			if (!num_cut_u64(&body, 32, &width))
				return false;
			out->width = (uint32_t)width;
			out->is_zero_padded = true;
		}
	}
	return out->letter != '\0';
}

/* What stands behind a '%'. */
static bool
cut_field(struct str *f, struct field *out)
{
	uint64_t width = 0;

	*out = (struct field){0};
	if (f->n > 0 && *f->p == '{') {
		*f = str_skip(*f, 1);
		return cut_word(f, out);
	}
	out->is_zero_padded = f->n > 0 && *f->p == '0';
	if (f->n > 0 && ascii_is_digit(*f->p) && !num_cut_u64(f, 32, &width))
		return false;
	out->width = (uint32_t)width;
	if (f->n > 0 && (*f->p == 'X' || *f->p == 'x')) {
		out->is_hex = true;
		*f = str_skip(*f, 1);
	}
	if (f->n == 0)
		return false;
	out->letter = *f->p;
	*f = str_skip(*f, 1);
	return true;
}

static void
put_number(struct buf *out, const struct field *f, uint32_t v)
{
	char text[16];
	int n = snprintf(text, sizeof(text), f->is_hex ? "%x" : "%u", v);

	for (uint32_t i = (uint32_t)n; i < f->width; i++)
		(void)buf_add_byte(out, f->is_zero_padded ? '0' : ' ');
	(void)buf_add(out, text, (size_t)n);
}

static int
format_uidl(struct msg *m, const struct msg_facts *facts, struct str format,
    struct buf *out, struct err *e)
{
	struct field f;

	while (format.n > 0) {
		char c = *format.p;

		format = str_skip(format, 1);
		if (c != '%') {
			(void)buf_add_byte(out, c);
			continue;
		}
		if (!cut_field(&format, &f))
			return err_set(e, ERR_SYNTAX, "pop3_uidl: bad format");
		switch (f.letter) {
		case 'u':
			put_number(out, &f, m->uid);
			break;
		case 'v':
			put_number(out, &f, m->mailbox->uidvalidity);
			break;
		case 'f':
			(void)buf_add_str(out, facts->base);
			break;
		case 'g':
			(void)buf_add_str(out, facts->guid);
			break;
		case '%':
			(void)buf_add_byte(out, '%');
			break;
		default:
			return err_set(e, ERR_UNSUPPORTED,
			    "pop3_uidl: %%%c is not known here", f.letter);
		}
	}
	return 0;
}

/* Courier's spelling of a base name (formats.md 4.5). */
static void
put_courier_base(struct buf *out, struct str base)
{
	for (size_t i = 0; i < base.n; i++)
		if (ascii_is_graph(base.p[i]) && base.p[i] != '\'' &&
		    base.p[i] != '"' && base.p[i] != '+')
			(void)buf_add_byte(out, base.p[i]);
		else
			(void)buf_addf(out, "+%02X", (unsigned char)base.p[i]);
}

static bool
is_uidl(struct str s)
{
	if (s.n == 0 || s.n > UIDL_MAX)
		return false;
	for (size_t i = 0; i < s.n; i++)
		if (!ascii_is_graph(s.p[i]))
			return false;
	return true;
}

/* The X-UIDL field of the message, if it has one that can be used. */
static bool
find_xuidl(struct msg *m, struct arena *a, struct str *out)
{
	struct header_field f;
	struct str block;
	struct err e;

	if (msg_header(m, &block, &e) == -1 ||
	    !header_find(block, STR("X-UIDL"), &f))
		return false;
	*out = arena_str(a, str_trim(f.value));
	return is_uidl(*out);
}

static int
make_uidl(struct msg *m, const struct msg_facts *facts, struct str format,
    struct buf *out, struct err *e)
{
	if (str_eq(format, STR("base-courier"))) {
		put_courier_base(out, facts->base);
		return 0;
	}
	for (size_t i = 0; i < ARRAY_LEN(named); i++)
		if (str_eq(format, str_of(named[i].name)))
			format = str_of(named[i].format);
	return format_uidl(m, facts, format, out, e);
}

int
msg_pop3_uidl(struct msg *m, const char *format, struct arena *a,
    struct str *uidl, uint32_t *order, struct err *e)
{
	struct str f = str_of(format);
	bool use_xuidl = str_starts(f, STR(XUIDL));
	struct msg_facts facts;
	struct buf b;
	int rc;

	if (!m->mailbox->store->ops->msg_facts(m->mailbox, m->uid, &facts))
		return err_set(e, ERR_GONE, "message %u is gone", m->uid);
	*order = facts.pop3_order;
	if (is_uidl(facts.uidl)) {
		*uidl = arena_str(a, facts.uidl);
		return 0;
	}
	if (use_xuidl) {
		if (find_xuidl(m, a, uidl))
			return 0;
		/* Reading may have moved the names. */
		if (!m->mailbox->store->ops->msg_facts(
			m->mailbox, m->uid, &facts))
			return err_set(
			    e, ERR_GONE, "message %u is gone", m->uid);
		f = str_skip(f, sizeof(XUIDL) - 1);
	}
	if (f.n == 0)
		f = STR(DEFAULT_FORMAT);
	buf_init(&b, 1024);
	rc = make_uidl(m, &facts, f, &b, e);
	if (rc == 0 && (buf_is_over(&b) || !is_uidl(buf_str(&b)))) {
		/* Too long, or with bytes that POP3 does not allow. */
		buf_clear(&b);
		rc = make_uidl(m, &facts, STR(DEFAULT_FORMAT), &b, e);
	}
	if (rc == 0)
		*uidl = arena_str(a, buf_str(&b));
	buf_done(&b);
	return rc;
}
