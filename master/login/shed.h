/* SPDX-License-Identifier: ISC */
/*
 * shed.h - one word from the parent to all its workers, in a page that they
 * can read: from which address block nobody is wanted while others wait.
 *
 * While the pool is full, a connection of the busiest block that stands in
 * front of others in the queue is closed unheard. That takes microseconds where
 * a worker of its own takes a millisecond; so a flood can not make others wait
 * by standing in the queue.
 */
#ifndef LOGIN_SHED_H
#define LOGIN_SHED_H

#include "base/err.h"
#include "net/addr.h"

struct shed;

/* Made by the parent, before it forks. */
int shed_new(struct shed **out, struct err *e);
/* Parent: this block from now on; NULL: none. */
void shed_set(struct shed *s, const struct addr *block);
/* Worker: is it this peer's? `s` may be NULL. */
bool shed_has(const struct shed *s, const struct addr *peer);

#endif
