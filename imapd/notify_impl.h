/* SPDX-License-Identifier: ISC */
/*
 * notify_impl.h - the inside of a session's NOTIFY, for its parts:
 *
 *	notify.c       the selected mailbox, when it is whose turn
 *	notify_tree.c  other mailboxes: their names and their states
 *	notify_own.c   what the client does itself
 */
#ifndef IMAPD_NOTIFY_IMPL_H
#define IMAPD_NOTIFY_IMPL_H

#include <ev.h>

#include "base/list.h"
#include "base/map.h"
#include "base/vec.h"
#include "imapd/metadata_watch.h"
#include "imapd/notify.h"
#include "store/tree.h"

/* A mailbox that events are wished of, or a level above some. */
struct watched {
	struct str name; /* in box_arena */
	unsigned events; /* enum notify_event */
	unsigned attrs; /* enum mbox_attr */
	unsigned uses;
	char delimiter;
	bool is_known; /* `told` is what the client knows */
	bool is_new; /* it has come into being since NOTIFY */
	bool no_access; /* so it was told */
	bool is_renamed; /* by the client itself: the place is another */
	struct tree_place *place; /* NULL: none yet */
	struct tree_place *names; /* of what lies below it, or NULL */
	struct metadata_watch meta; /* if its annotations are wished for */
	struct tree_id id;
	uint32_t seen, names_seen; /* tree_count() at the last look */
	int64_t not_before_ms; /* looks keep apart */
	struct {
		uint32_t messages, uidnext, uidvalidity, unseen;
		uint64_t modseq;
	} told;
	/* Put there by the client itself since then. */
	uint32_t own, own_top;
};

struct notify {
	struct list link; /* of all sessions that have one */
	struct session *s;
	struct arena arena; /* of the arguments */
	struct notify_arg arg;
	struct tree_listener listener;
	ev_timer timer;
	bool is_begun; /* it is the session's */
	bool is_due; /* a pass has begun or is to begin */
	bool in_pass;
	bool is_woken; /* since the pass began: there will be another one */
	bool is_over; /* too many annotations: to be told, then all is off */

	/* The selected mailbox */
	bool selected_due;
	uint32_t top; /* new messages above it were not yet looked at */
	struct set32 fresh; /* to be told with the attributes wished for */
	struct set32 own; /* of the client itself: not to be told */
	struct cmd cmd; /* what fetch_push has instead of a command */
	struct arena push_arena;
	bool in_push;

	/* Other mailboxes */
	bool wants_names, wants_messages;
	VEC(struct watched) boxes;
	struct map by_name; /* index + 1 */
	struct arena box_arena;
	struct tree_place *root; /* of the uppermost names */
	uint32_t root_seen;
	int64_t names_not_before_ms;
	struct list_job *list;
	struct arena list_arena;
	bool in_list;
	struct status_job *status;
	size_t at; /* the next mailbox to be looked at */
	bool is_listed; /* for notify_prepare() */
	struct metadata_watch server; /* its annotations, likewise */
	struct buf metadata; /* METADATA responses to be sent */
};

/* notify_tree.c */

/* Fills n->boxes from a list; with `tells` what differs from before is told. */
int notify_take_list(
    struct notify *n, struct mbox_entry *first, bool tells, struct err *e);
/* What happened to names, then what happened in mailboxes. */
enum step notify_tree_step(struct notify *n);
/* The first look at a mailbox; `tells`: STATUS is sent. */
enum step notify_first_look(
    struct notify *n, struct watched *w, bool tells, struct err *e);
/* The mailbox is being left. */
void notify_tree_left(struct notify *n);
void notify_tree_free(struct notify *n);
struct watched *notify_find(struct notify *n, struct str name);
/* Nothing of the mailbox is watched any more. */
void notify_let_go(struct watched *w);
/* The name of the selected mailbox, of which STATUS tells nothing; or empty. */
struct str notify_selected_name(struct notify *n, struct arena *a);
/* METADATA for what is wished of it. */
void notify_tell_entry(struct notify *n, struct str name, struct str entry);
/* There is something to be told, or looked at, from the beginning. */
void notify_due(struct notify *n);
/* Comes back after so many milliseconds. */
void notify_later(struct notify *n, int64_t ms);
/*
 * All that was wished for is off; the client is told so. Between responses alone;
 * `n` is gone then, and s->notify another one.
 */
void notify_overflow(struct notify *n, const char *why);

#endif
