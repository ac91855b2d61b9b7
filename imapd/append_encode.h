/* SPDX-License-Identifier: ISC */
/*
 * append_encode.h - a message that came as literal8 in a form that can be stored
 * and fetched: parts with NULs, or with line ends that would not come back as
 * they are, become base64 (RFC 3516 section 4.4).
 */
#ifndef IMAPD_APPEND_ENCODE_H
#define IMAPD_APPEND_ENCODE_H

#include "mime/part.h"

enum encode_kind {
	ENCODE_COPY, /* bytes of the message as they are */
	ENCODE_HEADER, /* a part's header, which now says base64 */
	ENCODE_BASE64, /* bytes of the message, encoded */
};

struct encode_piece {
	enum encode_kind kind;
	uint64_t off, len; /* of the message */
	struct str bytes; /* ENCODE_HEADER */
	bool ends_line; /* ENCODE_BASE64: a line end comes behind it */
};

/* Zeroed: nothing. All lies in the arena. */
struct encode_plan {
	struct encode_piece *pieces;
	size_t n;
	uint64_t size; /* of what comes out */
};

/*
 * What becomes of the message in `fd`, `size` bytes, whose tree is `root`.
 * `odd_cr`: there is a CR before a CRLF somewhere. ERR_UNSUPPORTED: what would
 * have to be encoded is no part that can be; ERR_LIMIT: headers too large.
 */
int encode_plan_make(struct arena *a, int fd, uint64_t size,
    const struct part *root, bool odd_cr, struct encode_plan *out,
    struct err *e);

/* How far it has been carried out; zeroed at first but for plan and fd. */
struct encode_run {
	const struct encode_plan *plan;
	int fd;
	size_t piece;
	uint64_t at; /* of its bytes */
};

/* Bytes that encode_next() needs room for, twice. */
#define ENCODE_ROOM ((size_t)57 * 1024)
/*
 * The next bytes, in `room` or the plan; none at the end. ERR_UNSUPPORTED: a NUL
 * where none can be.
 */
int encode_next(struct encode_run *r, char room[2 * ENCODE_ROOM],
    struct str *out, struct err *e);

#endif
