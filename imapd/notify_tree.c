/* SPDX-License-Identifier: ISC */
/*
 * notify_tree.c - what a client hears of mailboxes that it has not selected.
 *
 * Owns:    the list of those that it wishes to hear of.
 * Runs in: imapd, as the mail user.
 * Trusts:  nothing; names of folders on disk pass imap_write.
 * Spec:    RFC 5465 sections 3.1, 5, 5.9 and 6.
 *
 * What there was and what there is are compared; a name that has vanished and
 * a new one are one that was renamed when they are the same file or folder.
 */
#include "base/bounds.h"
#include "base/clock.h"
#include "host/host.h"
#include "imapd/list_write.h"
#include "imapd/name.h"
#include "imapd/notify_impl.h"
#include "imapd/reply.h"
#include "imapd/status_item.h"

/* The first change is told at once, others that follow together. */
#define LOOK_EVERY_MS 200
#define LIST_EVERY_MS 300
#define LOCKED_MS 100
#define MAILBOXES_MAX 1000 /* imap_notify_mailboxes */

/* ---- the list ----------------------------------------------------------------- */

static unsigned
events_of(const struct notify *n, const struct mbox_entry *m)
{
	unsigned events = 0;

	for (size_t i = 0; i < n->arg.n_groups; i++)
		if (mbox_filter_matches(
			n->s, &n->arg.groups[i].filter, m, NULL))
			events |= n->arg.groups[i].events;
	return events;
}

static struct mbox_entry
entry_of(const struct watched *w)
{
	return (struct mbox_entry){.name = w->name,
	    .attrs = w->attrs,
	    .uses = w->uses,
	    .delimiter = w->delimiter};
}

static bool
is_there(unsigned attrs)
{
	return (attrs & (MBOX_NOSELECT | MBOX_NONEXISTENT)) == 0;
}

static bool
wants_if_made(const struct watched *w)
{
	return (w->events & NOTIFY_MESSAGES) != 0 && is_there(w->attrs);
}

static bool
wants_messages(const struct watched *w)
{
	return wants_if_made(w) && (w->attrs & MBOX_ON_FIRST_USE) == 0;
}

struct watched *
notify_find(struct notify *n, struct str name)
{
	size_t i = (size_t)(uintptr_t)map_find(&n->by_name, name);

	return i == 0 ? NULL : &n->boxes.v[i - 1];
}

void
notify_let_go(struct watched *w)
{
	tree_put(&w->place);
	tree_put(&w->names);
	metadata_watch_end(&w->meta);
}

void
notify_tree_free(struct notify *n)
{
	VEC_EACH(&n->boxes, w)
		notify_let_go(w);
	VEC_DONE(&n->boxes);
	map_done(&n->by_name);
	tree_put(&n->root);
	metadata_watch_end(&n->server);
	list_job_free(&n->list);
	status_job_free(&n->status);
	arena_done(&n->box_arena);
	arena_done(&n->list_arena);
}

/* ---- LIST responses ------------------------------------------------------------ */

static void
tell_name(struct notify *n, const struct mbox_entry *m, struct str old,
    bool no_access)
{
	struct list_line line = {
	    .word = "LIST",
	    .entry = m,
	    .delimiter = m->delimiter,
	    .tells_nonexistent = true,
	    .tells_subscribed = true,
	    .no_access = no_access,
	};
	struct buf wire, old_wire;

	buf_init(&wire, MAILBOX_NAME_MAX_BYTES * 16);
	buf_init(&old_wire, MAILBOX_NAME_MAX_BYTES * 16);
	name_wire(n->s, &wire, m->name);
	line.wire = buf_str(&wire);
	if (old.n > 0) {
		name_wire(n->s, &old_wire, old);
		line.old_wire = buf_str(&old_wire);
	}
	list_write(n->s, &line);
	buf_done(&wire);
	buf_done(&old_wire);
}

static void
tell_access(struct notify *n, struct watched *w, bool no_access)
{
	struct mbox_entry m = entry_of(w);

	if (w->no_access == no_access)
		return;
	w->no_access = no_access;
	tell_name(n, &m, STR(""), no_access);
}

/* ---- what differs --------------------------------------------------------------- */

struct diff {
	struct notify *n;
	struct map now; /* what there is: entries by name */
	struct map told; /* names that LIST was sent for */
	struct map
	    gone; /* mailboxes before by their ids, of which no name is */
	/* Renamed ones by their old names, so that those below are not told. */
	struct map renames;
};

/* Section 5.4: the parent of what comes or goes is affected, too. */
static void
tell_parent(struct diff *d, struct str name, char delimiter)
{
	struct str parent = str_head(name, str_rfind(name, delimiter));
	struct mbox_entry gone = {
	    .name = parent, .attrs = MBOX_NONEXISTENT, .delimiter = delimiter};
	const struct mbox_entry *m;

	if (parent.n == name.n || parent.n == 0 ||
	    map_find(&d->told, parent) != NULL)
		return;
	m = map_find(&d->now, parent);
	if (m == NULL)
		m = &gone;
	if ((events_of(d->n, m) & NOTIFY_NAME) == 0)
		return;
	map_put(&d->told, m->name, d);
	tell_name(d->n, m, STR(""), false);
}

static struct str
id_key(const struct tree_id *id)
{
	_Static_assert(sizeof(*id) == 2 * sizeof(uint64_t), "no holes");
	return str_make((const char *)id, sizeof(*id));
}

/* The mailboxes that went, by what they are on disk. */
static void
find_gone(struct diff *d)
{
	VEC_EACH(&d->n->boxes, w) {
		const struct mbox_entry *now = map_find(&d->now, w->name);

		if (is_there(w->attrs) && w->id.ino != 0 &&
		    (now == NULL || !is_there(now->attrs)) &&
		    map_find(&d->gone, id_key(&w->id)) == NULL)
			map_put(&d->gone, id_key(&w->id), w);
	}
}

/* Had the mailbox another name before, which it has no more? */
static struct watched *
old_name_of(struct diff *d, const struct tree_id *id)
{
	return id->ino == 0 ? NULL : map_remove(&d->gone, id_key(id));
}

/* It went with a mailbox above it. */
static bool
moved_along(
    const struct diff *d, struct str from, struct str to, char delimiter)
{
	struct str top = from;
	size_t below; /* bytes */

	for (;;) {
		size_t at = str_rfind(top, delimiter);
		const struct watched *w;

		if (at == top.n)
			return false;
		top = str_head(top, at);
		below = from.n - at;
		w = map_find(&d->renames, top);
		if (w != NULL && to.n == w->name.n + below &&
		    str_starts(to, w->name) &&
		    str_eq(str_skip(from, at), str_skip(to, w->name.n)))
			return true;
	}
}

static void
tell_new(struct diff *d, struct watched *w, const struct mbox_entry *m)
{
	struct notify *n = d->n;
	struct watched *old;

	if ((w->events & NOTIFY_NAME) == 0 ||
	    map_find(&d->told, m->name) != NULL)
		return;
	old = old_name_of(d, &w->id);
	if (old == NULL) {
		map_put(&d->told, m->name, d);
		tell_name(n, m, STR(""), false);
		tell_parent(d, m->name, m->delimiter);
		return;
	}
	/* Told by its new name; what it holds is known. */
	old->attrs |= MBOX_NONEXISTENT;
	w->told = old->told;
	w->is_known = old->is_known;
	w->is_new = false;
	if (!moved_along(d, old->name, m->name, m->delimiter)) {
		map_put(&d->told, m->name, d);
		tell_name(n, m, old->name, false);
	}
	map_put(&d->renames, old->name, w);
}

static void
tell_gone(struct diff *d, const struct watched *w)
{
	const struct mbox_entry *now = map_find(&d->now, w->name);
	struct mbox_entry gone = entry_of(w);

	if (!is_there(w->attrs) || (w->events & NOTIFY_NAME) == 0 ||
	    (now != NULL && is_there(now->attrs)) ||
	    map_find(&d->told, w->name) != NULL)
		return;
	gone.attrs = MBOX_NONEXISTENT | (w->attrs & MBOX_SUBSCRIBED);
	map_put(&d->told, w->name, d);
	tell_name(d->n, now != NULL ? now : &gone, STR(""), false);
	tell_parent(d, w->name, w->delimiter);
}

static void
tell_subscription(struct diff *d, unsigned events, unsigned before,
    const struct mbox_entry *m)
{
	if ((events & NOTIFY_SUBSCRIPTION) == 0 ||
	    ((before ^ m->attrs) & MBOX_SUBSCRIBED) == 0 ||
	    map_find(&d->told, m->name) != NULL)
		return;
	map_put(&d->told, m->name, d);
	tell_name(d->n, m, STR(""), false);
}

/* ---- taking a list --------------------------------------------------------------- */

struct boxes {
	VEC(struct watched) v;
	struct map by_name;
	struct arena arena;
	size_t n_messages;
};

/* The same mailbox in the list before; NULL: it is new. */
static void
take_known(struct watched *w, struct watched *old)
{
	unsigned events = w->events, attrs = w->attrs;
	struct str name = w->name;
	unsigned uses = w->uses;

	*w = *old;
	w->name = name;
	w->events = events;
	w->attrs = attrs;
	w->uses = uses;
	old->place = old->names = NULL;
	old->meta = (struct metadata_watch){0};
	if (w->is_renamed)
		notify_let_go(w);
	w->is_renamed = false;
}

/* 1: what it holds is to be told or compared at once. */
static uint32_t
looks_now(const struct notify *n, const struct watched *w)
{
	return w->is_new || w->is_known || n->arg.status;
}

static void
find_places(struct notify *n, struct watched *w)
{
	struct store *s = n->s->store;
	struct err e;

	if (w->place == NULL && wants_messages(w)) {
		if (tree_get(s, w->name, &w->place, &e) == 0)
			w->seen = tree_count(w->place) - looks_now(n, w);
		else if (e.code == ERR_PERM)
			tell_access(n, w, true);
	}
	if (w->place != NULL)
		w->id = tree_id(w->place);
	else if ((w->events & NOTIFY_NAME) != 0 && is_there(w->attrs))
		w->id = tree_id_of(s, w->name);
	if ((w->events & NOTIFY_METADATA) != 0 && is_there(w->attrs))
		metadata_watch_begin(&w->meta, s, w->name);
	if (w->names == NULL && n->wants_names &&
	    (w->attrs & (MBOX_HAS_CHILDREN | MBOX_NOSELECT)) != 0 &&
	    tree_get_names(s, w->name, &w->names, &e) == 0)
		w->names_seen = tree_count(w->names);
}

/* It was listed before it was made; who made it may have put mail into it. */
static bool
is_made(const struct notify *n, const struct watched *old,
    const struct mbox_entry *m)
{
	return n->is_begun && (old->attrs & MBOX_ON_FIRST_USE) != 0 &&
	    (m->attrs & MBOX_ON_FIRST_USE) == 0;
}

static void
take_entry(struct notify *n, struct boxes *b, const struct mbox_entry *m)
{
	struct watched *old = notify_find(n, m->name), *w;
	unsigned events = events_of(n, m);
	bool is_level = n->wants_names &&
	    (m->attrs & (MBOX_HAS_CHILDREN | MBOX_NOSELECT)) != 0;

	if (events == 0 && !is_level)
		return;
	w = VEC_ADD(&b->v);
	*w = (struct watched){
	    .name = arena_str(&b->arena, m->name),
	    .events = events,
	    .attrs = m->attrs,
	    .uses = m->uses,
	    .delimiter = m->delimiter,
	};
	w->is_new = n->is_begun;
	if (old != NULL) {
		take_known(w, old);
		w->is_new |= is_made(n, old, m);
	}
	find_places(n, w);
	b->n_messages += wants_messages(w) || w->meta.place != NULL;
}

static void
tell_diff(struct notify *n, struct boxes *b, struct mbox_entry *first)
{
	struct diff d = {.n = n};

	map_init(&d.now);
	map_init(&d.told);
	map_init(&d.gone);
	map_init(&d.renames);
	for (struct mbox_entry *m = first; m != NULL; m = m->next)
		map_put(&d.now, m->name, m);
	find_gone(&d);
	/* Parents stand before their children in the list. */
	VEC_EACH(&b->v, w) {
		struct watched *old = notify_find(n, w->name);
		struct mbox_entry *m = map_find(&d.now, w->name);

		if (is_there(w->attrs) &&
		    (old == NULL || !is_there(old->attrs)))
			tell_new(&d, w, m);
	}
	VEC_EACH(&n->boxes, old)
		tell_gone(&d, old);
	VEC_EACH(&b->v, w) {
		struct watched *old = notify_find(n, w->name);

		tell_subscription(&d,
		    w->events | (old != NULL ? old->events : 0),
		    old != NULL ? old->attrs : 0, map_find(&d.now, w->name));
	}
	VEC_EACH(&n->boxes, old) {
		struct mbox_entry *m = map_find(&d.now, old->name), gone;

		gone = entry_of(old);
		gone.attrs = MBOX_NONEXISTENT |
		    (gone.attrs & ~(unsigned)MBOX_SUBSCRIBED);
		tell_subscription(
		    &d, old->events, old->attrs, m != NULL ? m : &gone);
	}
	map_done(&d.now);
	map_done(&d.told);
	map_done(&d.gone);
	map_done(&d.renames);
}

/* The mailbox whose state was being found out is looked at once more. */
static void
forget_look(struct notify *n)
{
	if (n->status == NULL)
		return;
	status_job_free(&n->status);
	if (n->at < n->boxes.n && n->boxes.v[n->at].place != NULL)
		n->boxes.v[n->at].seen--;
}

int
notify_take_list(
    struct notify *n, struct mbox_entry *first, bool tells, struct err *e)
{
	uint32_t most = host_setting_number(
	    n->s->host, "imap_notify_mailboxes", MAILBOXES_MAX);
	struct boxes b = {0};

	map_init(&b.by_name);
	arena_init(&b.arena);
	forget_look(n);
	for (const struct mbox_entry *m = first; m != NULL; m = m->next)
		take_entry(n, &b, m);
	if (tells)
		tell_diff(n, &b, first);
	VEC_EACH(&n->boxes, w)
		notify_let_go(w);
	VEC_DONE(&n->boxes);
	map_done(&n->by_name);
	arena_done(&n->box_arena);
	n->boxes.v = b.v.v;
	n->boxes.n = b.v.n;
	n->boxes.size = b.v.size;
	n->box_arena = b.arena;
	map_init(&n->by_name);
	for (size_t i = 0; i < n->boxes.n; i++)
		map_put(&n->by_name, n->boxes.v[i].name,
		    (void *)(uintptr_t)(i + 1));
	n->at = 0;
	return b.n_messages <= most
	    ? 0
	    : err_set(e, ERR_LIMIT, "more than %llu mailboxes",
		  (unsigned long long)most);
}

/* ---- names ---------------------------------------------------------------------- */

static bool
names_changed(struct notify *n)
{
	if (n->root != NULL && tree_count(n->root) != n->root_seen)
		return true;
	VEC_EACH(&n->boxes, w)
		if (w->names != NULL && tree_count(w->names) != w->names_seen)
			return true;
	return false;
}

static void
names_seen(struct notify *n)
{
	if (n->root != NULL)
		n->root_seen = tree_count(n->root);
	VEC_EACH(&n->boxes, w)
		if (w->names != NULL)
			w->names_seen = tree_count(w->names);
}

static enum step
names_step(struct notify *n)
{
	struct session *s = n->s;
	struct mbox_entry *first;
	enum step step;
	struct err e;
	int64_t now = clock_mono_ms();

	if (!n->in_list) {
		if (!n->wants_names || !names_changed(n))
			return STEP_DONE;
		if (now < n->names_not_before_ms) {
			notify_later(n, n->names_not_before_ms - now);
			return STEP_DONE;
		}
		names_seen(n);
		n->in_list = true;
	}
	do
		step = store_list(
		    s->store, LIST_BOTH, &n->list_arena, &n->list, &first, &e);
	while (step == STEP_MORE && !cmd_time_is_up(&n->cmd));
	if (step == STEP_MORE)
		return STEP_MORE;
	list_job_free(&n->list);
	n->in_list = false;
	n->names_not_before_ms = clock_mono_ms() + LIST_EVERY_MS;
	step = step == STEP_DONE && notify_take_list(n, first, true, &e) == -1
	    ? STEP_FAIL
	    : STEP_DONE;
	arena_reset(&n->list_arena);
	if (step == STEP_FAIL)
		notify_overflow(n, "Too many mailboxes");
	return step == STEP_FAIL ? STEP_MORE : STEP_DONE;
}

/* ---- states ---------------------------------------------------------------------- */

static void
add_item(struct status_items *items, enum status_item item)
{
	items->v[items->n++] = item;
}

static void
set_told(struct watched *w, const struct mailbox_status *st)
{
	w->is_known = true;
	w->told.messages = st->messages;
	w->told.uidnext = st->uidnext;
	w->told.uidvalidity = st->uidvalidity;
	w->told.unseen = st->unseen;
	w->told.modseq = st->highest_modseq;
	w->own = 0;
}

/* Are the client's own messages all that has come? */
static bool
is_own_doing(const struct watched *w, const struct mailbox_status *st)
{
	return w->own > 0 && w->is_known &&
	    st->uidvalidity == w->told.uidvalidity &&
	    st->messages == w->told.messages + w->own &&
	    st->uidnext == w->own_top + 1;
}

static void
tell_state(struct notify *n, struct watched *w, const struct mailbox_status *st)
{
	struct status_items items = {0};
	bool count = !w->is_known || st->messages != w->told.messages ||
	    st->uidnext != w->told.uidnext;
	bool flags = !w->is_known || st->unseen != w->told.unseen ||
	    (n->s->condstore && st->highest_modseq != w->told.modseq);
	bool other = !w->is_known || st->uidvalidity != w->told.uidvalidity;
	bool wants_flags = (w->events & NOTIFY_FLAGS) != 0;

	/* The client knows that what has just come into being is empty. */
	if (w->is_new && !w->is_known && st->messages == 0) {
		set_told(w, st);
		return;
	}
	if (!other && (!count || is_own_doing(w, st)) &&
	    (!flags || !wants_flags || is_own_doing(w, st))) {
		set_told(w, st);
		return;
	}
	if (count || other) {
		add_item(&items, STATUS_MESSAGES);
		add_item(&items, STATUS_UIDNEXT);
	}
	add_item(&items, STATUS_UIDVALIDITY);
	if (wants_flags)
		add_item(&items, STATUS_UNSEEN);
	if (n->s->condstore)
		add_item(&items, STATUS_HIGHESTMODSEQ);
	status_items_write(n->s, w->name, &items, st);
	set_told(w, st);
}

static enum step
ask(struct notify *n, struct watched *w, struct mailbox_status *st,
    struct err *e)
{
	enum step step;

	do
		step = store_status(
		    n->s->store, w->name, false, &n->status, st, e);
	while (step == STEP_MORE && !cmd_time_is_up(&n->cmd));
	if (step != STEP_MORE)
		status_job_free(&n->status);
	return step;
}

/* One mailbox where something may have happened. */
static enum step
look(struct notify *n, struct watched *w)
{
	struct mailbox_status st = {0};
	enum step step;
	struct err e;

	if (n->status == NULL)
		w->seen = tree_count(w->place);
	step = ask(n, w, &st, &e);
	if (step == STEP_MORE && store_must_wait(n->s->store)) {
		/* Nobody waits for it here. */
		status_job_free(&n->status);
		w->seen = tree_count(w->place) - 1;
		w->not_before_ms = clock_mono_ms() + LOCKED_MS;
		notify_later(n, LOCKED_MS);
		return STEP_DONE;
	}
	if (step == STEP_MORE)
		return STEP_MORE;
	w->not_before_ms = clock_mono_ms() + LOOK_EVERY_MS;
	if (step == STEP_FAIL && e.code == ERR_PERM)
		tell_access(n, w, true);
	if (step == STEP_DONE) {
		tell_access(n, w, false);
		tell_state(n, w, &st);
	}
	return STEP_DONE;
}

struct str
notify_selected_name(struct notify *n, struct arena *a)
{
	const struct session *s = n->s;

	return s->view == NULL || s->lost
	    ? STR("")
	    : mailbox_full_name(view_mailbox(s->view), a);
}

static enum step
states_step(struct notify *n)
{
	enum step step = STEP_DONE;
	int64_t now = clock_mono_ms();
	struct arena a;
	struct str here;

	arena_init(&a);
	here = notify_selected_name(n, &a);
	for (; n->at < n->boxes.n && step == STEP_DONE; n->at++) {
		struct watched *w = &n->boxes.v[n->at];

		if (!wants_messages(w) || w->place == NULL ||
		    (n->status == NULL && w->seen == tree_count(w->place)) ||
		    str_eq(w->name, here)) {
			/* It has become so, perhaps, amidst the look at it. */
			forget_look(n);
			continue;
		}
		if (n->status == NULL && now < w->not_before_ms) {
			notify_later(n, w->not_before_ms - now);
			continue;
		}
		step = look(n, w);
		if (step == STEP_DONE && n->at + 1 < n->boxes.n &&
		    (conn_is_full(n->s->conn) || cmd_time_is_up(&n->cmd))) {
			n->at++;
			step = STEP_MORE;
		}
		if (step == STEP_MORE)
			break;
	}
	arena_done(&a);
	if (step == STEP_DONE)
		n->at = 0;
	return step;
}

/* ---- annotations ------------------------------------------------------------------ */

struct entry_of {
	struct notify *n;
	struct str name;
};

static void
on_entry(void *arg, struct str entry)
{
	struct entry_of *o = arg;

	notify_tell_entry(o->n, o->name, entry);
}

/* Changed by whoever has not told us: other processes, other users. */
static void
annotations_step(struct notify *n)
{
	struct entry_of o = {.n = n, .name = STR("")};

	metadata_watch_look(&n->server, n->s->store, o.name, on_entry, &o);
	VEC_EACH(&n->boxes, w) {
		o.name = w->name;
		metadata_watch_look(
		    &w->meta, n->s->store, w->name, on_entry, &o);
	}
}

enum step
notify_tree_step(struct notify *n)
{
	if (n->boxes.n == 0 && !n->wants_names)
		return STEP_DONE;
	n->cmd.s = n->s;
	if (names_step(n) == STEP_MORE)
		return STEP_MORE;
	annotations_step(n);
	return states_step(n);
}

/* STATUS is of every mailbox that LIST shows: it makes what it has to. */
static void
settle_made(struct notify *n, struct watched *w)
{
	if ((w->attrs & MBOX_ON_FIRST_USE) == 0)
		return;
	w->attrs &= ~(unsigned)MBOX_ON_FIRST_USE;
	find_places(n, w);
}

enum step
notify_first_look(
    struct notify *n, struct watched *w, bool tells, struct err *e)
{
	struct mailbox_status st = {0};
	struct status_items items = {0};
	enum step step;

	if (!wants_messages(w) && !(tells && wants_if_made(w)))
		return STEP_DONE;
	if (w->place != NULL && n->status == NULL)
		w->seen = tree_count(w->place);
	/* What can not be watched can not be read, perhaps. */
	if (!tells && w->place != NULL) {
		if (store_status_known(n->s->store, w->name, &st))
			set_told(w, &st);
		return STEP_DONE;
	}
	step = ask(n, w, &st, e);
	if (step == STEP_FAIL && e->code == ERR_PERM)
		tell_access(n, w, true);
	if (step != STEP_DONE)
		return step == STEP_MORE ? STEP_MORE : STEP_DONE;
	settle_made(n, w);
	add_item(&items, STATUS_MESSAGES);
	add_item(&items, STATUS_UIDNEXT);
	add_item(&items, STATUS_UIDVALIDITY);
	if ((w->events & NOTIFY_FLAGS) != 0) {
		add_item(&items, STATUS_UNSEEN);
		add_item(&items, STATUS_HIGHESTMODSEQ);
	}
	status_items_write(n->s, w->name, &items, &st);
	set_told(w, &st);
	return STEP_DONE;
}

/*
 * What the client has not been told of the mailbox that it leaves is told it
 * by a STATUS then.
 */
void
notify_tree_left(struct notify *n)
{
	struct session *s = n->s;
	struct mailbox_status st;
	struct watched *w;
	struct arena a;

	arena_init(&a);
	w = notify_find(n, notify_selected_name(n, &a));
	arena_done(&a);
	if (w == NULL || w->place == NULL)
		return;
	w->is_known = !view_has_news(s->view);
	if (w->is_known) {
		mailbox_status(view_mailbox(s->view), &st);
		set_told(w, &st);
		w->seen = tree_count(w->place);
	} else {
		w->seen = tree_count(w->place) - 1;
		notify_due(n);
	}
}
