/* SPDX-License-Identifier: ISC */
/*
 * store.c - opens a user's mail.
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

#include "base/log.h"
#include "base/mem.h"
#include "os/lock.h"
#include "os/spool_lock.h"
#include "os/watch.h"
#include "store/derived.h"
#include "store/location.h"
#include "store/mailbox_impl.h"
#include "store/notify.h"
#include "store/quota.h"
#include "store/rights.h"
#include "store/space.h"
#include "store/tree.h"

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
store_rest(struct store *s)
{
	derived_rest(s);
	LIST_EACH(&s->mailboxes, l)
		if (s->ops->rest != NULL)
			s->ops->rest(LIST_OF(l, struct mailbox, link));
	LIST_EACH(&s->spaces, l)
		store_rest(LIST_OF(l, struct store, link));
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
	free(s->shares);
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
