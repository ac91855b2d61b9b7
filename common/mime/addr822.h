/* SPDX-License-Identifier: ISC */
/* addr822.h - address lists of header fields (RFC 5322 section 3.4, 4.4). */
#ifndef MIME_ADDR822_H
#define MIME_ADDR822_H

#include "mime/part.h"

/*
 * Appends the addresses of an unfolded field value at *tail, at most *max of
 * them (which is then less by as many), and returns the new tail. Names and
 * local parts are without quotes, groups as part.h says. What is missing is an
 * empty string. Bytes that are no address list have a defined result too:
 *
 *	root              mailbox "root", host ""
 *	Joe Doe           name "Joe Doe", mailbox and host ""
 *	Joe joe@x         as Joe <joe@x>
 *	joe@x <joe@y>     name "joe@x"
 *	joe@x (Joe)       name "Joe", the old form
 *	(nobody)          no address
 *	<joe@x            the ">" is not missed
 */
struct mime_addr **addr822_parse(
    struct arena *a, struct str value, uint32_t *max, struct mime_addr **tail);

#endif
