/* SPDX-License-Identifier: ISC */
/*
 * meta.c - annotations of mailboxes and of the server.
 *
 * Owns:    the files that meta.h names; the listeners.
 * Runs in: imapd, as the mail user.
 * Trusts:  nothing in the files: of a damaged one the entries before the damage
 *          count, and the next change writes it anew.
 * Spec:    RFC 5464, RFC 6154 section 4.
 */
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "os/file.h"
#include "os/watch.h"
#include "store/meta.h"
#include "store/meta_impl.h"
#include "store/rights.h"
#include "store/space.h"
#include "store/tree.h"
#include "text/ascii.h"
#include "text/md5.h"

#define STALE_S 120
#define WAIT_MS 10000
#define MBOX_FOLDER "mbox"
#define KEY_BYTES (2 * MD5_BYTES)

enum { SHARED, PRIVATE };

/* ---- names --------------------------------------------------------------- */

static size_t
count_levels(struct str name)
{
	size_t n = 0;

	for (size_t i = 0; i < name.n; i++)
		n += name.p[i] == '/';
	return n;
}

static bool
is_below(struct str name, struct str top)
{
	return str_starts_nocase(name, top) &&
	    (name.n == top.n || name.p[top.n] == '/');
}

bool
meta_name_is_private(struct str name)
{
	return is_below(name, STR("/private"));
}

bool
meta_name_is_valid(struct str name)
{
	if (name.n > META_NAME_MAX || str_ends(name, STR("/")) ||
	    str_find_str(name, STR("//")) < name.n ||
	    !(meta_name_is_private(name) || is_below(name, STR("/shared"))))
		return false;
	for (size_t i = 0; i < name.n; i++) {
		char c = name.p[i];

		if (ascii_is_ctl(c) || ascii_is_8bit(c) || c == '*' || c == '%')
			return false;
	}
	return true;
}

bool
meta_name_is_complete(struct str name)
{
	bool is_vendor = is_below(name, STR("/private/vendor")) ||
	    is_below(name, STR("/shared/vendor"));

	return count_levels(name) >= (is_vendor ? 4 : 2);
}

/* ---- places -------------------------------------------------------------- */

static void
key_of(const char *path, char out[KEY_BYTES + 1])
{
	struct md5 sum;

	md5_init(&sum);
	md5_add(&sum, str_of(path));
	md5_end_hex(&sum, out);
}

static int
in_state(const struct store *s, const char *folder, const char *key,
    const char *suffix, struct meta_place *out, struct err *e)
{
	out->is_state = true;
	if (snprintf(out->dir, sizeof(out->dir), "%s%s%s",
		store_head((struct store *)(uintptr_t)s)->state,
		folder[0] != '\0' ? "/" : "", folder) >= PATH_MAX)
		return err_set(e, ERR_LIMIT, "the state folder's path");
	(void)snprintf(out->file, sizeof(out->file), "%s%s", key, suffix);
	return 0;
}

/* RFC 5464 section 3.3: looked up, and something can be done with it. */
static int
check_rights(struct store *s, struct str name, struct err *e)
{
	unsigned rights;

	if (rights_of(s, name, &rights, e) == -1)
		return -1;
	if (rights_need(rights, ACL_LOOKUP, e) == -1)
		return -1;
	if ((rights &
		(ACL_READ | ACL_SEEN | ACL_WRITE | ACL_INSERT | ACL_POST)) == 0)
		return err_set(e, ERR_PERM, "no right to anything in it");
	return 0;
}

int
meta_place_of(struct store *s, struct str name, int scope,
    struct meta_place *out, struct err *e)
{
	struct rights_place p = {0};
	char key[KEY_BYTES + 1];

	*out = (struct meta_place){0};
	if (s->ops->rights_place == NULL)
		return err_set(e, ERR_UNSUPPORTED, "no place for annotations");
	if (s->ops->rights_place(s, name, &p, e) == -1)
		return -1;
	/* One's own INBOX is there, even before mail has come. */
	if (!(s->head == NULL && str_eq(name, STR("INBOX"))) &&
	    check_rights(s, name, e) == -1)
		return -1;
	key_of(p.path, key);
	if (scope == PRIVATE && s->head != NULL) {
		char file[KEY_BYTES + 8];

		(void)snprintf(file, sizeof(file), "meta-%s", key);
		return in_state(s, "", file, "", out, e);
	}
	if (strcmp(s->ops->driver, "mbox") == 0) {
		/* Beside mail that others see, too, there is no place for it. */
		if (s->head != NULL)
			return err_set(e, ERR_PERM, "not kept for mbox files");
		(void)snprintf(out->path, sizeof(out->path), "%s", p.path);
		return in_state(s, MBOX_FOLDER, key,
		    scope == PRIVATE ? ".private" : ".metadata", out, e);
	}
	(void)snprintf(out->dir, sizeof(out->dir), "%s", p.path);
	(void)snprintf(out->file, sizeof(out->file), "%s",
	    scope == PRIVATE ? "restante-private" : "restante-metadata");
	out->is_private = scope == PRIVATE;
	return 0;
}

/* What is the user's of the server's, beside what INBOX has. */
static int
server_place(struct store *head, struct meta_place *out, struct err *e)
{
	if (meta_place_of(head, STR("INBOX"), PRIVATE, out, e) == -1)
		return -1;
	(void)snprintf(out->file, sizeof(out->file), "%s",
	    out->is_state ? "server.private" : "restante-server");
	out->path[0] = '\0';
	return 0;
}

/* The same by a name of clients; the empty one is the server. */
static int
find_place(struct store *s, struct arena *a, struct str mailbox, int scope,
    struct meta_place *out, struct err *e)
{
	*out = (struct meta_place){0};
	if (mailbox.n == 0 && scope == SHARED)
		return err_set(e, ERR_PERM, "the administrator's");
	if (mailbox.n == 0)
		return server_place(store_head(s), out, e);
	if (space_of(&s, a, &mailbox, e) == -1)
		return -1;
	return meta_place_of(s, mailbox, scope, out, e);
}

/* ---- files --------------------------------------------------------------- */

int
meta_place_read(const struct store *s, const struct meta_place *p,
    struct arena *a, struct meta_entry **first, struct err *e)
{
	int dirfd = file_open_dir(AT_FDCWD, p->dir, true, e), rc = 0;
	struct buf b;

	*first = NULL;
	if (dirfd == -1)
		return e->code == ERR_NOT_FOUND && p->is_state ? 0 : -1;
	buf_init(&b, META_FILE_MAX);
	if (file_load(dirfd, p->file, &b, NULL, e) == 0) {
		if (!meta_file_parse(a, buf_str(&b), first))
			store_warn(s, "%s/%s is damaged", p->dir, p->file);
	} else if (e->code != ERR_NOT_FOUND) {
		rc = -1;
	}
	buf_done(&b);
	close(dirfd);
	return rc;
}

static int
open_place(const struct meta_place *p, struct file_perm *perm, struct err *e)
{
	int fd;

	if (p->is_state && file_make_path(p->dir, e) == -1)
		return -1;
	fd = file_open_dir(AT_FDCWD, p->dir, true, e);
	if (fd == -1)
		return -1;
	*perm = (struct file_perm){.file_mode = 0600, .gid = (gid_t)-1};
	if (!p->is_state && !p->is_private && file_perm_of(fd, perm, e) == -1) {
		close(fd);
		return -1;
	}
	return fd;
}

int
meta_place_write(
    const struct meta_place *p, const struct meta_entry *first, struct err *e)
{
	struct file_perm perm;
	char temp[sizeof(p->file) + 8];
	struct buf b;
	bool is_empty = true;
	int fd = open_place(p, &perm, e), rc;

	if (fd == -1)
		return -1;
	buf_init(&b, META_FILE_MAX);
	for (const struct meta_entry *x = first; x != NULL; x = x->next)
		is_empty =
		    is_empty && (x->value.p == NULL || x->name.p[0] != '/');
	meta_file_write(first, &b);
	(void)snprintf(temp, sizeof(temp), "%s.tmp", p->file);
	if (buf_is_over(&b))
		rc = err_set(e, ERR_LIMIT, "%s: too large", p->file);
	else if (is_empty && unlinkat(fd, p->file, 0) == 0)
		rc = file_sync(fd, p->dir, e);
	else if (is_empty)
		rc = 0;
	else
		rc = file_replace(
		    fd, p->file, temp, buf_str(&b), &perm, NULL, e);
	if (rc == 0 && !is_empty)
		rc = file_sync(fd, p->dir, e);
	buf_done(&b);
	close(fd);
	return rc;
}

int
meta_place_lock(const struct meta_place *p, struct dotlock *lock, struct err *e)
{
	struct file_perm perm;
	int fd = open_place(p, &perm, e), rc;
	const struct dotlock_rules rules = {
	    .stale_s = STALE_S, .mode = 0600, .temp_dir = -1};

	if (fd == -1)
		return -1;
	rc = dotlock_take(lock, fd, p->file, &rules, 0, e);
	/* The lock goes by its own descriptor of the folder. */
	if (rc == -1)
		close(fd);
	return rc;
}

void
meta_place_unlock(struct dotlock *lock)
{
	int fd = lock->dirfd;

	if (!lock->held)
		return;
	dotlock_release(lock);
	close(fd);
}

/* ---- reading ------------------------------------------------------------- */

static void
append(struct meta_entry **first, struct meta_entry *more)
{
	while (*first != NULL)
		first = &(*first)->next;
	*first = more;
}

/* What is not for clients goes. */
static void
leave_out(struct meta_entry **first, bool is_private)
{
	while (*first != NULL) {
		if (meta_name_is_valid((*first)->name) &&
		    meta_name_is_private((*first)->name) == is_private)
			first = &(*first)->next;
		else
			*first = (*first)->next;
	}
}

int
meta_load(struct store *s, struct str mailbox, struct arena *a,
    struct meta_entry **first, struct err *e)
{
	*first = NULL;
	for (int scope = SHARED; scope <= PRIVATE; scope++) {
		struct meta_place p;
		struct meta_entry *more;

		if (find_place(s, a, mailbox, scope, &p, e) == -1) {
			/* There is none of this kind. */
			if (e->code == ERR_PERM && scope == SHARED &&
			    (mailbox.n == 0 ||
				find_place(s, a, mailbox, PRIVATE, &p, e) == 0))
				continue;
			return -1;
		}
		if (meta_place_read(s, &p, a, &more, e) == -1)
			return -1;
		leave_out(&more, scope == PRIVATE);
		append(first, more);
	}
	return 0;
}

unsigned
meta_spots(struct store *s, struct str name, struct tree_spot *out)
{
	struct meta_place p;
	struct err e;
	unsigned n = 0;
	int rc;

	for (int scope = SHARED; scope <= PRIVATE; scope++) {
		if (name.n > 0)
			rc = meta_place_of(s, name, scope, &p, &e);
		else
			rc = scope == SHARED ? -1 : server_place(s, &p, &e);
		if (rc == -1)
			continue;
		(void)snprintf(out[n].path, sizeof(out[n].path), "%s", p.dir);
		(void)snprintf(out[n].file, sizeof(out[n].file), "%s", p.file);
		out[n++].mask =
		    IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_CLOSE_WRITE;
	}
	return n;
}

/* ---- changing ------------------------------------------------------------ */

/* The entries of one scope after the changes; false: nothing of it changes. */
static bool
apply(struct arena *a, struct meta_entry **list,
    const struct meta_entry *changes, bool is_private)
{
	bool changed = false;

	for (; changes != NULL; changes = changes->next) {
		struct meta_entry *had;

		if (meta_name_is_private(changes->name) != is_private)
			continue;
		changed = true;
		had = meta_find(*list, changes->name);
		if (had == NULL) {
			had = arena_new(a, 1, sizeof(*had));
			append(list, had);
		}
		had->name = changes->name;
		had->value = changes->value;
	}
	return changed;
}

static int
check_limits(
    struct meta_job *job, const struct meta_entry *first, struct err *e)
{
	size_t n = 0, bytes = 0;

	for (; first != NULL; first = first->next) {
		if (first->value.p == NULL)
			continue;
		n += first->name.p[0] == '/';
		bytes += first->value.n + first->name.n + 16;
		if (first->value.n > META_VALUE_MAX) {
			job->too_large = META_VALUE_MAX;
			return err_set(e, ERR_LIMIT, "value too large");
		}
	}
	if (n <= META_ENTRIES_MAX && bytes < META_FILE_MAX - 1024)
		return 0;
	return err_set(e, ERR_LIMIT, "too many entries");
}

/* The mbox file that it is about, so that a rename finds it. */
static void
add_path(struct arena *a, const struct meta_place *p, struct meta_entry **list)
{
	struct meta_entry *x;

	if (p->path[0] == '\0' || meta_find(*list, STR("place")) != NULL)
		return;
	x = arena_new(a, 1, sizeof(*x));
	x->name = STR("place");
	x->value = arena_str(a, str_of(p->path));
	x->next = *list;
	*list = x;
}

struct scope_change {
	struct meta_place place;
	struct meta_entry *old, *fresh;
	bool is_asked; /* something of this scope is changed */
};

static int
prepare(struct store *s, struct arena *a, struct meta_job *job,
    struct str mailbox, const struct meta_entry *changes,
    struct scope_change *c, int scope, struct err *e)
{
	for (const struct meta_entry *x = changes; x != NULL; x = x->next)
		c->is_asked = c->is_asked ||
		    meta_name_is_private(x->name) == (scope == PRIVATE);
	if (!c->is_asked)
		return 0;
	if (find_place(s, a, mailbox, scope, &c->place, e) == -1 ||
	    meta_place_lock(&c->place, &job->locks[scope], e) == -1 ||
	    meta_place_read(s, &c->place, a, &c->old, e) == -1 ||
	    meta_place_read(s, &c->place, a, &c->fresh, e) == -1)
		return -1;
	(void)apply(a, &c->fresh, changes, scope == PRIVATE);
	add_path(a, &c->place, &c->fresh);
	return check_limits(job, c->fresh, e);
}

static int
write_both(struct scope_change *c, struct err *e)
{
	struct err ignored;

	if (c[SHARED].is_asked &&
	    meta_place_write(&c[SHARED].place, c[SHARED].fresh, e) == -1)
		return -1;
	if (!c[PRIVATE].is_asked ||
	    meta_place_write(&c[PRIVATE].place, c[PRIVATE].fresh, e) == 0)
		return 0;
	if (c[SHARED].is_asked)
		(void)meta_place_write(
		    &c[SHARED].place, c[SHARED].old, &ignored);
	return -1;
}

static void
tell(struct store *s, struct str mailbox, const struct meta_entry *changes,
    const void *by)
{
	struct store *head = store_head(s);

	LIST_EACH(&head->meta_listeners, l) {
		struct meta_listener *x =
		    LIST_OF(l, struct meta_listener, link);

		if (x->self != by || by == NULL)
			x->changed(x->arg, mailbox, changes);
	}
}

static struct meta_entry *
copy_of(struct arena *a, const struct meta_entry *from)
{
	struct meta_entry *first = NULL, **tail = &first;

	for (; from != NULL; from = from->next) {
		*tail = arena_new(a, 1, sizeof(**tail));
		(*tail)->name = from->name;
		(*tail)->value = from->value;
		tail = &(*tail)->next;
	}
	return first;
}

/* Locked, all or none. */
static int
write_changes(struct store *s, struct arena *a, struct meta_job *job,
    struct str mailbox, struct meta_entry *changes, struct err *e)
{
	struct scope_change c[2] = {0};
	int rc = 0;

	if (mailbox.n > 0)
		rc = meta_uses_check(s, job, mailbox, changes, e);
	for (int scope = SHARED; rc == 0 && scope <= PRIVATE; scope++)
		rc = prepare(s, a, job, mailbox, changes, &c[scope], scope, e);
	if (rc == 0)
		rc = write_both(c, e);
	for (int scope = SHARED; scope <= PRIVATE; scope++)
		meta_place_unlock(&job->locks[scope]);
	return rc;
}

/* What is written stays so, whatever others' locks are. */
static enum step
take_uses(struct store *s, struct meta_job *job, struct str mailbox,
    const struct meta_entry *changes)
{
	struct err e;
	enum step step = mailbox.n == 0
	    ? STEP_DONE
	    : meta_uses_changed(s, job, mailbox, changes, &e);

	if (step == STEP_FAIL)
		store_warn(s, "mailbox=%.*s: another one keeps its use: %s",
		    STR_ARG(mailbox), e.text);
	return step == STEP_FAIL ? STEP_DONE : step;
}

/* A RENAME of another process that is not over yet, where the mailbox lies. */
static enum step
await_rename(struct store *s, struct str mailbox, struct err *e)
{
	enum step step = STEP_DONE;
	struct arena a;

	arena_init(&a);
	/* What is wrong with the name is told later. */
	if (space_of(&s, &a, &mailbox, e) == 0 && s->ops->await_rename != NULL)
		step = s->ops->await_rename(s, e);
	arena_done(&a);
	return step;
}

enum step
meta_change(struct store *s, struct meta_job *job, struct str mailbox,
    const struct meta_entry *changes, const void *by, struct err *e)
{
	struct meta_entry *copy;
	enum step step = STEP_DONE;
	struct arena a;
	int rc = 0;

	store_begin_step(s);
	if (mailbox.n > 0 && !job->is_written && !job->has_uses) {
		step = await_rename(s, mailbox, e);
		if (step != STEP_DONE)
			return step;
	}
	arena_init(&a);
	copy = copy_of(&a, changes);
	if (mailbox.n > 0 && !job->has_uses)
		rc = meta_uses_lock(s, &job->uses, mailbox, copy, e);
	if (rc == 0 && !job->is_written) {
		rc = write_changes(s, &a, job, mailbox, copy, e);
		job->is_written = rc == 0;
		if (rc == 0) {
			job->wait = (struct lock_wait){0};
			tell(s, mailbox, copy, by);
		}
	}
	if (rc == 0)
		step = take_uses(s, job, mailbox, copy);
	meta_place_unlock(&job->uses);
	arena_done(&a);
	if (rc == -1)
		step = store_lock_wait(s, &job->wait, WAIT_MS, e);
	/* The list alone was not to be had again. */
	if (step == STEP_FAIL && job->is_written)
		step = STEP_DONE;
	if (step != STEP_MORE)
		job->is_written = false;
	return step;
}

void
meta_listen(struct store *s, struct meta_listener *l)
{
	list_append(&store_head(s)->meta_listeners, &l->link);
}

void
meta_unlisten(struct meta_listener *l)
{
	list_remove(&l->link);
}

/* ---- what becomes of a mailbox ------------------------------------------- */

void
meta_copy_inbox(struct store *s, struct str to)
{
	struct arena a;
	struct str name = to;
	struct err e;

	arena_init(&a);
	if (space_of(&s, &a, &name, &e) == 0 && s->head == NULL) {
		for (int scope = SHARED; scope <= PRIVATE; scope++) {
			struct meta_place from, there;
			struct meta_entry *list;

			if (meta_place_of(s, STR("INBOX"), scope, &from, &e) ==
				-1 ||
			    meta_place_of(s, name, scope, &there, &e) == -1 ||
			    meta_place_read(s, &from, &a, &list, &e) == -1 ||
			    list == NULL)
				continue;
			/* The other path, where there is one. */
			while (list != NULL && list->name.p[0] != '/')
				list = list->next;
			add_path(&a, &there, &list);
			if (meta_place_write(&there, list, &e) == -1)
				store_warn(
				    s, "annotations of INBOX: %s", e.text);
		}
	}
	arena_done(&a);
}

/* "a", "a/b" and "a.sbd/b" have gone along with "a". */
static bool
is_moved(struct str path, const char *from, struct str *rest)
{
	if (!str_starts(path, str_of(from)))
		return false;
	*rest = str_skip(path, strlen(from));
	return rest->n == 0 || *rest->p == '/' ||
	    str_starts(*rest, STR(".sbd/"));
}

/* One file of the folder, if it is about one of these. False: not now. */
static bool
move_file(const struct store *s, struct meta_place *p, const char *from,
    const char *to)
{
	struct meta_entry *first, *place;
	char key[KEY_BYTES + 1], fresh[PATH_MAX];
	struct meta_place there = *p;
	struct str rest;
	struct arena a;
	struct err e;
	bool ok = false;

	arena_init(&a);
	/* What is not to be read later either is not waited for. */
	if (meta_place_read(s, p, &a, &first, &e) == -1) {
		ok = !file_is_unread(&e);
		goto out;
	}
	ok = true;
	if ((place = meta_find(first, STR("place"))) != NULL &&
	    is_moved(place->value, from, &rest)) {
		if (to == NULL && rest.n == 0) {
			int fd = file_open_dir(AT_FDCWD, p->dir, true, &e);

			(void)unlinkat(fd, p->file, 0);
			close(fd);
		} else if (to != NULL &&
		    snprintf(fresh, sizeof(fresh), "%s%.*s", to,
			STR_ARG(rest)) < PATH_MAX) {
			int fd = file_open_dir(AT_FDCWD, p->dir, true, &e);

			key_of(fresh, key);
			(void)snprintf(there.file, sizeof(there.file), "%s%s",
			    key, p->file + KEY_BYTES);
			place->value = str_of(fresh);
			ok = meta_place_write(&there, first, &e) == 0;
			if (ok)
				(void)unlinkat(fd, p->file, 0);
			close(fd);
		}
	}
out:
	arena_done(&a);
	return ok;
}

/* False: not of one's own, and no such file. */
static bool
begin_file(const struct store *s, const char *name, struct meta_place *p)
{
	struct str n = str_of(name);
	struct err e;

	*p = (struct meta_place){0};
	if (s->head != NULL || n.n >= sizeof(p->file) || n.n < KEY_BYTES ||
	    !(str_ends(n, STR(".metadata")) || str_ends(n, STR(".private"))) ||
	    in_state(s, MBOX_FOLDER, "", "", p, &e) == -1)
		return false;
	memcpy(p->file, name, n.n + 1);
	return true;
}

bool
meta_file_moved_file(
    const struct store *s, const char *name, const char *from, const char *to)
{
	struct meta_place p;

	return !begin_file(s, name, &p) || move_file(s, &p, from, to);
}

bool
meta_file_moved_one(const struct store *s, const char *from, const char *to)
{
	static const char *const suffixes[] = {".metadata", ".private"};
	char key[KEY_BYTES + 1], name[KEY_BYTES + 16];
	bool ok = true;

	key_of(from, key);
	for (size_t i = 0; i < ARRAY_LEN(suffixes); i++) {
		(void)snprintf(name, sizeof(name), "%s%s", key, suffixes[i]);
		ok = meta_file_moved_file(s, name, from, to) && ok;
	}
	return ok;
}
