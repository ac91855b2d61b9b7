/* SPDX-License-Identifier: ISC */
/*
 * list_arg.c - the arguments of LIST.
 *
 * Owns:    nothing; all lies in the command's arena.
 * Runs in: imapd, as the mail user.
 * Trusts:  nothing in the arguments.
 * Spec:    RFC 3501 section 9 (list), RFC 5258 section 6, RFC 5819 section 4,
 *          RFC 6154 section 6, RFC 9590 section 5.
 */
#include "imapd/list_arg.h"

#include "base/bounds.h"
#include "imapd/name.h"

struct word {
	const char *text;
	unsigned bit;
};

static const struct word selects[] = {
    {"SUBSCRIBED", SELECT_SUBSCRIBED},
    {"REMOTE", SELECT_REMOTE},
    {"RECURSIVEMATCH", SELECT_RECURSIVEMATCH},
    {"SPECIAL-USE", SELECT_SPECIAL_USE},
};

static const struct word returns[] = {
    {"SUBSCRIBED", RETURN_SUBSCRIBED},
    {"CHILDREN", RETURN_CHILDREN},
    {"SPECIAL-USE", RETURN_SPECIAL_USE},
    {"STATUS", RETURN_STATUS},
    {"MYRIGHTS", RETURN_MYRIGHTS},
    {"METADATA", RETURN_METADATA},
};

static unsigned
word_arg(const struct imap_arg **a, const struct word *words, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (imap_arg_word(a, words[i].text))
			return words[i].bit;
	return 0;
}

static bool
select_parse(const struct imap_arg *a, struct list_arg *out)
{
	const unsigned criteria = SELECT_SUBSCRIBED | SELECT_SPECIAL_USE;
	unsigned bit;

	while (!imap_arg_end(a)) {
		bit = word_arg(&a, selects, ARRAY_LEN(selects));
		if (bit == 0)
			return false;
		out->select |= bit;
	}
	/* RECURSIVEMATCH has to have something to match. */
	return (out->select & SELECT_RECURSIVEMATCH) == 0 ||
	    (out->select & criteria) != 0;
}

static bool
return_parse(struct cmd *c, const struct imap_arg *a, struct list_arg *out)
{
	const struct imap_arg *list;
	unsigned bit;

	while (!imap_arg_end(a)) {
		bit = word_arg(&a, returns, ARRAY_LEN(returns));
		if (bit == 0)
			return false;
		out->ret |= bit;
		if (bit == RETURN_STATUS &&
		    (!imap_arg_list(&a, &list) ||
			!status_items_parse(list, &out->status)))
			return false;
		if (bit == RETURN_METADATA &&
		    (!imap_arg_list(&a, &list) ||
			!metadata_entries_parse(c, list, &out->metadata)))
			return false;
	}
	return true;
}

/*
 * What is longer than a name can be matches nothing, without a word (RFC 5258
 * section 3).
 */
static void
pattern_add(struct cmd *c, struct list_arg *out, struct str pattern)
{
	struct str whole = arena_printf(
	    c->arena, "%.*s%.*s", STR_ARG(out->reference), STR_ARG(pattern));

	if (whole.n <= MAILBOX_NAME_MAX_BYTES)
		out->patterns[out->n_patterns++] = name_pattern(c, whole);
}

/* One pattern, or several in parentheses. */
static bool
patterns_parse(struct cmd *c, const struct imap_arg **a, struct list_arg *out)
{
	const struct imap_arg *list;
	struct str pattern;
	size_t n = 1;

	if (imap_arg_list_mailbox(a, &pattern)) {
		out->patterns = arena_new(c->arena, 1, sizeof(pattern));
		pattern_add(c, out, pattern);
		out->asks_root = pattern.n == 0;
		return true;
	}
	if (!imap_arg_list(a, &list) || imap_arg_end(list))
		return false;
	out->is_extended = true;
	for (const struct imap_arg *i = list; !imap_arg_end(i); i++)
		n++;
	out->patterns = arena_new(c->arena, n, sizeof(pattern));
	while (imap_arg_list_mailbox(&list, &pattern))
		pattern_add(c, out, pattern);
	return imap_arg_end(list);
}

const char *
list_arg_parse(struct cmd *c, struct list_arg *out)
{
	const struct imap_arg *a = c->args, *list;

	*out = (struct list_arg){.metadata.max_bytes = UINT32_MAX};
	if (imap_arg_list(&a, &list)) {
		out->is_extended = true;
		if (!select_parse(list, out))
			return "Unknown or misplaced selection option";
	}
	if (!imap_arg_astring(&a, &out->reference) ||
	    !patterns_parse(c, &a, out))
		return "Reference and mailbox pattern expected";
	if (imap_arg_word(&a, "RETURN")) {
		out->is_extended = true;
		if (!imap_arg_list(&a, &list) || !return_parse(c, list, out))
			return "Unknown return option";
	}
	/* The special meaning of "" is that of the old form alone. */
	out->asks_root = out->asks_root && !out->is_extended;
	if ((out->select & SELECT_SUBSCRIBED) != 0)
		out->ret |= RETURN_SUBSCRIBED;
	return imap_arg_end(a) ? NULL : "No more arguments expected";
}
