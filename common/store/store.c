/* SPDX-License-Identifier: ISC */
/*
 * store.c - opens a user's mail; what all backends do alike with mailboxes.
 *
 * Owns:    struct store, the inotify instance of the process.
 * Runs in: imapd, pop3d, as the mail user.
 * Trusts:  its settings; no mailbox name.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <unistd.h>

#include "base/bounds.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "os/lock.h"
#include "os/spool_lock.h"
#include "os/watch.h"
#include "store/derived.h"
#include "store/location.h"
#include "store/mailbox_impl.h"
#include "store/mboxlist.h"
#include "store/msg.h"
#include "store/notify.h"
#include "store/object.h"
#include "store/quota.h"
#include "store/meta.h"
#include "store/rights.h"
#include "store/seen.h"
#include "store/share.h"
#include "store/space.h"
#include "store/special.h"
#include "store/subs.h"
#include "store/tree.h"
#include "text/utf7.h"
#include "text/utf8.h"

#define POLL_MS_DEFAULT 2000
#define MBOX_LOCK_S_DEFAULT 60

int64_t store_slice_ms = 4;

static const struct store_ops *const drivers[] = {
    &maildir_ops,
    &mbox_ops,
};

void
store_warn(const struct store *s, const char *fmt, ...)
{
	char text[400];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	log_warn("store %s user=<%s>", text, s->user);
}

static const struct store_ops *
find_driver(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(drivers); i++)
		if (strcmp(drivers[i]->driver, name) == 0)
			return drivers[i];
	return NULL;
}

static char *
dup_str(struct str s)
{
	return s.p == NULL ? NULL : str_to_heap(s);
}

/* The folder that a file lies in; both p NULL or in `a`. */
static struct str
folder_of(struct arena *a, struct str path)
{
	if (path.p == NULL)
		return path;
	return arena_str(a, str_head(path, str_rfind(path, '/')));
}

/* Where journals lie: not derived, so not in the index. */
static struct str
state_place(struct arena *a, const struct store_settings *set)
{
	if (set->state_dir != NULL && set->state_dir[0] == '/')
		return arena_str(a, str_of(set->state_dir));
	return arena_printf(a, "%s/.local/state/restante", set->home);
}

static int
take_location(struct store *s, const struct store_settings *set, struct err *e)
{
	struct location loc;
	struct arena a;
	int rc = -1;

	arena_init(&a);
	if (location_get(&a, set, &loc, e) == -1)
		goto out;
	s->ops = find_driver(loc.driver);
	if (s->ops == NULL) {
		(void)err_set(e, ERR_UNSUPPORTED,
		    "%s mailboxes at %.*s can not be served yet", loc.driver,
		    STR_ARG(loc.root));
		goto out;
	}
	s->root = dup_str(loc.root);
	s->inbox = dup_str(loc.inbox);
	s->control = dup_str(loc.control);
	s->is_fs_layout = loc.is_fs_layout;
	s->is_utf8 = loc.is_utf8;
	s->state = dup_str(state_place(&a, set));
	s->delimiter = loc.is_fs_layout ? '/' : '.';
	if (loc.note != NULL)
		store_warn(s, "%s", loc.note);
	rc = 0;
out:
	arena_done(&a);
	return rc;
}

int
store_open_part(struct store *head, const struct store_settings *set,
    struct ev_loop *loop, struct store **out, struct err *e)
{
	struct store *s = mem_new(1, sizeof(*s));
	const char *names = set->folder_names;
	struct err ignored;

	s->loop = loop;
	s->head = head;
	list_init(&s->spaces);
	list_init(&s->meta_listeners);
	s->user = mem_strdup(set->user);
	s->home = mem_strdup(set->home);
	s->host = mem_strdup(set->host != NULL ? set->host : dotlock_host());
	s->poll_only = set->poll_only;
	s->poll_ms = set->poll_ms > 0 ? set->poll_ms : POLL_MS_DEFAULT;
	if (set->mbox_read_locks != NULL)
		s->mbox_read_locks = mem_strdup(set->mbox_read_locks);
	if (set->mbox_write_locks != NULL)
		s->mbox_write_locks = mem_strdup(set->mbox_write_locks);
	s->mbox_lock_timeout_s = set->mbox_lock_timeout_s > 0
	    ? set->mbox_lock_timeout_s
	    : MBOX_LOCK_S_DEFAULT;
	s->mbox_dotlock_stale_s = set->mbox_dotlock_stale_s > 0
	    ? set->mbox_dotlock_stale_s
	    : SPOOL_LOCK_STALE_S;
	list_init(&s->mailboxes);
	notify_new(s);
	if (take_location(s, set, e) == -1)
		goto fail;
	if (names != NULL && strcasecmp(names, "utf8") == 0)
		s->is_utf8 = true;
	else if (names == NULL || strcasecmp(names, "mutf7") != 0)
		s->folder_names_auto = true;
	if (set->courier_compat == NULL ||
	    strcasecmp(set->courier_compat, "auto") == 0)
		s->courier_auto = true;
	else
		s->is_courier = strcasecmp(set->courier_compat, "yes") == 0;
	if (head != NULL)
		s->hub = head->hub;
	else if (!s->poll_only && watch_hub_new(loop, &s->hub, &ignored) == -1)
		store_warn(s, "no inotify, polling: %s", ignored.text);
	quota_open(s, set->maildir_quota, set->mailboxes_max);
	if (s->ops->place_open(s, e) == -1)
		goto fail;
	derived_store_open(s, set->index_dir);
	*out = s;
	return 0;
fail:
	store_close(&s);
	return -1;
}

int
store_open(const struct store_settings *set, struct ev_loop *loop,
    struct store **out, struct err *e)
{
	if (store_open_part(NULL, set, loop, out, e) == -1)
		return -1;
	spaces_open(*out, set);
	return 0;
}

void
store_close(struct store **sp)
{
	struct store *s = *sp;

	*sp = NULL;
	if (s == NULL)
		return;
	spaces_close(s);
	mailbox_close_idle(s, true);
	tree_free(s);
	quota_close(s);
	derived_store_close(s);
	if (s->ops != NULL)
		s->ops->place_close(s);
	notify_free(s);
	if (s->head == NULL)
		watch_hub_free(&s->hub);
	free(s->user);
	free(s->home);
	free(s->host);
	free(s->root);
	free(s->inbox);
	free(s->control);
	free(s->state);
	free(s->mbox_read_locks);
	free(s->mbox_write_locks);
	free(s->prefix);
	free(s->others_location);
	rights_close(s);
	free(s);
}

char
store_delimiter(const struct store *s)
{
	return s->delimiter;
}

const char *
store_driver(const struct store *s)
{
	return s->ops->driver;
}

int
store_places(const struct store_settings *set,
    int (*fn)(const char *path, void *arg, struct err *e), void *arg,
    struct err *e)
{
	struct location loc;
	struct arena a;
	struct str all[4];
	bool is_mbox;
	int rc = -1;

	arena_init(&a);
	if (location_get(&a, set, &loc, e) == -1)
		goto out;
	is_mbox = strcmp(loc.driver, "mbox") == 0;
	all[0] = loc.root;
	/* Beside an mbox file come its lock, and new ones in its place. */
	all[1] = is_mbox ? folder_of(&a, loc.inbox) : loc.inbox;
	all[2] = loc.control;
	all[3] = is_mbox ? state_place(&a, set) : (struct str){0};
	rc = 0;
	for (size_t i = 0; i < ARRAY_LEN(all) && rc == 0; i++) {
		if (all[i].p == NULL)
			continue;
		/* A spool that can not be made here may come later. */
		if (access(all[i].p, F_OK) == -1 &&
		    file_make_path(all[i].p, e) == -1 && !is_mbox)
			rc = -1;
		else
			rc = fn(all[i].p, arg, e);
	}
	if (rc == 0 && is_mbox)
		mbox_uw_adopt(set->home, loc.root);
	if (rc == 0)
		rc = spaces_places(set, fn, arg, e);
out:
	arena_done(&a);
	return rc;
}

/* ---- names --------------------------------------------------------------- */

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

	if (spaces_find_others(head) == STEP_MORE)
		return STEP_MORE;
	dirfd = head->ops->subs_dir(head, &file);
	return subs_load(dirfd, file, head->delimiter, keep_name, &r, e) == -1
	    ? STEP_FAIL
	    : STEP_DONE;
}

enum step
store_list(struct store *s, enum list_what what, struct arena *a,
    struct list_job **jobp, struct mbox_entry **first, struct err *e)
{
	struct list_job *job = *jobp;
	enum step step;

	store_begin_step(s);
	if (job == NULL) {
		job = *jobp = mem_new(1, sizeof(*job));
		job->s = s;
		job->tail = &job->first;
	}
	if (!job->is_begun) {
		step = begin_list(job, a, e);
		if (step != STEP_DONE)
			return step;
		job->is_begun = true;
	}
	step = job->is_listed
	    ? STEP_DONE
	    : job->s->ops->list(job->s, a, &job->at, &job->all, e);
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
	if (next_space(job->s) != NULL) {
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
		step = s->ops->remove(s, name, phase, e);
	}
	if (!was_gone && (step == STEP_DONE || *phase == REMOVE_GONE)) {
		mark_gone(s, name);
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
	free(job);
}

static enum step
rename_folder(struct store *s, struct str from, struct str to, struct err *e)
{
	struct buf old, new;
	enum step step = STEP_FAIL;

	/* Each is known only as long as the folder has that name. */
	index_place(s, from, &old);
	buf_init(&new, 0);
	if (s->ops->rename(s, from, to, e) == 0) {
		rename_open(s, from, to);
		meta_renamed(s, from, to);
		index_place(s, to, &new);
		if (old.n > 0 && new.n > 0)
			derived_rename(s, buf_str(&old), buf_str(&new));
		step = STEP_DONE;
	}
	buf_done(&old);
	buf_done(&new);
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
	mailbox_close_idle(s, true);
	step = rename_folder(s, from, to, e);
out:
	arena_done(&a);
	return step;
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

/* ---- status -------------------------------------------------------------- */

struct status_job {
	struct store *s;
	struct mailbox *m;
	struct view *v; /* instead of it, with sizes */
	struct sync_mark sync;
	bool is_open, is_second_try;
	uint32_t uid; /* the next whose size is wanted */
	uint64_t size, deleted_size;
};

/* Wire sizes of all messages: by the names, else by reading. */
static enum step
sum_sizes(struct status_job *job, struct err *e)
{
	int64_t until = clock_mono_ms() + STEP_SLICE_MS;

	for (; set32_next(view_uids(job->v), job->uid, &job->uid); job->uid++) {
		struct msg *msg;
		struct flags f;
		uint64_t size;
		int one;

		if (msg_open(job->v, job->uid, &msg, e) == -1)
			continue;
		one = msg_wire_size(msg, &size, e);
		msg_close(&msg);
		if (one == 0) {
			job->size += size;
			if (view_flags(job->v, job->uid, &f) &&
			    (f.system & FLAG_DELETED) != 0)
				job->deleted_size += size;
		} else if (e->code != ERR_GONE)
			return STEP_FAIL;
		if (clock_mono_ms() >= until) {
			job->uid++;
			return STEP_MORE;
		}
	}
	return STEP_DONE;
}

static void
fill_status(struct mailbox *m, struct mailbox_status *out)
{
	struct derived_counts base;

	mailbox_freshen(m, 0);
	base = derived_counts(m);
	*out = (struct mailbox_status){
	    .messages = set32_count(&m->live),
	    .recent = set32_count(&m->recent),
	    .unseen = base.unseen,
	    .deleted = base.deleted,
	    .uidnext = m->uidnext,
	    .uidvalidity = m->uidvalidity,
	    .highest_modseq = mailbox_highest_modseq(m),
	};
	mailbox_object_id(m, out->mailbox_id);
	for (size_t i = 0; i < m->recs.n; i++) {
		const struct msg_rec *r = &m->recs.v[i];

		if (r->state != REC_LIVE)
			continue;
		out->unseen += !(r->system & FLAG_SEEN);
		out->deleted += (r->system & FLAG_DELETED) != 0;
	}
	if (seen_is_own(m))
		out->unseen = seen_count_unseen(m);
}

/* Up to date as of a moment after the job began. */
static enum step
status_look(
    struct status_job *job, struct str name, bool with_size, struct err *e)
{
	enum step step = STEP_DONE;

	if (with_size) {
		if (job->is_open)
			return STEP_DONE;
		step = view_open(job->s, name, true, &job->v, e);
		job->is_open = step == STEP_DONE;
		return step;
	}
	if (!job->is_open)
		step = mailbox_acquire_or_make(job->s, name, &job->m, e);
	if (step == STEP_DONE && rights_need(job->m->rights, ACL_READ, e) == -1)
		return STEP_FAIL;
	if (step == STEP_DONE) {
		job->is_open = true;
		step = mailbox_sync(job->m, &job->sync, e);
	}
	return step;
}

/*
 * A mailbox that nobody has open and that nobody has touched. Not of others:
 * there \Seen is the viewer's own, and the index has what is in the files.
 */
static bool
status_from_index(struct store *s, struct str name, bool with_size,
    struct mailbox_status *out)
{
	struct arena a;
	struct buf place;
	struct err e;
	bool ok;

	arena_init(&a);
	buf_init(&place, 16 * 1024);
	ok = space_of(&s, &a, &name, &e) == 0 && s->derived != NULL &&
	    s->head == NULL && s->ops->index_place != NULL &&
	    mailbox_find_open(s, name) == NULL &&
	    (s->ops->index_guess != NULL
		    ? s->ops->index_guess
		    : s->ops->index_place)(s, name, &place) &&
	    derived_status(s, name, buf_str(&place), with_size, out);
	buf_done(&place);
	arena_done(&a);
	return ok;
}

enum step
store_status(struct store *s, struct str name, bool with_size,
    struct status_job **jobp, struct mailbox_status *out, struct err *e)
{
	struct status_job *job = *jobp;
	enum step step;

	store_begin_step(s);
	if (job == NULL && status_from_index(s, name, with_size, out))
		return STEP_DONE;
	if (job == NULL) {
		job = *jobp = mem_new(1, sizeof(*job));
		job->s = s;
		job->uid = 1;
	}
	step = status_look(job, name, with_size, e);
	/* What was kept open is no more what lies there: once from the start. */
	if (step == STEP_FAIL && job->m != NULL && job->m->is_gone &&
	    !job->is_second_try) {
		mailbox_sync_end(job->m, &job->sync);
		mailbox_release(&job->m);
		job->is_open = false;
		job->is_second_try = true;
		return STEP_MORE;
	}
	if (step == STEP_DONE && with_size)
		step = sum_sizes(job, e);
	if (step != STEP_DONE)
		return step;
	fill_status(with_size ? view_mailbox(job->v) : job->m, out);
	out->size = job->size;
	out->deleted_size = job->deleted_size;
	return STEP_DONE;
}

bool
store_status_known(struct store *s, struct str name, struct mailbox_status *out)
{
	return status_from_index(s, name, false, out);
}

void
mailbox_status(struct mailbox *m, struct mailbox_status *out)
{
	fill_status(m, out);
}

void
status_job_free(struct status_job **jobp)
{
	struct status_job *job = *jobp;

	*jobp = NULL;
	if (job == NULL)
		return;
	view_close(&job->v);
	if (job->m != NULL)
		mailbox_sync_end(job->m, &job->sync);
	mailbox_release(&job->m);
	free(job);
}
