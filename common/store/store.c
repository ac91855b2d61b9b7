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
#include "base/log.h"
#include "base/mem.h"
#include "os/lock.h"
#include "os/watch.h"
#include "store/location.h"
#include "store/mailbox_impl.h"
#include "store/mboxlist.h"
#include "store/msg.h"
#include "store/notify.h"
#include "store/special.h"
#include "store/subs.h"
#include "text/utf8.h"

#define POLL_MS_DEFAULT 2000

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
store_open(const struct store_settings *set, struct ev_loop *loop,
    struct store **out, struct err *e)
{
	struct store *s = mem_new(1, sizeof(*s));
	const char *names = set->folder_names;
	struct err ignored;

	s->loop = loop;
	s->user = mem_strdup(set->user);
	s->home = mem_strdup(set->home);
	s->host = mem_strdup(set->host != NULL ? set->host : dotlock_host());
	s->poll_only = set->poll_only;
	s->poll_ms = set->poll_ms > 0 ? set->poll_ms : POLL_MS_DEFAULT;
	list_init(&s->mailboxes);
	notify_new(s);
	if (take_location(s, set, e) == -1)
		goto fail;
	if (names != NULL && strcasecmp(names, "utf8") == 0)
		s->is_utf8 = true;
	else if (names == NULL || strcasecmp(names, "mutf7") != 0)
		s->folder_names_auto = true;
	if (!s->poll_only && watch_hub_new(loop, &s->hub, &ignored) == -1)
		store_warn(s, "no inotify, polling: %s", ignored.text);
	if (s->ops->place_open(s, e) == -1)
		goto fail;
	*out = s;
	return 0;
fail:
	store_close(&s);
	return -1;
}

void
store_close(struct store **sp)
{
	struct store *s = *sp;

	*sp = NULL;
	if (s == NULL)
		return;
	mailbox_close_idle(s, true);
	if (s->ops != NULL)
		s->ops->place_close(s);
	notify_free(s);
	watch_hub_free(&s->hub);
	free(s->user);
	free(s->home);
	free(s->host);
	free(s->root);
	free(s->inbox);
	free(s->control);
	free(s->state);
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
out:
	arena_done(&a);
	return rc;
}

/* ---- names --------------------------------------------------------------- */

/* INBOX in any case is INBOX, also as a level above; one trailing delimiter
 * goes. In `a`. */
static struct str
canonical(const struct store *s, struct arena *a, struct str name)
{
	char *copy;

	if (name.n > 1 && name.p[name.n - 1] == s->delimiter)
		name.n--;
	if (!str_starts_nocase(name, STR("INBOX")) ||
	    (name.n > 5 && name.p[5] != s->delimiter))
		return name;
	copy = arena_c(a, name);
	memcpy(copy, "INBOX", 5);
	return str_make(copy, name.n);
}

static enum special_use
use_of_missing(struct str name)
{
	for (unsigned use = USE_DRAFTS; use <= USE_ARCHIVE; use++)
		if (str_eq(special_default_name(use), name))
			return use;
	return USE_NONE;
}

int
mailbox_acquire_or_make(
    struct store *s, struct str name, struct mailbox **out, struct err *e)
{
	struct arena a;
	int rc;

	arena_init(&a);
	name = canonical(s, &a, name);
	rc = mailbox_acquire(s, name, out, e);
	if (rc == -1 && e->code == ERR_NOT_FOUND &&
	    use_of_missing(name) != USE_NONE && s->ops->create(s, name, e) == 0)
		rc = mailbox_acquire(s, name, out, e);
	arena_done(&a);
	return rc;
}

struct subscribed {
	struct store *s;
	struct arena *a;
	struct mboxlist *list;
};

static void
on_subscribed(void *arg, struct str storage)
{
	struct subscribed *sub = arg;
	struct buf name;

	buf_init(&name, 64 * 1024);
	if (sub->s->ops->name_of_storage(sub->s, storage, &name))
		mboxlist_subscribe(sub->list, buf_str(&name));
	buf_done(&name);
}

int
store_list(struct store *s, bool subscribed_only, struct arena *a,
    struct mbox_entry **first, struct err *e)
{
	struct mboxlist list;
	struct subscribed sub = {s, a, &list};
	struct mbox_entry *all;
	const char *file;
	int dirfd;

	if (s->ops->list(s, a, &all, e) == -1)
		return -1;
	mboxlist_init(&list, a, s->delimiter, all);
	dirfd = s->ops->subs_dir(s, &file);
	if (subs_load(dirfd, file, s->delimiter, on_subscribed, &sub, e) == -1)
		return -1;
	*first = mboxlist_finish(&list, subscribed_only);
	return 0;
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

int
store_create(struct store *s, struct str name, struct err *e)
{
	struct arena a;
	int rc;

	arena_init(&a);
	name = canonical(s, &a, name);
	rc = check_new_name(s, name, e) == -1 ? -1 : s->ops->create(s, name, e);
	arena_done(&a);
	return rc;
}

int
store_delete(struct store *s, struct str name, struct err *e)
{
	struct arena a;
	int rc = -1;

	arena_init(&a);
	name = canonical(s, &a, name);
	if (str_eq(name, STR("INBOX")))
		(void)err_set(e, ERR_PERM, "INBOX can not be removed");
	else
		rc = s->ops->remove(s, name, e);
	if (rc == 0)
		mark_gone(s, name);
	arena_done(&a);
	return rc;
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

/* RFC 3501 section 6.3.5: the messages move, INBOX stays, empty. */
static int
rename_inbox(struct store *s, struct str to, struct err *e)
{
	struct view *v;
	struct copy_job *job = NULL;
	struct copy_result result = {0};
	struct set32 all;
	enum step step;

	if (s->ops->create(s, to, e) == -1)
		return -1;
	if (view_open(s, STR("INBOX"), false, &v, e) == -1)
		return -1;
	set32_init(&all);
	set32_copy(&all, view_uids(v));
	do
		step = view_copy(v, &all, to, true, &job, &result, e);
	while (step == STEP_MORE);
	copy_job_free(&job);
	set32_done(&all);
	set32_done(&result.from);
	set32_done(&result.to);
	view_close(&v);
	return step == STEP_DONE ? 0 : -1;
}

int
store_rename(struct store *s, struct str from, struct str to, struct err *e)
{
	struct arena a;
	int rc = -1;

	arena_init(&a);
	from = canonical(s, &a, from);
	to = canonical(s, &a, to);
	if (check_new_name(s, to, e) == -1)
		goto out;
	if (str_eq(from, STR("INBOX"))) {
		rc = rename_inbox(s, to, e);
		goto out;
	}
	if (str_starts(to, from) && to.n > from.n &&
	    to.p[from.n] == s->delimiter) {
		(void)err_set(e, ERR_BAD_NAME, "below itself");
		goto out;
	}
	mailbox_close_idle(s, true);
	rc = s->ops->rename(s, from, to, e);
	if (rc == 0)
		rename_open(s, from, to);
out:
	arena_done(&a);
	return rc;
}

int
store_subscribe(struct store *s, struct str name, bool on, struct err *e)
{
	struct arena a;
	struct buf storage;
	struct file_perm perm;
	const char *file;
	int dirfd, rc = -1;

	arena_init(&a);
	buf_init(&storage, 4 * MAILBOX_NAME_MAX_BYTES);
	name = canonical(s, &a, name);
	dirfd = s->ops->subs_dir(s, &file);
	if (name.n == 0 || name.n > MAILBOX_NAME_MAX_BYTES ||
	    memchr(name.p, '\n', name.n) != NULL ||
	    memchr(name.p, '\0', name.n) != NULL ||
	    !s->ops->storage_name(s, name, &storage))
		(void)err_set(e, ERR_BAD_NAME, "not a mailbox name");
	else if (file_perm_of(dirfd, &perm, e) == 0)
		rc = subs_change(
		    dirfd, file, &perm, s->delimiter, buf_str(&storage), on, e);
	buf_done(&storage);
	arena_done(&a);
	return rc;
}

/* ---- status -------------------------------------------------------------- */

/* Wire sizes of all messages: by the names, else by reading. */
static int
sum_sizes(struct mailbox *m, uint64_t *out, struct err *e)
{
	struct view *v;
	uint64_t sum = 0;
	int rc = -1;

	if (view_open(m->store, str_of(m->name), true, &v, e) == -1)
		return -1;
	for (uint32_t uid = 1; set32_next(view_uids(v), uid, &uid); uid++) {
		struct msg *msg;
		uint64_t size;
		int one;

		if (msg_open(v, uid, &msg, e) == -1)
			continue;
		one = msg_wire_size(msg, &size, e);
		msg_close(&msg);
		if (one == 0)
			sum += size;
		else if (e->code != ERR_GONE)
			goto out;
	}
	*out = sum;
	rc = 0;
out:
	view_close(&v);
	return rc;
}

static int
fill_status(struct mailbox *m, bool with_size, struct mailbox_status *out,
    struct err *e)
{
	if (m->store->ops->sync(m, SYNC_NORMAL, e) == -1)
		return -1;
	*out = (struct mailbox_status){
	    .messages = set32_count(&m->live),
	    .recent = set32_count(&m->recent),
	    .uidnext = m->uidnext,
	    .uidvalidity = m->uidvalidity,
	};
	memcpy(out->mailbox_id, m->guid, sizeof(m->guid));
	for (size_t i = 0; i < m->recs.n; i++) {
		const struct msg_rec *r = &m->recs.v[i];

		if (r->state != REC_LIVE)
			continue;
		out->unseen += !(r->system & FLAG_SEEN);
		out->deleted += (r->system & FLAG_DELETED) != 0;
	}
	return with_size ? sum_sizes(m, &out->size, e) : 0;
}

int
store_status(struct store *s, struct str name, bool with_size,
    struct mailbox_status *out, struct err *e)
{
	struct mailbox *m;
	int rc;

	if (mailbox_acquire_or_make(s, name, &m, e) == -1)
		return -1;
	rc = fill_status(m, with_size, out, e);
	mailbox_release(&m);
	return rc;
}
