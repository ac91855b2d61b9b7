/* SPDX-License-Identifier: ISC */
/*
 * sort_job.h - a SORT while it runs, for its three parts:
 *
 *	cmd_sort.c    arguments, phases, the answer
 *	sort_keys.c   what messages are compared by
 *	sort_order.c  the order that was kept, and what has come since
 */
#ifndef IMAPD_SORT_JOB_H
#define IMAPD_SORT_JOB_H

#include "base/step_sort.h"
#include "imapd/search_run.h"

#define SORT_CRITERIA_MAX 16
#define SORT_STEPS 2000 /* between two looks at the clock */

/* RFC 5256 section 3, RFC 5957. */
enum sort_by {
	BY_ARRIVAL,
	BY_CC,
	BY_DATE,
	BY_FROM,
	BY_SIZE,
	BY_SUBJECT,
	BY_TO,
	BY_DISPLAYFROM,
	BY_DISPLAYTO,
};

/* One of those that were given, the first counts most. */
struct criterion {
	enum sort_by by;
	bool is_reverse;
};

/* What a message is compared by, a value per criterion. */
struct sort_value {
	int64_t number;
	struct str key; /* of fold_unicode() */
};

/* A message, with a value for each criterion. */
struct sort_row {
	uint32_t uid;
	struct sort_value *values;
};

enum sort_phase {
	SORT_SEARCH,
	SORT_LOAD, /* the kept order */
	SORT_KEYS, /* of what it does not have */
	SORT_ROWS,
	SORT_MERGE, /* these into it */
	SORT_ANSWER,
};

struct sort {
	struct search_run run;
	struct criterion criteria[SORT_CRITERIA_MAX];
	size_t n_criteria;
	enum sort_phase phase;
	struct str question; /* what the kept order answers */
	uint32_t *old; /* messages of the view in that order... */
	size_t n_old; /* ...0: there is none */
	struct buf kept; /* the order as it was kept, while it is looked at */
	size_t kept_at;
	uint8_t *seen; /* a bit for each message of the view that is in it */
	struct set32 missing; /* found, but not in it */
	uint32_t uid; /* the next of them whose keys are wanted */
	struct sort_row *rows;
	size_t n_rows;
	struct step_sort sort;
	uint32_t *order; /* both, merged; later those found */
	size_t n_order;
	bool is_merged; /* then those that were not found are left out */
	size_t leave_from, leave_to;
	size_t line_at; /* of `order`: what is told already */
	size_t row, from, lo, hi; /* of rows and old, being merged */
	struct sort_row probe;
	struct arena_mark mark; /* what a probe used is given back */
	struct msg *msg; /* being read */
	struct arena scratch; /* of its keys as they were read */
};

/*
 * Reads what `uid` is compared by. STEP_FAIL: it is gone or can not be read.
 * STEP_MORE: call again.
 */
enum step sort_keys_read(struct cmd *c, struct sort *s, uint32_t uid,
    struct sort_row *out, struct err *e);
/* For step_sort: never 0, for UIDs decide in the end. */
int sort_keys_compare(const void *x, const void *y, void *sort);

/* The kept order into s->old; what is not in it into s->missing. No STEP_FAIL. */
enum step sort_order_load(struct cmd *c, struct sort *s);
/*
 * s->rows, sorted, and s->old into s->order, which is kept; then what was found
 * alone stays there. STEP_FAIL: the old order can not be used after all.
 */
enum step sort_order_merge(struct cmd *c, struct sort *s);

#endif
