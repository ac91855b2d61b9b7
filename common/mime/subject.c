/* SPDX-License-Identifier: ISC */
/*
 * subject.c - the base subject.
 *
 * Runs in: imapd sessions.
 * Trusts:  nothing.
 * Spec:    RFC 5256 section 2.1 (the steps) and section 5 (the grammar).
 */
#include "mime/subject.h"

#include "text/ascii.h"

/* Step 1: every run of blanks becomes one space; none at the ends. */
static struct str
tidy(struct arena *a, struct str s)
{
	char *out = arena_new(a, s.n + 1, 1);
	size_t i, n = 0;

	for (i = 0; i < s.n; i++)
		if (!ascii_is_space(s.p[i]))
			out[n++] = s.p[i];
		else if (n > 0 && out[n - 1] != ' ')
			out[n++] = ' ';
	if (n > 0 && out[n - 1] == ' ')
		n--;
	return str_make(out, n);
}

static void
skip_blanks(struct str *s)
{
	while (s->n > 0 && s->p[0] == ' ')
		*s = str_skip(*s, 1);
}

static void
trim_blanks(struct str *s)
{
	while (s->n > 0 && s->p[s->n - 1] == ' ')
		s->n--;
}

/* RFC 5256: subj-trailer, as many as there are. */
static bool
cut_trailers(struct str *s)
{
	bool found = false;

	trim_blanks(s);
	while (
	    s->n >= 5 && str_eq_nocase(str_skip(*s, s->n - 5), STR("(fwd)"))) {
		s->n -= 5;
		trim_blanks(s);
		found = true;
	}
	return found;
}

/* RFC 5256: subj-blob, "[...]" without brackets inside, and blanks. */
static bool
cut_blob(struct str *s)
{
	size_t i;

	if (s->n == 0 || s->p[0] != '[')
		return false;
	for (i = 1; i < s->n && s->p[i] != '[' && s->p[i] != ']'; i++)
		;
	if (i == s->n || s->p[i] != ']')
		return false;
	*s = str_skip(*s, i + 1);
	skip_blanks(s);
	return true;
}

/* RFC 5256: subj-refwd, "Re:", "Fw:", "Fwd [x]:". */
static bool
cut_refwd(struct str *s)
{
	struct str rest = *s;

	if (str_starts_nocase(rest, STR("fwd")))
		rest = str_skip(rest, 3);
	else if (str_starts_nocase(rest, STR("fw")) ||
	    str_starts_nocase(rest, STR("re")))
		rest = str_skip(rest, 2);
	else
		return false;
	skip_blanks(&rest);
	(void)cut_blob(&rest);
	if (rest.n == 0 || rest.p[0] != ':')
		return false;
	*s = str_skip(rest, 1);
	skip_blanks(s);
	return true;
}

/*
 * Steps 3 to 5. A row of blobs is looked at once: before a "Re:" it goes with
 * it, before other text it goes too, and at the very end the last one stays.
 */
static bool
cut_leaders(struct str *s)
{
	struct str rest, last;
	bool found = false;

	for (;;) {
		rest = last = *s;
		while (rest.n > 0 && rest.p[0] == '[') {
			last = rest;
			if (!cut_blob(&rest))
				break;
		}
		if (cut_refwd(&rest)) {
			*s = rest;
			found = true;
			continue;
		}
		*s = rest.n > 0 ? rest : last;
		return found;
	}
}

/* Step 6: "[Fwd: ...]". */
static bool
cut_wrapper(struct str *s)
{
	if (s->n < 6 || !str_starts_nocase(*s, STR("[fwd:")) ||
	    s->p[s->n - 1] != ']')
		return false;
	*s = str_make(s->p + 5, s->n - 6);
	skip_blanks(s);
	return true;
}

struct str
subject_base(struct arena *a, struct str decoded, bool *is_reply)
{
	struct str s = tidy(a, decoded);
	bool found = false, again;

	do {
		found |= cut_trailers(&s);
		found |= cut_leaders(&s);
		again = cut_wrapper(&s);
		found |= again;
	} while (again);
	if (is_reply != NULL)
		*is_reply = found;
	return s;
}
