/* SPDX-License-Identifier: ISC */
/*
 * check.h - is a user's mail as it should be? store_check() only reads, beside
 * running sessions; store_repair() opens each mailbox and mends what can be.
 */
#ifndef STORE_CHECK_H
#define STORE_CHECK_H

#include "store/store.h"

enum check_weight {
	CHECK_NOTE, /* worth knowing; nothing has to be done */
	CHECK_FAULT, /* something is wrong */
};

/* All in UTF-8, in sentences for a person; borrowed for the call. */
struct check_finding {
	enum check_weight weight;
	const char *kind; /* "uidlist", for programs */
	struct str mailbox; /* or empty: the whole place */
	struct str text; /* what is so */
	struct str cure; /* what to do; empty: nothing */
	bool can_repair; /* store_repair() mends it */
};

/* Told of each finding, which is borrowed for the call. */
typedef void check_found_fn(void *arg, const struct check_finding *f);

/* What was looked at; `driver` is "maildir" or "mbox". */
struct check_sum {
	uint32_t mailboxes;
	uint64_t messages;
	const char *driver;
};

/*
 * Looks at everything and tells what it finds; the mail is not changed. 0 also
 * when there are faults; -1: it could not be looked at.
 */
int store_check(const struct store_settings *set, check_found_fn *found,
    void *arg, struct check_sum *sum, struct err *e);
/*
 * Mends what can be mended without losing anything; `found` is told of
 * mailboxes that could not be opened.
 */
int store_repair(const struct store_settings *set, struct ev_loop *loop,
    check_found_fn *found, void *arg, struct err *e);

#endif
