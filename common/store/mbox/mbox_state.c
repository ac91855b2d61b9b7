/* SPDX-License-Identifier: ISC */
/*
 * mbox_state.c - reads and writes Status, X-Status, X-Keywords, X-UID,
 * X-IMAPbase and Content-Length.
 *
 * Owns:    nothing.
 * Runs in: imapd, pop3d, as the mail user.
 * Trusts:  nothing; whether a UID is believed is mbox_sync's to decide.
 * Spec:    formats.md 6.6, 6.7, 7.6, 7.7, 7.10.
 */
#include "base/num.h"
#include "mime/header.h"
#include "store/mailbox.h"
#include "store/mbox/mbox_state.h"
#include "text/ascii.h"

static const struct {
	struct str name;
	enum mbox_field field;
} fields[] = {
    {STR_LIT("Status"), MBOX_STATUS},
    {STR_LIT("X-Status"), MBOX_X_STATUS},
    {STR_LIT("X-Keywords"), MBOX_X_KEYWORDS},
    {STR_LIT("X-UID"), MBOX_X_UID},
    {STR_LIT("X-IMAP"), MBOX_X_IMAP},
    {STR_LIT("X-IMAPbase"), MBOX_X_IMAPBASE},
    {STR_LIT("Content-Length"), MBOX_CONTENT_LENGTH},
};

static const struct {
	char letter;
	uint8_t flag;
} letters[] = {
    {'R', FLAG_SEEN},
    {'A', FLAG_ANSWERED},
    {'F', FLAG_FLAGGED},
    {'T', FLAG_DRAFT},
    {'D', FLAG_DELETED},
};

enum mbox_field
mbox_field_of(struct str name)
{
	if (name.n < 5 || name.n > 14)
		return MBOX_VISIBLE;
	for (size_t i = 0; i < ARRAY_LEN(fields); i++)
		if (str_eq_nocase(name, fields[i].name))
			return fields[i].field;
	return MBOX_VISIBLE;
}

bool
mbox_is_hidden(struct str field)
{
	struct str name = str_head(field, str_find(field, ':'));

	if (name.n == field.n)
		return false;
	while (name.n > 0 && ascii_is_blank(name.p[name.n - 1]))
		name.n--;
	return mbox_field_of(name) != MBOX_VISIBLE;
}

uint64_t
mbox_hash(uint64_t h, struct str bytes)
{
	for (size_t i = 0; i < bytes.n; i++)
		h = (h ^ (unsigned char)bytes.p[i]) * UINT64_C(0x100000001b3);
	return h;
}

/* ---- reading ------------------------------------------------------------- */

static void
parse_letters(struct str value, struct mbox_state *st, bool is_x)
{
	char *others = is_x ? st->x_others : st->others;
	uint8_t *n = is_x ? &st->n_x_others : &st->n_others;

	st->has_status = true;
	for (size_t i = 0; i < value.n; i++) {
		char c = value.p[i];
		bool known = c == 'O';

		st->is_old = st->is_old || c == 'O';
		for (size_t k = 0; k < ARRAY_LEN(letters); k++) {
			if (letters[k].letter != c)
				continue;
			st->flags |= letters[k].flag;
			known = true;
		}
		if (!known && ascii_is_graph(c) && *n < MBOX_OTHERS_MAX &&
		    memchr(others, c, *n) == NULL)
			others[(*n)++] = c;
	}
}

bool
mbox_keyword_next(struct str *list, struct str *name)
{
	size_t n = 0;

	while (list->n > 0 && ascii_is_space(*list->p))
		*list = str_skip(*list, 1);
	while (n < list->n && !ascii_is_space(list->p[n]))
		n++;
	*name = str_head(*list, n);
	*list = str_skip(*list, n);
	return n > 0;
}

/* "V last-uid [keywords]" */
static void
parse_base(
    struct str value, struct str header, bool is_pseudo, struct mbox_state *st)
{
	struct str rest = value, first, second;
	uint32_t validity, last;

	if (!mbox_keyword_next(&rest, &first) ||
	    !mbox_keyword_next(&rest, &second) ||
	    !num_parse_u32(first, 1, UINT32_MAX, &validity) ||
	    !num_parse_u32(second, 0, UINT32_MAX - 1, &last))
		return;
	st->has_base = true;
	st->is_pseudo = is_pseudo;
	st->uidvalidity = validity;
	st->last_uid = last;
	st->last_uid_fixed = second.n == 10;
	st->last_uid_at = (uint32_t)(second.p - header.p);
	st->base_keywords = str_trim(rest);
}

static void
parse_field(
    const struct header_field *f, struct str header, struct mbox_state *st)
{
	struct str value = str_trim(f->value);

	switch (mbox_field_of(f->name)) {
	case MBOX_STATUS:
		parse_letters(value, st, false);
		break;
	case MBOX_X_STATUS:
		parse_letters(value, st, true);
		break;
	case MBOX_X_KEYWORDS:
		st->has_keywords = st->has_status = true;
		st->keywords = value;
		break;
	case MBOX_X_UID:
		st->has_uid_field = true;
		if (!num_parse_u32(value, 1, UINT32_MAX - 1, &st->uid))
			st->uid = 0;
		break;
	case MBOX_X_IMAPBASE:
	case MBOX_X_IMAP:
		if (!st->has_base)
			parse_base(value, header,
			    mbox_field_of(f->name) == MBOX_X_IMAP, st);
		break;
	case MBOX_CONTENT_LENGTH:
		st->has_length =
		    num_parse_u64(value, 0, INT64_MAX, &st->length);
		if (!st->has_length)
			st->length = 0;
		break;
	case MBOX_VISIBLE:
		break;
	}
}

/* The fields of formats.md 7.10, into a hash of our own. */
struct naming {
	uint64_t hash, all;
	bool has_received, has_any;
};

static void
name_by(struct naming *n, const struct header_field *f)
{
	bool is_received = str_eq_nocase(f->name, STR("Received"));
	bool takes = is_received && !n->has_received;

	if (!n->has_received)
		takes = takes || str_eq_nocase(f->name, STR("Date")) ||
		    str_eq_nocase(f->name, STR("Message-ID"));
	takes = takes || str_eq_nocase(f->name, STR("Delivered-To")) ||
	    str_eq_nocase(f->name, STR("X-Delivery-ID"));
	n->has_received = n->has_received || is_received;
	if (takes) {
		n->has_any = true;
		n->hash = mbox_hash(n->hash, str_trim(f->value));
		n->hash = mbox_hash(n->hash, STR("\n"));
	}
	/* Without those: what mail programs leave alone when they rewrite. */
	if (str_eq_nocase(f->name, STR("From")) ||
	    str_eq_nocase(f->name, STR("Subject")) ||
	    str_eq_nocase(f->name, STR("To")))
		n->all = mbox_hash(n->all, str_trim(f->value));
}

void
mbox_state_parse(struct str header, struct mbox_state *st)
{
	struct naming n = {.hash = MBOX_HASH_INIT, .all = MBOX_HASH_INIT};
	struct header_iter it;
	struct header_field f;

	*st = (struct mbox_state){0};
	header_iter_init(&it, header);
	while (header_iter_next(&it, &f)) {
		parse_field(&f, header, st);
		name_by(&n, &f);
	}
	st->hash = n.has_any ? n.hash : n.all;
}

/* ---- writing ------------------------------------------------------------- */

static void
end_line(struct buf *out, bool crlf)
{
	(void)buf_add_c(out, crlf ? "\r\n" : "\n");
}

static void
add_spaces(struct buf *out, size_t n)
{
	static const char spaces[] =
	    "                                                                ";

	while (n > 0) {
		size_t k = n < sizeof(spaces) - 1 ? n : sizeof(spaces) - 1;

		(void)buf_add(out, spaces, k);
		n -= k;
	}
}

static void
add_letters(struct buf *out, const char *which, uint8_t flags)
{
	for (size_t i = 0; i < ARRAY_LEN(letters); i++)
		if (strchr(which, letters[i].letter) != NULL &&
		    flags & letters[i].flag)
			(void)buf_add_byte(out, letters[i].letter);
}

/* Not written when it says nothing, unless it takes the padding. */
static void
write_status(struct buf *out, const struct mbox_words *w, bool pad, size_t n)
{
	size_t start = out->n, empty;

	(void)buf_add_c(out, "Status: ");
	empty = out->n;
	add_letters(out, "R", w->flags);
	if (w->is_old)
		(void)buf_add_byte(out, 'O');
	(void)buf_add_str(out, w->others);
	if (out->n == empty && !pad) {
		out->n = start;
		return;
	}
	if (pad)
		add_spaces(out, n);
	end_line(out, w->crlf);
}

static void
write_x_status(struct buf *out, const struct mbox_words *w)
{
	size_t start = out->n, empty;

	(void)buf_add_c(out, "X-Status: ");
	empty = out->n;
	add_letters(out, "AFTD", w->flags);
	(void)buf_add_str(out, w->x_others);
	if (out->n == empty)
		out->n = start;
	else
		end_line(out, w->crlf);
}

void
mbox_state_write(struct buf *out, const struct mbox_words *w, size_t padding)
{
	bool has_base = w->is_first || w->is_pseudo;
	bool pad_keywords = w->keywords.n > 0;
	bool pad_uid = !pad_keywords && w->uid != 0;
	bool pad_base = !pad_keywords && !pad_uid && has_base;

	if (has_base) {
		(void)buf_addf(out, "%s %u %010u%.*s",
		    w->is_pseudo ? "X-IMAP:" : "X-IMAPbase:", w->uidvalidity,
		    w->last_uid, STR_ARG(w->base_keywords));
		if (pad_base)
			add_spaces(out, padding);
		end_line(out, w->crlf);
	}
	if (w->uid != 0) {
		(void)buf_addf(out, "X-UID: %u", w->uid);
		if (pad_uid)
			add_spaces(out, padding);
		end_line(out, w->crlf);
	}
	write_status(out, w, !pad_keywords && !pad_uid && !pad_base, padding);
	write_x_status(out, w);
	if (pad_keywords) {
		(void)buf_addf(out, "X-Keywords: %.*s", STR_ARG(w->keywords));
		add_spaces(out, padding);
		end_line(out, w->crlf);
	}
	if (w->has_length) {
		(void)buf_addf(
		    out, "Content-Length: %llu", (unsigned long long)w->length);
		end_line(out, w->crlf);
	}
}
