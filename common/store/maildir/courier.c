/* SPDX-License-Identifier: ISC */
/*
 * courier.c - reads and writes what Courier's files hold.
 *
 * Owns:    nothing.
 * Runs in: imapd, pop3d, as the mail user.
 * Trusts:  nothing in the files; a line that can not be is passed over.
 * Spec:    formats.md 4.3 to 4.5.
 */
#include "base/num.h"
#include "store/maildir/courier.h"
#include "text/ascii.h"
#include "text/uidl_format.h"
#include "text/utf7.h"
#include "text/utf8.h"

#define PREFIX "INBOX."

static struct str
base_of(struct str name)
{
	return str_head(name, str_find(name, ':'));
}

/* Cuts the last word of `s`. */
static bool
cut_last(struct str *s, struct str *word)
{
	size_t at = str_rfind(*s, ' ');

	if (at == s->n)
		return false;
	*word = str_skip(*s, at + 1);
	*s = str_head(*s, at);
	return true;
}

/* "n", "n:uidv" or "n:uidv:isutf8". */
static bool
parse_id(struct str word, struct courier_pop3 *out)
{
	struct str field;

	if (!str_next(&word, ':', &field) ||
	    !num_parse_u32(field, 0, UINT32_MAX, &out->n))
		return false;
	if (!str_next(&word, ':', &field))
		return true;
	out->is_utf8 = str_eq(word, STR("1"));
	return num_parse_u32(field, 0, UINT32_MAX, &out->uidvalidity);
}

/* "/3 NEXT UIDVALIDITY"; "/1" and "/2" have the same two. */
bool
courier_pop3_parse_head(struct str bytes, struct courier_pop3_head *out)
{
	struct str line, word;

	return str_next(&bytes, '\n', &line) && line.n > 0 && *line.p == '/' &&
	    str_cut(&line, ' ', &word) && str_cut(&line, ' ', &word) &&
	    num_parse_u32(word, 1, UINT32_MAX - 1, &out->next) &&
	    num_parse_u32(line, 0, UINT32_MAX, &out->uidvalidity);
}

void
courier_pop3_put_head(struct buf *out, const struct courier_pop3_head *head)
{
	(void)buf_addf(out, "/3 %u %u\n", head->next, head->uidvalidity);
}

void
courier_pop3_put(
    struct buf *out, struct str name, const struct courier_pop3 *entry)
{
	(void)buf_addf(out, "%.*s %llu %u:%u:%d\n", STR_ARG(name),
	    (unsigned long long)entry->wire_size, entry->n, entry->uidvalidity,
	    entry->is_utf8);
}

bool
courier_pop3_parse_uidl(struct str uidl, struct courier_pop3 *out)
{
	struct str n;
	uint32_t number, uidvalidity = 0;
	bool has_more;

	if (!str_starts(uidl, STR("UID")))
		return false;
	uidl = str_skip(uidl, 3);
	has_more = str_cut(&uidl, '-', &n);
	if (!num_parse_u32(n, 1, UINT32_MAX, &number) ||
	    (has_more && !num_parse_u32(uidl, 1, UINT32_MAX, &uidvalidity)))
		return false;
	out->n = number;
	out->uidvalidity = uidvalidity;
	return true;
}

void
courier_pop3_parse(struct str bytes, courier_pop3_fn *fn, void *arg)
{
	struct str line, word;
	bool is_first = true, has_ids = false;

	while (str_next(&bytes, '\n', &line)) {
		struct courier_pop3 entry = {0};

		if (is_first && line.n > 0 && *line.p == '/') {
			has_ids = true;
			is_first = false;
			continue;
		}
		is_first = false;
		if (has_ids &&
		    (!cut_last(&line, &word) || !parse_id(word, &entry)))
			continue;
		if (!cut_last(&line, &word) ||
		    !num_parse_u64(word, 0, INT64_MAX, &entry.wire_size))
			continue;
		entry.base = base_of(line);
		if (entry.base.n > 0)
			fn(arg, &entry);
	}
}

bool
courier_pop3_uidl(struct buf *out, const struct courier_pop3 *entry)
{
	const struct uidl_values v = {.base = entry->base};
	struct err e;

	if (entry->n == 0)
		return uidl_format_write(STR("base-courier"), &v, out, &e) == 0;
	(void)buf_addf(out, "UID%u", entry->n);
	if (entry->uidvalidity != 0)
		(void)buf_addf(out, "-%u", entry->uidvalidity);
	return !buf_is_over(out);
}

void
courier_keywords_parse(struct str bytes, courier_name_fn *name_fn,
    courier_set_fn *set_fn, void *arg)
{
	struct str line, base, field;
	size_t n = 0, colon;
	uint64_t number;

	while (str_next(&bytes, '\n', &line) && line.n > 0)
		name_fn(arg, n++, line);
	while (str_next(&bytes, '\n', &line)) {
		colon = str_rfind(line, ':');
		if (colon == line.n || colon == 0)
			continue;
		base = str_head(line, colon);
		line = str_skip(line, colon + 1);
		set_fn(arg, base, SIZE_MAX);
		while (str_next(&line, ' ', &field))
			if (num_parse_u64(
				field, 0, n == 0 ? 0 : n - 1, &number) &&
			    n > 0)
				set_fn(arg, base, (size_t)number);
	}
}

bool
courier_change_name(struct str name, uint64_t *age, struct str *base)
{
	if (name.n == 0 || *name.p == ':')
		return false;
	*age = UINT64_MAX;
	*base = name;
	if (*name.p != '.')
		return true;
	name = str_skip(name, 1);
	if (!num_cut_u64(&name, UINT64_MAX - 1, age) || name.n < 2 ||
	    *name.p != '.')
		return false;
	*base = str_skip(name, 1);
	return true;
}

bool
courier_sub_name(struct str line, struct buf *out)
{
	if (line.n > 0 && line.p[line.n - 1] == '\r')
		line.n--;
	if (str_eq_nocase(line, STR("INBOX")))
		return buf_add_c(out, "INBOX");
	if (!str_starts_nocase(line, STR(PREFIX)))
		return false;
	line = str_skip(line, sizeof(PREFIX) - 1);
	if (line.n == 0 || !utf8_is_valid(line))
		return false;
	/* Before version 5 in modified UTF-7. */
	if (utf8_ascii_length(line) == line.n && str_find(line, '&') < line.n &&
	    utf7_decode(out, line))
		return !buf_is_over(out);
	return buf_add_str(out, line);
}

bool
courier_sub_line(struct str name, struct buf *out)
{
	if (!str_eq(name, STR("INBOX")))
		(void)buf_add_c(out, PREFIX);
	(void)buf_add_str(out, name);
	return buf_add_byte(out, '\n');
}
