/* SPDX-License-Identifier: ISC */
/*
 * resync.h - what a client that comes back has missed (RFC 7162 sections 3.2.5
 * and 3.2.6): VANISHED (EARLIER), then FETCH.
 */
#ifndef IMAPD_RESYNC_H
#define IMAPD_RESYNC_H

#include "imapd/select_param.h"
#include "imapd/session.h"

struct resync {
	bool begun;
	struct set32 known; /* UIDs to speak of */
	uint32_t uid; /* FETCH goes on from here */
};

/*
 * Of those `known` what vanished after `modseq`, as an untagged VANISHED
 * (EARLIER); nothing when there is nothing. UIDs up to `above` are left out.
 */
void resync_write_vanished(struct session *s, uint64_t modseq,
    const struct set32 *known, uint32_t above);
/*
 * All that SELECT's QRESYNC asks for. STEP_MORE: the connection is full, or
 * time is up. resync_done() in any case.
 */
enum step resync_step(struct cmd *c, struct select_param *p, struct resync *r);
void resync_done(struct resync *r);

#endif
