/* SPDX-License-Identifier: ISC */
/*
 * store_list.c - lists a user's mailboxes, those of others behind his own;
 * the names that he subscribes to.
 *
 * Owns:    struct list_job, the file of subscriptions.
 * Runs in: imapd, pop3d, as the mail user.
 * Trusts:  no mailbox name, nothing in the file.
 * Spec:    RFC 9051 section 6.3.9, RFC 5258.
 */
#include <stdlib.h>

#include "base/bounds.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/vec.h"
#include "store/mailbox_impl.h"
#include "store/mboxlist.h"
#include "store/meta.h"
#include "store/notify.h"
#include "store/rights.h"
#include "store/space.h"
#include "store/subs.h"
#include "text/utf7.h"

struct subscribed {
	struct store *s; /* whose names are wanted */
	struct arena *a;
	struct mboxlist *list;
};

/* Other stores' names are in the head's file as clients have them. */
static void
on_subscribed(void *arg, struct str storage)
{
	struct subscribed *sub = arg;
	struct store *s = sub->s;
	struct buf name;
	struct str n;

	buf_init(&name, 64 * 1024);
	if (space_is_foreign(store_head(s), storage)) {
		if (s->head != NULL && str_starts(storage, str_of(s->prefix)) &&
		    utf7_decode(&name, storage))
			mboxlist_subscribe(sub->list, buf_str(&name));
	} else if (s->head == NULL &&
	    s->ops->name_of_storage(s, storage, &name)) {
		n = buf_str(&name);
		if (space_name(s, sub->a, &n))
			mboxlist_subscribe(sub->list, n);
	}
	buf_done(&name);
}

struct list_job {
	struct store *s; /* being listed: the head, then the others */
	void *at; /* the backend's */
	bool is_bare; /* without marks */
	bool is_own; /* the head alone */
	bool is_begun; /* the others are known */
	bool is_listed; /* the backend has told all; */
	struct mbox_entry **judged; /* but may they be seen? */
	VEC(struct str) subs; /* names as stored, in the caller's arena */
	struct mbox_entry *all, *first, **tail;
};

/* The next store; NULL behind the last. */
static struct store *
next_space(struct store *s)
{
	struct store *head = store_head(s);
	struct list *next = s == head ? head->spaces.next : s->link.next;

	return next == &head->spaces ? NULL : LIST_OF(next, struct store, link);
}

/* Names as clients see them; those that they do not see go. */
static void
give_names(struct store *s, struct arena *a, struct mbox_entry **list)
{
	while (*list != NULL) {
		if (space_name(s, a, &(*list)->name))
			list = &(*list)->next;
		else
			*list = (*list)->next;
	}
}

/* By names as clients see them. */
static const struct meta_use *
given_uses(struct store *s, struct arena *a)
{
	struct meta_use *first = s->head == NULL ? meta_uses(s, a) : NULL;

	for (struct meta_use *u = first; u != NULL; u = u->next)
		(void)space_name(s, a, &u->name);
	return first;
}

/* All of one store have come: sorted, behind those of the stores before. */
static void
finish_space(struct list_job *job, enum list_what what, struct arena *a)
{
	struct store *s = job->s;
	struct mboxlist list;
	struct subscribed sub = {s, a, &list};

	give_names(s, a, &job->all);
	mboxlist_init(&list, a, s->head == NULL ? s->delimiter : '/', job->all);
	list.prefix = str_of(s->prefix);
	list.has_special = s->head == NULL;
	list.given = given_uses(s, a);
	VEC_EACH(&job->subs, storage)
		on_subscribed(&sub, *storage);
	*job->tail = mboxlist_finish(&list, what);
	while (*job->tail != NULL)
		job->tail = &(*job->tail)->next;
}

/* Names of others that the viewer may not look up go. */
static enum step
judge_names(struct list_job *job)
{
	int64_t until = clock_mono_ms() + STEP_SLICE_MS;

	if (job->judged == NULL)
		job->judged = &job->all;
	while (job->s->head != NULL && *job->judged != NULL) {
		const struct mbox_entry *m = *job->judged;

		if (rights_may_list(job->s, m->name, m->attrs))
			job->judged = &(*job->judged)->next;
		else
			*job->judged = m->next;
		if (clock_mono_ms() >= until)
			return STEP_MORE;
	}
	job->judged = NULL;
	return STEP_DONE;
}

struct subs_reading {
	struct list_job *job;
	struct arena *a;
};

static void
keep_name(void *arg, struct str storage)
{
	struct subs_reading *r = arg;

	*VEC_ADD(&r->job->subs) = arena_str(r->a, storage);
}

/* Whose mail there is; then the subscriptions, once for all of them. */
static enum step
begin_list(struct list_job *job, struct arena *a, struct err *e)
{
	struct subs_reading r = {job, a};
	struct store *head = store_head(job->s);
	const char *file;
	int dirfd;

	if (!job->is_own && spaces_find_others(head) == STEP_MORE)
		return STEP_MORE;
	dirfd = head->ops->subs_dir(head, &file);
	return subs_load(dirfd, file, head->delimiter, keep_name, &r, e) == -1
	    ? STEP_FAIL
	    : STEP_DONE;
}

static struct list_job *
job_new(struct store *s)
{
	struct list_job *job = mem_new(1, sizeof(*job));

	job->s = s;
	job->tail = &job->first;
	return job;
}

/* Looking into each mailbox for its mark is most of the work. */
static enum step
list_entries(struct list_job *job, struct arena *a, struct err *e)
{
	enum step step;

	if (job->is_listed)
		return STEP_DONE;
	job->s->lists_bare = job->is_bare;
	step = job->s->ops->list(job->s, a, &job->at, &job->all, e);
	job->s->lists_bare = false;
	return step;
}

enum step
store_list_for(struct store *s, struct str name, struct arena *a,
    struct list_job **jobp, struct mbox_entry **first, struct err *e)
{
	if (*jobp == NULL) {
		*jobp = job_new(s);
		(*jobp)->is_bare = true;
		(*jobp)->is_own = !space_is_foreign(store_head(s), name);
	}
	return store_list(s, LIST_EXISTING, a, jobp, first, e);
}

enum step
store_list(struct store *s, enum list_what what, struct arena *a,
    struct list_job **jobp, struct mbox_entry **first, struct err *e)
{
	struct list_job *job = *jobp;
	enum step step;

	store_begin_step(s);
	if (job == NULL)
		job = *jobp = job_new(s);
	if (!job->is_begun) {
		step = begin_list(job, a, e);
		if (step != STEP_DONE)
			return step;
		job->is_begun = true;
	}
	step = list_entries(job, a, e);
	if (step == STEP_FAIL && job->s->head != NULL) {
		/* What others do to theirs does not hide our own. */
		store_warn(
		    s, "%s can not be listed: %s", job->s->prefix, e->text);
		job->all = NULL;
		step = STEP_DONE;
	}
	if (step != STEP_DONE)
		return step;
	job->is_listed = true;
	if (judge_names(job) == STEP_MORE)
		return STEP_MORE;
	finish_space(job, what, a);
	job->s->ops->list_end(&job->at);
	job->is_listed = false;
	job->all = NULL;
	if (!job->is_own && next_space(job->s) != NULL) {
		job->s = next_space(job->s);
		return STEP_MORE;
	}
	*first = job->first;
	return STEP_DONE;
}

void
list_job_free(struct list_job **jobp)
{
	struct list_job *job = *jobp;

	*jobp = NULL;
	if (job == NULL)
		return;
	job->s->ops->list_end(&job->at);
	VEC_DONE(&job->subs);
	free(job);
}

#define SUBS_WAIT_MS 10000

/* As a name stands in the head's file; it need not be that of a mailbox. */
static int
subs_name(struct store *head, struct arena *a, struct str name, struct buf *out,
    struct err *e)
{
	struct store *s = head;
	bool ok;

	if (space_is_foreign(head, name)) {
		ok = utf7_encode(out, name);
	} else {
		if (space_of(&s, a, &name, e) == -1)
			return -1;
		ok = name.n > 0 && s->ops->storage_name(s, name, out);
	}
	return ok ? 0 : err_set(e, ERR_BAD_NAME, "not a mailbox name");
}

enum step
store_subscribe(struct store *s, struct str name, bool on, struct err *e)
{
	struct arena a;
	struct buf storage;
	struct file_perm perm;
	const char *file;
	int dirfd, rc = -1;
	enum step step = STEP_FAIL;

	store_begin_step(s);
	arena_init(&a);
	buf_init(&storage, 4 * MAILBOX_NAME_MAX_BYTES);
	dirfd = s->ops->subs_dir(s, &file);
	if (subs_name(s, &a, name, &storage, e) == -1)
		goto out;
	if (name.n == 0 || name.n > MAILBOX_NAME_MAX_BYTES ||
	    memchr(name.p, '\n', name.n) != NULL ||
	    memchr(name.p, '\0', name.n) != NULL)
		(void)err_set(e, ERR_BAD_NAME, "not a mailbox name");
	else if (file_perm_of(dirfd, &perm, e) == 0)
		rc = subs_change(dirfd, file, &perm, s->delimiter,
		    buf_str(&storage), on, &s->subs_lock, e);
	if (rc == 0) {
		step = STEP_DONE;
		if (s->ops->subs_changed != NULL)
			s->ops->subs_changed(s);
	} else if (e->code == ERR_IN_USE)
		step = store_lock_wait(s, &s->subs_wait, SUBS_WAIT_MS, e);
	if (step != STEP_MORE)
		s->subs_wait = (struct lock_wait){0};
out:
	buf_done(&storage);
	arena_done(&a);
	return step;
}
