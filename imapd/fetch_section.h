/* SPDX-License-Identifier: ISC */
/*
 * fetch_section.h - where BODY[...] lies in a message (RFC 3501 section 6.4.5).
 */
#ifndef IMAPD_FETCH_SECTION_H
#define IMAPD_FETCH_SECTION_H

#include "imapd/fetch_plan.h"
#include "store/msg.h"

enum section_kind {
	SECTION_NIL, /* there is no such part */
	SECTION_BYTES, /* made for the answer, in wire form */
	SECTION_RANGE, /* stored bytes of the message */
};

struct section_value {
	enum section_kind kind;
	struct str bytes; /* SECTION_BYTES, in the arena, partial applied */
	uint64_t off, len; /* SECTION_RANGE, partial not applied */
};

/* What BODY[...] is of a message whose parts are known. ERR_GONE. */
int fetch_section_find(struct msg *m, const struct fetch_section *sec,
    struct arena *a, struct section_value *out, struct err *e);

/* The wanted fields of a header block and its blank line, in wire form. */
struct str fetch_section_filter(
    const struct fetch_section *sec, struct str block, struct arena *a);

/* The part at a path of numbers; NULL when there is none. */
const struct part *fetch_section_part(
    const struct part *root, const uint32_t *numbers, size_t n);

#endif
