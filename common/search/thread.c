/* SPDX-License-Identifier: ISC */
/*
 * thread.c - messages to conversations.
 *
 * Owns:    nothing; the tree lies in the caller's arena.
 * Runs in: imapd.
 * Trusts:  nothing in messages: loops are refused, and depth is bounded.
 * Spec:    RFC 5256 section 3 (the numbers below are of its steps).
 */
#include "search/thread.h"

#include <stdlib.h>

#include "base/map.h"

/* ---- the tree -------------------------------------------------------------- */

static struct thread_node *
node_new(struct arena *a, const struct thread_msg *m)
{
	struct thread_node *n = arena_new(a, 1, sizeof(*n));

	n->m = m;
	return n;
}

static void
unlink_node(struct thread_node *n)
{
	struct thread_node *p = n->parent;

	if (p == NULL)
		return;
	*(n->prev != NULL ? &n->prev->next : &p->first) = n->next;
	*(n->next != NULL ? &n->next->prev : &p->last) = n->prev;
	p->n_children--;
	n->parent = n->prev = n->next = NULL;
}

/* Last among the children of `p`. */
static void
append_node(struct thread_node *p, struct thread_node *n)
{
	unlink_node(n);
	n->parent = p;
	n->prev = p->last;
	*(p->last != NULL ? &p->last->next : &p->first) = n;
	p->last = n;
	p->n_children++;
}

/* All children of `from`, in their order. */
static void
append_children(struct thread_node *p, struct thread_node *from)
{
	while (from->first != NULL)
		append_node(p, from->first);
}

/* Who a node is sorted and named by: a dummy by its first child. */
static const struct thread_msg *
speaker_of(const struct thread_node *n)
{
	while (n->m == NULL)
		n = n->first;
	return n->m;
}

static int
by_date(const void *x, const void *y)
{
	const struct thread_node *a = *(struct thread_node *const *)x;
	const struct thread_node *b = *(struct thread_node *const *)y;
	uint32_t u = speaker_of(a)->uid, v = speaker_of(b)->uid;

	if (a->sort_s != b->sort_s)
		return a->sort_s < b->sort_s ? -1 : 1;
	return u < v ? -1 : u > v;
}

/* The children of `p` by sent date; theirs are sorted already. */
static void
sort_children(struct arena *a, struct thread_node *p)
{
	struct thread_node **v, *n;
	size_t count = p->n_children, i = 0;

	if (count == 0)
		return;
	v = arena_new(a, count, sizeof(struct thread_node *));
	for (n = p->first; n != NULL; n = n->next) {
		n->sort_s = speaker_of(n)->sent_s;
		v[i++] = n;
	}
	qsort(v, count, sizeof(struct thread_node *), by_date);
	for (i = 0; i < count; i++)
		append_node(p, v[i]);
}

/* Step 6: the youngest first. */
static void
sort_all(struct arena *a, struct thread_node *p)
{
	struct thread_node *n;

	for (n = p->first; n != NULL; n = n->next)
		sort_all(a, n);
	sort_children(a, p);
}

/* ---- REFERENCES ------------------------------------------------------------ */

struct table {
	struct arena *a;
	struct map by_id; /* to struct thread_node */
	struct thread_node *root;
	struct thread_node **all; /* in the order in which they were made */
	size_t n_all;
};

static struct thread_node *
add(struct table *t, const struct thread_msg *m, struct str id)
{
	struct thread_node *n = node_new(t->a, m);

	if (id.n > 0)
		map_put(&t->by_id, id, n);
	t->all[t->n_all++] = n;
	return n;
}

/* Of a message; an id that another one has already is as none. */
static struct thread_node *
node_of(struct table *t, const struct thread_msg *m)
{
	struct thread_node *n = m->id.n > 0 ? map_find(&t->by_id, m->id) : NULL;

	if (n == NULL)
		return add(t, m, m->id);
	if (n->m != NULL)
		return add(t, m, STR(""));
	n->m = m;
	return n;
}

/* May `child` come below `p`? Not above itself, and not too deep. */
static bool
may_link(const struct thread_node *p, const struct thread_node *child)
{
	uint32_t depth = 0;

	for (; p != NULL; p = p->parent)
		if (p == child || ++depth > THREAD_DEPTH_MAX)
			return false;
	return true;
}

/* Step 1 for one message. */
static void
link_message(struct table *t, const struct thread_msg *m)
{
	struct thread_node *n = node_of(t, m), *last = NULL, *ref;
	struct str refs = m->refs, id;

	while (refs.n > 0) {
		id = str_head(refs, str_find(refs, '\0'));
		refs = str_skip(refs, id.n + 1);
		if (id.n == 0)
			continue;
		ref = map_find(&t->by_id, id);
		if (ref == NULL)
			ref = add(t, NULL, id);
		if (last != NULL && ref->parent == NULL && may_link(last, ref))
			append_node(last, ref);
		last = ref;
	}
	unlink_node(n);
	if (last != NULL && may_link(last, n))
		append_node(last, n);
}

/* Step 3, the children first. */
static void
prune(struct thread_node *p, bool is_root)
{
	struct thread_node *n, *next;

	for (n = p->first; n != NULL; n = next) {
		next = n->next;
		prune(n, false);
		if (n->m != NULL)
			continue;
		if (n->n_children == 0) {
			unlink_node(n);
		} else if (!is_root || n->n_children == 1) {
			append_children(p, n);
			unlink_node(n);
		}
	}
}

/*
 * A subtree that was put below another one may reach too deep: what does is
 * taken off. Without recursion, of course.
 */
static void
cut_depth(struct table *t)
{
	struct thread_node **stack, *n, *next;
	size_t top = 0;

	stack = arena_new(t->a, t->n_all + 1, sizeof(struct thread_node *));
	for (size_t i = 0; i < t->n_all; i++)
		if (t->all[i]->parent == NULL)
			stack[top++] = t->all[i];
	while (top > 0) {
		struct thread_node *p = stack[--top];

		for (n = p->first; n != NULL; n = next) {
			next = n->next;
			n->depth = p->depth + 1;
			if (n->depth > THREAD_DEPTH_MAX) {
				unlink_node(n);
				n->depth = 0;
			}
			stack[top++] = n;
		}
	}
}

/* Step 5 B: the message that stands for its thread's subject. */
static void
note_subject(struct map *subjects, struct thread_node *n)
{
	struct str subject = speaker_of(n)->subject;
	struct thread_node *had;

	if (subject.n == 0)
		return;
	had = map_find(subjects, subject);
	if (had == NULL ||
	    (had->m != NULL &&
		(n->m == NULL || (had->m->is_reply && !n->m->is_reply))))
		map_put(subjects, subject, n);
}

/* Step 5 C. */
static void
merge_subject(struct table *t, struct map *subjects, struct thread_node *n)
{
	struct str subject = speaker_of(n)->subject;
	struct thread_node *had, *both;

	had = subject.n == 0 ? n : map_find(subjects, subject);
	if (had == n)
		return;
	if (had->m == NULL && n->m == NULL) {
		append_children(had, n);
		unlink_node(n);
	} else if (had->m == NULL ||
	    (n->m != NULL && n->m->is_reply && !had->m->is_reply)) {
		append_node(had, n);
	} else {
		both = node_new(t->a, NULL);
		append_node(t->root, both);
		append_node(both, had);
		append_node(both, n);
		map_put(subjects, subject, both);
	}
}

/* Step 5; the heads are sorted. */
static void
gather_subjects(struct table *t)
{
	struct thread_node **heads, *n;
	size_t count = t->root->n_children, i = 0;
	struct map subjects;

	map_init(&subjects);
	heads = arena_new(t->a, count + 1, sizeof(struct thread_node *));
	for (n = t->root->first; n != NULL; n = n->next)
		heads[i++] = n;
	for (i = 0; i < count; i++)
		note_subject(&subjects, heads[i]);
	for (i = 0; i < count; i++)
		merge_subject(t, &subjects, heads[i]);
	map_done(&subjects);
}

static size_t
count_refs(const struct thread_msg *msgs, size_t n)
{
	size_t count = n;

	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < msgs[i].refs.n; k++)
			count += k == 0 || msgs[i].refs.p[k] == '\0';
	return count;
}

struct thread_node *
thread_references(struct arena *a, const struct thread_msg *msgs, size_t n)
{
	struct table t = {.a = a};
	struct thread_node *node;

	map_init(&t.by_id);
	t.root = node_new(a, NULL);
	t.all =
	    arena_new(a, count_refs(msgs, n) + 1, sizeof(struct thread_node *));
	for (size_t i = 0; i < n; i++)
		link_message(&t, &msgs[i]);
	cut_depth(&t);
	for (size_t i = 0; i < t.n_all; i++) /* step 2 */
		if (t.all[i]->parent == NULL)
			append_node(t.root, t.all[i]);
	prune(t.root, true);
	for (node = t.root->first; node != NULL; node = node->next)
		if (node->m == NULL)
			sort_children(a, node);
	sort_children(a, t.root); /* step 4 */
	gather_subjects(&t);
	sort_all(a, t.root);
	map_done(&t.by_id);
	return t.root;
}

/* ---- ORDEREDSUBJECT -------------------------------------------------------- */

static int
by_subject(const void *x, const void *y)
{
	const struct thread_msg *a = *(const struct thread_msg *const *)x;
	const struct thread_msg *b = *(const struct thread_msg *const *)y;
	int order = str_cmp(a->subject, b->subject);

	if (order != 0)
		return order;
	if (a->sent_s != b->sent_s)
		return a->sent_s < b->sent_s ? -1 : 1;
	return a->uid < b->uid ? -1 : a->uid > b->uid;
}

struct thread_node *
thread_ordered_subject(struct arena *a, const struct thread_msg *msgs, size_t n)
{
	const struct thread_msg **v =
	    arena_new(a, n + 1, sizeof(const struct thread_msg *));
	struct thread_node *root = node_new(a, NULL), *head = NULL, *node;

	for (size_t i = 0; i < n; i++)
		v[i] = &msgs[i];
	qsort(v, n, sizeof(const struct thread_msg *), by_subject);
	for (size_t i = 0; i < n; i++) {
		node = node_new(a, v[i]);
		if (head == NULL || !str_eq(head->m->subject, v[i]->subject)) {
			append_node(root, node);
			head = node;
		} else {
			append_node(head, node);
		}
	}
	sort_children(a, root);
	return root;
}
