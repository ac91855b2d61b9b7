/* SPDX-License-Identifier: ISC */
/*
 * flags.c - flags and keywords in IMAP syntax.
 *
 * Owns:    nothing.
 * Runs in: imapd, as the mail user.
 * Trusts:  nothing; keyword names come from clients and from files of others.
 * Spec:    RFC 3501 sections 2.3.2 and 9: flag, flag-keyword, flag-extension.
 */
#include "imapd/flags.h"

#include "base/bounds.h"
#include "imap/imap_char.h"

struct name {
	const char *text;
	enum msg_flag flag;
};

static const struct name names[] = {
    {"\\Answered", FLAG_ANSWERED},
    {"\\Flagged", FLAG_FLAGGED},
    {"\\Deleted", FLAG_DELETED},
    {"\\Seen", FLAG_SEEN},
    {"\\Draft", FLAG_DRAFT},
    {"\\Recent", FLAG_RECENT},
};

static void
separate(struct buf *b, bool *first)
{
	if (!*first)
		buf_add_byte(b, ' ');
	*first = false;
}

/* A name that is no atom can not be told to a client. */
static void
write_keyword(
    struct buf *b, const struct mailbox *m, size_t number, bool *first)
{
	struct str name = mailbox_keyword_name(m, number);

	if (!imap_char_all(name, IMAP_CHAR_ATOM))
		return;
	separate(b, first);
	buf_add_str(b, name);
}

static void
write_system(struct buf *b, unsigned system, bool *first)
{
	size_t i;

	for (i = 0; i < ARRAY_LEN(names); i++) {
		if ((system & names[i].flag) == 0)
			continue;
		separate(b, first);
		buf_add_c(b, names[i].text);
	}
}

void
flags_write(struct buf *b, const struct mailbox *m, const struct flags *f)
{
	bool first = true;
	uint32_t left;
	size_t i;

	write_system(b, f->system, &first);
	for (left = f->keywords; left != 0; left &= left - 1)
		write_keyword(b, m, (size_t)__builtin_ctz(left), &first);
	for (i = 0; i < f->n_more; i++)
		write_keyword(b, m, f->more[i], &first);
}

static void
write_names(struct buf *b, const struct mailbox *m, unsigned system,
    bool keywords, bool common)
{
	static const struct str names_of_all[] = {
	    STR_LIT("$MDNSent"),
	    STR_LIT("$Forwarded"),
	    STR_LIT("$Junk"),
	    STR_LIT("$NotJunk"),
	    STR_LIT("$Phishing"),
	};
	bool first = true;
	size_t i, number;

	write_system(b, system, &first);
	for (i = 0; keywords && i < mailbox_keyword_count(m); i++)
		write_keyword(b, m, i, &first);
	for (i = 0; keywords && common && i < ARRAY_LEN(names_of_all); i++)
		if (!mailbox_keyword_find(m, names_of_all[i], &number))
			buf_addf(b, " %.*s", STR_ARG(names_of_all[i]));
}

void
flags_write_names(struct buf *b, const struct mailbox *m, bool common)
{
	write_names(b, m, ~(unsigned)FLAG_RECENT, true, common);
}

/* Where keywords are kept, system flags are. */
void
flags_write_permanent(struct buf *b, const struct mailbox *m, uint8_t system,
    bool keywords, bool common)
{
	write_names(b, m, system, keywords, common);
	if (keywords)
		buf_add_c(b, " \\*");
}

/* RFC 3501: flag. */
static bool
flag_parse(struct str s, struct flag_wish *w, struct str *keyword)
{
	size_t i;

	*keyword = (struct str){0};
	if (s.p[0] != '\\') {
		*keyword = s;
		return s.n <= KEYWORD_MAX_BYTES &&
		    imap_char_all(s, IMAP_CHAR_ATOM);
	}
	for (i = 0; i < ARRAY_LEN(names); i++) {
		if (names[i].flag == FLAG_RECENT ||
		    !str_eq_nocase(s, str_of(names[i].text)))
			continue;
		w->system |= (uint8_t)names[i].flag;
		return true;
	}
	return false;
}

bool
flags_parse(
    const struct imap_arg *a, struct arena *arena, struct flag_wish *out)
{
	struct flag_wish w = {0};
	struct str *keywords, s;
	size_t n = 0;

	while (a[n].type != IMAP_ARG_END)
		n++;
	keywords = arena_new(arena, n, sizeof(*keywords));
	w.keywords = keywords;
	while (imap_arg_atom(&a, &s)) {
		if (!flag_parse(s, &w, &keywords[w.n_keywords]))
			return false;
		if (keywords[w.n_keywords].p != NULL)
			w.n_keywords++;
	}
	*out = w;
	return imap_arg_end(a);
}
