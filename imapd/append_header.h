/* SPDX-License-Identifier: ISC */
/*
 * append_header.h - 8-bit in the header of a message that is being appended,
 * found while its bytes pass (RFC 9755 section 4).
 */
#ifndef IMAPD_APPEND_HEADER_H
#define IMAPD_APPEND_HEADER_H

#include "base/str.h"

/* All zero: a message begins. */
struct append_header {
	bool is_over; /* the blank line was there */
	bool in_line; /* the line has a byte already */
};

/* The next bytes of the message; false: there is 8-bit in the header. */
bool append_header_feed(struct append_header *h, struct str piece);

#endif
