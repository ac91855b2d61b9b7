/* SPDX-License-Identifier: ISC */
/*
 * filtermake.c - the filter of a message, from all of its texts.
 *
 * Owns:    struct filtermake: the set that is being made, 32 KiB.
 * Runs in: imapd, restantectl, as the mail user.
 * Trusts:  nothing in messages.
 *
 * Texts are folded as match.c folds them, and by the same walk: what it could
 * find in a piece, and over the border of two, is in the set.
 */
#include "search/filtermake.h"

#include "index/filter.h"
#include "search/textwalk.h"
#include "text/fold.h"

struct filtermake {
	struct filter_set set;
	struct fold_window window;
	struct textwalk walk;
	struct arena arena;
};

struct filtermake *
filtermake_new(void)
{
	struct filtermake *f = mem_new(1, sizeof(*f));

	fold_window_init(&f->window, FILTER_GRAM - 1);
	arena_init(&f->arena);
	return f;
}

void
filtermake_drop(struct filtermake *f)
{
	textwalk_end(&f->walk);
	arena_reset(&f->arena);
}

void
filtermake_free(struct filtermake **fp)
{
	struct filtermake *f = *fp;

	if (f == NULL)
		return;
	filtermake_drop(f);
	textwalk_done(&f->walk);
	fold_window_done(&f->window);
	arena_done(&f->arena);
	MEM_FREE(*fp);
}

static void
begin(void *arg)
{
	struct filtermake *f = arg;

	fold_window_reset(&f->window);
}

static bool
look(void *arg, struct str window, size_t fresh)
{
	struct filtermake *f = arg;

	filter_set_add(&f->set, window, fresh);
	return true;
}

static void
piece(void *arg, struct str utf8, UNUSED bool text_alone)
{
	struct filtermake *f = arg;

	fold_window_feed(&f->window, utf8, look, f);
}

static bool
wants_more(UNUSED void *arg)
{
	return true;
}

enum step
filtermake_step(struct filtermake *f, struct msg *msg, size_t max_bytes,
    struct buf *out, struct err *e)
{
	static const struct textwalk_ops ops = {begin, piece, wants_more};
	enum step step;

	if (f->walk.msg == NULL) {
		filter_set_clear(&f->set);
		textwalk_begin(&f->walk, msg, &f->arena, &ops, f);
	}
	step = textwalk_step(&f->walk, e);
	if (step == STEP_MORE)
		return STEP_MORE;
	filtermake_drop(f);
	if (step == STEP_DONE && !filter_write(&f->set, max_bytes, out))
		return err_set(e, ERR_LIMIT, "filter"), STEP_FAIL;
	return step;
}
