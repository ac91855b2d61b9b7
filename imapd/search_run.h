/* SPDX-License-Identifier: ISC */
/*
 * search_run.h - a search while it runs, for SEARCH and SORT: its keys, and the
 * messages found so far.
 */
#ifndef IMAPD_SEARCH_RUN_H
#define IMAPD_SEARCH_RUN_H

#include "imapd/search_return.h"
#include "imapd/session.h"
#include "search/match.h"

struct search_run {
	struct view *view; /* searched; not always the session's */
	struct query *query;
	struct matcher *matcher;
	struct set32 candidates, found; /* UIDs */
	uint32_t uid; /* being looked at */
	struct search_return ret; /* the caller parses it */
	const struct imap_arg *keys; /* and the charset */
	uint32_t limited; /* lowest UID looked at; 0: all were (limit.h) */
	/* Response code: why a message could not be looked at; NULL: all were. */
	const char *unreadable;
	bool is_bound; /* all candidates of the view are meant */
	bool has_modseq; /* the keys ask for mod-sequences */
	struct set32 named; /* whose mod-sequences are looked at... */
	uint32_t modseq_uid; /* ...from which on; 0: not begun */
	uint64_t modseq; /* the highest so far; 0: none is told */
	bool is_saved; /* "$" has its value */
	struct search_answer answer;
};

/*
 * The keys from *a on, to the end; `charset` is the first of them when it must be
 * there (SORT). False: answered. search_run_done() in any case.
 */
bool search_run_begin(struct cmd *c, struct search_run *s,
    const struct imap_arg *a, bool charset);
/* STEP_DONE: all is in s->found. */
enum step search_run_step(struct cmd *c, struct search_run *s);
void search_run_done(struct search_run *s);

/*
 * "$" becomes what was found, if that is wished; `f` NULL: the search has failed
 * (RFC 5182 section 2.1).
 */
void search_run_save(
    struct cmd *c, const struct search_run *s, const struct search_found *f);
/*
 * Writes the answer, and sends it when it is whole: "* ESEARCH" and "$" where
 * result options were given, "* WORD" and numbers else. These are written by
 * `numbers`, a space before each; false: the time is up, it is called again.
 * STEP_MORE: call again.
 */
enum step search_run_tell(struct cmd *c, struct search_run *s,
    const struct search_found *f, const char *word,
    bool (*numbers)(struct cmd *c, struct buf *out));
/*
 * Finds the highest mod-sequence of what is told. STEP_DONE:
 * it is s->modseq.
 */
enum step search_run_modseq(
    struct cmd *c, struct search_run *s, const struct search_found *f);

#endif
