/* SPDX-License-Identifier: ISC */
/*
 * fd.h - descriptors: flags, whole reads and writes, passing them to another
 * process, sealed memory files.
 */
#ifndef OS_FD_H
#define OS_FD_H

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

/* Closes *fd unless it is -1, and leaves -1 behind; errno is kept. */
void fd_close(int *fd);
int fd_set_cloexec(int fd, bool on, struct err *e);
int fd_set_nonblock(int fd, bool on, struct err *e);
/* A copy, close-on-exec, number 3 or above; -1 with the reason in `e`. */
int fd_dup(int fd, struct err *e);

/* Writes all bytes to a blocking descriptor; short writes and EINTR go on. */
int fd_write_all(int fd, const void *p, size_t n, struct err *e);
/* Appends all until the end of the file; ERR_LIMIT when it passes b's maximum. */
int fd_read_all(int fd, struct buf *b, struct err *e);
/* The same of a file, from its beginning: others may share the descriptor. */
int fd_read_file(int fd, struct buf *b, struct err *e);

/*
 * A connected pair of SOCK_SEQPACKET sockets, close-on-exec and blocking.
 * Every channel between our processes is one of these.
 */
int fd_pair(int fds[2], struct err *e);

/*
 * Sends one packet with `n_fds` descriptors, which stay the caller's.
 * STEP_MORE: the peer's queue is full and the descriptor is nonblocking (or
 * `now` asks for that once). ERR_CLOSED when the peer has gone.
 */
enum step fd_send(int fd, struct str bytes, const int *fds, size_t n_fds,
    bool now, struct err *e);

/*
 * Receives one packet of at most `size` bytes and `*n_fds` descriptors (in: room
 * in `fds`, out: how many), which are close-on-exec and the caller's.
 * STEP_MORE: nothing there. ERR_CLOSED: the peer has gone. ERR_VIOLATION: the
 * packet was larger or brought more descriptors; it is dropped whole. ERR_SYS
 * with EMFILE: this process can have no more descriptors, so those of the packet
 * are lost; its bytes have come, *n says how many.
 */
enum step fd_recv(int fd, void *p, size_t size, size_t *n, int *fds,
    size_t *n_fds, bool now, struct err *e);

/* Waits until `fd` can be read (or written) or the monotonic clock reaches
 * `deadline_ms`: ERR_TIMEOUT. */
int fd_wait(int fd, bool to_write, int64_t deadline_ms, struct err *e);
/*
 * The same; the time is also over when the peer of the socket `stop_fd` has
 * closed it. -1: there is none.
 */
int fd_wait_unless(
    int fd, bool to_write, int stop_fd, int64_t deadline_ms, struct err *e);

/*
 * A memory file with these bytes, sealed against every change, position 0,
 * close-on-exec. Returns the descriptor or -1.
 */
int fd_memfile(const char *name, struct str bytes, struct err *e);

#endif
