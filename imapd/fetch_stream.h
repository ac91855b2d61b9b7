/* SPDX-License-Identifier: ISC */
/*
 * fetch_stream.h - a range of a stored message as it goes on the wire: every
 * lone LF becomes CRLF, in pieces, with partials counted in wire bytes.
 */
#ifndef IMAPD_FETCH_STREAM_H
#define IMAPD_FETCH_STREAM_H

#include "base/buf.h"
#include "net/conn.h"
#include "store/msg.h"

/* A place in a message in both countings. */
struct wire_place {
	uint64_t off; /* stored bytes from the message's start */
	uint64_t wire; /* wire bytes from the range's start */
	bool after_cr; /* the byte before `off` is CR */
};

struct fetch_stream {
	struct msg *msg;
	uint64_t end; /* stored bytes: where the range ends */
	struct wire_place at; /* what will be sent next */
	uint64_t start; /* wire bytes to leave out */
	uint64_t left; /* wire bytes still to be sent; first: at most so many */
	struct wire_place measured; /* how far the length is known */
	bool has_nul; /* seen while measuring: NUL is sent as 0x80 */
	struct str bytes; /* a small range, read already, at `base` */
	uint64_t base;
};

/*
 * Begins at wire byte `start` of the range [off, off + len), at most `count`
 * bytes. `hint` may name a place of the same range at or before `start`, where
 * an earlier partial ended. A small range is read into `scratch` at once, which
 * must stay as it is until the stream has ended.
 */
int fetch_stream_init(struct fetch_stream *s, struct msg *m, uint64_t off,
    uint64_t len, uint64_t start, uint64_t count, const struct wire_place *hint,
    struct buf *scratch, struct err *e);
/*
 * A small range that is wanted whole needs no measuring first: sends its literal
 * with the "{n}" before it, and the stream has ended. False, with nothing done,
 * when it is not like that.
 */
bool fetch_stream_send_small(struct fetch_stream *s, struct conn *c);
/* Whether fetch_stream_send_small() would do it. */
bool fetch_stream_is_small(const struct fetch_stream *s);
/*
 * Finds the length of the literal: s->left, once it says STEP_DONE. It is
 * counted, never taken from a file name, and only as far as will be sent.
 * Reads a few megabytes per call; STEP_MORE: call again.
 */
enum step fetch_stream_measure(struct fetch_stream *s, struct err *e);
/*
 * Sends some of it. STEP_MORE: the connection is full, or others should have
 * their turn. The literal always has the length that was announced: a file that
 * shrank meanwhile is padded with blanks, and *is_short says so.
 */
enum step fetch_stream_send(
    struct fetch_stream *s, struct conn *c, bool *is_short, struct err *e);

/* Appends `s` to `b` in wire form; *after_cr carries over between calls. */
void wire_convert(struct buf *b, struct str s, bool *after_cr);

#endif
