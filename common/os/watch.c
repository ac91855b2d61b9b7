/* SPDX-License-Identifier: ISC */
/*
 * watch.c - inotify events to those who asked for their folder.
 *
 * Owns:    the inotify descriptor of the process.
 * Runs in: mail processes.
 * Trusts:  the kernel.
 *
 * The kernel gives one number for one folder however often it is added, so
 * the watches of a folder hang together in a list by that number.
 */
#include <errno.h>
#include <ev.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/list.h"
#include "base/mem.h"
#include "os/watch.h"

#define READ_BYTES (64 * 1024)
#define EVENT_MAX (sizeof(struct inotify_event) + NAME_MAX + 1)

/* The buffer below is one for all hubs. */
static unsigned n_draining;

struct watch {
	struct list link; /* in hub->watches */
	struct watch_hub *hub;
	int wd;
	bool is_dead; /* removed while events are given out */
	uint32_t mask;
	watch_fn *fn;
	void *arg;
};

struct watch_hub {
	int fd;
	struct ev_loop *loop;
	ev_io io;
	struct list watches;
	unsigned depth; /* nested deliveries */
};

static void
free_dead(struct watch_hub *h)
{
	LIST_EACH(&h->watches, l) {
		struct watch *w = LIST_OF(l, struct watch, link);

		if (w->is_dead) {
			list_remove(&w->link);
			free(w);
		}
	}
}

static void
deliver(struct watch_hub *h, const struct inotify_event *ev)
{
	struct str name = str_make(ev->name, strnlen(ev->name, ev->len));

	LIST_EACH(&h->watches, l) {
		struct watch *w = LIST_OF(l, struct watch, link);

		if (w->is_dead ||
		    (w->wd != ev->wd && !(ev->mask & IN_Q_OVERFLOW)))
			continue;
		if (ev->mask & IN_IGNORED)
			w->wd = -1;
		w->fn(w->arg, ev->mask, ev->cookie, name);
	}
}

void
watch_drain(struct watch_hub *h)
{
	static char bytes[READ_BYTES]
	    __attribute__((aligned(__alignof__(struct inotify_event))));
	const struct inotify_event *ev;
	ssize_t n;

	if (h == NULL || h->depth > 0 || n_draining > 0)
		return;
	h->depth++;
	n_draining++;
	do {
		n = read(h->fd, bytes, sizeof(bytes));
		for (char *p = bytes; p < bytes + n;
		     p += sizeof(*ev) + ev->len) {
			ev = (const struct inotify_event *)(void *)p;
			deliver(h, ev);
		}
		/* Where there is room left for one more, there was none. */
	} while (n > READ_BYTES - (ssize_t)EVENT_MAX);
	n_draining--;
	h->depth--;
	free_dead(h);
}

static void
on_readable(struct ev_loop *loop, ev_io *io, int events)
{
	(void)loop;
	(void)events;
	watch_drain(CONTAINER_OF(io, struct watch_hub, io));
}

int
watch_hub_new(struct ev_loop *loop, struct watch_hub **out, struct err *e)
{
	struct watch_hub *h;
	int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);

	if (fd == -1 && (errno == EMFILE || errno == ENFILE))
		return err_set(e, ERR_LIMIT, "no inotify instance left");
	if (fd == -1)
		return err_sys(e, "inotify_init");
	h = mem_new(1, sizeof(*h));
	h->fd = fd;
	h->loop = loop;
	list_init(&h->watches);
	if (loop != NULL) {
		ev_io_init(&h->io, on_readable, fd, EV_READ);
		ev_io_start(loop, &h->io);
	}
	*out = h;
	return 0;
}

void
watch_hub_free(struct watch_hub **hp)
{
	struct watch_hub *h = *hp;

	*hp = NULL;
	if (h == NULL)
		return;
	if (h->loop != NULL)
		ev_io_stop(h->loop, &h->io);
	LIST_EACH(&h->watches, l)
		free(LIST_OF(l, struct watch, link));
	close(h->fd);
	free(h);
}

int
watch_add(struct watch_hub *h, const char *path, uint32_t mask, watch_fn *fn,
    void *arg, struct watch **out, struct err *e)
{
	uint32_t what = mask & IN_MODIFY ? IN_DONT_FOLLOW : IN_ONLYDIR;
	int wd = inotify_add_watch(
	    h->fd, path, mask | what | IN_EXCL_UNLINK | IN_MASK_ADD);
	struct watch *w;

	if (wd == -1 && errno == ENOSPC)
		return err_set(e, ERR_LIMIT, "no inotify watch left");
	if (wd == -1)
		return err_sys(e, "watch %s", path);
	w = mem_new(1, sizeof(*w));
	w->hub = h;
	w->wd = wd;
	w->mask = mask;
	w->fn = fn;
	w->arg = arg;
	list_append(&h->watches, &w->link);
	*out = w;
	return 0;
}

static bool
has_other(const struct watch_hub *h, const struct watch *w)
{
	for (const struct list *l = h->watches.next; l != &h->watches;
	     l = l->next) {
		const struct watch *o = LIST_OF(l, const struct watch, link);

		if (o != w && !o->is_dead && o->wd == w->wd)
			return true;
	}
	return false;
}

void
watch_remove(struct watch **wp)
{
	struct watch *w = *wp;

	*wp = NULL;
	if (w == NULL)
		return;
	if (w->wd != -1 && !has_other(w->hub, w))
		(void)inotify_rm_watch(w->hub->fd, w->wd);
	w->is_dead = true;
	if (w->hub->depth == 0)
		free_dead(w->hub);
}

bool
watch_is_live(const struct watch *w)
{
	return w != NULL && w->wd != -1 && !w->is_dead;
}
