/* SPDX-License-Identifier: ISC */
/* queue_test.c - turns go round the blocks; the greedy give way. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#include "auth/queue.h"

struct thing {
	struct queue_item item;
	int number;
};

static int
take(struct queue *q)
{
	struct queue_item *it = queue_take(q);

	return it == NULL ? -1 : CONTAINER_OF(it, struct thing, item)->number;
}

static void
test_round_robin(UNUSED void **state)
{
	struct thing t[6] = {0};
	struct queue q;
	int i;

	queue_init(&q, 10);
	for (i = 0; i < 6; i++)
		t[i].number = i;
	/* Block 1 brings four, block 2 and 3 one each, later. */
	for (i = 0; i < 4; i++)
		assert_null(queue_add(&q, &t[i].item, 1));
	assert_null(queue_add(&q, &t[4].item, 2));
	assert_null(queue_add(&q, &t[5].item, 3));
	assert_int_equal(take(&q), 0);
	assert_int_equal(take(&q), 4);
	assert_int_equal(take(&q), 5);
	queue_remove(&q, &t[1].item);
	queue_remove(&q, &t[1].item);
	assert_int_equal(take(&q), 2);
	assert_int_equal(q.n, 1);
	assert_int_equal(take(&q), 3);
	assert_int_equal(take(&q), -1);
	assert_int_equal(q.n, 0);
}

static void
test_full_queue_costs_the_greediest(UNUSED void **state)
{
	struct thing t[6] = {0};
	struct queue_item *out;
	struct queue q;
	int i;

	queue_init(&q, 4);
	for (i = 0; i < 6; i++)
		t[i].number = i;
	for (i = 0; i < 4; i++)
		queue_add(&q, &t[i].item, 1);
	out = queue_add(&q, &t[4].item, 2);
	assert_ptr_equal(out, &t[3].item);
	assert_null(out->block);
	/* The greediest itself gets no more in. */
	out = queue_add(&q, &t[5].item, 1);
	assert_ptr_equal(out, &t[5].item);
	assert_int_equal(q.n, 4);
	while (queue_take(&q) != NULL)
		;
	assert_int_equal(q.n, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_round_robin),
	    cmocka_unit_test(test_full_queue_costs_the_greediest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
