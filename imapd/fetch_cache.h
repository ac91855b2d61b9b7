/* SPDX-License-Identifier: ISC */
/*
 * fetch_cache.h - the message a client is reading in pieces.
 *
 * Phones fetch a large part as BODY[2]<0.65536>, BODY[2]<65536.65536>, ...
 * Without a memory each piece would parse the message again and count wire
 * bytes from the part's start: quadratic. So the last message that was read
 * partially stays open, with the place where the last piece ended, until
 * another one takes its place or nobody has asked for it for a while.
 */
#ifndef IMAPD_FETCH_CACHE_H
#define IMAPD_FETCH_CACHE_H

#include <ev.h>

#include "imapd/fetch_binary.h"
#include "imapd/fetch_stream.h"

struct fetch_cache {
	struct msg *msg; /* NULL: empty */
	uint32_t uid;
	uint64_t range_off; /* of the range that `place` counts from */
	struct wire_place place;
	bool has_place;
	uint64_t
	    binary_end; /* the same for decoded parts: where the part ends */
	struct binary_place binary;
	bool has_binary;
	struct ev_loop *loop;
	ev_timer timer; /* runs while there is a message */
};

/* Empty; `loop` closes what is no longer asked for. */
void fetch_cache_init(struct fetch_cache *fc, struct ev_loop *loop);

/* Closes the message; call it before the view is closed. */
void fetch_cache_drop(struct fetch_cache *fc);
/* The open message `uid`, which the cache then no longer owns, or NULL. */
struct msg *fetch_cache_take(struct fetch_cache *fc, uint32_t uid);
/* Gives a message to the cache, for FETCH_CACHE_S. */
void fetch_cache_keep(struct fetch_cache *fc, uint32_t uid, struct msg *m);

#endif
