/* SPDX-License-Identifier: ISC */
/*
 * give_back.h - brings to disk what another server needs to go on with the
 * mail: every UID, flag, keyword and POP3 id in the files that are its as well.
 */
#ifndef STORE_GIVE_BACK_H
#define STORE_GIVE_BACK_H

#include "store/check.h"

/* A mailbox as it lies there now; borrowed for the call. */
struct give_back_box {
	struct str name;
	uint32_t uidvalidity, uidnext, messages;
	/*
	 * No client was told of a larger one; never 0. What the next server
	 * gives must be above it (RFC 7162 section 3.1).
	 */
	uint64_t highest_modseq;
};

struct give_back_sink {
	void (*box)(void *arg, const struct give_back_box *b);
	check_found_fn *found; /* faults, and what can not be given */
	void *arg;
};

/*
 * Opens each of the user's own mailboxes, writes what sessions leave for later,
 * and reads all of it again from disk alone, to see that it is there. `uidl` is
 * the form of POP3's ids, as pop3d has it. With set->courier_compat "yes" the
 * files of Courier are brought up to date too. May wait for locks. -1: nothing
 * could be done; what went wrong with one mailbox is a fault.
 */
int store_give_back(const struct store_settings *set, const char *uidl,
    struct ev_loop *loop, const struct give_back_sink *sink, struct err *e);

#endif
