/* SPDX-License-Identifier: ISC */
/*
 * conn.h - a client's nonblocking byte stream with back-pressure. Below it
 * may lie TLS records carried on after the handover, and DEFLATE above them;
 * callers see plain bytes.
 */
#ifndef NET_CONN_H
#define NET_CONN_H

#include "base/err.h"
#include "base/str.h"

struct conn;
struct ev_loop;
struct tls_record;

struct conn_handlers {
	/* There are new bytes to conn_peek(), or the peer closed (conn_at_eof). */
	void (*on_input)(struct conn *c, void *arg);
	/* Output fell below the low-water mark after conn_is_full() was true. */
	void (*on_drain)(struct conn *c, void *arg);
	/* Failed or timed out; nothing more comes. The owner calls conn_free.
	 * After ERR_TIMEOUT conn_write and conn_flush may still say goodbye. */
	void (*on_close)(struct conn *c, const struct err *why, void *arg);
};

/*
 * Takes the descriptors (they may be equal; stdin and stdout work too).
 * Input buffers exist only while there is input, output buffers while there
 * is output: an idle connection costs a few hundred bytes.
 */
struct conn *conn_new(struct ev_loop *loop, int fd_in, int fd_out,
    const struct conn_handlers *h, void *arg);
/* Another owner: from now on these handlers are called. */
void conn_set_handlers(
    struct conn *c, const struct conn_handlers *h, void *arg);
/* Closes the descriptors at once. */
void conn_free(struct conn **c);

/*
 * Bytes that were received by somebody else for this connection: as if they
 * had just come in. on_input follows from the loop.
 */
void conn_unread(struct conn *c, struct str plain);
/* The same for bytes from the wire (below TLS and DEFLATE). */
void conn_unread_wire(struct conn *c, struct str wire);

/*
 * Bytes received and not yet consumed; valid until the next conn call and
 * until the loop goes on. At most about 128 KiB: above that nothing is read.
 */
struct str conn_peek(struct conn *c);
/* How often any connection of this process was read: another number than before
 * wherever new bytes may have come. */
uint64_t conn_reads(void);
void conn_consume(struct conn *c, size_t n);
/*
 * `n` more bytes are expected soon: the next read asks for so many, up to a
 * limit. Whoever waits for a literal spares reads and turns of the loop.
 */
void conn_expect(struct conn *c, uint64_t n);
/* The peer closed its side and everything it sent has been consumed. */
bool conn_at_eof(const struct conn *c);
/* The peer closed its side; all it sent is in conn_peek() by now. */
bool conn_saw_eof(const struct conn *c);
/* Off: reads nothing more, so the kernel slows the peer down. Default on. */
void conn_want_input(struct conn *c, bool on);

/* Queues bytes; they are sent from the loop or by conn_flush(). */
void conn_write(struct conn *c, const void *p, size_t n);
static inline void
conn_write_str(struct conn *c, struct str s)
{
	conn_write(c, s.p, s.n);
}
/* Space for `n` bytes to be filled in place, then conn_written(). */
char *conn_write_room(struct conn *c, size_t n);
void conn_written(struct conn *c, size_t n);
/* Above the high-water mark: stop producing and wait for on_drain. */
bool conn_is_full(const struct conn *c);
size_t conn_queued(const struct conn *c);
void conn_flush(struct conn *c);
/* Sends what is queued (and close_notify), then on_close with ERR_CLOSED. */
void conn_finish(struct conn *c);

/* No byte in either direction for so long: on_close ERR_TIMEOUT. 0: never. */
void conn_set_timeout(struct conn *c, int64_t idle_ms);
/* From now on all bytes pass the record layer, which conn then owns. */
void conn_start_tls(struct conn *c, struct tls_record *t);
/* COMPRESS=DEFLATE (RFC 4978) in both directions from the next byte on. */
int conn_start_deflate(struct conn *c, struct err *e);
bool conn_has_tls(const struct conn *c);
bool conn_has_deflate(const struct conn *c);
/* Bytes that came and went. */
struct conn_stats {
	uint64_t in, out;
};
/* Counts into `stats`, which outlives the connection, from now on. */
void conn_set_stats(struct conn *c, struct conn_stats *stats);
/* Gives back memory kept for speed; for a process that has become idle. */
void conn_trim(void);
/* Bytes so far, as the client counts them (plain). */
uint64_t conn_bytes_in(const struct conn *c);
uint64_t conn_bytes_out(const struct conn *c);

#endif
