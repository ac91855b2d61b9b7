/* SPDX-License-Identifier: ISC */
/*
 * meta_file.c - a file of annotations.
 *
 * Owns:    nothing.
 * Runs in: imapd, as the mail user.
 * Trusts:  nothing in the file.
 * Spec:    RFC 5464.
 */
#include "store/meta_file.h"

#include "base/num.h"

#define HEADER "restante-metadata 1\n"

struct meta_entry *
meta_find(struct meta_entry *first, struct str name)
{
	for (; first != NULL; first = first->next) {
		if (str_eq_nocase(first->name, name))
			return first;
	}
	return NULL;
}

/* One entry off `bytes`; false: that is none. */
static bool
cut_entry(struct arena *a, struct str *bytes, struct meta_entry **out)
{
	struct str rest = *bytes, line, name;
	struct meta_entry *e;
	uint32_t n;
	size_t at;

	if (!str_cut(&rest, '\n', &line))
		return false;
	/* Names may have blanks (RFC 5464 section 3.2), sizes have none. */
	at = str_rfind(line, ' ');
	if (at >= line.n)
		return false;
	name = str_head(line, at);
	if (name.n == 0 || name.n > META_NAME_MAX ||
	    !num_parse_u32(str_skip(line, at + 1), 0, META_VALUE_MAX, &n) ||
	    rest.n <= n || rest.p[n] != '\n')
		return false;
	e = arena_new(a, 1, sizeof(*e));
	e->name = arena_str(a, name);
	e->value = arena_str(a, str_head(rest, n));
	*bytes = str_skip(rest, n + 1);
	*out = e;
	return true;
}

bool
meta_file_parse(struct arena *a, struct str bytes, struct meta_entry **first)
{
	struct meta_entry **tail = first, *e;
	size_t n = 0;

	*first = NULL;
	if (!str_starts(bytes, STR(HEADER)))
		return false;
	bytes = str_skip(bytes, sizeof(HEADER) - 1);
	while (bytes.n > 0) {
		if (n++ > META_ENTRIES_MAX + 1 || !cut_entry(a, &bytes, &e))
			return false;
		/* The first of a name counts. */
		if (meta_find(*first, e->name) != NULL)
			continue;
		*tail = e;
		tail = &e->next;
	}
	return true;
}

void
meta_file_write(const struct meta_entry *first, struct buf *out)
{
	buf_add_c(out, HEADER);
	for (; first != NULL; first = first->next) {
		if (first->value.p == NULL)
			continue;
		buf_add_str(out, first->name);
		buf_addf(out, " %zu\n", first->value.n);
		buf_add_str(out, first->value);
		buf_add_byte(out, '\n');
	}
}
