/* SPDX-License-Identifier: ISC */
/*
 * thread.h - messages to conversations: ORDEREDSUBJECT and REFERENCES of RFC
 * 5256 section 3, without any protocol's syntax.
 */
#ifndef SEARCH_THREAD_H
#define SEARCH_THREAD_H

#include "base/arena.h"
#include "base/str.h"

/*
 * Deeper than this no message is put below another: a reply becomes the head of
 * a thread then. So whoever walks the tree may do it by recursion.
 */
#define THREAD_DEPTH_MAX 1000

struct thread_msg {
	uint32_t uid;
	int64_t sent_s; /* the Date field, else INTERNALDATE */
	struct str id; /* of its own, or empty */
	struct str refs; /* ids with a NUL between them, the parent last */
	struct str subject; /* base subject as a key that compares bytewise */
	bool is_reply; /* "Re:" or the like stood before it */
};

struct thread_node {
	const struct thread_msg *m; /* NULL: one that is not there */
	struct thread_node *parent, *first, *last, *prev, *next;
	uint32_t n_children;
	uint32_t depth; /* while the tree is being made */
	int64_t sort_s; /* what siblings are sorted by */
};

enum thread_kind {
	THREAD_ORDERED_SUBJECT,
	THREAD_REFERENCES,
	THREAD_REFS, /* without subjects; the thread that spoke last is last */
};

struct thread_job;

/*
 * `msgs` in mailbox order; they must live as long as the tree. Both it and the
 * job lie in `a`.
 */
struct thread_job *thread_job_new(struct arena *a, enum thread_kind kind,
    const struct thread_msg *msgs, size_t n);
/*
 * Goes on for about *steps steps of less than a microsecond, a message each or
 * a node of the tree, and takes them off. True: the tree is made.
 */
bool thread_job_go(struct thread_job *j, size_t *steps);
/* Its children are the threads' heads, in order. */
struct thread_node *thread_job_root(struct thread_job *j);
/* Releases what does not lie in the arena; NULL is allowed. */
void thread_job_done(struct thread_job *j);

#endif
