/* SPDX-License-Identifier: ISC */
/*
 * share_record.c - lines of the list of who shares what with whom.
 *
 * Owns:    nothing; pure.
 * Runs in: master, restantectl; imapd checks what it is about to say.
 * Trusts:  nothing: what is in a record comes from users' processes.
 * Spec:    share_record.h; security.md 3.4.
 */
#include "ipc/share_record.h"

#include "base/num.h"

#define OWNER_MAX 255
#define FS_LAYOUT STR(":LAYOUT=fs")

static const struct str drivers[] = {STR_LIT("maildir:"), STR_LIT("mbox:")};

/* Nothing that a line, a setting or a location takes for something else. */
static bool
is_plain(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] < ' ' || s.p[i] == 0x7f ||
		    s.p[i] == '%')
			return false;
	return true;
}

/* "/a/b": no empty level, "." or "..". */
static bool
is_path(struct str s)
{
	struct str level;

	if (s.n < 2 || s.n > SHARE_PATH_MAX || s.p[0] != '/' || !is_plain(s))
		return false;
	s = str_skip(s, 1);
	while (s.n > 0) {
		size_t n = str_find(s, '/');

		level = str_head(s, n);
		if (level.n == 0 || str_eq(level, STR(".")) ||
		    str_eq(level, STR("..")) || n + 1 == s.n)
			return false;
		s = str_skip(s, n + 1);
	}
	return true;
}

static bool
is_owner(struct str s)
{
	return s.n > 0 && s.n <= OWNER_MAX && s.p[0] != '.' && is_plain(s) &&
	    str_find(s, '/') == s.n;
}

struct str
share_record_root(const struct share_record *r)
{
	struct str s = r->location;

	for (size_t i = 0; i < ARRAY_LEN(drivers); i++)
		if (str_starts(s, drivers[i])) {
			s = str_skip(s, drivers[i].n);
			if (i == 0 && str_ends(s, FS_LAYOUT))
				s.n -= FS_LAYOUT.n;
			return s;
		}
	return STR("");
}

bool
share_record_is_sound(const struct share_record *r)
{
	struct str root = share_record_root(r);

	if (r->kind != SHARE_USER && r->kind != SHARE_GROUP &&
	    r->kind != SHARE_ANYONE && (r->kind != SHARE_ALL || r->gives))
		return false;
	return is_owner(r->owner) && is_path(root) &&
	    str_find(root, ':') == root.n && is_path(r->folder) &&
	    str_starts(r->folder, root) &&
	    (r->folder.n == root.n || r->folder.p[root.n] == '/');
}

void
share_record_write(struct buf *b, const struct share_record *r)
{
	(void)buf_addf(b, "%u\t%.*s\t%c\t%u\t%c\t%.*s\t%.*s\n", r->owner_uid,
	    STR_ARG(r->owner), (char)r->kind, r->number, r->gives ? '+' : '-',
	    STR_ARG(r->location), STR_ARG(r->folder));
}

/* One letter. */
static bool
take_letter(struct str *line, char *out)
{
	struct str field;

	if (!str_cut(line, '\t', &field) || field.n != 1)
		return false;
	*out = field.p[0];
	return true;
}

static bool
take_number(struct str *line, uint32_t *out)
{
	struct str field;

	return str_cut(line, '\t', &field) &&
	    num_parse_u32(field, 0, UINT32_MAX, out);
}

bool
share_record_parse(struct str line, struct share_record *out)
{
	struct share_record r = {0};
	char kind, sign;

	if (!take_number(&line, &r.owner_uid) ||
	    !str_cut(&line, '\t', &r.owner) || !take_letter(&line, &kind) ||
	    !take_number(&line, &r.number) || !take_letter(&line, &sign) ||
	    (sign != '+' && sign != '-') || !str_cut(&line, '\t', &r.location))
		return false;
	r.kind = (enum share_kind)kind;
	r.gives = sign == '+';
	r.folder = line;
	*out = r;
	return share_record_is_sound(out);
}
