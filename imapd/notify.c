/* SPDX-License-Identifier: ISC */
/*
 * notify.c - what a client hears without asking: the selected mailbox, and
 * whose turn it is.
 *
 * Owns:    a session's struct notify; the view's listener while it is on.
 * Runs in: imapd, as the mail user.
 * Trusts:  nothing; names and flags pass imap_write.
 * Spec:    RFC 5465 sections 3 to 6. Section 4: IDLE tells just the same.
 *
 * PUSH --FETCH of new messages--> SELECTED --view_sync--> PUSH, or
 *      --> NAMES --LIST--> MAILBOXES --STATUS--> nothing to do
 */
#include "base/clock.h"
#include "host/host.h"
#include "imapd/client.h"
#include "imapd/context.h"
#include "imapd/fetch_job.h"
#include "imapd/name.h"
#include "imapd/notify_impl.h"
#include "imapd/reply.h"
#include "imapd/sync.h"

/* METADATA responses that wait; with more the client is not listening. */
#define METADATA_MAX (64 * 1024)

/* All of the process, for what one session has to tell the others. */
static struct list all = {&all, &all};

/* ---- questions --------------------------------------------------------------- */

bool
notify_is_on(const struct session *s)
{
	return s->notify != NULL;
}

unsigned
notify_selected(const struct session *s)
{
	unsigned events = s->notify->arg.selected;

	return ((events & NOTIFY_NEW) != 0 ? SYNC_NEW : 0) |
	    ((events & NOTIFY_EXPUNGE) != 0 ? SYNC_EXPUNGE : 0) |
	    ((events & NOTIFY_FLAGS) != 0 ? SYNC_FLAGS : 0);
}

bool
notify_wants_uid(const struct session *s)
{
	return s->notify != NULL && s->notify->arg.selected != 0;
}

bool
notify_is_due(const struct session *s)
{
	return s->notify != NULL && s->notify->is_due;
}

bool
notify_is_within(const struct session *s)
{
	return s->notify != NULL &&
	    (s->notify->in_push || context_is_within(s));
}

static bool
wants_metadata(struct notify *n, struct str name)
{
	const unsigned event =
	    name.n == 0 ? NOTIFY_SERVER_METADATA : NOTIFY_METADATA;
	struct watched *w = name.n == 0 ? NULL : notify_find(n, name);

	if (name.n > 0)
		return w != NULL && (w->events & event) != 0;
	for (size_t i = 0; i < n->arg.n_groups; i++)
		if ((n->arg.groups[i].events & event) != 0)
			return true;
	return false;
}

/* ---- life -------------------------------------------------------------------- */

void
notify_due(struct notify *n)
{
	n->is_due = n->is_woken = true;
}

static void
wake(void *arg)
{
	struct notify *n = arg;

	notify_due(n);
	client_push(n->s);
}

static void
on_timer(struct ev_loop *loop, ev_timer *t, UNUSED int events)
{
	ev_timer_stop(loop, t);
	wake(t->data);
}

static void
on_view(void *arg)
{
	struct notify *n = arg;

	n->selected_due = true;
	wake(n);
}

void
notify_later(struct notify *n, int64_t ms)
{
	struct ev_loop *loop = host_loop(n->s->host);

	if (ev_is_active(&n->timer) &&
	    ev_timer_remaining(loop, &n->timer) <= (double)ms / 1000.)
		return;
	ev_timer_stop(loop, &n->timer);
	ev_timer_set(&n->timer, (double)ms / 1000., 0.);
	ev_timer_start(loop, &n->timer);
}

struct notify *
notify_wish_new(struct session *s)
{
	struct notify *n = mem_new(1, sizeof(*n));

	n->s = s;
	arena_init(&n->arena);
	arena_init(&n->push_arena);
	arena_init(&n->box_arena);
	arena_init(&n->list_arena);
	map_init(&n->by_name);
	buf_init(&n->metadata, METADATA_MAX);
	n->listener.fn = wake;
	n->listener.arg = n;
	ev_timer_init(&n->timer, on_timer, 0., 0.);
	n->timer.data = n;
	return n;
}

static void
end_push(struct notify *n)
{
	if (n->cmd.cleanup != NULL)
		n->cmd.cleanup(&n->cmd);
	n->cmd = (struct cmd){0};
	arena_reset(&n->push_arena);
	n->in_push = false;
}

void
notify_wish_free(struct notify **np)
{
	struct notify *n = *np;

	*np = NULL;
	if (n == NULL)
		return;
	if (n->is_begun)
		list_remove(&n->link);
	tree_listen_end(&n->listener);
	ev_timer_stop(host_loop(n->s->host), &n->timer);
	end_push(n);
	notify_tree_free(n);
	set32_done(&n->fresh);
	set32_done(&n->own);
	buf_done(&n->metadata);
	arena_done(&n->arena);
	arena_done(&n->push_arena);
	free(n);
}

struct notify_arg *
notify_arg_of(struct notify *n, struct arena **arena)
{
	*arena = &n->arena;
	return &n->arg;
}

/* The selected mailbox is listened to as long as something is wished of it. */
static void
listen_to_view(struct notify *n)
{
	struct session *s = n->s;
	bool on = n->arg.selected != 0;

	if (s->view == NULL)
		return;
	n->top = view_uid(s->view, view_count(s->view));
	view_listen(s->view, on ? on_view : NULL, n);
}

void
notify_begin(struct notify **np)
{
	struct notify *n = *np;
	struct session *s = n->s;

	*np = NULL;
	notify_wish_free(&s->notify);
	s->notify = n;
	n->is_begun = n->is_due = true;
	list_append(&all, &n->link);
	if (n->wants_names || n->wants_messages)
		tree_listen(s->store, &n->listener);
	if (wants_metadata(n, STR("")))
		metadata_watch_begin(&n->server, s->store, STR(""));
	listen_to_view(n);
}

void
notify_done(struct session *s)
{
	notify_wish_free(&s->notify);
}

void
notify_overflow(struct notify *n, const char *why)
{
	struct session *s = n->s;
	struct notify *none = notify_wish_new(s);

	reply_untagged(s, "OK [NOTIFICATIONOVERFLOW] %s, NOTIFY is off", why);
	notify_begin(&none);
}

/* ---- the selected mailbox ------------------------------------------------------ */

/* What was noted of the messages that were selected so far. */
static void
forget_selected(struct notify *n)
{
	end_push(n);
	set32_clear(&n->fresh);
	set32_clear(&n->own);
}

void
notify_opened(struct session *s)
{
	struct notify *n = s->notify;

	if (n == NULL)
		return;
	forget_selected(n);
	listen_to_view(n);
}

void
notify_leaves(struct session *s)
{
	struct notify *n = s->notify;

	if (n == NULL)
		return;
	forget_selected(n);
	n->selected_due = false;
	if (s->view != NULL && !s->lost)
		notify_tree_left(n);
}

void
notify_told_new(struct session *s)
{
	struct notify *n = s->notify;
	const struct set32 *uids;
	size_t i;

	if (n == NULL)
		return;
	uids = view_uids(s->view);
	for (i = uids->n; i > 0 && uids->r[i - 1].last > n->top; i--) {
		struct set32_range r = uids->r[i - 1];

		if (r.first <= n->top)
			r.first = n->top + 1;
		if (n->arg.has_plan)
			set32_add_range(&n->fresh, r.first, r.last);
	}
	if (uids->n > 0)
		n->top = uids->r[uids->n - 1].last;
	n->is_due = n->is_due || !set32_is_empty(&n->fresh);
}

void
notify_command_ended(struct session *s)
{
	struct notify *n = s->notify;

	if (n == NULL || s->view == NULL || n->arg.selected == 0)
		return;
	n->selected_due = n->selected_due || view_has_news(s->view);
	if (n->selected_due)
		notify_due(n);
}

/* FETCH of what has come, but for what the client has put there itself. */
static void
begin_push(struct notify *n)
{
	for (size_t i = 0; i < n->own.n; i++)
		set32_remove_range(
		    &n->fresh, n->own.r[i].first, n->own.r[i].last);
	set32_clear(&n->own);
	if (set32_is_empty(&n->fresh))
		return;
	n->cmd = (struct cmd){.s = n->s, .arena = &n->push_arena, .uid = true};
	fetch_push_begin(&n->cmd, &n->fresh, &n->arg.plan);
	set32_clear(&n->fresh);
	n->in_push = true;
}

static enum step
push(struct notify *n)
{
	if (!n->in_push && !set32_is_empty(&n->fresh))
		begin_push(n);
	if (!n->in_push)
		return STEP_DONE;
	if (fetch_push_step(&n->cmd) == STEP_MORE)
		return STEP_MORE;
	end_push(n);
	return STEP_DONE;
}

static enum step
tell_selected(struct notify *n, bool idle)
{
	struct session *s = n->s;
	unsigned what = notify_selected(s);

	if (!n->selected_due || s->view == NULL || s->lost)
		return STEP_DONE;
	if (n->arg.is_delayed && !idle)
		what &= ~(unsigned)SYNC_EXPUNGE;
	if (sync_run(s, what, true) == STEP_MORE)
		return STEP_MORE;
	n->selected_due = false;
	return STEP_DONE;
}

enum step
notify_step(struct session *s, bool idle)
{
	struct notify *n = s->notify;

	/* What happens from here on is perhaps behind what was looked at. */
	if (!n->in_pass)
		n->is_woken = false;
	n->in_pass = true;
	/* A FETCH that a context has begun comes to its end first. */
	if (!context_is_within(s) && push(n) == STEP_MORE)
		return STEP_MORE;
	if (tell_selected(n, idle) == STEP_MORE)
		return STEP_MORE;
	if (push(n) == STEP_MORE)
		return STEP_MORE;
	if (n->is_over) {
		notify_overflow(n, "Too many annotations");
		return STEP_MORE;
	}
	if (n->metadata.n > 0) {
		buf_add_str(&s->out, buf_str(&n->metadata));
		buf_done(&n->metadata);
	}
	if (notify_tree_step(n) == STEP_MORE)
		return STEP_MORE;
	n->in_pass = false;
	n->is_due = n->is_woken;
	return n->is_due ? STEP_MORE : STEP_DONE;
}

/* ---- annotations --------------------------------------------------------------- */

static void
write_entry(struct notify *n, struct buf *b, struct str name, struct str entry)
{
	buf_add_c(b, "* METADATA ");
	if (name.n == 0)
		buf_add_c(b, "\"\"");
	else
		name_write(n->s, b, name);
	buf_add_byte(b, ' ');
	name_write_wire(n->s, b, entry);
	buf_add_c(b, "\r\n");
}

void
notify_tell_entry(struct notify *n, struct str name, struct str entry)
{
	write_entry(n, &n->s->out, name, entry);
}

void
notify_metadata(
    struct session *by, struct str name, const struct meta_entry *entries)
{
	LIST_EACH(&all, l) {
		struct notify *n = LIST_OF(l, struct notify, link);

		if (n->is_over || !wants_metadata(n, name))
			continue;
		metadata_watch_told(
		    name.n == 0 ? &n->server : &notify_find(n, name)->meta,
		    n->s->store, name, entries);
		if (n->s == by)
			continue;
		for (const struct meta_entry *x = entries; x != NULL;
		     x = x->next)
			write_entry(n, &n->metadata, name, x->name);
		/* Its session may be amidst a response: said when it is not. */
		n->is_over = buf_is_over(&n->metadata);
		wake(n);
	}
}
