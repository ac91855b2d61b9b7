/* SPDX-License-Identifier: ISC */
/*
 * uidl_format.c - writes a POP3 unique id in the form that a setting asks for.
 *
 * Owns:    nothing.
 * Runs in: pop3d; restanted and restantectl check settings with it.
 * Trusts:  nothing; any format is written or refused.
 * Spec:    formats.md section 5; Dovecot's documentation of pop3_uidl_format and
 *          of its variables, 2.3 and 2.4; RFC 1939 section 7.
 *
 *	format   = name / *( byte / variable )
 *	variable = "%%" / "%" [ range ] *modifier ( letter / "{" long "}" )
 *	range    = [ "0" ] [ [ "-" ] offset "." ] width
 *	modifier = "L" / "U" / "X" / "R"
 *	long     = name *( "|" filter [ "(" number ")" ] )
 *
 * A number in hexadecimal has lower-case digits although the format says X:
 * that is what Dovecot does.
 */
#include "base/num.h"
#include "text/ascii.h"
#include "text/uidl_format.h"

#define FORMAT_MAX 400
#define WIDTH_MAX 64
#define COURIER_BASE "base-courier"

/* Names of formats.md for forms that other servers have. */
static const struct {
	const char *name, *format;
} named[] = {
    {"uid8hex,v8hex", UIDL_FORMAT_DEFAULT},
    {"v-uid", "%v-%u"},
    {"uid", "%u"},
    {"base", "%f"},
    {"md5", "%m"},
    {"v8hex,uid8hex", "%08Xv%08Xu"},
    {"v.uid", "%v.%u"},
};

enum variable {
	VAR_NONE,
	VAR_UID,
	VAR_UIDVALIDITY,
	VAR_BASE,
	VAR_GUID,
	VAR_MD5,
};

static const struct {
	const char *name;
	enum variable variable;
	char letter;
} variables[] = {
    {"uid", VAR_UID, 'u'},
    {"uidvalidity", VAR_UIDVALIDITY, 'v'},
    {"filename", VAR_BASE, 'f'},
    {"guid", VAR_GUID, 'g'},
    {"md5", VAR_MD5, 'm'},
};

enum change {
	CHANGE_LOWER,
	CHANGE_UPPER,
	CHANGE_HEX,
	CHANGE_REVERSE,
	CHANGE_CUT,
};

static const struct {
	const char *name;
	enum change change;
	char letter;
	bool takes_number;
} changes[] = {
    {"lower", CHANGE_LOWER, 'L', false},
    {"upper", CHANGE_UPPER, 'U', false},
    {"hex", CHANGE_HEX, 'X', true},
    {"reverse", CHANGE_REVERSE, 'R', false},
    {"truncate", CHANGE_CUT, '\0', true},
};

/* A value on its way; never longer than a format and a name together. */
struct piece {
	char text[512];
	size_t n;
	bool is_number;
	uint32_t number;
};

/* Two for each message of a session: not by printf. */
static size_t
write_hex(char *out, uint32_t v)
{
	size_t n = 1;

	while (n < 8 && v >> (4 * n) != 0)
		n++;
	for (size_t i = n; i > 0; i--, v >>= 4)
		out[i - 1] = "0123456789abcdef"[v & 15];
	return n;
}

static int
bad(struct err *e, const char *what)
{
	return err_set(e, ERR_SYNTAX, "form of POP3's ids: %s", what);
}

static int
take_value(struct piece *p, enum variable variable, const struct uidl_values *v,
    struct err *e)
{
	struct str s = {0};

	*p = (struct piece){0};
	switch (variable) {
	case VAR_UID:
	case VAR_UIDVALIDITY:
		p->is_number = true;
		p->number = variable == VAR_UID ? v->uid : v->uidvalidity;
		p->n = num_write_u64(p->text, p->number);
		return 0;
	case VAR_BASE:
		s = v->base;
		break;
	case VAR_GUID:
		s = v->guid;
		break;
	case VAR_MD5:
		s = v->header_md5;
		break;
	case VAR_NONE:
		break;
	}
	if (s.n == 0 || s.n > sizeof(p->text))
		return err_set(e, ERR_UNSUPPORTED,
		    "form of POP3's ids: this mail has no such value");
	memcpy(p->text, s.p, s.n);
	p->n = s.n;
	return 0;
}

static void
reverse(struct piece *p)
{
	for (size_t i = 0; i < p->n / 2; i++) {
		char c = p->text[i];

		p->text[i] = p->text[p->n - 1 - i];
		p->text[p->n - 1 - i] = c;
	}
}

/* Zeros before it, until it is so long. */
static void
pad(struct piece *p, size_t width)
{
	size_t n = p->n < width ? width - p->n : 0;

	memmove(p->text + n, p->text, p->n);
	memset(p->text, '0', n);
	p->n += n;
}

static int
apply(struct piece *p, enum change change, size_t number, struct err *e)
{
	switch (change) {
	case CHANGE_LOWER:
		for (size_t i = 0; i < p->n; i++)
			p->text[i] = ascii_lower(p->text[i]);
		break;
	case CHANGE_UPPER:
		for (size_t i = 0; i < p->n; i++)
			p->text[i] = ascii_upper(p->text[i]);
		break;
	case CHANGE_HEX:
		if (!p->is_number)
			return bad(e, "only a number can be hexadecimal");
		p->n = write_hex(p->text, p->number);
		p->is_number = false;
		pad(p, number);
		break;
	case CHANGE_REVERSE:
		reverse(p);
		break;
	case CHANGE_CUT:
		if (p->n > number)
			p->n = number;
		break;
	}
	return 0;
}

/* ---- %{uid | hex(8)} ------------------------------------------------------ */

static int
apply_filter(struct piece *p, struct str filter, struct err *e)
{
	struct str name, argument = filter;
	uint32_t number = 0;
	bool has_number = str_cut(&argument, '(', &name);

	argument = str_trim(argument);
	if (has_number &&
	    (argument.n == 0 || argument.p[argument.n - 1] != ')' ||
		!num_parse_u32(str_trim(str_head(argument, argument.n - 1)), 0,
		    WIDTH_MAX, &number)))
		return bad(e, "a filter's number is from 0 to 64");
	name = str_trim(name);
	for (size_t i = 0; i < ARRAY_LEN(changes); i++)
		if (str_eq(name, str_of(changes[i].name)) &&
		    (changes[i].takes_number || !has_number) &&
		    (has_number || changes[i].change != CHANGE_CUT))
			return apply(p, changes[i].change, number, e);
	return err_set(e, ERR_UNSUPPORTED,
	    "form of POP3's ids: the filter %.*s is not known here",
	    (int)(name.n > 40 ? 40 : name.n), name.p);
}

/* Cuts what stands in braces; its filters are for later. */
static int
cut_long(
    struct str *f, enum variable *variable, struct str *filters, struct err *e)
{
	struct str name;

	if (!str_cut(f, '}', filters))
		return bad(e, "no } behind %{");
	(void)str_cut(filters, '|', &name);
	name = str_trim(name);
	for (size_t i = 0; i < ARRAY_LEN(variables); i++)
		if (str_eq(name, str_of(variables[i].name))) {
			*variable = variables[i].variable;
			return 0;
		}
	return err_set(e, ERR_UNSUPPORTED,
	    "form of POP3's ids: %%{%.*s} is not known here",
	    (int)(name.n > 40 ? 40 : name.n), name.p);
}

/* ---- %08Xu ----------------------------------------------------------------- */

struct range {
	bool is_zero_padded, from_end;
	size_t offset, width;
};

static int
cut_range(struct str *f, struct range *r, struct err *e)
{
	uint64_t number = 0;

	*r = (struct range){0};
	if (f->n > 0 && *f->p == '-') {
		r->from_end = true;
		*f = str_skip(*f, 1);
	} else if (f->n > 0 && *f->p == '0') {
		r->is_zero_padded = true;
		*f = str_skip(*f, 1);
	}
	if (f->n > 0 && ascii_is_digit(*f->p) &&
	    !num_cut_u64(f, WIDTH_MAX, &number))
		return bad(e, "a width is 64 at most");
	r->width = (size_t)number;
	if (f->n > 0 && *f->p == '.') {
		*f = str_skip(*f, 1);
		r->offset = r->width;
		if (!num_cut_u64(f, WIDTH_MAX, &number))
			return bad(e, "a width is 64 at most");
		r->width = (size_t)number;
	}
	return 0;
}

/* Dovecot's way: with a zero it is filled up, without it is cut. */
static void
apply_range(struct piece *p, const struct range *r)
{
	size_t skip = r->from_end ? p->n > r->offset ? p->n - r->offset : 0
	    : r->offset > p->n    ? p->n
				  : r->offset;

	if (r->from_end && r->offset == 0 && p->n > r->width)
		skip = p->n - r->width; /* %-3f: the last three */
	memmove(p->text, p->text + skip, p->n - skip);
	p->n -= skip;
	if (r->width == 0)
		return;
	if (r->is_zero_padded)
		pad(p, r->width);
	else if (p->n > r->width)
		p->n = r->width;
}

static int
write_variable(struct str *f, const struct uidl_values *v, struct buf *out,
    unsigned *used, struct err *e)
{
	enum variable variable = VAR_NONE;
	struct str filters = {0}, modifiers, filter;
	struct range range;
	bool is_modifier = true;
	struct piece p;
	size_t n = 0;

	if (cut_range(f, &range, e) == -1)
		return -1;
	for (; n < f->n && is_modifier; n += is_modifier) {
		is_modifier = false;
		for (size_t i = 0; i < ARRAY_LEN(changes); i++)
			is_modifier =
			    is_modifier || f->p[n] == changes[i].letter;
		if (f->p[n] == '\0')
			is_modifier = false;
	}
	modifiers = str_head(*f, n);
	*f = str_skip(*f, n);
	if (f->n == 0)
		return bad(e, "% without a variable");
	if (*f->p == '{') {
		*f = str_skip(*f, 1);
		if (cut_long(f, &variable, &filters, e) == -1)
			return -1;
	} else {
		for (size_t i = 0; i < ARRAY_LEN(variables); i++)
			if (*f->p == variables[i].letter)
				variable = variables[i].variable;
		if (variable == VAR_NONE)
			return err_set(e, ERR_UNSUPPORTED,
			    "form of POP3's ids: %%%c is not known here",
			    ascii_is_graph(*f->p) ? *f->p : '?');
		*f = str_skip(*f, 1);
	}
	*used |= 1u << variable;
	if (take_value(&p, variable, v, e) == -1)
		return -1;
	for (n = 0; n < modifiers.n; n++)
		for (size_t i = 0; i < ARRAY_LEN(changes); i++)
			if (modifiers.p[n] == changes[i].letter &&
			    apply(&p, changes[i].change, 0, e) == -1)
				return -1;
	while (filters.n > 0 && str_next(&filters, '|', &filter))
		if (apply_filter(&p, filter, e) == -1)
			return -1;
	apply_range(&p, &range);
	(void)buf_add(out, p.text, p.n);
	return 0;
}

/* ---- the whole ------------------------------------------------------------ */

/* Courier's spelling of a base name (formats.md 4.5). */
static void
write_courier_base(struct buf *out, struct str base)
{
	for (size_t i = 0; i < base.n; i++)
		if (ascii_is_graph(base.p[i]) && base.p[i] != '\'' &&
		    base.p[i] != '"' && base.p[i] != '+')
			(void)buf_add_byte(out, base.p[i]);
		else
			(void)buf_addf(out, "+%02X", (unsigned char)base.p[i]);
}

static int
write_whole(struct str format, const struct uidl_values *v, struct buf *out,
    unsigned *used, struct err *e)
{
	if (format.n > FORMAT_MAX)
		return bad(e, "too long");
	if (str_eq(format, STR(COURIER_BASE))) {
		*used |= 1u << VAR_BASE;
		if (v->base.n == 0)
			return err_set(e, ERR_UNSUPPORTED,
			    "form of POP3's ids: this mail has no file names");
		write_courier_base(out, v->base);
		return 0;
	}
	for (size_t i = 0; i < ARRAY_LEN(named); i++)
		if (str_eq(format, str_of(named[i].name)))
			format = str_of(named[i].format);
	while (format.n > 0) {
		char c = *format.p;

		format = str_skip(format, 1);
		if (c != '%') {
			(void)buf_add_byte(out, c);
			continue;
		}
		if (format.n > 0 && *format.p == '%') {
			(void)buf_add_byte(out, '%');
			format = str_skip(format, 1);
			continue;
		}
		if (write_variable(&format, v, out, used, e) == -1)
			return -1;
	}
	return 0;
}

int
uidl_format_write(struct str format, const struct uidl_values *v,
    struct buf *out, struct err *e)
{
	unsigned used = 0;

	return write_whole(format, v, out, &used, e);
}

int
uidl_format_check(struct str format, bool *wants_md5, struct err *e)
{
	static const struct uidl_values sample = {
	    .uid = 1,
	    .uidvalidity = 1,
	    .base = STR_LIT("base"),
	    .guid = STR_LIT("guid"),
	    .header_md5 = STR_LIT("d41d8cd98f00b204e9800998ecf8427e"),
	};
	unsigned used = 0;
	struct buf b;
	int rc;

	buf_init(&b, 64 * 1024);
	rc = write_whole(format, &sample, &b, &used, e);
	if (rc == 0 && (used & ~(1u << VAR_UIDVALIDITY)) == 0)
		rc = bad(e, "it would be the same for every message");
	if (rc == 0)
		for (size_t i = 0; i < b.n && rc == 0; i++)
			if (!ascii_is_graph(b.p[i]))
				rc = bad(e, "a blank or control character");
	if (wants_md5 != NULL)
		*wants_md5 = (used & 1u << VAR_MD5) != 0;
	buf_done(&b);
	return rc;
}

bool
uidl_is_valid(struct str s)
{
	if (s.n == 0 || s.n > UIDL_MAX_BYTES)
		return false;
	for (size_t i = 0; i < s.n; i++)
		if (!ascii_is_graph(s.p[i]))
			return false;
	return true;
}
