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

/*
 * `msgs` in mailbox order; they must live as long as the tree, which lies in
 * `a`. The root's children are the threads' heads, in order. Not stepped: some
 * microseconds per message.
 */
struct thread_node *thread_ordered_subject(
    struct arena *a, const struct thread_msg *msgs, size_t n);
struct thread_node *thread_references(
    struct arena *a, const struct thread_msg *msgs, size_t n);

#endif
