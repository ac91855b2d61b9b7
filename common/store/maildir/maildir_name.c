/* SPDX-License-Identifier: ISC */
/*
 * maildir_name.c - parses, changes and makes names of message files.
 *
 * Owns:    the last time stamp given to a name.
 * Runs in: imapd, pop3d, as the mail user.
 * Trusts:  nothing; any name may lie in the folder.
 * Spec:    formats.md 1.2, 1.3, 2.5; https://cr.yp.to/proto/maildir.html.
 */
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/num.h"
#include "store/mailbox_impl.h"
#include "store/maildir/maildir_name.h"
#include "text/ascii.h"

/* In ASCII order, before the keyword letters. */
static const struct {
	char letter;
	uint8_t flag;
} letters[] = {
    {'D', FLAG_DRAFT},
    {'F', FLAG_FLAGGED},
    {'P', FLAG_PASSED},
    {'R', FLAG_ANSWERED},
    {'S', FLAG_SEEN},
    {'T', FLAG_DELETED},
};

static uint8_t
flag_of(char letter)
{
	if (letter > 'T')
		return 0;
	for (size_t i = 0; i < ARRAY_LEN(letters); i++)
		if (letters[i].letter == letter)
			return letters[i].flag;
	return 0;
}

static bool
is_known(char letter)
{
	return flag_of(letter) != 0 || ascii_is_lower(letter);
}

/* Splits an info part: what lies before the flags, the flags, the rest. */
static bool
split_info(
    struct str info, struct str *before, struct str *flags, struct str *after)
{
	size_t colon = str_rfind(info, ':');
	struct str tail = str_skip(info, colon);

	if (colon == info.n || !str_starts(tail, STR(":2,")))
		return false;
	*before = str_head(info, colon);
	tail = str_skip(tail, 3);
	*flags = str_head(tail, str_find(tail, ','));
	*after = str_skip(tail, flags->n);
	return true;
}

#define EACH_BYTE(b) (UINT64_C(0x0101010101010101) * (unsigned char)(b))

/* Not 0 where a byte of `word` is `c`. */
static inline uint64_t
has_byte(uint64_t word, char c)
{
	uint64_t x = word ^ EACH_BYTE(c);

	return (x - EACH_BYTE(1)) & ~x & EACH_BYTE(0x80);
}

static inline bool
has_bad_byte(const char p[8])
{
	uint64_t word;

	memcpy(&word, p, sizeof(word));
	return (has_byte(word, '\n') | has_byte(word, '\r') |
		   has_byte(word, '/')) != 0;
}

/* Whether there is a line end or a slash, eight bytes at a time. */
static bool
is_no_name(struct str s)
{
	const char *p = s.p, *end = s.p + s.n;

	for (; end - p >= 8; p += 8)
		if (has_bad_byte(p))
			return true;
	for (; p < end; p++)
		if (*p == '\n' || *p == '\r' || *p == '/')
			return true;
	return false;
}

/* As nearly all are: ":2,", then flags to the end. */
static bool
is_simple_info(struct str info)
{
	if (info.n < 3 || info.p[1] != '2' || info.p[2] != ',')
		return false;
	for (size_t i = 3; i < info.n; i++)
		if (info.p[i] == ',' || info.p[i] == ':')
			return false;
	return true;
}

bool
maildir_name_parse(struct str name, struct maildir_name *out)
{
	struct str before = {0}, flags, after = {0};
	char last = '\0';

	if (name.n == 0 || name.p[0] == '.' || is_no_name(name))
		return false;
	*out = (struct maildir_name){0};
	out->base = str_head(name, str_find(name, ':'));
	out->info = str_skip(name, out->base.n);
	if (is_simple_info(out->info))
		flags = str_skip(out->info, 3);
	else if (!split_info(out->info, &before, &flags, &after))
		return true;
	/* As maildir_name_info() writes it: known letters, ascending. */
	out->is_plain = before.n == 0 && after.n == 0;
	for (size_t i = 0; i < flags.n; i++) {
		char c = flags.p[i];
		uint8_t flag = flag_of(c);

		out->system |= flag;
		if (ascii_is_lower(c))
			out->keywords |= 1u << (c - 'a');
		else if (flag == 0)
			out->is_plain = false;
		if (c <= last)
			out->is_plain = false;
		last = c;
	}
	return true;
}

size_t
maildir_name_info(char *out, uint8_t system, uint32_t keywords)
{
	size_t n = 3;

	memcpy(out, ":2,", 3);
	for (size_t i = 0; i < ARRAY_LEN(letters); i++)
		if (system & letters[i].flag)
			out[n++] = letters[i].letter;
	for (keywords &= (1u << KEYWORD_LETTERS) - 1; keywords != 0;
	     keywords &= keywords - 1)
		out[n++] = (char)('a' + __builtin_ctz(keywords));
	return n;
}

static int
by_byte(const void *a, const void *b)
{
	return *(const unsigned char *)a - *(const unsigned char *)b;
}

bool
maildir_name_change(
    struct buf *out, struct str old_info, uint8_t system, uint32_t keywords)
{
	struct str before = {0}, flags = {0}, after = {0};
	char plain[MAILDIR_INFO_MAX];
	char all[MAILDIR_INFO_MAX + MAILDIR_NAME_MAX];
	size_t n = maildir_name_info(plain, system, keywords) - 3;

	memcpy(all, plain + 3, n);
	if (split_info(old_info, &before, &flags, &after))
		for (size_t i = 0; i < flags.n && n < sizeof(all); i++)
			if (!is_known(flags.p[i]))
				all[n++] = flags.p[i];
	qsort(all, n, 1, by_byte);
	(void)buf_add_str(out, before);
	(void)buf_add_c(out, ":2,");
	(void)buf_add(out, all, n);
	(void)buf_add_str(out, after);
	return !buf_is_over(out);
}

bool
maildir_name_size(struct str base, char letter, uint64_t *out)
{
	const char key[] = {',', letter, '='};
	struct str rest = str_skip(base, str_find_str(base, str_make(key, 3)));

	rest = str_skip(rest, 3);
	return num_cut_u64(&rest, INT64_MAX, out) &&
	    (rest.n == 0 || *rest.p == ',' || *rest.p == ':');
}

struct maildir_time
maildir_name_time(struct str base)
{
	struct maildir_time t = {0};
	struct str rest = base, part;

	if (!num_cut_u64(&rest, UINT64_MAX, &t.s)) {
		t.s = 0;
		return t;
	}
	if (rest.n == 0 || *rest.p != '.')
		return t;
	part = str_skip(rest, 1);
	part = str_head(part, str_find(part, '.'));
	part = str_skip(part, str_find(part, 'M') + 1);
	t.has_us = num_cut_u64(&part, UINT64_MAX, &t.us);
	if (!t.has_us)
		t.us = 0;
	return t;
}

int
maildir_name_cmp(struct str a, const struct maildir_time *t_a, struct str b,
    const struct maildir_time *t_b)
{
	if (t_a->s != t_b->s)
		return t_a->s < t_b->s ? -1 : 1;
	if (t_a->has_us && t_b->has_us && t_a->us != t_b->us)
		return t_a->us < t_b->us ? -1 : 1;
	return str_cmp(a, b);
}

bool
maildir_name_new(struct buf *out, const char *host)
{
	static int64_t last_us;
	int64_t us = clock_wall_us();

	if (us <= last_us)
		us = last_us + 1;
	last_us = us;
	(void)buf_addf(out, "%lld.M%lldP%ld.", (long long)(us / 1000000),
	    (long long)(us % 1000000), (long)getpid());
	for (const char *p = host; *p != '\0'; p++) {
		if (*p == '/')
			(void)buf_add_c(out, "\\057");
		else if (*p == ':')
			(void)buf_add_c(out, "\\072");
		else if (ascii_is_graph(*p))
			(void)buf_add_byte(out, *p);
	}
	return !buf_is_over(out);
}
