/* SPDX-License-Identifier: ISC */
/*
 * fetch_plan.c - FETCH's items as a plan.
 *
 * Owns:    nothing; all lies in the command's arena.
 * Runs in: imapd.
 * Trusts:  nothing in the arguments; their size is bounded by the lexer.
 * Spec:    RFC 3501 sections 6.4.5 and 9; RFC 4466 section 2.4 (modifiers),
 *          RFC 7162 sections 3.1.4, 3.2.6; RFC 8474
 *          section 5.3, RFC 8514 section 4.2, RFC 8970, RFC 3516.
 */
#include <stdlib.h>

#include "base/num.h"
#include "imap/imap_char.h"
#include "imap/imap_write.h"
#include "imapd/fetch_plan.h"
#include "imapd/modseq.h"
#include "text/ascii.h"

struct planner {
	struct arena *arena;
	struct fetch_plan *plan;
	struct fetch_item **tail;
};

static struct fetch_item *
add_item(struct planner *p, enum fetch_kind kind)
{
	struct fetch_item *item = arena_new(p->arena, 1, sizeof(*item));

	item->kind = kind;
	*p->tail = item;
	p->tail = &item->next;
	return item;
}

/* ---- section specifications ------------------------------------------------ */

/* A field name: astring, where a literal has become a quoted string. */
static bool
parse_field_name(struct arena *a, struct str *s, struct str *out)
{
	char *to;
	size_t n = 0, i;

	if (s->n == 0 || s->p[0] != '"') {
		for (i = 0;
		     i < s->n && imap_char_is(s->p[i], IMAP_CHAR_ASTRING);)
			i++;
		*out = str_head(*s, i);
		*s = str_skip(*s, i);
		return i > 0;
	}
	to = arena_new(a, s->n, 1);
	for (i = 1; i < s->n && s->p[i] != '"'; i++) {
		if (s->p[i] == '\\' && i + 1 < s->n)
			i++;
		to[n++] = s->p[i];
	}
	if (i == s->n)
		return false;
	*out = str_make(to, n);
	*s = str_skip(*s, i + 1);
	return true;
}

/* "(DATE FROM)": header-list. */
static bool
parse_fields(struct arena *a, struct str *s, struct fetch_section *sec)
{
	size_t room = s->n / 2 + 1;

	if (!str_starts(*s, STR(" (")))
		return false;
	*s = str_skip(*s, 2);
	sec->fields = arena_new(a, room, sizeof(*sec->fields));
	for (;;) {
		if (!parse_field_name(a, s, &sec->fields[sec->n_fields]))
			return false;
		sec->n_fields++;
		if (s->n == 0)
			return false;
		if (s->p[0] == ')')
			break;
		if (s->p[0] != ' ')
			return false;
		*s = str_skip(*s, 1);
	}
	*s = str_skip(*s, 1);
	return true;
}

/* "1.2.3" and the dot behind it, if a word follows. */
static bool
parse_numbers(struct arena *a, struct str *s, struct fetch_section *sec)
{
	uint32_t numbers[SECTION_NUMBERS_MAX] = {0};
	uint64_t v;

	while (s->n > 0 && ascii_is_digit(s->p[0])) {
		if (s->p[0] == '0' || sec->n_numbers == ARRAY_LEN(numbers) ||
		    !num_cut_u64(s, UINT32_MAX, &v))
			return false;
		numbers[sec->n_numbers++] = (uint32_t)v;
		if (s->n == 0)
			break;
		if (s->p[0] != '.')
			return false;
		*s = str_skip(*s, 1);
		if (s->n == 0)
			return false;
	}
	sec->numbers = arena_new(a, sec->n_numbers + 1, sizeof(uint32_t));
	memcpy(sec->numbers, numbers, sec->n_numbers * sizeof(uint32_t));
	return true;
}

/* What stands between the brackets (RFC 3501: section-spec). */
static bool
parse_spec(struct arena *a, struct str s, struct fetch_section *sec)
{
	static const struct {
		const char *word;
		enum section_text text;
	} words[] = {
	    {"HEADER.FIELDS.NOT", SECTION_FIELDS_NOT},
	    {"HEADER.FIELDS", SECTION_FIELDS},
	    {"HEADER", SECTION_HEADER},
	    {"TEXT", SECTION_TEXT},
	    {"MIME", SECTION_MIME},
	};
	size_t i;

	if (!parse_numbers(a, &s, sec))
		return false;
	if (s.n == 0)
		return true;
	for (i = 0; i < ARRAY_LEN(words); i++)
		if (str_starts_nocase(s, str_of(words[i].word)))
			break;
	if (i == ARRAY_LEN(words))
		return false;
	sec->text = words[i].text;
	s = str_skip(s, strlen(words[i].word));
	if (sec->text == SECTION_MIME && sec->n_numbers == 0)
		return false;
	if (sec->text == SECTION_FIELDS || sec->text == SECTION_FIELDS_NOT) {
		if (!parse_fields(a, &s, sec))
			return false;
	}
	return s.n == 0;
}

/* "<0.1024>" or nothing. */
static bool
parse_partial(struct str s, struct fetch_section *sec)
{
	uint64_t start, count;

	if (s.n == 0)
		return true;
	if (s.p[0] != '<')
		return false;
	s = str_skip(s, 1);
	if (!num_cut_u64(&s, INT64_MAX, &start) || s.n == 0 || s.p[0] != '.')
		return false;
	s = str_skip(s, 1);
	if (!num_cut_u64(&s, INT64_MAX, &count) || count == 0 ||
	    !str_eq(s, STR(">")))
		return false;
	sec->partial = true;
	sec->start = start;
	sec->count = count;
	return true;
}

/* The name of the value in the answer, without a literal in it. */
static struct str
make_label(struct arena *a, const char *word, const struct fetch_section *sec)
{
	static const char *const words[] = {
	    [SECTION_WHOLE] = "",
	    [SECTION_HEADER] = "HEADER",
	    [SECTION_FIELDS] = "HEADER.FIELDS",
	    [SECTION_FIELDS_NOT] = "HEADER.FIELDS.NOT",
	    [SECTION_TEXT] = "TEXT",
	    [SECTION_MIME] = "MIME",
	};
	struct buf b;
	struct str label;
	size_t i;

	buf_init(&b, SIZE_MAX / 2);
	buf_addf(&b, "%s[", word);
	for (i = 0; i < sec->n_numbers; i++)
		buf_addf(&b, i > 0 ? ".%u" : "%u", sec->numbers[i]);
	if (sec->n_numbers > 0 && sec->text != SECTION_WHOLE)
		buf_add_byte(&b, '.');
	buf_add_c(&b, words[sec->text]);
	for (i = 0; i < sec->n_fields; i++) {
		buf_add_c(&b, i == 0 ? " (" : " ");
		imap_write_astring(&b, sec->fields[i]);
	}
	buf_add_c(&b, sec->n_fields > 0 ? ")]" : "]");
	if (sec->partial)
		buf_addf(&b, "<%llu>", (unsigned long long)sec->start);
	label = arena_str(a, buf_str(&b));
	buf_done(&b);
	return label;
}

static int
compare_names(const void *a, const void *b)
{
	return str_cmp_nocase(*(const struct str *)a, *(const struct str *)b);
}

/* The label has them as they came; to look them up they are sorted. */
static void
sort_fields(struct fetch_section *sec)
{
	if (sec->n_fields > 1)
		qsort(sec->fields, sec->n_fields, sizeof(*sec->fields),
		    compare_names);
}

bool
fetch_plan_section(
    struct arena *arena, struct str spec, struct fetch_section *out)
{
	*out = (struct fetch_section){0};
	if (!parse_spec(arena, spec, out))
		return false;
	sort_fields(out);
	return true;
}

static unsigned
needs_of_section(const struct fetch_section *sec)
{
	if (sec->n_numbers > 0)
		return NEED_PARTS;
	switch (sec->text) {
	case SECTION_HEADER:
	case SECTION_FIELDS:
	case SECTION_FIELDS_NOT:
		return NEED_HEADER;
	case SECTION_TEXT:
		return NEED_HEADER | NEED_BYTES;
	default:
		return NEED_BYTES;
	}
}

/* "[...]<...>", for an answer that is called `word`. */
static bool
parse_brackets(struct planner *p, const char *word, struct str s,
    struct fetch_section *sec)
{
	size_t close = str_rfind(s, ']');

	if (s.n == 0 || s.p[0] != '[' || close == s.n)
		return false;
	if (!parse_spec(p->arena, str_make(s.p + 1, close - 1), sec) ||
	    !parse_partial(str_skip(s, close + 1), sec))
		return false;
	sec->label = make_label(p->arena, word, sec);
	return true;
}

/* BODY[...]<...> and BODY.PEEK[...]<...>; `s` begins behind BODY. */
static bool
parse_section(struct planner *p, struct str s)
{
	struct fetch_section *sec = &add_item(p, FETCH_SECTION)->section;
	bool peek = str_starts_nocase(s, STR(".PEEK"));

	if (peek)
		s = str_skip(s, 5);
	if (!parse_brackets(p, "BODY", s, sec))
		return false;
	sort_fields(sec);
	p->plan->needs |= needs_of_section(sec);
	p->plan->sets_seen |= !peek;
	return true;
}

/*
 * BINARY[1]<...>, BINARY.PEEK[1]<...>, BINARY.SIZE[1] (RFC 3516 section 7:
 * section-binary has numbers alone); `s` begins behind BINARY.
 */
static bool
parse_binary(struct planner *p, struct str s)
{
	bool size = str_starts_nocase(s, STR(".SIZE"));
	bool peek = str_starts_nocase(s, STR(".PEEK"));
	struct fetch_section *sec =
	    &add_item(p, size ? FETCH_BINARY_SIZE : FETCH_BINARY)->section;

	if (size || peek)
		s = str_skip(s, 5);
	if (!parse_brackets(p, size ? "BINARY.SIZE" : "BINARY", s, sec) ||
	    sec->text != SECTION_WHOLE || (size && sec->partial))
		return false;
	p->plan->has_binary = true;
	p->plan->needs |= needs_of_section(sec);
	p->plan->sets_seen |= !peek && !size;
	return true;
}

/* ---- items ----------------------------------------------------------------- */

/* RFC822, RFC822.HEADER, RFC822.TEXT: sections with a name of their own. */
static void
add_old_section(struct planner *p, const char *label, enum section_text text)
{
	struct fetch_section *sec = &add_item(p, FETCH_SECTION)->section;

	sec->text = text;
	sec->label = str_of(label);
	p->plan->needs |= needs_of_section(sec);
	p->plan->sets_seen |= text != SECTION_HEADER;
}

static const struct {
	const char *word;
	enum fetch_kind kind;
	unsigned needs;
} plain_items[] = {
    {"UID", FETCH_UID, 0},
    {"FLAGS", FETCH_FLAGS, 0},
    {"INTERNALDATE", FETCH_INTERNALDATE, NEED_DATE},
    {"RFC822.SIZE", FETCH_SIZE, NEED_SIZE},
    {"ENVELOPE", FETCH_ENVELOPE, NEED_ENVELOPE},
    {"BODY", FETCH_BODY, NEED_PARTS},
    {"BODYSTRUCTURE", FETCH_BODYSTRUCTURE, NEED_PARTS},
    {"MODSEQ", FETCH_MODSEQ, 0},
    {"EMAILID", FETCH_EMAILID, NEED_EMAIL_ID},
    {"THREADID", FETCH_THREADID, NEED_THREAD_ID},
    {"SAVEDATE", FETCH_SAVEDATE, 0},
};

static const struct {
	const char *word;
	enum section_text text;
} old_sections[] = {
    {"RFC822", SECTION_WHOLE},
    {"RFC822.HEADER", SECTION_HEADER},
    {"RFC822.TEXT", SECTION_TEXT},
};

/* PREVIEW, perhaps with (LAZY) behind it (RFC 8970 section 6). */
static bool
parse_preview(struct planner *p, const struct imap_arg **a)
{
	struct fetch_item *item = add_item(p, FETCH_PREVIEW);
	const struct imap_arg *at = *a, *list;

	if (imap_arg_list(&at, &list) && imap_arg_word(&list, "LAZY")) {
		while (imap_arg_word(&list, "LAZY"))
			;
		if (!imap_arg_end(list))
			return false;
		item->lazy = true;
		*a = at;
	}
	p->plan->needs |= item->lazy ? NEED_OPEN : NEED_PREVIEW;
	return true;
}

/* `a`: what follows the word. */
static bool
parse_item(struct planner *p, struct str word, const struct imap_arg **a)
{
	size_t i;

	if (str_eq_nocase(word, STR("PREVIEW")))
		return parse_preview(p, a);

	for (i = 0; i < ARRAY_LEN(plain_items); i++) {
		if (!str_eq_nocase(word, str_of(plain_items[i].word)))
			continue;
		p->plan->has_uid |= plain_items[i].kind == FETCH_UID;
		p->plan->has_flags |= plain_items[i].kind == FETCH_FLAGS;
		p->plan->has_modseq |= plain_items[i].kind == FETCH_MODSEQ;
		p->plan->needs |= plain_items[i].needs;
		add_item(p, plain_items[i].kind);
		return true;
	}
	for (i = 0; i < ARRAY_LEN(old_sections); i++)
		if (str_eq_nocase(word, str_of(old_sections[i].word))) {
			add_old_section(
			    p, old_sections[i].word, old_sections[i].text);
			return true;
		}
	if (str_starts_nocase(word, STR("BODY")))
		return parse_section(p, str_skip(word, 4));
	if (str_starts_nocase(word, STR("BINARY")))
		return parse_binary(p, str_skip(word, 6));
	return false;
}

static const struct {
	const char *word;
	const char *items[6];
} macros[] = {
    {"ALL", {"FLAGS", "INTERNALDATE", "RFC822.SIZE", "ENVELOPE"}},
    {"FAST", {"FLAGS", "INTERNALDATE", "RFC822.SIZE"}},
    {"FULL", {"FLAGS", "INTERNALDATE", "RFC822.SIZE", "ENVELOPE", "BODY"}},
};

static bool
parse_one(struct planner *p, struct str word, const struct imap_arg **a)
{
	size_t i, k;

	for (i = 0; i < ARRAY_LEN(macros); i++) {
		if (!str_eq_nocase(word, str_of(macros[i].word)))
			continue;
		for (k = 0; macros[i].items[k] != NULL; k++)
			(void)parse_item(p, str_of(macros[i].items[k]), a);
		return true;
	}
	return parse_item(p, word, a);
}

/* Bytes of an item that are shown to the client. */
#define FAULT_MAX 60

bool
fetch_plan_parse(
    struct arena *arena, const struct imap_arg **a, struct fetch_plan *out)
{
	struct planner p = {.arena = arena, .plan = out};
	const struct imap_arg *list;
	struct str word;

	*out = (struct fetch_plan){0};
	p.tail = &out->items;
	if (imap_arg_atom(a, &word)) {
		out->bad = word;
		return parse_one(&p, word, a);
	}
	if (!imap_arg_list(a, &list) || imap_arg_end(list))
		return false;
	while (imap_arg_atom(&list, &word)) {
		out->bad = word;
		if (!parse_item(&p, word, &list))
			return false;
	}
	out->bad = STR("");
	return imap_arg_end(list);
}

const char *
fetch_plan_fault(struct arena *arena, const struct fetch_plan *p)
{
	struct str item = str_head(p->bad, FAULT_MAX);
	char shown[FAULT_MAX];

	if (item.n == 0)
		return "FETCH items expected";
	for (size_t i = 0; i < item.n; i++)
		shown[i] =
		    item.p[i] >= ' ' && item.p[i] <= '~' ? item.p[i] : '?';
	return arena_c(arena,
	    arena_printf(arena, "Unknown or malformed FETCH item: %.*s%s",
		(int)item.n, shown, item.n < p->bad.n ? "..." : ""));
}

/* Puts one more item behind the others. */
static void
append_item(struct arena *arena, struct fetch_plan *plan, enum fetch_kind kind)
{
	struct planner p = {.arena = arena, .plan = plan};

	for (p.tail = &plan->items; *p.tail != NULL;)
		p.tail = &(*p.tail)->next;
	(void)add_item(&p, kind);
}

bool
fetch_plan_modifiers(
    struct arena *arena, const struct imap_arg **a, struct fetch_plan *p)
{
	const struct imap_arg *list;
	bool ok = true;

	if (imap_arg_end(*a))
		return true;
	if (!imap_arg_list(a, &list) || imap_arg_end(list))
		return false;
	while (ok && !imap_arg_end(list)) {
		/* Mail of iOS asks for what has changed since 0. */
		if (!p->has_changed_since &&
		    imap_arg_word(&list, "CHANGEDSINCE"))
			p->has_changed_since = ok =
			    modseq_arg(&list, 0, &p->changed_since);
		else if (!p->vanished && imap_arg_word(&list, "VANISHED"))
			p->vanished = true;
		else if (!p->has_partial && imap_arg_word(&list, "PARTIAL"))
			p->has_partial = ok =
			    partial_range_arg(&list, &p->partial);
		else
			ok = false;
	}
	if (p->has_changed_since && !p->has_modseq) {
		p->has_modseq = true;
		append_item(arena, p, FETCH_MODSEQ);
	}
	return ok && (!p->vanished || p->has_changed_since);
}
