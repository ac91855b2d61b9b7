/* SPDX-License-Identifier: ISC */
/* fresh_box.h - a fresh Maildir for each unit test. */
#ifndef TESTS_LIB_FRESH_BOX_H
#define TESTS_LIB_FRESH_BOX_H

#include "tests/lib/test_store.h"

static UNUSED int
setup(void **state)
{
	static struct box b;

	box_init(&b);
	*state = &b;
	return 0;
}

static UNUSED int
teardown(void **state)
{
	box_done(*state);
	return 0;
}

#endif
