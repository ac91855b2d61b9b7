/* SPDX-License-Identifier: ISC */
/*
 * param.c - a value with parameters.
 *
 * Runs in: imapd sessions.
 * Trusts:  nothing. What other programs write wrong has a defined meaning:
 *          an unquoted value ends at a blank or ";", a file name at ";"; a
 *          quoted string without end ends with the text; a parameter without
 *          "=" is left out.
 * Spec:    RFC 2045 section 5.1, RFC 2231 sections 3, 4, 6, RFC 2183.
 */
#include "mime/param.h"

#include <stdlib.h>

#include "base/num.h"
#include "mime/encword.h"
#include "text/ascii.h"
#include "text/charset.h"

/* A parameter as it stands in the field. */
struct raw {
	struct mime_param *param;
	struct str base; /* name before the first "*" */
	uint32_t section; /* of name*3 */
	uint32_t order; /* as it came */
	bool is_section, is_extended;
};

/* RFC 5322: comment, nested, at the start of *s. */
static void
skip_comment(struct str *s)
{
	size_t depth = 0, i;

	for (i = 0; i < s->n; i++) {
		if (s->p[i] == '\\') {
			i++;
		} else if (s->p[i] == '(') {
			depth++;
		} else if (s->p[i] == ')' && --depth == 0) {
			i++;
			break;
		}
	}
	*s = str_skip(*s, i);
}

static void
skip_cfws(struct str *s)
{
	while (s->n > 0) {
		if (ascii_is_space(s->p[0]))
			*s = str_skip(*s, 1);
		else if (s->p[0] == '(')
			skip_comment(s);
		else
			return;
	}
}

/* Bytes up to a blank, a comment or one of `stop`. */
static struct str
cut_token(struct str *s, const char *stop)
{
	struct str token;
	size_t i;

	for (i = 0; i < s->n; i++)
		if (ascii_is_space(s->p[i]) || s->p[i] == '(' ||
		    strchr(stop, s->p[i]) != NULL)
			break;
	token = str_head(*s, i);
	*s = str_skip(*s, i);
	return token;
}

/* Bytes of the quoted string at the start of `s`, both quotes included. */
static size_t
quoted_length(struct str s)
{
	size_t i;

	for (i = 1; i < s.n; i++) {
		if (s.p[i] == '\\')
			i++;
		else if (s.p[i] == '"')
			return i + 1;
	}
	return s.n;
}

/* RFC 5322: quoted-string, unquoted into the arena. */
static struct str
cut_quoted(struct arena *a, struct str *s)
{
	size_t length = quoted_length(*s), i, n = 0;
	char *out = arena_new(a, length, 1);

	for (i = 1; i < length && s->p[i] != '"'; i++) {
		if (s->p[i] == '\\' && i + 1 < length)
			i++;
		out[n++] = s->p[i];
	}
	*s = str_skip(*s, length);
	return str_make(out, n);
}

static bool
is_file_name(struct str name)
{
	return str_eq_nocase(name, STR("name")) ||
	    str_eq_nocase(name, STR("filename"));
}

static struct str
cut_value(struct arena *a, struct str *s, struct str name)
{
	struct str value, whole;

	skip_cfws(s);
	if (s->n > 0 && s->p[0] == '"')
		return cut_quoted(a, s);
	whole = str_trim(str_head(*s, str_find(*s, ';')));
	value = cut_token(s, ";");
	/* name=my file.pdf: all of it is meant. */
	if (is_file_name(name) && value.n < whole.n &&
	    memchr(whole.p, '(', whole.n) == NULL) {
		*s = str_skip(*s, whole.n - value.n);
		value = whole;
	}
	return value;
}

/* Steps to the next ";" outside of quotes and comments. */
static void
skip_to_next(struct str *s)
{
	while (s->n > 0 && s->p[0] != ';') {
		if (s->p[0] == '"')
			*s = str_skip(*s, quoted_length(*s));
		else if (s->p[0] == '(')
			skip_comment(s);
		else
			*s = str_skip(*s, 1);
	}
}

/* What the stars in the name say (RFC 2231: parameter). */
static void
read_stars(struct raw *r)
{
	struct str tail = r->param->name, number;

	r->is_section = r->is_extended = false;
	if (!str_cut(&tail, '*', &r->base))
		return;
	if (tail.n == 0) {
		r->is_extended = true;
		return;
	}
	r->is_extended = str_cut(&tail, '*', &number);
	/* Anything else with stars is a name that somebody made up. */
	if (tail.n == 0 && number.n <= 5 &&
	    num_parse_u32(number, 0, 99999, &r->section))
		r->is_section = true;
	else
		r->is_extended = false;
}

static int
compare_sections(const void *pa, const void *pb)
{
	const struct raw *a = pa, *b = pb;
	int c = str_cmp_nocase(a->base, b->base);

	if (c != 0)
		return c;
	if (a->section != b->section)
		return a->section < b->section ? -1 : 1;
	return a->order < b->order ? -1 : 1;
}

/* RFC 2231: attribute-char, which needs no percent form. */
static bool
is_attribute_char(char c)
{
	return ascii_is_graph(c) && strchr("*'%()<>@,;:\\\"/[]?=", c) == NULL;
}

/*
 * Joins sections 0, 1, ... in r[0..n) into the first one's parameter. A plain
 * section of an extended value gets the percent form, so that all is alike.
 */
static void
join_sections(struct arena *a, struct raw *r, size_t n)
{
	static const char digits[] = "0123456789ABCDEF";
	bool is_extended = false;
	size_t used = 0, room = 3, at = 0, i, k;
	char *p;

	while (used < n && r[used].section == used) {
		is_extended |= r[used].is_extended;
		room += r[used].param->value.n * 3;
		used++;
	}
	if (used == 0)
		return;
	p = arena_new(a, room, 1);
	/* Charset and language are missing when the first is plain. */
	if (is_extended && !r[0].is_extended)
		p[at++] = '\'', p[at++] = '\'';
	for (i = 0; i < used; i++) {
		struct str v = r[i].param->value;

		for (k = 0; k < v.n; k++) {
			if (!is_extended || r[i].is_extended ||
			    is_attribute_char(v.p[k])) {
				p[at++] = v.p[k];
				continue;
			}
			p[at++] = '%';
			p[at++] = digits[(unsigned char)v.p[k] >> 4];
			p[at++] = digits[(unsigned char)v.p[k] & 15];
		}
		if (i > 0)
			r[i].param->name.p = NULL; /* taken out below */
	}
	r[0].param->value = str_make(p, at);
	r[0].param->name = is_extended
	    ? arena_printf(a, "%.*s*", STR_ARG(r[0].base))
	    : r[0].base;
}

/* Joins the sections among `count` parameters; the joined ones get no name. */
static void
join_all(struct arena *a, struct raw *raws, size_t count)
{
	size_t i, from, n = 0;

	for (i = 0; i < count; i++)
		if (raws[i].is_section)
			raws[n++] = raws[i];
	if (n == 0)
		return;
	qsort(raws, n, sizeof(raws[0]), compare_sections);
	for (from = 0; from < n; from = i) {
		/* A section that came twice counts once. */
		size_t kept = from + 1;

		for (i = from + 1;
		     i < n && str_eq_nocase(raws[i].base, raws[from].base); i++)
			if (raws[i].section != raws[kept - 1].section)
				raws[kept++] = raws[i];
		join_sections(a, raws + from, kept - from);
	}
}

/* One "name=value" at the start of *s; false when there is no "=". */
static bool
cut_param(struct arena *a, struct str *s, struct mime_param *out)
{
	skip_cfws(s);
	out->name = cut_token(s, ";=");
	skip_cfws(s);
	if (out->name.n == 0 || s->n == 0 || s->p[0] != '=')
		return false;
	*s = str_skip(*s, 1);
	out->value = cut_value(a, s, out->name);
	return true;
}

void
param_parse(struct arena *a, struct str s, uint32_t *max, struct str *value,
    struct mime_param **params)
{
	struct mime_param **tail = params, *p, one = {0};
	struct raw *raws;
	size_t n = 0, i = 0;
	bool has_stars = false;

	skip_cfws(&s);
	*value = cut_token(&s, ";");
	*params = NULL;
	while (s.n > 0 && *max > 0) {
		/* Some forget a ";": "text/plain charset=utf-8". */
		skip_cfws(&s);
		if (s.n > 0 && s.p[0] == ';')
			s = str_skip(s, 1);
		if (cut_param(a, &s, &one)) {
			p = arena_new(a, 1, sizeof(*p));
			*p = one;
			*tail = p;
			tail = &p->next;
			n++;
			(*max)--;
			has_stars |= str_find(one.name, '*') < one.name.n;
		} else {
			skip_to_next(&s);
		}
	}
	if (!has_stars)
		return;
	raws = arena_new(a, n, sizeof(*raws));
	for (p = *params; p != NULL; p = p->next, i++) {
		raws[i] = (struct raw){.param = p, .order = (uint32_t)i};
		read_stars(&raws[i]);
	}
	join_all(a, raws, n);
	for (tail = params; *tail != NULL;)
		if ((*tail)->name.p == NULL)
			*tail = (*tail)->next;
		else
			tail = &(*tail)->next;
}

bool
param_split_type(struct str value, struct str *type, struct str *subtype)
{
	if (!str_cut(&value, '/', type))
		return false;
	*subtype = value;
	return type->n > 0 && subtype->n > 0;
}

bool
param_find(const struct mime_param *params, const char *name, struct str *value)
{
	for (; params != NULL; params = params->next)
		if (str_eq_nocase(params->name, str_of(name))) {
			*value = params->value;
			return true;
		}
	return false;
}

/* RFC 2231: extended-initial-value: charset'language'percent form. */
static struct str
decode_extended(struct arena *a, struct str v)
{
	struct str charset, language, text;
	struct buf b;
	char *p;
	size_t i, n = 0;

	if (!str_cut(&v, '\'', &charset) || !str_cut(&v, '\'', &language)) {
		v = charset;
		charset.n = 0;
	}
	p = arena_new(a, v.n + 1, 1);
	for (i = 0; i < v.n; i++) {
		if (v.p[i] == '%' && i + 2 < v.n && ascii_is_hex(v.p[i + 1]) &&
		    ascii_is_hex(v.p[i + 2])) {
			p[n++] = (char)(ascii_hex(v.p[i + 1]) << 4 |
			    ascii_hex(v.p[i + 2]));
			i += 2;
		} else {
			p[n++] = v.p[i];
		}
	}
	buf_init(&b, ENCWORD_DECODED_MAX(n));
	(void)charset_to_utf8(charset, str_make(p, n), &b);
	text = arena_str(a, buf_str(&b));
	buf_done(&b);
	return text;
}

bool
param_decode(struct arena *a, const struct mime_param *params, const char *name,
    struct str *text)
{
	const struct mime_param *p;
	struct buf b;

	for (p = params; p != NULL; p = p->next)
		if (p->name.n == strlen(name) + 1 &&
		    p->name.p[p->name.n - 1] == '*' &&
		    str_starts_nocase(p->name, str_of(name))) {
			*text = decode_extended(a, p->value);
			return true;
		}
	if (!param_find(params, name, text))
		return false;
	buf_init(&b, ENCWORD_DECODED_MAX(text->n));
	encword_decode(&b, *text);
	*text = arena_str(a, buf_str(&b));
	buf_done(&b);
	return true;
}
