/* SPDX-License-Identifier: ISC */
/*
 * search_return.h - RETURN (...) of SEARCH and its kin, and the ESEARCH answer
 * (RFC 4731; RFC 5182: SAVE; RFC 9394: PARTIAL).
 */
#ifndef IMAPD_SEARCH_RETURN_H
#define IMAPD_SEARCH_RETURN_H

#include "base/buf.h"
#include "base/set32.h"
#include "imapd/command.h"

enum search_option {
	SEARCH_MIN = 1 << 0,
	SEARCH_MAX = 1 << 1,
	SEARCH_ALL = 1 << 2,
	SEARCH_COUNT = 1 << 3,
	SEARCH_PARTIAL = 1 << 4,
	SEARCH_SAVE = 1 << 5,
	SEARCH_UPDATE = 1 << 6, /* RFC 5267: context.h */
	SEARCH_CONTEXT = 1 << 7, /* a hint that is not taken */
	/* Who wishes for no more than these is told nothing. */
	SEARCH_NO_RESULT = SEARCH_SAVE | SEARCH_UPDATE | SEARCH_CONTEXT,
};

/* A part of a list: positions counted from 1, or from its end. */
struct partial_range {
	bool from_end;
	uint32_t first, last; /* first <= last */
};

struct search_return {
	bool is_given; /* RETURN was there: the answer is ESEARCH */
	unsigned options; /* enum search_option */
	struct partial_range partial;
	const struct imap_arg *update; /* UPDATE's fetch-atts, or NULL */
};

/* "1:500" or "-1:-100" (RFC 9394 section 4: partial-range). */
bool partial_range_arg(const struct imap_arg **a, struct partial_range *out);
/* The positions 1..n that the range means; false: none. */
bool partial_range_cut(
    const struct partial_range *p, uint32_t n, uint32_t *first, uint32_t *last);

/*
 * RETURN and its list, if it is there; an empty list means ALL. False: unknown
 * options, or such that exclude each other.
 */
bool search_return_parse(const struct imap_arg **a, struct search_return *out);

/*
 * What was found: UIDs, in mailbox order, or in the `order` of SORT (n of them).
 */
struct search_found {
	struct set32 *uids;
	const uint32_t *order; /* NULL: as in the mailbox */
};

/*
 * Those of the found that the answer names: what "$" stands for afterwards
 * (RFC 5182 section 2.4, RFC 9394 section 3.2), and whose mod-sequences count
 * (RFC 4731 section 3.2). `out` is cleared first.
 */
void search_return_named(const struct search_return *r,
    const struct search_found *f, struct set32 *out);

/* An answer while it is written. */
struct search_answer {
	struct buf line; /* what there is of it */
	enum search_answer_phase {
		ANSWER_BEGIN,
		ANSWER_SET, /* of ALL or PARTIAL */
		ANSWER_END,
	} phase;
	uint32_t last; /* position of the set's last; 0: it has none */
	size_t at; /* next position in an order; or next range of UIDs */
	struct set32_range uids; /* not in an order: what of them is meant */
	struct set32_range
	    run; /* numbers that follow each other; first 0: none */
};

/* Nothing is written yet. search_answer_done() frees the line, also midway. */
void search_answer_init(struct search_answer *a);
void search_answer_done(struct search_answer *a);
/*
 * " UID", what was found, and CRLF to a->line, behind "* ESEARCH" and what the
 * caller says of whose answer it is; `uids`: in UIDs. `modseq` 0: none is told.
 * STEP_MORE: call again.
 */
enum step search_answer_step(struct search_answer *a, struct cmd *c, bool uids,
    const struct search_return *r, const struct search_found *f,
    uint64_t modseq);

#endif
