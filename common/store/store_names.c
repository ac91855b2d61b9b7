/* SPDX-License-Identifier: ISC */
/*
 * store_names.c - makes, renames and removes mailboxes; what a name may be.
 *
 * Owns:    struct rename_job.
 * Runs in: imapd, pop3d, as the mail user.
 * Trusts:  no mailbox name.
 * Spec:    RFC 9051 sections 6.3.4 to 6.3.6.
 */
#include <stdlib.h>

#include "base/bounds.h"
#include "base/mem.h"
#include "store/derived.h"
#include "store/mailbox_impl.h"
#include "store/meta.h"
#include "store/quota.h"
#include "store/rights.h"
#include "store/share.h"
#include "store/space.h"
#include "store/special.h"
#include "text/utf8.h"

static enum special_use
use_of_missing(struct str name)
{
	for (unsigned use = USE_DRAFTS; use <= USE_ARCHIVE; use++)
		if (str_eq(special_default_name(use), name))
			return use;
	return USE_NONE;
}

/* Has another mailbox this use already, by its name or because it was told? */
static bool
has_use(struct store *s, struct arena *a, enum special_use use)
{
	struct str name;
	size_t at = 0;

	for (const struct meta_use *u = meta_uses(s, a); u != NULL; u = u->next)
		if ((u->uses & 1u << use) != 0)
			return true;
	while ((name = special_name_at(use, &at)).n > 0) {
		struct str below =
		    arena_printf(a, "INBOX%c%.*s", s->delimiter, STR_ARG(name));

		if (s->ops->exists(s, name) || s->ops->exists(s, below))
			return true;
	}
	return false;
}

enum step
mailbox_acquire_or_make(
    struct store *s, struct str name, struct mailbox **out, struct err *e)
{
	enum special_use use;
	struct arena a;
	enum step step;

	arena_init(&a);
	if (space_of(&s, &a, &name, e) == -1) {
		arena_done(&a);
		return STEP_FAIL;
	}
	step = mailbox_acquire(s, name, out, e);
	use = use_of_missing(name);
	if (step == STEP_FAIL && e->code == ERR_NOT_FOUND && s->head == NULL &&
	    use != USE_NONE && !has_use(s, &a, use) &&
	    s->ops->create(s, name, e) == 0)
		step = mailbox_acquire(s, name, out, e);
	arena_done(&a);
	return step;
}

/* Sessions that have it open see the end of it at their next look. */
static void
mark_gone(struct store *s, struct str name)
{
	struct mailbox *m = mailbox_find_open(s, name);

	if (m == NULL)
		return;
	m->is_gone = true;
	mailbox_note_news(m);
	mailbox_close_idle(s, true);
}

static int
check_new_name(const struct store *s, struct str name, struct err *e)
{
	if (name.n == 0 || name.n > MAILBOX_NAME_MAX_BYTES ||
	    !utf8_is_valid(name) || *name.p == s->delimiter)
		return err_set(e, ERR_BAD_NAME, "not a mailbox name");
	if (str_eq(name, STR("INBOX")))
		return err_set(e, ERR_EXISTS, "INBOX is always there");
	return 0;
}

/* A name that does not exist yet, and its store. */
static int
new_name(struct store **s, struct arena *a, struct str *name, struct err *e)
{
	if (space_of(s, a, name, e) == -1) {
		/* There can be no such mailbox: TRYCREATE would not help. */
		if (e->code == ERR_NOT_FOUND)
			e->code = ERR_BAD_NAME;
		return -1;
	}
	return check_new_name(*s, *name, e);
}

bool
store_exists(struct store *s, struct str name)
{
	struct arena a;
	struct err e;
	bool is_there;

	arena_init(&a);
	is_there = space_of(&s, &a, &name, &e) == 0 && s->ops->exists(s, name);
	arena_done(&a);
	return is_there;
}

int
store_create(struct store *s, struct str name, struct err *e)
{
	struct arena a;
	int rc;

	arena_init(&a);
	rc = new_name(&s, &a, &name, e);
	if (rc == 0)
		rc = rights_above(s, name, ACL_CREATE, e);
	if (rc == 0)
		rc = quota_may_create(s, e);
	if (rc == 0) {
		s->is_making = true;
		rc = s->ops->create(s, name, e);
		s->is_making = false;
	}
	if (rc == 0 && s->head == NULL)
		quota_created(s);
	if (rc == 0)
		share_inherit(s, name);
	arena_done(&a);
	return rc;
}

/* Where the index has a mailbox; empty: nowhere. */
static void
index_place(struct store *s, struct str name, struct buf *out)
{
	buf_init(out, 16 * 1024);
	if (s->derived == NULL || s->ops->index_place == NULL ||
	    !s->ops->index_place(s, name, out))
		buf_clear(out);
}

/* Of a mailbox that may be another user's. */
static int
need_right(struct store *s, struct str name, unsigned wanted, struct err *e)
{
	unsigned rights;

	if (s->ops->rights_place == NULL)
		return 0;
	if (rights_of(s, name, &rights, e) == -1)
		/* The backend says so itself. */
		return e->code == ERR_NOT_FOUND ? 0 : -1;
	return rights_need(rights, wanted, e);
}

enum step
store_delete(struct store *s, struct str name, unsigned *phase, struct err *e)
{
	struct arena a;
	struct buf place;
	enum step step = STEP_FAIL;
	bool was_gone = *phase == REMOVE_GONE;
	struct rights_place shared = {0};
	struct err ignored;

	store_begin_step(s);
	arena_init(&a);
	buf_init(&place, 0);
	if (space_of(&s, &a, &name, e) == -1)
		step = STEP_FAIL;
	else if (str_eq(name, STR("INBOX")))
		(void)err_set(e, ERR_PERM, "INBOX can not be removed");
	else if (!was_gone && need_right(s, name, ACL_REMOVE, e) == -1)
		step = STEP_FAIL;
	else {
		/* It has none any more afterwards. */
		if (!was_gone)
			index_place(s, name, &place);
		if (!was_gone && s->on_share != NULL)
			(void)s->ops->rights_place(s, name, &shared, &ignored);
		step = s->ops->remove(s, name, phase, e);
	}
	if (!was_gone && (step == STEP_DONE || *phase == REMOVE_GONE)) {
		mark_gone(s, name);
		share_tell_gone(s, &shared);
		if (place.n > 0)
			derived_forget(s, buf_str(&place));
	}
	buf_done(&place);
	arena_done(&a);
	return step;
}

/* Open instances follow their folder to its new name. */
static void
rename_open(struct store *s, struct str from, struct str to)
{
	LIST_EACH(&s->mailboxes, l) {
		struct mailbox *m = LIST_OF(l, struct mailbox, link);
		struct str name = str_of(m->name), rest;
		struct arena a;
		char *fresh;

		if (!str_starts(name, from) ||
		    (name.n > from.n && name.p[from.n] != s->delimiter))
			continue;
		rest = str_skip(name, from.n);
		arena_init(&a);
		fresh = str_to_heap(
		    arena_printf(&a, "%.*s%.*s", STR_ARG(to), STR_ARG(rest)));
		arena_done(&a);
		free(m->name);
		m->name = fresh;
	}
}

struct rename_job {
	struct view *inbox;
	struct copy_job *copy;
	struct copy_result result;
	struct set32 all;
	bool is_open;
	struct share_moved *moved; /* what goes along with a folder */
	bool has_moved; /* that is known */
	struct lock_wait uses_wait;
	/* Of a folder, once it is known that it may be renamed. */
	struct store *s; /* NULL: not yet */
	struct rename_run run;
	char *from, *to; /* names of that store */
	struct buf place; /* of the index */
	struct rights_place shared;
	bool is_settled;
};

/* RFC 3501 section 6.3.5: the messages move, INBOX stays, empty. */
static enum step
rename_inbox(
    struct store *s, struct str to, struct rename_job **jobp, struct err *e)
{
	struct rename_job *job = *jobp;
	enum step step;

	if (job == NULL) {
		if (store_create(s, to, e) == -1)
			return STEP_FAIL;
		meta_copy_inbox(s, to);
		job = *jobp = mem_new(1, sizeof(*job));
	}
	if (!job->is_open) {
		step = view_open(s, STR("INBOX"), false, &job->inbox, e);
		if (step != STEP_DONE)
			return step;
		job->is_open = true;
		set32_copy(&job->all, view_uids(job->inbox));
	}
	return view_copy(
	    job->inbox, &job->all, to, true, &job->copy, &job->result, e);
}

void
rename_job_free(struct rename_job **jobp)
{
	struct rename_job *job = *jobp;

	*jobp = NULL;
	if (job == NULL)
		return;
	copy_job_free(&job->copy);
	set32_done(&job->all);
	set32_done(&job->result.from);
	set32_done(&job->result.to);
	view_close(&job->inbox);
	share_moved_free(&job->moved);
	if (job->s != NULL) {
		if (job->s->ops->rename_end != NULL)
			job->s->ops->rename_end(&job->run);
		if (!job->is_settled)
			meta_not_renamed(
			    job->s, str_of(job->from), str_of(job->to));
		buf_done(&job->place);
	}
	free(job->from);
	free(job->to);
	free(job);
}

/* STEP_DONE: it is known what goes along. */
static enum step
find_moved(struct store *s, struct str from, struct rename_job *job)
{
	enum step step = STEP_DONE;

	if (s->on_share != NULL && !job->has_moved)
		step = share_moved_find(s, from, &job->moved);
	job->has_moved = step != STEP_MORE;
	return step == STEP_MORE ? STEP_MORE : STEP_DONE;
}

/* From here on names are not looked at any more: they change. */
static void
begin_folder(
    struct store *s, struct str from, struct str to, struct rename_job *job)
{
	struct err ignored;

	mailbox_close_idle(s, true);
	job->s = s;
	job->from = str_to_heap(from);
	job->to = str_to_heap(to);
	if (s->on_share != NULL)
		(void)s->ops->rights_place(s, from, &job->shared, &ignored);
	/* Each is known only as long as the folder has that name. */
	index_place(s, from, &job->place);
}

/* It has its new name. */
static void
settle_folder(struct rename_job *job)
{
	struct str from = str_of(job->from), to = str_of(job->to);
	struct store *s = job->s;
	struct buf new;

	job->is_settled = true;
	rename_open(s, from, to);
	meta_renamed(s, from, to);
	buf_init(&new, 0);
	index_place(s, to, &new);
	if (job->place.n > 0 && new.n > 0)
		derived_rename(s, buf_str(&job->place), buf_str(&new));
	buf_done(&new);
	share_moved_tell(job->moved, to);
	if (job->shared.path[0] != '\0') {
		share_tell_gone(s, &job->shared);
		share_tell_again(s, to);
	}
}

static enum step
rename_folder(struct rename_job *job, struct err *e)
{
	enum step step = job->s->ops->rename(
	    job->s, str_of(job->from), str_of(job->to), &job->run, e);

	if (job->run.is_moved && !job->is_settled)
		settle_folder(job);
	if (step == STEP_FAIL && !job->is_settled) {
		job->is_settled = true;
		meta_not_renamed(job->s, str_of(job->from), str_of(job->to));
	}
	return step;
}

enum step
store_rename(struct store *s, struct str from, struct str to,
    struct rename_job **job, struct err *e)
{
	struct arena a;
	struct store *target = s;
	struct str outer_to = to;
	enum step step = STEP_FAIL;

	store_begin_step(s);
	if (*job != NULL && (*job)->s != NULL)
		return rename_folder(*job, e);
	arena_init(&a);
	if (space_of(&s, &a, &from, e) == -1)
		goto out;
	if (s->head == NULL && str_eq(from, STR("INBOX"))) {
		step = rename_inbox(s, outer_to, job, e);
		goto out;
	}
	if (new_name(&target, &a, &to, e) == -1)
		goto out;
	if (target != s || str_eq(from, STR("INBOX"))) {
		(void)err_set(e, ERR_UNSUPPORTED,
		    "a mailbox stays in its namespace: copy its messages");
		goto out;
	}
	if (str_starts(to, from) && to.n > from.n &&
	    to.p[from.n] == s->delimiter) {
		(void)err_set(e, ERR_BAD_NAME, "below itself");
		goto out;
	}
	if (need_right(s, from, ACL_REMOVE, e) == -1 ||
	    rights_above(s, to, ACL_CREATE, e) == -1)
		goto out;
	if (*job == NULL)
		*job = mem_new(1, sizeof(**job));
	step = find_moved(s, from, *job);
	if (step == STEP_DONE)
		step = meta_renaming(s, from, to, &(*job)->uses_wait, e);
	if (step == STEP_DONE) {
		begin_folder(s, from, to, *job);
		step = rename_folder(*job, e);
	}
out:
	arena_done(&a);
	return step;
}
