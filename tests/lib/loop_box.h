/* SPDX-License-Identifier: ISC */
/* loop_box.h - a fresh Maildir and a loop for each unit test. */
#ifndef TESTS_LIB_LOOP_BOX_H
#define TESTS_LIB_LOOP_BOX_H

#include <ev.h>

#include "tests/lib/test_store.h"

static UNUSED int
setup(void **state)
{
	static struct box b;

	box_init(&b);
	b.loop = ev_loop_new(0);
	*state = &b;
	return 0;
}

static UNUSED int
teardown(void **state)
{
	struct box *b = *state;
	struct ev_loop *loop = b->loop;

	box_done(b);
	ev_loop_destroy(loop);
	return 0;
}

#endif
