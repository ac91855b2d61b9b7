/* SPDX-License-Identifier: ISC */
/*
 * select_param.h - what stands in parentheses behind the mailbox of SELECT and
 * EXAMINE (RFC 4466 section 2.1, RFC 7162 sections 3.1.8, 3.2.5).
 */
#ifndef IMAPD_SELECT_PARAM_H
#define IMAPD_SELECT_PARAM_H

#include "base/set32.h"
#include "imap/imap_arg.h"

struct select_param {
	bool condstore, qresync;
	uint32_t uidvalidity; /* the rest is of QRESYNC */
	uint64_t modseq;
	bool has_known;
	struct set32 known; /* UIDs */
	bool has_match; /* the fourth parameter is there */
	struct set32 match_seqs, match_uids; /* the same number of each */
};

/*
 * The parameters from *a on, if there are some. False: the grammar does not
 * allow them. select_param_done() in any case.
 */
bool select_param_parse(const struct imap_arg **a, struct select_param *out);
void select_param_done(struct select_param *p);

#endif
