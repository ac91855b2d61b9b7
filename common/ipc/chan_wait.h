/* SPDX-License-Identifier: ISC */
/*
 * chan_wait.h - the same messages without an event loop: a login worker or an
 * auth child sends one, waits for one, with a deadline.
 */
#ifndef IPC_CHAN_WAIT_H
#define IPC_CHAN_WAIT_H

#include "base/buf.h"
#include "base/err.h"
#include "ipc/msg.h"

/*
 * Sends `frame`, waiting for room until the monotonic `deadline_ms`
 * (ERR_TIMEOUT). The descriptors stay the caller's.
 */
int chan_send_wait(int fd, const struct buf *frame, const int *fds,
    size_t n_fds, int64_t deadline_ms, struct err *e);

/*
 * Waits for one message of type `type`, or of any with 0; its bytes live in
 * `room` (its maximum is the limit) as long as that is not touched. `fds` gets exactly
 * `n_fds` descriptors, the caller's from then on. Anything else:
 * ERR_VIOLATION. ERR_CLOSED: the peer has gone. ERR_TIMEOUT.
 */
int chan_recv_wait(int fd, uint16_t type, struct buf *room, struct msg_in *in,
    int *fds, size_t n_fds, int64_t deadline_ms, struct err *e);

#endif
