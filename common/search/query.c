/* SPDX-License-Identifier: ISC */
/*
 * query.c - the tree of search keys and the order in which they are asked.
 *
 * Owns:    the sets inside the tree; everything else lies in the arena.
 * Runs in: imapd.
 * Trusts:  its maker to have bounded depth and number of keys.
 * Spec:    RFC 3501 section 6.4.4.
 */
#include "base/assert.h"
#include "search/query.h"
#include "text/utf8.h"

struct query *
query_new(struct arena *a, enum query_key key)
{
	struct query *q = arena_new(a, 1, sizeof(*q));

	q->key = key;
	return q;
}

struct query *
query_new_uids(struct arena *a)
{
	struct query *q = query_new(a, QUERY_UIDS);

	q->uids = arena_new(a, 1, sizeof(*q->uids));
	set32_init(q->uids);
	return q;
}

void
query_add(struct query *q, struct query *child)
{
	ASSERT(child->next == NULL);
	if (q->last_child == NULL)
		q->child = child;
	else
		q->last_child->next = child;
	q->last_child = child;
}

static enum query_cost
own_cost(enum query_key key)
{
	static const unsigned char costs[QUERY_KEYS] = {
	    [QUERY_BEFORE] = QUERY_COST_FACTS,
	    [QUERY_ON] = QUERY_COST_FACTS,
	    [QUERY_SINCE] = QUERY_COST_FACTS,
	    [QUERY_YOUNGER] = QUERY_COST_FACTS,
	    [QUERY_OLDER] = QUERY_COST_FACTS,
	    [QUERY_LARGER] = QUERY_COST_FACTS,
	    [QUERY_SMALLER] = QUERY_COST_FACTS,
	    [QUERY_SAVED_BEFORE] = QUERY_COST_FACTS,
	    [QUERY_SAVED_ON] = QUERY_COST_FACTS,
	    [QUERY_SAVED_SINCE] = QUERY_COST_FACTS,
	    [QUERY_EMAIL_ID] = QUERY_COST_FACTS,
	    [QUERY_THREAD_ID] = QUERY_COST_FACTS,
	    [QUERY_SENT_BEFORE] = QUERY_COST_HEADER,
	    [QUERY_SENT_ON] = QUERY_COST_HEADER,
	    [QUERY_SENT_SINCE] = QUERY_COST_HEADER,
	    [QUERY_HEADER] = QUERY_COST_HEADER,
	    [QUERY_BODY] = QUERY_COST_BODY,
	    [QUERY_TEXT] = QUERY_COST_BODY,
	};

	return costs[key];
}

/*
 * Children by ascending cost. There are few distinct costs, so a list per
 * cost keeps it linear.
 */
static void
sort_children(struct query *q)
{
	struct query *per_cost[QUERY_COST_BODY + 1] = {NULL};
	struct query *c, *next, *sorted = NULL;
	int cost;

	for (c = q->child; c != NULL; c = next) {
		next = c->next;
		c->next = per_cost[c->cost];
		per_cost[c->cost] = c;
	}
	for (cost = QUERY_COST_BODY; cost >= 0; cost--)
		for (c = per_cost[cost]; c != NULL; c = next) {
			next = c->next;
			c->next = sorted;
			sorted = c;
		}
	q->child = sorted;
	for (c = sorted; c != NULL; c = c->next)
		q->last_child = c;
}

int
query_plan(struct query *q, struct err *e)
{
	struct query *c;

	q->cost = own_cost(q->key);
	if (!utf8_is_valid(q->text))
		return err_set(e, ERR_SYNTAX, "search text is not UTF-8");
	for (c = q->child; c != NULL; c = c->next) {
		if (query_plan(c, e) == -1)
			return -1;
		if (c->cost > q->cost)
			q->cost = c->cost;
	}
	sort_children(q);
	return 0;
}

void
query_done(struct query *q)
{
	struct query *c;

	if (q->uids != NULL)
		set32_done(q->uids);
	for (c = q->child; c != NULL; c = c->next)
		query_done(c);
}

bool
query_bound(const struct query *q, struct set32 *out)
{
	const struct query *c;

	set32_clear(out);
	if (q->key == QUERY_UIDS) {
		set32_copy(out, q->uids);
		return true;
	}
	if (q->key != QUERY_AND)
		return false;
	for (c = q->child; c != NULL; c = c->next)
		if (query_bound(c, out))
			return true;
	return false;
}

bool
query_has(const struct query *q, enum query_key key)
{
	const struct query *c;

	if (q->key == key)
		return true;
	for (c = q->child; c != NULL; c = c->next)
		if (query_has(c, key))
			return true;
	return false;
}
