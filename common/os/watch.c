/* SPDX-License-Identifier: ISC */
/*
 * watch.c - inotify events to those who asked for their folder.
 *
 * Owns:    the inotify descriptor of the process.
 * Runs in: mail processes.
 * Trusts:  the kernel.
 *
 * The kernel gives one number for one folder however often it is added, so
 * the watches of a folder hang together in a list by that number. It counts the
 * numbers up: their low bits are as good as a hash.
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

#define LISTS_FIRST 8

struct watch {
	struct list link; /* in the list of its number */
	struct watch_hub *hub;
	int wd;
	bool is_over; /* the folder is gone: the kernel has forgotten it */
	bool is_dead; /* removed while events are given out */
	uint32_t mask;
	watch_fn *fn;
	void *arg;
};

struct watch_hub {
	int fd;
	struct ev_loop *loop;
	ev_io io;
	struct list *lists; /* by the number's low bits */
	size_t n_lists, n;
	bool has_dead;
	unsigned depth; /* nested deliveries */
};

static struct list *
list_of(const struct watch_hub *h, int wd)
{
	return &h->lists[(unsigned)wd & (h->n_lists - 1)];
}

static void
make_lists(struct watch_hub *h, size_t n)
{
	h->lists = mem_new(n, sizeof(*h->lists));
	h->n_lists = n;
	for (size_t i = 0; i < n; i++)
		list_init(&h->lists[i]);
}

/* Not while events are given out: somebody walks a list. */
static void
grow(struct watch_hub *h)
{
	struct list *old = h->lists;
	size_t n_old = h->n_lists;

	if (h->depth > 0 || h->n <= 4 * n_old)
		return;
	make_lists(h, 4 * n_old);
	for (size_t i = 0; i < n_old; i++)
		LIST_EACH(&old[i], l) {
			struct watch *w = LIST_OF(l, struct watch, link);

			list_remove(l);
			list_append(list_of(h, w->wd), l);
		}
	free(old);
}

static void
destroy(struct watch *w)
{
	w->hub->n--;
	list_remove(&w->link);
	free(w);
}

static void
free_dead(struct watch_hub *h)
{
	if (!h->has_dead)
		return;
	h->has_dead = false;
	for (size_t i = 0; i < h->n_lists; i++)
		LIST_EACH(&h->lists[i], l) {
			struct watch *w = LIST_OF(l, struct watch, link);

			if (w->is_dead)
				destroy(w);
		}
}

static void
deliver_to(struct list *list, const struct inotify_event *ev, struct str name)
{
	LIST_EACH(list, l) {
		struct watch *w = LIST_OF(l, struct watch, link);

		if (w->is_dead || w->is_over ||
		    (w->wd != ev->wd && !(ev->mask & IN_Q_OVERFLOW)))
			continue;
		if (ev->mask & IN_IGNORED)
			w->is_over = true;
		w->fn(w->arg, ev->mask, ev->cookie, name);
	}
}

static void
deliver(struct watch_hub *h, const struct inotify_event *ev)
{
	struct str name = str_make(ev->name, strnlen(ev->name, ev->len));

	if (!(ev->mask & IN_Q_OVERFLOW)) {
		deliver_to(list_of(h, ev->wd), ev, name);
		return;
	}
	for (size_t i = 0; i < h->n_lists; i++)
		deliver_to(&h->lists[i], ev, name);
}

void
watch_drain(struct watch_hub *h)
{
	static char *bytes;
	const struct inotify_event *ev;
	ssize_t n;

	if (h == NULL || h->depth > 0 || n_draining > 0)
		return;
	if (bytes == NULL)
		bytes = mem_resize(NULL, 1, READ_BYTES);
	h->depth++;
	n_draining++;
	do {
		n = read(h->fd, bytes, READ_BYTES);
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
	make_lists(h, LISTS_FIRST);
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
	for (size_t i = 0; i < h->n_lists; i++)
		LIST_EACH(&h->lists[i], l)
			free(LIST_OF(l, struct watch, link));
	free(h->lists);
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
	h->n++;
	grow(h);
	list_append(list_of(h, wd), &w->link);
	*out = w;
	return 0;
}

static bool
has_other(const struct watch_hub *h, const struct watch *w)
{
	const struct list *head = list_of(h, w->wd);

	for (const struct list *l = head->next; l != head; l = l->next) {
		const struct watch *o = LIST_OF(l, const struct watch, link);

		if (o != w && !o->is_dead && !o->is_over && o->wd == w->wd)
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
	if (!w->is_over && !has_other(w->hub, w))
		(void)inotify_rm_watch(w->hub->fd, w->wd);
	if (w->hub->depth == 0) {
		destroy(w);
		return;
	}
	w->is_dead = w->hub->has_dead = true;
}

bool
watch_is_live(const struct watch *w)
{
	return w != NULL && !w->is_over && !w->is_dead;
}
