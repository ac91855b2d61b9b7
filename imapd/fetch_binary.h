/* SPDX-License-Identifier: ISC */
/*
 * fetch_binary.h - BINARY[...]: a part of a stored message as it goes on the
 * wire once its transfer encoding is undone (RFC 3516, RFC 9051 section 6.4.5).
 * Nothing is held: what has to be known first (the size, and whether there are
 * NULs) is found by decoding twice.
 */
#ifndef IMAPD_FETCH_BINARY_H
#define IMAPD_FETCH_BINARY_H

#include "imapd/fetch_section.h"
#include "mime/body.h"
#include "net/conn.h"
#include "text/base64.h"
#include "text/qp.h"

/* A place in a part, before and behind the decoding; can be copied. */
struct binary_place {
	uint64_t off; /* stored bytes from the message's start */
	uint64_t out; /* decoded bytes from the part's start */
	bool after_cr, at_end;
	struct base64_decoder base64;
	struct qp_decoder qp;
};

struct fetch_binary {
	struct msg *msg;
	enum body_encoding encoding;
	uint64_t end; /* stored bytes: where the part ends */
	uint64_t start, stop; /* decoded bytes that are wanted */
	struct binary_place at; /* what is decoded next */
	struct binary_place first; /* the piece in which `start` lies */
	bool has_first;
	uint64_t left; /* bytes still to be sent; after measuring: the length */
	bool has_nul; /* among them: it must be a literal8 */
	struct binary_place last; /* before the piece that was sent last */
};

/*
 * Whether the part, if there is one, can be decoded; the tree must have been
 * parsed if the section names a part. What is no leaf is never encoded
 * (RFC 2045 section 6.4).
 */
int fetch_binary_can(
    struct msg *m, const struct fetch_section *sec, bool *can, struct err *e);
/*
 * Begins. *is_nil: there is no such part. `hint` may name a place of the same
 * part, where an earlier partial ended, or be NULL.
 */
int fetch_binary_init(struct fetch_binary *b, struct msg *m,
    const struct fetch_section *sec, const struct binary_place *hint,
    bool *is_nil, struct err *e);
/* Decodes some to find `left` and `has_nul`: known once it says STEP_DONE. */
enum step fetch_binary_measure(struct fetch_binary *b, struct err *e);
/* As fetch_stream_send(). */
enum step fetch_binary_send(
    struct fetch_binary *b, struct conn *c, bool *is_short);

#endif
