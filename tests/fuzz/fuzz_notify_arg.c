/* SPDX-License-Identifier: ISC */
/*
 * fuzz_notify_arg.c - the arguments of NOTIFY by the fuzzer: what is accepted
 * keeps the rules of RFC 5465 section 5, also after a copy into another arena.
 *
 * Input: what stands behind "NOTIFY ".
 *
 * Owns:    a store of which only the form of its names is used.
 * Runs in: make fuzz, make check.
 * Trusts:  nothing.
 */
#include <stdlib.h>

#include "imap/imap_lex.h"
#include "imapd/notify_arg.h"
#include "imapd/session.h"
#include "store/mailbox_impl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
need(bool cond)
{
	if (!cond)
		abort();
}

/* ---- the store -------------------------------------------------------------- */

static struct session
session(void)
{
	static char none[] = "";
	static struct store store = {.prefix = none,
	    .others_location = none,
	    .delimiter = '.',
	    .has_alias = true};

	list_init(&store.spaces);
	return (struct session){.store = &store};
}

/* ---- the run ------------------------------------------------------------------ */

static void
check_events(unsigned e)
{
	const unsigned both = NOTIFY_NEW | NOTIFY_EXPUNGE;

	need((e & both) == 0 || (e & both) == both);
	need((e & NOTIFY_FLAGS) == 0 || (e & both) == both);
}

static void
check_group(const struct session *s, const struct notify_group *g)
{
	struct mbox_entry m = {.delimiter = '.'};
	struct str as;

	check_events(g->events);
	need((g->filter.kind & FILTER_OTHERS) != 0);
	for (size_t i = 0; i < g->filter.n; i++) {
		need(g->filter.names[i].n > 0);
		m.name = g->filter.names[i];
		need(mbox_filter_matches(s, &g->filter, &m, &as));
	}
	m.name = STR("#user/x/y");
	m.delimiter = '/';
	if (g->filter.kind == FILTER_PERSONAL)
		need(!mbox_filter_matches(s, &g->filter, &m, NULL));
}

static void
check(const struct imap_arg *args)
{
	struct session s = session();
	struct notify_arg arg, again;
	struct arena a, other;
	enum notify_arg_result result;

	arena_init(&a);
	arena_init(&other);
	result = notify_arg_parse(&s, &a, args, &arg);
	need(notify_arg_parse(
		 &s, &other, imap_arg_copy(&other, args), &again) == result);
	if (result == NOTIFY_ARG_OK) {
		need(arg.n_groups == again.n_groups &&
		    arg.n_groups <= NOTIFY_GROUPS_MAX);
		need(arg.selected == again.selected);
		need((arg.selected & ~(unsigned)NOTIFY_MESSAGES) == 0);
		need(arg.has_selected || arg.selected == 0);
		need(!arg.has_plan || !arg.plan.sets_seen);
		check_events(arg.selected);
		for (size_t i = 0; i < arg.n_groups; i++)
			check_group(&s, &arg.groups[i]);
	}
	arena_done(&other);
	arena_done(&a);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct imap_lex_limits limits = {.line_bytes = 4096,
	    .nesting = 32,
	    .args = 1000,
	    .literal_bytes = 4096};
	enum imap_lex_event ev = IMAP_LEX_MORE;
	struct imap_lex l;
	struct arena a;
	struct buf b;
	struct str in;
	size_t used;

	if (size > 4000)
		return 0;
	arena_init(&a);
	buf_init(&b, 1 << 20);
	buf_add_c(&b, "a NOTIFY ");
	buf_add(&b, data, size);
	buf_add_c(&b, "\r\n");
	imap_lex_init(&l);
	imap_lex_begin(&l, &limits, &a);
	for (in = buf_str(&b);
	     in.n > 0 && ev != IMAP_LEX_DONE && ev != IMAP_LEX_BAD;
	     in = str_skip(in, used)) {
		ev = imap_lex_feed(&l, in, &used);
		if (ev == IMAP_LEX_NAME)
			l.sections = true;
	}
	if (ev == IMAP_LEX_DONE)
		check(l.args);
	imap_lex_done(&l);
	buf_done(&b);
	arena_done(&a);
	return 0;
}
