/* SPDX-License-Identifier: ISC */
/*
 * index_check.h - does what lies in an index fit together? Without a look at
 * the mail; for the control tool.
 */
#ifndef INDEX_INDEX_CHECK_H
#define INDEX_INDEX_CHECK_H

#include "index/index_box.h"
#include "index/index_state.h"

/* The folder of an index, before anything is opened. */
struct index_outside {
	bool is_there;
	bool is_ours; /* nobody else may write in it */
	enum index_verdict verdict;
	uint64_t data_bytes;
	int64_t bad_s; /* when "data.bad" was put aside, 0: there is none */
};

/* Reads and changes nothing. */
void index_look(const char *dir, struct index_outside *out);

/*
 * Something does not fit, in a sentence. `place`: of the mailbox, borrowed;
 * empty: it is not of one.
 */
typedef void index_fault_fn(void *arg, struct str place, const char *text);

struct index_check_sum {
	uint64_t mailboxes, messages;
	uint64_t orphans; /* boxes that no mailbox has */
};

/*
 * Reads all of the index once. False: it is damaged; the next one who opens it
 * begins anew.
 */
bool index_check(struct index *ix, index_fault_fn *fn, void *arg,
    struct index_check_sum *sum);
/* Throws the orphans away. They may be many: bit by bit, outside of a write. */
int index_drop_orphans(struct index *ix, struct err *e);

#endif
