/* SPDX-License-Identifier: ISC */
/*
 * tree.c - what happens in mailboxes that are not open, and to their names.
 *
 * Owns:    the places and their watches; two timers in the loop.
 * Runs in: imapd, as the mail user.
 * Trusts:  no event further than that it is worth a look.
 *
 * A mailbox costs two watches in a Maildir, and its folder's one in mbox. The
 * user's limit of watches is the kernel's; a place without one is polled. The
 * annotations of a mailbox cost one more, those of others' mail two.
 */
#include <errno.h>
#include <ev.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bounds.h"
#include "base/map.h"
#include "base/mem.h"
#include "os/file.h"
#include "os/watch.h"
#include "store/mailbox_impl.h"
#include "store/meta.h"
#include "store/space.h"
#include "store/tree.h"

/* Events come in bunches: a delivery is two of them, rsync thousands. */
#define BUNCH_S 0.01
/* With many places to be polled each one's turn comes less often. */
#define POLL_PER_PLACE_MS 5

#define KEY_MAX (MAILBOX_NAME_MAX_BYTES + 16)

struct tree {
	struct store *head;
	struct map places; /* by store and name */
	struct list listeners;
	ev_timer soon, poll;
	unsigned n_polled;
	bool is_telling;
};

enum place_kind { PLACE_MESSAGES = 'm', PLACE_NAMES = 'n', PLACE_META = 'a' };

struct tree_place {
	struct tree *tree;
	struct store *store;
	char *key; /* see key_of() */
	size_t key_n;
	unsigned n_users; /* sessions, which come and go */
	enum place_kind kind;
	struct watch *watch[2];
	char *file[2]; /* of the spots, or NULL */
	uint32_t mask;
	struct tree_id id;
	uint32_t count;
	bool is_polled, look_again;
	uint64_t stamp; /* of the last look, when it is polled */
};

/* ---- places by name ------------------------------------------------------- */

static struct str
key_of(const struct store *s, struct str name, enum place_kind kind,
    char out[KEY_MAX])
{
	size_t n = sizeof(s);

	if (name.n > MAILBOX_NAME_MAX_BYTES)
		name.n = MAILBOX_NAME_MAX_BYTES;
	memcpy(out, &s, n);
	out[n++] = (char)kind;
	if (name.n > 0)
		memcpy(out + n, name.p, name.n);
	return str_make(out, n + name.n);
}

static struct str
name_of(const struct tree_place *p)
{
	return str_skip(str_make(p->key, p->key_n), sizeof(struct store *) + 1);
}

/* ---- telling --------------------------------------------------------------- */

static void
on_soon(struct ev_loop *loop, ev_timer *t, int events)
{
	struct tree *tree = t->data;

	(void)events;
	ev_timer_stop(loop, t);
	/* A listener only wakes its session. */
	LIST_EACH(&tree->listeners, l) {
		struct tree_listener *who =
		    LIST_OF(l, struct tree_listener, link);

		who->fn(who->arg);
	}
}

static void
note(struct tree_place *p)
{
	struct tree *tree = p->tree;

	p->count++;
	if (list_is_empty(&tree->listeners) || ev_is_active(&tree->soon))
		return;
	ev_timer_set(&tree->soon, BUNCH_S, 0.);
	ev_timer_start(tree->head->loop, &tree->soon);
}

/* ---- looking --------------------------------------------------------------- */

static unsigned
spots_of(const struct tree_place *p, struct tree_spot *out)
{
	struct store *s = p->store;

	if (p->kind == PLACE_META)
		return meta_spots(s, name_of(p), out);
	if (p->kind == PLACE_NAMES)
		return s->ops->names_spot(s, name_of(p), &out[0]) ? 1 : 0;
	return s->ops->spots(s, name_of(p), out);
}

static uint64_t
stamp_of(const struct tree_spot *spot, struct tree_id *id)
{
	char path[PATH_MAX + NAME_MAX + 2];
	struct stat st;
	uint64_t v[6];

	(void)snprintf(path, sizeof(path), "%s%s%s", spot->path,
	    spot->file[0] == '\0' ? "" : "/", spot->file);
	if (stat(path, &st) == -1)
		return 0;
	*id = (struct tree_id){st.st_dev, st.st_ino};
	v[0] = st.st_ino;
	v[1] = (uint64_t)st.st_mtim.tv_sec;
	v[2] = (uint64_t)st.st_mtim.tv_nsec;
	v[3] = (uint64_t)st.st_size;
	v[4] = (uint64_t)st.st_ctim.tv_sec;
	v[5] = (uint64_t)st.st_ctim.tv_nsec;
	return map_hash(str_make(v, sizeof(v)));
}

/* One change more in the same tick of the clock would not be seen: once more. */
static void
look(struct tree_place *p)
{
	struct tree_spot spots[2];
	unsigned n = spots_of(p, spots);
	struct tree_id id = {0}, other;
	uint64_t stamp = 0;

	for (unsigned i = n; i > 0; i--)
		stamp =
		    stamp * 31 + stamp_of(&spots[i - 1], i == 1 ? &id : &other);
	if (id.ino != 0)
		p->id = id;
	if (stamp == p->stamp && !p->look_again)
		return;
	p->look_again = stamp != p->stamp;
	p->stamp = stamp;
	note(p);
}

static void
poll_later(struct tree *tree)
{
	uint32_t ms = tree->head->poll_ms;

	if (tree->n_polled == 0 || tree->head->loop == NULL ||
	    ev_is_active(&tree->poll))
		return;
	if (ms < tree->n_polled * POLL_PER_PLACE_MS)
		ms = tree->n_polled * POLL_PER_PLACE_MS;
	ev_timer_set(&tree->poll, ms / 1000., 0.);
	ev_timer_start(tree->head->loop, &tree->poll);
}

static void
on_poll(struct ev_loop *loop, ev_timer *t, int events)
{
	struct tree *tree = t->data;
	struct str key;
	void *value;
	size_t i = 0;

	(void)events;
	ev_timer_stop(loop, t);
	while (map_next(&tree->places, &i, &key, &value)) {
		struct tree_place *p = value;

		if (p->is_polled)
			look(p);
	}
	poll_later(tree);
}

static void
poll_it(struct tree_place *p)
{
	if (p->is_polled)
		return;
	p->is_polled = true;
	p->tree->n_polled++;
	look(p);
	poll_later(p->tree);
}

/* ---- events ---------------------------------------------------------------- */

static bool
is_meant(const struct tree_place *p, uint32_t mask, struct str name)
{
	if (p->kind == PLACE_NAMES)
		return p->store->ops->is_name(p->store, mask, name);
	if (p->file[0] == NULL || name.n == 0)
		return true;
	for (size_t i = 0; i < ARRAY_LEN(p->file); i++)
		if (p->file[i] != NULL && str_eq(name, str_of(p->file[i])))
			return true;
	return false;
}

static void
on_event(void *arg, uint32_t mask, uint32_t cookie, struct str name)
{
	struct tree_place *p = arg;

	(void)cookie;
	if (mask & IN_IGNORED) {
		/* The folder is gone; one in its place is found by polling. */
		note(p);
		poll_it(p);
		return;
	}
	if ((mask & (p->mask | IN_Q_OVERFLOW)) == 0)
		return;
	if ((mask & IN_Q_OVERFLOW) == 0 && !is_meant(p, mask, name))
		return;
	note(p);
}

static void
watch_it(struct tree_place *p, const struct tree_spot *spots, unsigned n)
{
	struct watch_hub *hub = p->store->hub;
	struct err e;

	p->mask = spots[0].mask;
	for (unsigned i = 0; i < n; i++)
		if (spots[i].file[0] != '\0' &&
		    (i == 0 || p->kind == PLACE_META))
			p->file[i] = mem_strdup(spots[i].file);
	if (n == 2 && strcmp(spots[0].path, spots[1].path) == 0)
		n = 1;
	(void)stamp_of(&spots[0], &p->id);
	for (unsigned i = 0; i < n && hub != NULL; i++)
		if (watch_add(hub, spots[i].path, spots[i].mask, on_event, p,
			&p->watch[i], &e) == -1)
			break;
	if (hub == NULL || p->watch[n - 1] == NULL ||
	    !file_path_is_local(spots[0].path))
		poll_it(p);
}

/* ---- life ------------------------------------------------------------------ */

static struct tree *
tree_of(struct store *s)
{
	struct store *head = store_head(s);
	struct tree *t = head->tree;

	if (t != NULL)
		return t;
	t = head->tree = mem_new(1, sizeof(*t));
	t->head = head;
	map_init(&t->places);
	list_init(&t->listeners);
	ev_timer_init(&t->soon, on_soon, 0., 0.);
	ev_timer_init(&t->poll, on_poll, 0., 0.);
	t->soon.data = t->poll.data = t;
	return t;
}

void
tree_free(struct store *s)
{
	struct tree *t = s->tree;

	s->tree = NULL;
	if (t == NULL)
		return;
	if (s->loop != NULL) {
		ev_timer_stop(s->loop, &t->soon);
		ev_timer_stop(s->loop, &t->poll);
	}
	map_done(&t->places);
	free(t);
}

void
tree_listen(struct store *s, struct tree_listener *l)
{
	struct tree *t = tree_of(s);

	if (!l->is_listening && t->head->loop != NULL)
		list_append(&t->listeners, &l->link);
	l->is_listening = t->head->loop != NULL;
}

void
tree_listen_end(struct tree_listener *l)
{
	if (l->is_listening)
		list_remove(&l->link);
	l->is_listening = false;
}

static bool
may_read(const struct tree_spot *spot)
{
	char path[PATH_MAX + NAME_MAX + 2];

	(void)snprintf(path, sizeof(path), "%s/%s", spot->path, spot->file);
	return access(spot->path, R_OK | X_OK) == 0 &&
	    (access(path, R_OK) == 0 || errno != EACCES);
}

static int
get(struct store *s, struct str name, enum place_kind kind,
    struct tree_place **out, struct err *e)
{
	struct tree *t = tree_of(s);
	struct tree_spot spots[2];
	struct tree_place *p;
	char key[KEY_MAX];
	struct str k = key_of(s, name, kind, key);
	unsigned n;

	p = map_find(&t->places, k);
	if (p != NULL) {
		p->n_users++;
		*out = p;
		return 0;
	}
	p = mem_new(1, sizeof(*p));
	p->tree = t;
	p->store = s;
	p->key = mem_new(1, k.n);
	memcpy(p->key, k.p, k.n);
	p->key_n = k.n;
	p->kind = kind;
	p->n_users = 1;
	n = spots_of(p, spots);
	/* The folder of annotations may be made with the first of them. */
	if (n == 0 ||
	    (kind != PLACE_META && access(spots[0].path, F_OK) == -1)) {
		free(p->key);
		free(p);
		return err_set(e, ERR_NOT_FOUND, "nothing to be watched");
	}
	if (kind != PLACE_META && !may_read(&spots[0])) {
		free(p->key);
		free(p);
		return err_set(e, ERR_PERM, "not to be read");
	}
	map_put(&t->places, str_make(p->key, p->key_n), p);
	watch_it(p, spots, n);
	*out = p;
	return 0;
}

int
tree_get(
    struct store *s, struct str name, struct tree_place **out, struct err *e)
{
	struct arena a;
	int rc;

	arena_init(&a);
	rc = space_of(&s, &a, &name, e);
	if (rc == 0)
		rc = get(s, name, PLACE_MESSAGES, out, e);
	arena_done(&a);
	return rc;
}

int
tree_get_names(
    struct store *s, struct str name, struct tree_place **out, struct err *e)
{
	struct arena a;
	int rc = 0;

	arena_init(&a);
	if (name.n > 0)
		rc = space_of(&s, &a, &name, e);
	if (rc == 0)
		rc = get(s, name, PLACE_NAMES, out, e);
	arena_done(&a);
	return rc;
}

int
tree_get_meta(
    struct store *s, struct str name, struct tree_place **out, struct err *e)
{
	struct arena a;
	int rc = 0;

	arena_init(&a);
	if (name.n == 0)
		s = store_head(s);
	else
		rc = space_of(&s, &a, &name, e);
	if (rc == 0)
		rc = get(s, name, PLACE_META, out, e);
	arena_done(&a);
	return rc;
}

void
tree_put(struct tree_place **pp)
{
	struct tree_place *p = *pp;

	*pp = NULL;
	if (p == NULL || --p->n_users > 0)
		return;
	(void)map_remove(&p->tree->places, str_make(p->key, p->key_n));
	watch_remove(&p->watch[0]);
	watch_remove(&p->watch[1]);
	p->tree->n_polled -= p->is_polled;
	free(p->file[0]);
	free(p->file[1]);
	free(p->key);
	free(p);
}

void
tree_catch_up(struct store *s)
{
	struct store *head = store_head(s);

	if (head->hub != NULL)
		watch_drain(head->hub);
}

uint32_t
tree_count(const struct tree_place *p)
{
	return p->count;
}

struct tree_id
tree_id(const struct tree_place *p)
{
	return p->id;
}

struct tree_id
tree_id_of(struct store *s, struct str name)
{
	struct tree_spot spots[2];
	struct tree_id id = {0};
	struct arena a;
	struct err e;

	arena_init(&a);
	if (space_of(&s, &a, &name, &e) == 0 &&
	    s->ops->spots(s, name, spots) > 0)
		(void)stamp_of(&spots[0], &id);
	arena_done(&a);
	return id;
}

/* For itself: the room for a key is not for nothing. */
static __attribute__((noinline)) void
note_mailbox(struct tree *t, struct mailbox *m)
{
	struct tree_place *p;
	char key[KEY_MAX];

	p = map_find(
	    &t->places, key_of(m->store, str_of(m->name), PLACE_MESSAGES, key));
	if (p != NULL)
		note(p);
}

void
tree_note(struct mailbox *m)
{
	struct tree *t = store_head(m->store)->tree;

	if (t != NULL && t->places.n > 0)
		note_mailbox(t, m);
}
