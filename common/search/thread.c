/* SPDX-License-Identifier: ISC */
/*
 * thread.c - messages to conversations.
 *
 * Owns:    tables of message ids and subjects; the tree lies in the caller's
 *          arena.
 * Runs in: imapd.
 * Trusts:  nothing in messages: loops are refused, and depth is bounded.
 * Spec:    RFC 5256 section 3 (the numbers below are of its steps).
 *
 * REFERENCES: LINK -> CUT -> HEADS -> PRUNE -> DUMMIES -> ROOT -> SUBJECTS ->
 *             MERGE -> SORT -> done
 * REFS:       LINK -> CUT -> HEADS -> PRUNE -> NEWEST -> ROOT -> done
 * ORDEREDSUBJECT: GATHER -> BY_SUBJECT -> GROUP -> ROOT -> done
 *
 * Each phase does a message or a node at a time and can be left after any of
 * them. Trees are walked by their pointers, not by recursion.
 */
#include "search/thread.h"

#include "base/map.h"
#include "base/step_sort.h"

enum phase {
	PHASE_LINK,
	PHASE_CUT,
	PHASE_HEADS,
	PHASE_PRUNE,
	PHASE_NEWEST,
	PHASE_DUMMIES,
	PHASE_ROOT,
	PHASE_SUBJECTS,
	PHASE_MERGE,
	PHASE_SORT,
	PHASE_GATHER,
	PHASE_BY_SUBJECT,
	PHASE_GROUP,
	PHASE_DONE,
};

/* The children of one node being put in order. */
struct sorting {
	struct thread_node *p, *n; /* n: the next to be gathered */
	size_t count, i;
	bool by_newest; /* sort_s is there already */
	bool is_gathered, is_unsorted, is_sorted;
	struct step_sort sort;
};

struct thread_job {
	struct arena *a;
	enum thread_kind kind;
	enum phase phase;
	const struct thread_msg *msgs;
	size_t n, i; /* i: how far the phase is */
	struct map by_id, subjects; /* to struct thread_node */
	struct thread_node *root;
	struct thread_node **all; /* in the order in which they were made */
	size_t n_all;
	struct thread_node **v, **spare; /* room for as many */
	size_t n_heads;
	struct thread_node *p, *c; /* where the walk is */
	struct sorting sorting;
	bool in_sorting;
	struct step_sort by_subject;
	const struct thread_msg **rows;
	size_t spent; /* what a step has cost beyond one */
};

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

/* Who a node is sorted and named by: a dummy by its first child. */
static const struct thread_msg *
speaker_of(const struct thread_node *n)
{
	while (n->m == NULL)
		n = n->first;
	return n->m;
}

/* The first node of a walk that visits children before their parents. */
static struct thread_node *
first_leaf(struct thread_node *n)
{
	while (n->first != NULL)
		n = n->first;
	return n;
}

/* ...and the one behind `n`; NULL behind the root. */
static struct thread_node *
next_upwards(struct thread_node *n)
{
	return n->next != NULL ? first_leaf(n->next) : n->parent;
}

/* The node behind `n` of a walk that visits parents first, below `top`. */
static struct thread_node *
next_downwards(struct thread_node *n, const struct thread_node *top)
{
	if (n->first != NULL)
		return n->first;
	while (n != top && n->next == NULL)
		n = n->parent;
	return n == top ? NULL : n->next;
}

/* ---- children in order ----------------------------------------------------- */

static int
by_date(const void *x, const void *y, UNUSED void *arg)
{
	const struct thread_node *a = *(struct thread_node *const *)x;
	const struct thread_node *b = *(struct thread_node *const *)y;
	uint32_t u, v;

	if (a->sort_s != b->sort_s)
		return a->sort_s < b->sort_s ? -1 : 1;
	u = speaker_of(a)->uid;
	v = speaker_of(b)->uid;
	return u < v ? -1 : u > v;
}

static void
sorting_begin(struct thread_job *j, struct thread_node *p)
{
	j->in_sorting = true;
	j->sorting = (struct sorting){.p = p, .n = p->first};
}

/* False: no steps are left. */
static bool
gather_children(struct thread_job *j, size_t *steps)
{
	struct sorting *s = &j->sorting;

	for (; s->n != NULL; s->n = s->n->next) {
		if (*steps == 0)
			return false;
		--*steps;
		if (!s->by_newest)
			s->n->sort_s = speaker_of(s->n)->sent_s;
		j->v[s->count] = s->n;
		if (s->count > 0 &&
		    by_date(&j->v[s->count - 1], &j->v[s->count], NULL) > 0)
			s->is_unsorted = true;
		s->count++;
	}
	return true;
}

static bool
relink_children(struct sorting *s, struct thread_node **v, size_t *steps)
{
	struct thread_node *n;

	for (; s->i < s->count; s->i++) {
		if (*steps == 0)
			return false;
		--*steps;
		n = v[s->i];
		n->prev = s->i > 0 ? v[s->i - 1] : NULL;
		n->next = s->i + 1 < s->count ? v[s->i + 1] : NULL;
	}
	s->p->first = v[0];
	s->p->last = v[s->count - 1];
	return true;
}

/* True: the children of the node of sorting_begin() stand in their order. */
static bool
sorting_go(struct thread_job *j, size_t *steps)
{
	struct sorting *s = &j->sorting;

	if (!s->is_gathered) {
		if (!gather_children(j, steps))
			return false;
		s->is_gathered = true;
		step_sort_begin(&s->sort, j->v, j->spare, s->count,
		    sizeof(struct thread_node *), by_date, NULL);
	}
	if (s->is_unsorted && !s->is_sorted) {
		if (!step_sort_go(&s->sort, steps))
			return false;
		s->is_sorted = true;
	}
	if (s->is_sorted &&
	    !relink_children(
		s, (struct thread_node **)(void *)s->sort.rows, steps))
		return false;
	j->in_sorting = false;
	return true;
}

/* ---- REFERENCES: messages to nodes ----------------------------------------- */

static struct thread_node *
add(struct thread_job *j, const struct thread_msg *m, struct str id)
{
	struct thread_node *n = node_new(j->a, m);

	if (id.n > 0)
		map_put(&j->by_id, id, n);
	j->all[j->n_all++] = n;
	return n;
}

/* Of a message; an id that another one has already is as none. */
static struct thread_node *
node_of(struct thread_job *j, const struct thread_msg *m)
{
	struct thread_node *n = m->id.n > 0 ? map_find(&j->by_id, m->id) : NULL;

	if (n == NULL)
		return add(j, m, m->id);
	if (n->m != NULL)
		return add(j, m, STR(""));
	n->m = m;
	return n;
}

/* May `child` come below `p`? Not above itself, and not too deep. */
static bool
may_link(struct thread_job *j, const struct thread_node *p,
    const struct thread_node *child)
{
	uint32_t depth = 0;

	for (; p != NULL; p = p->parent)
		if (p == child || ++depth > THREAD_DEPTH_MAX)
			return false;
	j->spent += depth / 16;
	return true;
}

/* Step 1 for one message. */
static void
link_message(struct thread_job *j, const struct thread_msg *m)
{
	struct thread_node *n = node_of(j, m), *last = NULL, *ref;
	struct str refs = m->refs, id;

	while (refs.n > 0) {
		id = str_head(refs, str_find(refs, '\0'));
		refs = str_skip(refs, id.n + 1);
		if (id.n == 0)
			continue;
		j->spent++;
		ref = map_find(&j->by_id, id);
		if (ref == NULL)
			ref = add(j, NULL, id);
		if (last != NULL && ref->parent == NULL &&
		    may_link(j, last, ref))
			append_node(last, ref);
		last = ref;
	}
	unlink_node(n);
	if (last != NULL && may_link(j, last, n))
		append_node(last, n);
}

/* ---- REFERENCES: one node at a time ---------------------------------------- */

/*
 * A subtree that was put below another one may reach too deep: what does is
 * taken off, and is a head of its own. True: there are no more nodes.
 */
static bool
cut_next(struct thread_job *j)
{
	struct thread_node *n = j->c;

	if (n == NULL) {
		while (j->n_heads == 0 && j->i < j->n_all &&
		    j->all[j->i]->parent != NULL) {
			j->i++;
			j->spent++;
			if (j->spent > 1000)
				return false;
		}
		if (j->n_heads > 0)
			n = j->v[--j->n_heads]; /* one that was taken off */
		else if (j->i < j->n_all)
			n = j->all[j->i++];
		else
			return true;
		j->p = n;
		n->depth = 0;
		j->c = next_downwards(n, n);
		return false;
	}
	n->depth = n->parent->depth + 1;
	if (n->depth <= THREAD_DEPTH_MAX) {
		j->c = next_downwards(n, j->p);
		return false;
	}
	/* The walk goes on beside it. */
	for (j->c = n; j->c != j->p && j->c->next == NULL;)
		j->c = j->c->parent;
	j->c = j->c == j->p ? NULL : j->c->next;
	unlink_node(n);
	j->v[j->n_heads++] = n;
	return false;
}

/* Step 2. */
static bool
head_next(struct thread_job *j)
{
	if (j->i == j->n_all)
		return true;
	if (j->all[j->i]->parent == NULL)
		append_node(j->root, j->all[j->i]);
	j->i++;
	return false;
}

/*
 * Step 3, the children first: the dummies among the children of j->p. Those of a
 * dummy are clean already when they come to stand beside it.
 */
static bool
prune_next(struct thread_job *j)
{
	struct thread_node *n = j->c;

	if (n == NULL) {
		if (j->p == j->root)
			return true;
		j->p = next_upwards(j->p);
		j->c = j->p->first;
		return false;
	}
	if (n->m == NULL && n->first != NULL &&
	    (j->p != j->root || n->n_children == 1)) {
		append_node(j->p, n->first);
		return false;
	}
	j->c = n->next;
	if (n->m == NULL && n->first == NULL)
		unlink_node(n);
	return false;
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

static bool
subject_next(struct thread_job *j)
{
	if (j->c == NULL)
		return true;
	note_subject(&j->subjects, j->c);
	j->v[j->n_heads++] = j->c;
	j->c = j->c->next;
	return false;
}

/* Step 5 C. */
static void
merge_subject(struct thread_job *j, struct thread_node *n)
{
	struct str subject = speaker_of(n)->subject;
	struct thread_node *had, *both;

	had = subject.n == 0 ? n : map_find(&j->subjects, subject);
	if (had == n)
		return;
	if (had->m == NULL && n->m == NULL) {
		for (; n->first != NULL; j->spent++)
			append_node(had, n->first);
		unlink_node(n);
	} else if (had->m == NULL ||
	    (n->m != NULL && n->m->is_reply && !had->m->is_reply)) {
		append_node(had, n);
	} else {
		both = node_new(j->a, NULL);
		append_node(j->root, both);
		append_node(both, had);
		append_node(both, n);
		map_put(&j->subjects, subject, both);
	}
}

static bool
merge_next(struct thread_job *j)
{
	if (j->i == j->n_heads)
		return true;
	merge_subject(j, j->v[j->i++]);
	return false;
}

/* ---- REFS ------------------------------------------------------------------ */

/* The newest message of each thread, the children first. */
static bool
newest_next(struct thread_job *j)
{
	struct thread_node *n = j->p, *up = n->parent;

	if (n == j->root)
		return true;
	if (n->m != NULL && n->sort_s < n->m->sent_s)
		n->sort_s = n->m->sent_s;
	if (up != j->root && up->sort_s < n->sort_s)
		up->sort_s = n->sort_s;
	j->p = next_upwards(n);
	return false;
}

/* ---- ORDEREDSUBJECT -------------------------------------------------------- */

static int
by_subject(const void *x, const void *y, UNUSED void *arg)
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

static bool
gather_next(struct thread_job *j)
{
	if (j->i == j->n)
		return true;
	j->rows[j->i] = &j->msgs[j->i];
	j->i++;
	return false;
}

static bool
group_next(struct thread_job *j)
{
	const struct thread_msg **v =
	    (const struct thread_msg **)(void *)j->by_subject.rows;
	struct thread_node *node;

	if (j->i == j->n)
		return true;
	node = node_new(j->a, v[j->i++]);
	if (j->c == NULL || !str_eq(j->c->m->subject, node->m->subject)) {
		append_node(j->root, node);
		j->c = node;
	} else {
		append_node(j->c, node);
	}
	return false;
}

/* ---- phases ---------------------------------------------------------------- */

/* What a phase begins with. */
static void
enter(struct thread_job *j, enum phase phase)
{
	j->phase = phase;
	j->i = 0;
	if (phase != PHASE_MERGE) /* SUBJECTS has gathered its heads */
		j->n_heads = 0;
	j->p = j->c = NULL;
	switch (phase) {
	case PHASE_PRUNE:
		j->p = first_leaf(j->root);
		j->c = j->p->first;
		return;
	case PHASE_NEWEST:
	case PHASE_SORT:
		j->p = first_leaf(j->root);
		return;
	case PHASE_DUMMIES:
	case PHASE_SUBJECTS:
		j->c = j->root->first;
		return;
	case PHASE_ROOT:
		sorting_begin(j, j->root);
		j->sorting.by_newest = j->kind == THREAD_REFS;
		return;
	case PHASE_BY_SUBJECT:
		step_sort_begin(&j->by_subject, j->rows, j->spare, j->n,
		    sizeof(const struct thread_msg *), by_subject, NULL);
		return;
	default:
		return;
	}
}

/* What follows the phase. */
static enum phase
phase_behind(const struct thread_job *j)
{
	static const enum phase behind[] = {
	    [PHASE_LINK] = PHASE_CUT,
	    [PHASE_CUT] = PHASE_HEADS,
	    [PHASE_HEADS] = PHASE_PRUNE,
	    [PHASE_PRUNE] = PHASE_DUMMIES,
	    [PHASE_DUMMIES] = PHASE_ROOT,
	    [PHASE_ROOT] = PHASE_SUBJECTS,
	    [PHASE_SUBJECTS] = PHASE_MERGE,
	    [PHASE_MERGE] = PHASE_SORT,
	    [PHASE_SORT] = PHASE_DONE,
	    [PHASE_NEWEST] = PHASE_ROOT,
	    [PHASE_GATHER] = PHASE_BY_SUBJECT,
	    [PHASE_BY_SUBJECT] = PHASE_GROUP,
	    [PHASE_GROUP] = PHASE_ROOT,
	};

	if (j->phase == PHASE_ROOT && j->kind != THREAD_REFERENCES)
		return PHASE_DONE;
	if (j->phase == PHASE_PRUNE && j->kind == THREAD_REFS)
		return PHASE_SORT;
	if (j->phase == PHASE_SORT && j->kind == THREAD_REFS)
		return PHASE_NEWEST;
	return behind[j->phase];
}

/* Step 4: heads that are dummies, whose first child speaks for them. */
static bool
dummy_next(struct thread_job *j)
{
	if (j->c == NULL)
		return true;
	if (j->c->m == NULL)
		sorting_begin(j, j->c);
	j->c = j->c->next;
	return false;
}

/* Step 6: siblings by date, the deepest first. */
static bool
sort_next(struct thread_job *j)
{
	if (j->p == NULL)
		return true;
	if (j->p->n_children > 0)
		sorting_begin(j, j->p);
	j->p = next_upwards(j->p);
	return false;
}

static bool
link_next(struct thread_job *j)
{
	if (j->i == j->n)
		return true;
	link_message(j, &j->msgs[j->i++]);
	return false;
}

/* One step of the present phase; true: it is over. */
static bool
phase_next(struct thread_job *j)
{
	static bool (*const next[])(struct thread_job * j) = {
	    [PHASE_LINK] = link_next,
	    [PHASE_CUT] = cut_next,
	    [PHASE_HEADS] = head_next,
	    [PHASE_PRUNE] = prune_next,
	    [PHASE_NEWEST] = newest_next,
	    [PHASE_DUMMIES] = dummy_next,
	    [PHASE_SUBJECTS] = subject_next,
	    [PHASE_MERGE] = merge_next,
	    [PHASE_SORT] = sort_next,
	    [PHASE_GATHER] = gather_next,
	    [PHASE_GROUP] = group_next,
	};

	return next[j->phase] == NULL || next[j->phase](j);
}

bool
thread_job_go(struct thread_job *j, size_t *steps)
{
	while (j->phase != PHASE_DONE) {
		if (j->in_sorting && !sorting_go(j, steps))
			return false;
		if (j->phase == PHASE_BY_SUBJECT &&
		    !step_sort_go(&j->by_subject, steps))
			return false;
		if (*steps == 0)
			return false;
		--*steps;
		if (phase_next(j))
			enter(j, phase_behind(j));
		*steps -= j->spent < *steps ? j->spent : *steps;
		j->spent = 0;
	}
	return true;
}

/* ---- the job --------------------------------------------------------------- */

static size_t
count_refs(const struct thread_msg *msgs, size_t n)
{
	size_t count = n;

	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < msgs[i].refs.n; k++)
			count += k == 0 || msgs[i].refs.p[k] == '\0';
	return count;
}

struct thread_job *
thread_job_new(struct arena *a, enum thread_kind kind,
    const struct thread_msg *msgs, size_t n)
{
	struct thread_job *j = arena_new(a, 1, sizeof(*j));
	size_t max = n;

	j->a = a;
	j->kind = kind;
	j->msgs = msgs;
	j->n = n;
	j->root = node_new(a, NULL);
	map_init(&j->by_id);
	map_init(&j->subjects);
	if (kind != THREAD_ORDERED_SUBJECT)
		max = count_refs(msgs, n);
	j->all = arena_new(a, max + 1, sizeof(struct thread_node *));
	j->v = arena_new(a, max + 1, sizeof(struct thread_node *));
	j->spare = arena_new(a, max + 1, sizeof(struct thread_node *));
	j->rows = arena_new(a, n + 1, sizeof(const struct thread_msg *));
	enter(j, kind == THREAD_ORDERED_SUBJECT ? PHASE_GATHER : PHASE_LINK);
	return j;
}

struct thread_node *
thread_job_root(struct thread_job *j)
{
	return j->root;
}

void
thread_job_done(struct thread_job *j)
{
	if (j == NULL)
		return;
	map_done(&j->by_id);
	map_done(&j->subjects);
}
