/* SPDX-License-Identifier: ISC */
/*
 * fetch_job.h - a FETCH while it runs, for its three parts:
 *
 *	cmd_fetch.c    which message is next; opens and leaves it
 *	fetch_known.c  messages that need not be opened, many at once
 *	fetch_item.c   the items of an open one, its literals piece by piece
 */
#ifndef IMAPD_FETCH_JOB_H
#define IMAPD_FETCH_JOB_H

#include "base/set32.h"
#include "imapd/command.h"
#include "imapd/fetch_binary.h"
#include "imapd/fetch_plan.h"
#include "imapd/fetch_stream.h"
#include "store/object.h"

struct fetch {
	struct fetch_plan plan;
	struct set32 uids;
	struct set32 changed; /* of them, while that is found out */
	bool in_choose;
	uint32_t uid; /* the message being answered, or the next one */
	bool at_end; /* there is none */
	uint32_t limited; /* lowest UID answered; 0: all are (limit.h) */
	uint32_t down; /* going down: position of the next one + 1 in uids */
	struct msg *msg; /* open when the plan needs it */
	struct fetch_item pushed; /* goes before those of the plan */
	struct fetch_item *item; /* the next one; NULL in ITEMS: close */
	struct fetch_item *current; /* the one before it */
	bool in_open; /* msg is being read, before its answer begins */
	bool in_message, in_measure, in_literal;
	bool is_known; /* the plan needs no message that is known */
	uint32_t known_from; /* UIDs before are not looked for there */
	uint32_t misses; /* how many were not there, one after the other */
	bool first; /* no blank before the next item */
	bool seen_now; /* \Seen was set by this FETCH */
	bool some_gone, some_encoded;
	/* Response code: why one was not answered in full; NULL: all were. */
	const char *some_failed;
	struct fetch_stream stream;
	struct fetch_binary binary; /* instead of it */
	uint64_t range_off; /* of the literal being sent */
	struct buf scratch;
	struct buf fields; /* of the message's header, see fetch_facts.h */
	struct buf sizes; /* of its parts, likewise */
	char email_id[OBJECT_ID_MAX], thread_id[OBJECT_ID_MAX];
	struct str preview; /* of the message; in the command's arena */
	struct arena_mark mark; /* what one message used is given back */
};

/* The present message is done with. */
static inline void
fetch_pass(struct fetch *f)
{
	if (f->down > 0)
		f->at_end = --f->down == 0;
	else if (f->uid == UINT32_MAX)
		f->at_end = true;
	else
		f->uid++;
}

/*
 * FETCH replies that nobody has asked for just now (RFC 5465 section 5.2). `c`
 * is a command of its own, with s, arena and uid; c->cleanup ends it.
 */
void fetch_push_begin(
    struct cmd *c, const struct set32 *uids, const struct fetch_plan *plan);
enum step fetch_push_step(struct cmd *c);

/* Small answers travel together. */
#define FETCH_SEND_BYTES 8192

/*
 * Answers messages from f->uid on, as long as all that is asked for is known.
 * STEP_MORE: the connection is full, or the time is up; STEP_DONE: the message
 * f->uid has to be opened, or there are no more.
 */
enum step fetch_known(struct cmd *c);

/*
 * One bit of the present literal, or the next item of f->msg. STEP_MORE: call
 * again, when the connection has room; STEP_DONE: that was all.
 */
enum step fetch_item_step(struct cmd *c);
/* "UID n", "FLAGS (...)", "MODSEQ (n)" of the present message. */
void fetch_item_uid(struct cmd *c);
void fetch_item_flags(struct cmd *c);
void fetch_item_modseq(struct cmd *c);

#endif
