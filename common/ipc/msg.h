/* SPDX-License-Identifier: ISC */
/*
 * msg.h - one message between processes: a frame header and typed fields.
 *
 *	frame = u8 version (1), u8 number of descriptors, u16 type, field...
 *	field = u8 kind, value; numbers are big-endian; str and blob carry a
 *	        u32 length
 *
 * The writer appends to a struct buf. The reader is sticky: after the first
 * field that is not there as asked, every get yields 0 or an empty slice, and
 * msg_end() says so; decoders are straight lines with one check at their end.
 * Field functions work on any bytes, also without a frame header.
 */
#ifndef IPC_MSG_H
#define IPC_MSG_H

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

/*
 * Message types are one number space, so that a channel can carry the messages
 * of two headers: chan_child 1.., chan_log 32.., chan_grant 40.., chan_login
 * 48.., chan_session 64.., chan_ctl 80.., chan_auth 96.., chan_key 112..,
 * chan_try 128.., chan_spool 144..
 */
#define MSG_VERSION 1
#define MSG_HEADER_BYTES 4

/* ---- writing ---- */

/* Empties `b` and writes the frame header. b's maximum: MSG_MAX_BYTES. */
void msg_begin(struct buf *b, uint16_t type, unsigned n_fds);
void msg_put_u8(struct buf *b, uint8_t v);
void msg_put_u16(struct buf *b, uint16_t v);
void msg_put_u32(struct buf *b, uint32_t v);
void msg_put_u64(struct buf *b, uint64_t v);
void msg_put_bool(struct buf *b, bool v);
/* Text: the reader refuses a NUL byte in it. */
void msg_put_str(struct buf *b, struct str s);
/* Any bytes. */
void msg_put_blob(struct buf *b, struct str s);

/* ---- reading ---- */

struct msg_in {
	uint16_t type;
	unsigned n_fds; /* as the header says; chan checks that it is true */
	struct str rest; /* not yet read */
	bool bad; /* a field was missing, of another kind, out of range */
};

/* Reads the frame header. ERR_VIOLATION: too short or another version. */
int msg_parse(struct str bytes, struct msg_in *in, struct err *e);
/* Starts on fields that have no frame header around them. */
void msg_fields(struct str bytes, struct msg_in *in);
uint8_t msg_get_u8(struct msg_in *in);
uint16_t msg_get_u16(struct msg_in *in);
uint32_t msg_get_u32(struct msg_in *in);
uint64_t msg_get_u64(struct msg_in *in);
bool msg_get_bool(struct msg_in *in);
/* At most `max` bytes without a NUL; a slice into the message. */
struct str msg_get_str(struct msg_in *in, size_t max);
struct str msg_get_blob(struct msg_in *in, size_t max);
/* A number in [min, max]. */
uint32_t msg_get_range(struct msg_in *in, uint32_t min, uint32_t max);
/* Marks the message as bad: a decoder found a value that can not be. */
void msg_refuse(struct msg_in *in);
/* 0 when every field was good and nothing is left, else ERR_VIOLATION. */
int msg_end(const struct msg_in *in, struct err *e);

#endif
