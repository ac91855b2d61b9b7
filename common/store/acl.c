/* SPDX-License-Identifier: ISC */
/*
 * acl.c - rights, identifiers, and the file dovecot-acl.
 *
 * Owns:    struct acl.
 * Runs in: imapd and pop3d as the mail user; restantectl as the mail user.
 * Trusts:  nothing: the file is written by others, identifiers by clients.
 * Spec:    RFC 4314; formats.md 2.11.
 */
#include "store/acl.h"

#include <stdlib.h>

#include "base/bounds.h"
#include "text/ascii.h"

struct letter {
	char c;
	unsigned rights;
	const char *name; /* how Dovecot names it; NULL: not in files */
};

/* In the order in which they are told and written. */
static const struct letter letters[] = {
    {'l', ACL_LOOKUP, "lookup"},
    {'r', ACL_READ, "read"},
    {'w', ACL_WRITE, "write"},
    {'s', ACL_SEEN, "write-seen"},
    {'t', ACL_DELETED, "write-deleted"},
    {'i', ACL_INSERT, "insert"},
    {'p', ACL_POST, "post"},
    {'e', ACL_EXPUNGE, "expunge"},
    {'k', ACL_CREATE, "create"},
    {'x', ACL_REMOVE, "delete"},
    {'a', ACL_ADMIN, "admin"},
    {'c', ACL_CREATE | ACL_REMOVE, NULL},
    {'d', ACL_DELETED | ACL_EXPUNGE, NULL},
};

static bool
letter_parse(char c, unsigned *rights)
{
	for (size_t i = 0; i < ARRAY_LEN(letters); i++) {
		if (letters[i].c != c)
			continue;
		*rights |= letters[i].rights;
		return true;
	}
	return false;
}

bool
acl_rights_parse(struct str s, unsigned *out)
{
	unsigned rights = 0;

	for (size_t i = 0; i < s.n; i++)
		if (!letter_parse(s.p[i], &rights))
			return false;
	*out = rights;
	return true;
}

/* Any member of a virtual right brings its letter, too. */
void
acl_rights_write(struct buf *b, unsigned rights)
{
	for (size_t i = 0; i < ARRAY_LEN(letters); i++)
		if ((rights & letters[i].rights) != 0)
			(void)buf_add_byte(b, letters[i].c);
}

/* ---- identifiers ----------------------------------------------------------- */

struct id_form {
	enum acl_kind kind;
	const char *file, *imap; /* the name follows, if `has_name` */
	bool has_name;
};

static const struct id_form forms[] = {
    {ACL_ANYONE, "anyone", "anyone", false},
    {ACL_AUTHENTICATED, "authenticated", "authenticated", false},
    {ACL_GROUP, "group=", "$", true},
    {ACL_OWNER, "owner", "owner", false},
    {ACL_USER, "user=", "", true},
    {ACL_GROUP_OVERRIDE, "group-override=", "!$", true},
};

static bool
form_parse(
    struct str s, const struct id_form *f, const char *text, struct acl_id *out)
{
	struct str word = str_of(text);

	if (word.n == 0 ||
	    (f->has_name ? !str_starts(s, word) : !str_eq(s, word)))
		return false;
	out->kind = f->kind;
	out->name = f->has_name ? str_skip(s, word.n) : STR("");
	return !f->has_name || out->name.n > 0;
}

/* What stands in a line of the file. */
static bool
file_id_parse(struct str s, struct acl_id *out)
{
	*out = (struct acl_id){.is_negative = str_starts(s, STR("-"))};
	if (out->is_negative)
		s = str_skip(s, 1);
	/* Another word of Dovecot's for the same. */
	if (str_eq(s, STR("anonymous")))
		s = STR("anyone");
	for (size_t i = 0; i < ARRAY_LEN(forms); i++)
		if (form_parse(s, &forms[i], forms[i].file, out))
			return true;
	return false;
}

bool
acl_id_parse(struct str s, struct acl_id *out)
{
	if (s.n > ACL_ID_MAX_BYTES)
		return false;
	for (size_t i = 0; i < s.n; i++)
		if (ascii_is_ctl(s.p[i]))
			return false;
	if (file_id_parse(s, out))
		return true;
	if (out->is_negative)
		s = str_skip(s, 1);
	for (size_t i = 0; i < ARRAY_LEN(forms); i++)
		if (form_parse(s, &forms[i], forms[i].imap, out))
			return true;
	/* "group=" without a group, "-", "$": no user has such a name. */
	if (s.n == 0 || *s.p == '-' || *s.p == '$' || *s.p == '!' ||
	    *s.p == '#' || str_ends(s, STR("=")))
		return false;
	out->kind = ACL_USER;
	out->name = s;
	return true;
}

static void
id_write(struct buf *b, const struct acl_id *id, bool in_file)
{
	const struct id_form *f = &forms[id->kind];

	(void)buf_add_c(b, id->is_negative ? "-" : "");
	(void)buf_add_c(b, in_file ? f->file : f->imap);
	(void)buf_add_str(b, id->name);
}

/* "owner" may be a user's name, too: then the long form tells them apart. */
void
acl_id_write(struct buf *b, const struct acl_id *id)
{
	struct acl_id again;
	size_t start = b->n;
	struct str made;

	id_write(b, id, false);
	made = str_make(b->p + start, b->n - start);
	if (!buf_is_over(b) && acl_id_parse(made, &again) &&
	    acl_id_eq(&again, id))
		return;
	b->n = start;
	id_write(b, id, true);
}

bool
acl_id_eq(const struct acl_id *a, const struct acl_id *b)
{
	return a->kind == b->kind && a->is_negative == b->is_negative &&
	    str_eq(a->name, b->name);
}

static int
id_cmp(const struct acl_id *a, const struct acl_id *b)
{
	int order;

	if (a->kind != b->kind)
		return a->kind < b->kind ? -1 : 1;
	order = str_cmp(a->name, b->name);
	return order != 0 ? order : (int)a->is_negative - (int)b->is_negative;
}

/* ---- the list -------------------------------------------------------------- */

void
acl_init(struct acl *l)
{
	*l = (struct acl){0};
	arena_init(&l->arena);
}

void
acl_done(struct acl *l)
{
	VEC_DONE(&l->v);
	VEC_DONE(&l->remarks);
	arena_done(&l->arena);
}

struct acl_entry *
acl_find(struct acl *l, const struct acl_id *id)
{
	VEC_EACH(&l->v, it)
		if (acl_id_eq(&it->id, id))
			return it;
	return NULL;
}

/* A new entry in its place; the identifier is copied. */
static struct acl_entry *
add(struct acl *l, const struct acl_id *id)
{
	size_t at = 0;

	while (at < l->v.n && id_cmp(&l->v.v[at].id, id) < 0)
		at++;
	(void)VEC_ADD(&l->v);
	memmove(
	    &l->v.v[at + 1], &l->v.v[at], (l->v.n - 1 - at) * sizeof(*l->v.v));
	l->v.v[at] = (struct acl_entry){.id = *id};
	l->v.v[at].id.name = arena_str(&l->arena, id->name);
	return &l->v.v[at];
}

int
acl_set(struct acl *l, const struct acl_id *id, unsigned rights, struct err *e)
{
	struct acl_entry *it = acl_find(l, id);

	if (it == NULL && rights == 0)
		return 0;
	if (it == NULL && l->v.n >= ACL_ENTRIES_MAX)
		return err_set(e, ERR_LIMIT, "too many identifiers");
	if (it == NULL)
		it = add(l, id);
	it->rights = rights;
	if (rights == 0 && it->named.n == 0)
		(void)acl_remove(l, id);
	return 0;
}

bool
acl_remove(struct acl *l, const struct acl_id *id)
{
	for (size_t i = 0; i < l->v.n; i++) {
		if (!acl_id_eq(&l->v.v[i].id, id))
			continue;
		VEC_REMOVE(&l->v, i);
		return true;
	}
	return false;
}

/* ---- the file -------------------------------------------------------------- */

static bool
is_space(char c)
{
	return c == ' ' || c == '\t';
}

static struct str
skip_spaces(struct str s)
{
	while (s.n > 0 && is_space(*s.p))
		s = str_skip(s, 1);
	return s;
}

/* An identifier in quotes, where "\" stands before any byte. */
static bool
unquote(struct arena *a, struct str *line, struct str *id)
{
	char *out = arena_new(a, line->n + 1, 1);
	size_t n = 0, i;

	for (i = 1; i < line->n && line->p[i] != '"'; i++) {
		if (line->p[i] == '\\' && ++i == line->n)
			return false;
		out[n++] = line->p[i];
	}
	if (i == line->n || (i + 1 < line->n && line->p[i + 1] != ' '))
		return false;
	*id = str_make(out, n);
	*line = str_skip(*line, i + 1);
	return true;
}

/* Names of rights behind ":"; those that have letters become these. */
static void
named_parse(struct arena *a, struct str s, struct acl_entry *out)
{
	struct str word;
	size_t i;

	while (str_next(&s, ' ', &word)) {
		word = str_trim(word);
		for (i = 0; i < ARRAY_LEN(letters); i++)
			if (letters[i].name != NULL &&
			    str_eq(word, str_of(letters[i].name)))
				break;
		if (i < ARRAY_LEN(letters))
			out->rights |= letters[i].rights;
		else if (word.n > 0)
			out->named = out->named.n == 0
			    ? arena_str(a, word)
			    : arena_printf(a, "%.*s %.*s", STR_ARG(out->named),
				  STR_ARG(word));
	}
}

static bool
line_parse(struct acl *l, struct str line, struct acl_entry *out)
{
	struct str id, word;
	size_t n;

	*out = (struct acl_entry){0};
	if (*line.p == '"') {
		if (!unquote(&l->arena, &line, &id))
			return false;
	} else {
		n = str_find(line, ' ');
		id = str_head(line, n);
		line = str_skip(line, n);
	}
	if (id.n > ACL_ID_MAX_BYTES || !file_id_parse(id, &out->id))
		return false;
	line = skip_spaces(line);
	for (n = 0; n < line.n && !is_space(line.p[n]) && line.p[n] != ':'; n++)
		;
	word = str_head(line, n);
	if (!acl_rights_parse(word, &out->rights))
		return false;
	line = skip_spaces(str_skip(line, n));
	if (line.n == 0)
		return true;
	if (*line.p != ':')
		return false;
	named_parse(&l->arena, str_skip(line, 1), out);
	return true;
}

static int
add_line(struct acl *l, struct str line, size_t number, struct err *e)
{
	struct acl_entry got, *it;

	if (line.n == 0)
		return 0;
	if (*line.p == '#') {
		if (l->remarks.n < ACL_ENTRIES_MAX)
			*VEC_ADD(&l->remarks) = arena_str(&l->arena, line);
		return 0;
	}
	if (memchr(line.p, '\0', line.n) != NULL || !line_parse(l, line, &got))
		return err_set(
		    e, ERR_CORRUPT, "line %zu is not understood", number);
	it = acl_find(l, &got.id);
	if (it == NULL && l->v.n >= ACL_ENTRIES_MAX)
		return err_set(e, ERR_CORRUPT, "too many lines");
	if (it == NULL)
		it = add(l, &got.id);
	/* Two lines of one identifier add up. */
	it->rights |= got.rights;
	if (it->named.n == 0)
		it->named = got.named;
	else if (got.named.n > 0)
		it->named = arena_printf(&l->arena, "%.*s %.*s",
		    STR_ARG(it->named), STR_ARG(got.named));
	return 0;
}

int
acl_parse(struct acl *l, struct str bytes, struct err *e)
{
	struct str line;

	for (size_t n = 1; str_next(&bytes, '\n', &line); n++) {
		if (line.n > 0 && line.p[line.n - 1] == '\r')
			line.n--;
		if (add_line(l, line, n, e) == -1)
			return -1;
	}
	return 0;
}

static void
write_line_id(struct buf *b, const struct acl_id *id)
{
	struct buf plain;
	struct str s;

	buf_init(&plain, ACL_ID_MAX_BYTES + 64);
	id_write(&plain, id, true);
	s = buf_str(&plain);
	if (str_find(s, ' ') == s.n && *s.p != '"' && *s.p != '#') {
		(void)buf_add_str(b, s);
	} else {
		(void)buf_add_byte(b, '"');
		for (size_t i = 0; i < s.n; i++) {
			if (s.p[i] == '"' || s.p[i] == '\\' || s.p[i] == '\'')
				(void)buf_add_byte(b, '\\');
			(void)buf_add_byte(b, s.p[i]);
		}
		(void)buf_add_byte(b, '"');
	}
	buf_done(&plain);
}

void
acl_write(const struct acl *l, struct buf *b)
{
	VEC_EACH(&l->remarks, r)
		(void)buf_addf(b, "%.*s\n", STR_ARG(*r));
	VEC_EACH(&l->v, it) {
		write_line_id(b, &it->id);
		(void)buf_add_byte(b, ' ');
		for (size_t i = 0; i < ARRAY_LEN(letters); i++)
			if (letters[i].name != NULL &&
			    (it->rights & letters[i].rights) != 0)
				(void)buf_add_byte(b, letters[i].c);
		if (it->named.n > 0)
			(void)buf_addf(b, " :%.*s", STR_ARG(it->named));
		(void)buf_add_byte(b, '\n');
	}
}

/* ---- who may what ------------------------------------------------------------ */

static bool
is_about(const struct acl_id *id, const struct acl_who *who)
{
	switch (id->kind) {
	case ACL_ANYONE:
	case ACL_AUTHENTICATED:
		return true;
	case ACL_OWNER:
		return false;
	case ACL_USER:
		return str_eq(id->name, who->user);
	case ACL_GROUP:
	case ACL_GROUP_OVERRIDE:
		for (size_t i = 0; i < who->n_groups; i++)
			if (str_eq(id->name, who->groups[i]))
				return true;
		return false;
	}
	return false;
}

unsigned
acl_rights_of(const struct acl *l, const struct acl_who *who)
{
	unsigned given = 0, taken = 0;

	VEC_EACH(&l->v, it) {
		if (!is_about(&it->id, who))
			continue;
		if (it->id.is_negative)
			taken = it->rights;
		else
			given = it->rights;
	}
	return given & ~taken;
}
