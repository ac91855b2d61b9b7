/* SPDX-License-Identifier: ISC */
/*
 * list_below.c - what lies below the names of a listing.
 *
 * Owns:    nothing; the marks live in the command's arena.
 * Runs in: imapd, as the mail user.
 * Trusts:  the order of store_list().
 * Spec:    RFC 5258 section 3.5.
 *
 * Each name hands its bits to those above it, and stops at the first that has
 * them already: so has what is above that one. All in all no more steps than
 * there are names, however deep they are nested.
 */
#include "imapd/list_below.h"

/* Names between two looks at the clock. */
enum { LOOKS = 64 };

void
list_below_begin(
    struct list_below *b, struct arena *a, const struct mbox_entry *first)
{
	size_t n = 0;

	for (const struct mbox_entry *m = first; m != NULL; m = m->next)
		n++;
	b->v = arena_new(a, n + 1, sizeof(*b->v));
	b->n = 0;
	b->next = first;
}

static bool
is_below(const struct mbox_entry *m, const struct mbox_entry *top)
{
	return m->name.n > top->name.n && str_starts(m->name, top->name) &&
	    m->name.p[top->name.n] == top->delimiter;
}

static void
add(struct list_below *b, const struct mbox_entry *m)
{
	size_t up = b->n > 0 ? b->n - 1 : SIZE_MAX;
	unsigned bits = b->judge(b->arg, m);

	while (up != SIZE_MAX && !is_below(m, b->v[up].m))
		up = b->v[up].up;
	b->v[b->n++] = (struct list_below_mark){.m = m, .up = up};
	while (up != SIZE_MAX && (b->v[up].bits | bits) != b->v[up].bits) {
		b->v[up].bits |= bits;
		up = b->v[up].up;
	}
}

enum step
list_below_step(struct cmd *c, struct list_below *b)
{
	for (; b->next != NULL; b->next = b->next->next) {
		add(b, b->next);
		if (b->n % LOOKS == 0 && cmd_time_is_up(c)) {
			b->next = b->next->next;
			return b->next != NULL ? STEP_MORE : STEP_DONE;
		}
	}
	return STEP_DONE;
}
