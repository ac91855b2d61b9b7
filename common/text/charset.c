/* SPDX-License-Identifier: ISC */
/*
 * charset.c - text in any charset of mail to UTF-8, over iconv.
 *
 * Owns:    a few idle iconv descriptors, because opening one costs more than
 *          converting a header with it.
 * Runs in: imapd and pop3d sessions.
 * Trusts:  nothing: names are checked before iconv sees them (they could
 *          carry "//TRANSLIT" or a path), bad bytes are replaced.
 */
#include "text/charset.h"

#include <errno.h>
#include <glob.h>
#include <iconv.h>

#include "base/mem.h"
#include "text/ascii.h"
#include "text/utf8.h"

#define IDLE_MAX 4
#define TORN_MAX 16 /* no charset has longer characters or shifts */

#define NO_ICONV ((iconv_t)-1)

struct charset {
	char name[CHARSET_NAME_MAX];
	iconv_t cd; /* NO_ICONV: the text is UTF-8 already */
	char torn[TORN_MAX];
	size_t n_torn;
	bool is_utf7;
	bool has_bom_to_see; /* UTF-16: the first two bytes decide the order */
};

/*
 * What mail calls them, and what they are. Each right-hand side is a superset
 * of what the name promises, because senders use more than they declare.
 */
static const struct {
	struct str name;
	const char *is;
} aliases[] = {
    {STR_LIT("iso-8859-1"), "windows-1252"},
    {STR_LIT("iso8859-1"), "windows-1252"},
    {STR_LIT("iso_8859-1"), "windows-1252"},
    {STR_LIT("latin1"), "windows-1252"},
    {STR_LIT("latin-1"), "windows-1252"},
    {STR_LIT("iso-8859-8-i"), "iso-8859-8"},
    {STR_LIT("iso-8859-8-e"), "iso-8859-8"},
    {STR_LIT("iso-8859-9"), "windows-1254"},
    {STR_LIT("ks_c_5601-1987"), "cp949"},
    {STR_LIT("ksc5601"), "cp949"},
    {STR_LIT("euc-kr"), "cp949"},
    {STR_LIT("gb2312"), "gb18030"},
    {STR_LIT("x-gbk"), "gb18030"},
    {STR_LIT("gbk"), "gb18030"},
    {STR_LIT("hz-gb-2312"), "gb18030"},
    {STR_LIT("big5"), "cp950"},
    {STR_LIT("x-big5"), "cp950"},
    {STR_LIT("shift_jis"), "cp932"},
    {STR_LIT("shift-jis"), "cp932"},
    {STR_LIT("sjis"), "cp932"},
    {STR_LIT("x-sjis"), "cp932"},
    {STR_LIT("x-euc-jp"), "euc-jp"},
    {STR_LIT("unicode-1-1-utf-7"), "utf-7"},
    {STR_LIT("x-unicode-2-0-utf-7"), "utf-7"},
    {STR_LIT("macintosh"), "macintosh"},
    {STR_LIT("x-mac-roman"), "macintosh"},
    {STR_LIT("x-mac-cyrillic"), "mac-cyrillic"},
    {STR_LIT("tis-620"), "cp874"},
    {STR_LIT("x-windows-949"), "cp949"},
};

static const char *const utf8_names[] = {"utf-8", "utf8", "us-ascii", "ascii",
    "ansi_x3.4-1968", "unknown-8bit", "x-unknown", "unicode-1-1-utf-8",
    "x-utf-8", "default", "8bit", "7bit", "binary", "none"};

static struct charset *idle[IDLE_MAX];

/* Lower case, at most CHARSET_NAME_MAX; false for what iconv must not see. */
static bool
clean_name(struct str in, char out[CHARSET_NAME_MAX])
{
	size_t i;

	in = str_trim(in);
	if (in.n == 0 || in.n >= CHARSET_NAME_MAX)
		return false;
	for (i = 0; i < in.n; i++) {
		out[i] = ascii_lower(in.p[i]);
		if (!ascii_is_alnum(out[i]) &&
		    memchr("-_:.+", out[i], 5) == NULL)
			return false;
	}
	out[i] = '\0';
	/* iconv knows cp1252, mail also has cp-1252. */
	if (strncmp(out, "cp-", 3) == 0)
		memmove(out + 2, out + 3, i - 2);
	return true;
}

static bool
is_utf8_name(const char *name)
{
	size_t i;

	for (i = 0; i < ARRAY_LEN(utf8_names); i++)
		if (strcmp(name, utf8_names[i]) == 0)
			return true;
	return false;
}

static const char *
iconv_name(const char *name)
{
	size_t i;

	for (i = 0; i < ARRAY_LEN(aliases); i++)
		if (str_eq(aliases[i].name, str_of(name)))
			return aliases[i].is;
	/* The byte order is settled when the first bytes are here. */
	if (strcmp(name, "utf-16") == 0)
		return "utf-16be";
	return name;
}

static struct charset *
find_idle(const char *name)
{
	struct charset *c;
	size_t i;

	for (i = 0; i < IDLE_MAX; i++) {
		c = idle[i];
		if (c == NULL || strcmp(c->name, name) != 0)
			continue;
		memmove(idle + i, idle + i + 1,
		    (IDLE_MAX - i - 1) * sizeof(idle[0]));
		idle[IDLE_MAX - 1] = NULL;
		return c;
	}
	return NULL;
}

static struct charset *
make(const char *name)
{
	iconv_t cd = NO_ICONV;
	struct charset *c;

	if (!is_utf8_name(name)) {
		cd = iconv_open("UTF-8", iconv_name(name));
		if (cd == NO_ICONV)
			return NULL;
	}
	c = mem_new(1, sizeof(*c));
	memcpy(c->name, name, strlen(name) + 1);
	c->cd = cd;
	c->is_utf7 = strcmp(iconv_name(name), "utf-7") == 0;
	return c;
}

struct charset *
charset_open(struct str name)
{
	char clean[CHARSET_NAME_MAX];
	struct charset *c;

	if (!clean_name(name, clean))
		return NULL;
	c = find_idle(clean);
	if (c == NULL)
		c = make(clean);
	if (c == NULL)
		return NULL;
	c->n_torn = 0;
	c->has_bom_to_see = strcmp(c->name, "utf-16") == 0;
	if (c->cd != NO_ICONV)
		(void)iconv(c->cd, NULL, NULL, NULL, NULL);
	return c;
}

static void
destroy(struct charset *c)
{
	if (c == NULL)
		return;
	if (c->cd != NO_ICONV)
		(void)iconv_close(c->cd);
	MEM_FREE(c);
}

void
charset_close(struct charset **c)
{
	if (*c == NULL)
		return;
	destroy(idle[IDLE_MAX - 1]);
	memmove(idle + 1, idle, (IDLE_MAX - 1) * sizeof(idle[0]));
	idle[0] = *c;
	*c = NULL;
}

bool
charset_is_known(struct str name)
{
	struct charset *c = charset_open(name);

	if (c == NULL)
		return false;
	charset_close(&c);
	return true;
}

/* Valid UTF-8 is copied; a character torn at the end of `in` is kept. */
static bool
feed_utf8(struct charset *c, struct str in, struct buf *out)
{
	struct str rest;
	size_t back;

	for (back = in.n < 3 ? in.n : 3; back > 0; back--) {
		rest = str_skip(in, in.n - back);
		if (utf8_is_prefix(rest)) {
			memcpy(c->torn, rest.p, rest.n);
			c->n_torn = rest.n;
			in.n -= rest.n;
			break;
		}
	}
	return utf8_add_clean(out, in);
}

/*
 * glibc lets pass what is beyond U+10FFFF, and knows UTF-8 by names that are
 * not in our table: what it wrote behind `from` is made valid UTF-8.
 */
static bool
clean_tail(struct buf *out, size_t from)
{
	struct str made = str_skip(buf_str(out), from);
	struct buf copy;
	bool fits;

	if (utf8_is_valid(made))
		return true;
	buf_init(&copy, made.n);
	(void)buf_add_str(&copy, made);
	out->n = from;
	fits = utf8_add_clean(out, buf_str(&copy));
	buf_done(&copy);
	return fits;
}

/* One turn of iconv; *in is what it did not take. */
static bool
feed_iconv(struct charset *c, struct str *in, struct buf *out)
{
	char *from = (char *)(uintptr_t)in->p, *to;
	size_t from_left = in->n, to_left, room, got;
	int rc;

	while (from_left > 0) {
		room = from_left * 2 + 32;
		to = buf_room(out, room);
		if (to == NULL) {
			room = out->max_bytes - out->n;
			to = room > 0 ? buf_room(out, room) : NULL;
			if (to == NULL)
				return false;
			out->over = true;
		}
		to_left = room;
		rc =
		    iconv(c->cd, &from, &from_left, &to, &to_left) == (size_t)-1
		    ? errno
		    : 0;
		got = room - to_left;
		out->n += got;
		if (!clean_tail(out, out->n - got))
			return false;
		if (rc == E2BIG && out->over)
			return false;
		if (rc == EINVAL)
			break;
		if (rc == EILSEQ) {
			if (!buf_add_c(out, UTF8_REPLACEMENT))
				return false;
			from++;
			from_left--;
			/* What glibc keeps of bad base64 depends on how the
			 * text was cut: the rest is direct characters. */
			if (c->is_utf7)
				(void)iconv(c->cd, NULL, NULL, NULL, NULL);
		}
	}
	*in = str_make(from, from_left);
	return true;
}

/*
 * True when the two bytes are a byte order mark. They choose the iconv: without
 * a mark it is the order in which they are ASCII, else the lower byte first, as
 * mail programs take it (RFC 2781 section 4.3 would have the higher one).
 */
static bool
see_bom(struct charset *c)
{
	bool is_mark = memcmp(c->torn, "\xff\xfe", 2) == 0;
	iconv_t cd;

	c->has_bom_to_see = false;
	if (memcmp(c->torn, "\xfe\xff", 2) == 0)
		return true;
	if (c->torn[0] == '\0' && c->torn[1] != '\0')
		return false;
	cd = iconv_open("UTF-8", "utf-16le");
	if (cd == NO_ICONV)
		return is_mark;
	(void)iconv_close(c->cd);
	c->cd = cd;
	/* Not for the next one that asks for "utf-16". */
	memcpy(c->name, "utf-16le", sizeof("utf-16le"));
	return is_mark;
}

static bool
keep_torn(struct charset *c, struct str rest, struct buf *out)
{
	if (rest.n > TORN_MAX) {
		/* Can not be; iconv would have said EILSEQ. */
		return buf_add_c(out, UTF8_REPLACEMENT);
	}
	memmove(c->torn, rest.p, rest.n);
	c->n_torn = rest.n;
	return true;
}

/* Converts what was torn, with the bytes of *in that make it whole. */
static bool
feed_torn(struct charset *c, struct str *in, struct buf *out)
{
	char joined[TORN_MAX * 2];
	struct str s;
	size_t had = c->n_torn, take;

	take = in->n < TORN_MAX ? in->n : TORN_MAX;
	memcpy(joined, c->torn, had);
	memcpy(joined + had, in->p, take);
	c->n_torn = 0;
	for (size_t n = had + 1; n <= had + take; n++) {
		s = str_make(joined, n);
		if (c->cd == NO_ICONV) {
			if (utf8_is_prefix(s))
				continue;
			uint32_t code;

			/* Whole, or the torn bytes were nothing. */
			if (utf8_decode(s, &code) == 0)
				n = had;
			*in = str_skip(*in, n - had);
			return utf8_add_clean(out, str_make(joined, n));
		}
		if (!feed_iconv(c, &s, out))
			return false;
		if (s.n < n) {
			/* It took something: what it left is still torn. */
			*in = str_skip(*in, n - had);
			return keep_torn(c, s, out);
		}
	}
	*in = str_skip(*in, take);
	return keep_torn(c, str_make(joined, had + take), out);
}

bool
charset_feed(struct charset *c, struct str in, struct buf *out)
{
	if (c->has_bom_to_see) {
		for (; c->n_torn < 2 && in.n > 0; in = str_skip(in, 1))
			c->torn[c->n_torn++] = in.p[0];
		if (c->n_torn < 2)
			return true;
		if (see_bom(c))
			c->n_torn = 0;
	}
	while (c->n_torn > 0 && in.n > 0)
		if (!feed_torn(c, &in, out))
			return false;
	if (in.n == 0)
		return true;
	if (c->cd == NO_ICONV)
		return feed_utf8(c, in, out);
	if (!feed_iconv(c, &in, out))
		return false;
	return keep_torn(c, in, out);
}

bool
charset_finish(struct charset *c, struct buf *out)
{
	bool fits = true;

	if (c->n_torn > 0)
		fits = buf_add_c(out, UTF8_REPLACEMENT);
	c->n_torn = 0;
	if (c->cd != NO_ICONV) {
		char *to = buf_room(out, 32);
		size_t left = 32;

		/* UTF-7 and the like may hold a character back. */
		if (to == NULL)
			return false;
		(void)iconv(c->cd, NULL, NULL, &to, &left);
		out->n += 32 - left;
		fits = clean_tail(out, out->n - (32 - left)) && fits;
	}
	return fits;
}

bool
charset_to_utf8(struct str name, struct str in, struct buf *out)
{
	struct charset *c = charset_open(name);
	bool fits;

	if (c == NULL) {
		(void)utf8_add_clean(out, in);
		return false;
	}
	fits = charset_feed(c, in, out) && charset_finish(c, out);
	charset_close(&c);
	return fits;
}

const char *
charset_module_dir(void)
{
	static char dir[100];
	glob_t g;

	if (dir[0] == '\0' &&
	    glob("/usr/lib/*/gconv", GLOB_NOSORT, NULL, &g) == 0) {
		(void)str_to_c(str_of(g.gl_pathv[0]), dir, sizeof(dir));
		globfree(&g);
	}
	return dir[0] == '\0' ? NULL : dir;
}
