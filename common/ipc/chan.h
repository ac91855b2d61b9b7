/* SPDX-License-Identifier: ISC */
/*
 * chan.h - one end of a SOCK_SEQPACKET channel in the process's event loop:
 * a queue with a limit, and a table of what may arrive.
 *
 * The table says for each message: type, the states of this end in which it is
 * allowed, its greatest size and its exact number of descriptors (a message that
 * may have one of two numbers has two entries). Whatever is
 * not in the table for the present state, or does not decode, is a violation:
 * on_close is called with ERR_VIOLATION, and the owner decides what the peer
 * deserves. A message whose descriptors could not be taken, because this process
 * has as many as it may have, is nobody's violation: on_lost.
 *
 * OPEN --EOF, error, violation--> on_close called once, nothing more is read or
 * sent; the owner calls chan_free(), there or later.
 *
 * Login workers and auth children have no loop: chan_wait.h.
 */
#ifndef IPC_CHAN_H
#define IPC_CHAN_H

#include "base/bounds.h"
#include "base/buf.h"
#include "base/err.h"
#include "ipc/msg.h"

struct chan;
struct ev_loop;

/*
 * A message that passed the table. The handler reads `in`, ends with msg_end(),
 * and returns 0, or -1 with the reason: a violation. Descriptors it wants to
 * keep it takes with chan_take_fd(); the others are closed after it. It may
 * free the channel, and send on it.
 */
struct chan_msg {
	struct msg_in in;
	int *fds;
	size_t n_fds;
};
typedef int chan_handler_fn(
    struct chan *c, struct chan_msg *m, void *arg, struct err *e);

struct chan_entry {
	uint16_t type;
	uint8_t n_fds;
	uint32_t states; /* bits; CHAN_ANY_STATE */
	uint32_t max_bytes; /* whole frame */
	chan_handler_fn *fn;
};
#define CHAN_ANY_STATE UINT32_MAX

struct chan_def {
	const char *name; /* "login worker", for logs */
	const struct chan_entry *entries;
	size_t n_entries;
	void (*on_close)(struct chan *c, const struct err *why, void *arg);
	/*
	 * A message of the table has come without its descriptors; `in` is to be
	 * read as by its handler. As there, -1 closes the channel, for the
	 * reason in `e`, which says on entry why they are lost. May be NULL:
	 * the channel is closed with ERR_SYS.
	 */
	int (*on_lost)(
	    struct chan *c, struct msg_in *in, void *arg, struct err *e);
	/* More than this waiting for the peer to read is ERR_LIMIT; 0: 1 MiB. */
	size_t queue_max_bytes;
};

/* Takes `fd`. `def` is borrowed for the life of the channel. State is 1. */
struct chan *chan_new(
    struct ev_loop *loop, int fd, const struct chan_def *def, void *arg);
/* Closes; messages still queued are dropped. */
void chan_free(struct chan **c);
void chan_set_state(struct chan *c, uint32_t state);
uint32_t chan_state(const struct chan *c);
int chan_fd(const struct chan *c);
const char *chan_name(const struct chan *c);
/* Stops and starts reading, so that the peer is slowed down. */
void chan_want_input(struct chan *c, bool on);
/*
 * Reads what has arrived already, without waiting for the loop: for a message
 * on another channel that refers to it. Ends the life of all slices into that
 * other message. May close, not free, the channel, unless its handlers do.
 */
void chan_read_now(struct chan *c);
/* False: this channel does not keep the loop alive (ev_unref). Default true. */
void chan_keeps_loop(struct chan *c, bool on);

/*
 * Sends the frame that is in `frame`, with copies of `fds` if it can not go
 * out at once. `fds` stay the caller's in every case. ERR_LIMIT: too much is
 * queued or the frame is too large; ERR_CLOSED: the peer is gone (on_close
 * comes from the loop).
 */
int chan_send(struct chan *c, const struct buf *frame, const int *fds,
    size_t n_fds, struct err *e);
/* Bytes that wait for the peer. */
size_t chan_queued(const struct chan *c);
/* Takes descriptor number `i` out of the message. */
int chan_take_fd(struct chan_msg *m, size_t i);

/* A frame buffer that all senders of the process share; msg_begin empties it. */
struct buf *chan_frame(void);

#endif
