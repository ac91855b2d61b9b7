/* SPDX-License-Identifier: ISC */
/*
 * imap_arg.c - typed access to a command's arguments.
 *
 * Owns:    nothing; the tree belongs to the command's arena.
 * Runs in: login workers and imapd.
 * Trusts:  the lexer for quoting and sizes, nothing else.
 * Spec:    RFC 3501 section 9: astring, nstring, string, number, nz-number,
 *          list-mailbox.
 */
#include "imap/imap_arg.h"

#include "base/num.h"
#include "imap/imap_char.h"

static bool
take(const struct imap_arg **a, struct str *out)
{
	*out = (*a)->s;
	(*a)++;
	return true;
}

static bool
is_string(const struct imap_arg *a)
{
	return a->type == IMAP_ARG_QUOTED ||
	    (a->type == IMAP_ARG_LITERAL && !a->binary);
}

bool
imap_arg_end(const struct imap_arg *a)
{
	return a->type == IMAP_ARG_END;
}

bool
imap_arg_atom(const struct imap_arg **a, struct str *out)
{
	return (*a)->type == IMAP_ARG_ATOM && take(a, out);
}

bool
imap_arg_string(const struct imap_arg **a, struct str *out)
{
	return is_string(*a) && take(a, out);
}

static bool
atom_or_string(const struct imap_arg **a, unsigned class, struct str *out)
{
	if ((*a)->type == IMAP_ARG_ATOM && imap_char_all((*a)->s, class))
		return take(a, out);
	return imap_arg_string(a, out);
}

bool
imap_arg_astring(const struct imap_arg **a, struct str *out)
{
	return atom_or_string(a, IMAP_CHAR_ASTRING, out);
}

bool
imap_arg_list_mailbox(const struct imap_arg **a, struct str *out)
{
	return atom_or_string(a, IMAP_CHAR_LIST, out);
}

bool
imap_arg_nstring(const struct imap_arg **a, struct str *out)
{
	if (!imap_arg_word(a, "NIL"))
		return imap_arg_string(a, out);
	*out = str_make(NULL, 0);
	return true;
}

bool
imap_arg_list(const struct imap_arg **a, const struct imap_arg **first)
{
	if ((*a)->type != IMAP_ARG_LIST)
		return false;
	*first = (*a)->list;
	(*a)++;
	return true;
}

/* nz-number may not begin with 0, number may (RFC 3501 section 9). */
bool
imap_arg_u32(const struct imap_arg **a, uint32_t min, uint32_t *out)
{
	struct str s = (*a)->s;

	if ((*a)->type != IMAP_ARG_ATOM || (min > 0 && s.p[0] == '0') ||
	    !num_parse_u32(s, min, UINT32_MAX, out))
		return false;
	(*a)++;
	return true;
}

bool
imap_arg_u64(const struct imap_arg **a, uint64_t *out)
{
	if ((*a)->type != IMAP_ARG_ATOM ||
	    !num_parse_u64((*a)->s, 0, UINT64_MAX, out))
		return false;
	(*a)++;
	return true;
}

bool
imap_arg_word(const struct imap_arg **a, const char *word)
{
	if ((*a)->type != IMAP_ARG_ATOM ||
	    !str_eq_nocase((*a)->s, str_of(word)))
		return false;
	(*a)++;
	return true;
}

const struct imap_arg *
imap_arg_copy(struct arena *arena, const struct imap_arg *a)
{
	struct imap_arg *out;
	size_t n = 0;

	while (!imap_arg_end(&a[n]))
		n++;
	out = arena_new(arena, n + 1, sizeof(*out));
	for (size_t i = 0; i <= n; i++) {
		out[i] = a[i];
		if (a[i].type == IMAP_ARG_LIST)
			out[i].list = imap_arg_copy(arena, a[i].list);
		else if (a[i].s.p != NULL)
			out[i].s = arena_str(arena, a[i].s);
	}
	return out;
}

size_t
imap_arg_bytes(const struct imap_arg *a)
{
	size_t n = 0;

	for (; !imap_arg_end(a); a++)
		n +=
		    a->type == IMAP_ARG_LIST ? imap_arg_bytes(a->list) : a->s.n;
	return n;
}
