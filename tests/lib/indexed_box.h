/* SPDX-License-Identifier: ISC */
/*
 * indexed_box.h - a fresh Maildir, or mbox file, with an index, for unit tests.
 */
#ifndef TESTS_LIB_INDEXED_BOX_H
#define TESTS_LIB_INDEXED_BOX_H

#include "base/clock.h"
#include "base/log.h"
#include "tests/lib/test_store.h"

static UNUSED void
no_line(UNUSED enum log_level level, UNUSED const char *line, UNUSED void *arg)
{
}

static UNUSED int
setup(void **state)
{
	static struct box box;

#ifdef INDEXED_BOX_IS_MBOX
	box_init_mbox_in(&box, "/tmp");
#else
	box_init(&box);
#endif
	box.has_index = true;
	box.poll_only = true;
	log_set_sink(no_line, NULL);
	*state = &box;
	return 0;
}

static UNUSED int
teardown(void **state)
{
	clock_set_for_test(-1, -1);
	box_done(*state);
	return 0;
}

/* Messages up to this UID are known by the index alone. */
static UNUSED uint32_t
lazy(struct view *v)
{
	return view_mailbox(v)->lazy_top;
}

static UNUSED void
remove_index(struct box *b)
{
	struct err e;
	char path[100];

	(void)snprintf(path, sizeof(path), "%s/index", b->home);
	assert_int_equal(file_remove_tree(AT_FDCWD, path, &e), 0);
}

#ifndef INDEXED_BOX_IS_MBOX
/*
 * Times older than the clock's granularity: the index may be believed. `folder`
 * is as on disk; ".": INBOX.
 */
static UNUSED void
settle_in(struct box *b, const char *folder)
{
	static const char *const dirs[] = {"cur", "new"};
	static long moment;
	struct timespec t[2] = {{0}, {0}};
	char rel[100];

	t[0].tv_sec = t[1].tv_sec = clock_wall_s() - 100;
	t[0].tv_nsec = t[1].tv_nsec = ++moment;
	for (size_t i = 0; i < 2; i++) {
		(void)snprintf(rel, sizeof(rel), "%s/%s", folder, dirs[i]);
		assert_int_equal(
		    utimensat(AT_FDCWD, box_path(b, rel), t, 0), 0);
	}
}

static UNUSED void
settle(struct box *b)
{
	settle_in(b, ".");
}

/* `n` messages with UIDs, known to the index as of long ago. */
static UNUSED void
fill_known(struct box *b, int n)
{
	char name[64];
	struct view *v;

	for (int i = 1; i <= n; i++) {
		(void)snprintf(name, sizeof(name), "cur/%d.m%d:2,%s", 1000 + i,
		    i, i % 3 == 0 ? "" : "S");
		box_msg(b, name);
	}
	settle(b);
	box_open(b);
	v = box_view(b, "INBOX", false);
	assert_int_equal(view_count(v), n);
	view_close(&v);
	box_close(b);
}

/* All changes are old now, and the view has seen them. */
static UNUSED void
rest(struct box *b, struct view *v)
{
	settle(b);
	(void)box_sync(v, true);
}

#endif

#endif
