/* SPDX-License-Identifier: ISC */
/*
 * watch.h - one inotify instance per process: which folder changed. A hint
 * only: whoever is told looks for himself.
 */
#ifndef OS_WATCH_H
#define OS_WATCH_H

#include <sys/inotify.h>

#include "base/err.h"
#include "base/str.h"

struct ev_loop;
struct watch_hub;
struct watch;

/*
 * `mask` are IN_* bits; IN_Q_OVERFLOW: events were lost, look at everything;
 * IN_IGNORED: the folder is gone, no more will come. `name` is the entry in
 * the folder, valid during the call. May call watch_remove() for any watch.
 */
typedef void watch_fn(
    void *arg, uint32_t mask, uint32_t cookie, struct str name);

/*
 * `loop` may be NULL: then only watch_drain() delivers. ERR_LIMIT when the
 * user has no instance left (callers poll then).
 */
int watch_hub_new(struct ev_loop *loop, struct watch_hub **out, struct err *e);
void watch_hub_free(struct watch_hub **h);
/*
 * Several watches of one folder are fine. With IN_MODIFY in the mask the path
 * may be that of a file; then `name` is empty.
 */
int watch_add(struct watch_hub *h, const char *path, uint32_t mask,
    watch_fn *fn, void *arg, struct watch **out, struct err *e);
void watch_remove(struct watch **w);
/* False: no more events will come from there. NULL is allowed. */
bool watch_is_live(const struct watch *w);
/* Delivers at once what the kernel has queued by now. */
void watch_drain(struct watch_hub *h);

#endif
