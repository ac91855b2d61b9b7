/* SPDX-License-Identifier: ISC */
/*
 * part.h - the tree of a message's parts with byte and line counts, from one
 * pass over its bytes (RFC 2045, RFC 2046). Any bytes are a message.
 *
 * "Physical" offsets count bytes as stored (LF or CRLF or a mixture);
 * "wire" sizes count every line end as CRLF, as clients see it.
 */
#ifndef MIME_PART_H
#define MIME_PART_H

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

struct mime_param {
	struct str name; /* as written */
	struct str value; /* unquoted, as sent in BODYSTRUCTURE */
	struct mime_param *next;
};

struct mime_addr {
	struct str
	    name; /* display name as written (encoded words stay) or NULL */
	struct str adl; /* route or NULL */
	struct str
	    mailbox; /* local part; group name at a group's start; NULL at its end */
	struct str
	    host; /* domain; NULL marks group start and end (RFC 3501 7.4.2) */
	struct mime_addr *next;
};

/* RFC 3501 section 7.4.2 ENVELOPE; absent fields have p == NULL. */
struct envelope {
	struct str date, subject, in_reply_to, message_id; /* unfolded */
	struct mime_addr *from, *sender, *reply_to, *to, *cc, *bcc;
};

struct part {
	struct part *parent, *child, *next;
	uint32_t n_children;
	/* Where it lies in the stored message. */
	uint64_t header_off, header_len; /* len includes the blank line */
	uint64_t body_off, body_len;
	uint64_t header_wire, body_wire; /* the same lengths in CRLF form */
	uint32_t body_lines; /* BODYSTRUCTURE's line count */
	uint32_t header_lines;
	/* Content-*: in the arena; defaults are filled in (RFC 2045 5.2). */
	struct str type, subtype; /* as written, "text"/"plain" default */
	struct mime_param *params; /* with charset=us-ascii default for text */
	struct str id, description, encoding /* "7bit" default */, md5;
	struct str disposition; /* p == NULL: none */
	struct mime_param *disposition_params;
	struct str language_raw,
	    location; /* Content-Language list is split by the writer */
	struct envelope *envelope; /* root and message/rfc822's child */
	bool is_multipart,
	    is_message; /* is_message: message/rfc822 or /global */
	bool has_nul; /* body holds NUL */
};

/* What is beyond is left out, or makes the message one opaque part. */
struct mime_limits {
	uint32_t depth, parts, header_block_bytes, field_bytes, addresses,
	    params;
};
extern const struct mime_limits mime_limits_default; /* base/bounds.h */

struct part_parser;

/* Push parser: feed pieces of any size, then finish. All in `a`. */
struct part_parser *part_parser_new(
    struct arena *a, const struct mime_limits *limits);
/* The same without envelopes, for who wants the parts alone. */
struct part_parser *part_parser_new_bare(
    struct arena *a, const struct mime_limits *limits);
void part_parser_feed(struct part_parser *p, struct str piece);
/* Never fails; the root is part 0 of the message. */
struct part *part_parser_finish(struct part_parser *p);
/* The part behind `p` in the order of the message; NULL: it is the last of `root`. */
const struct part *part_next(const struct part *p, const struct part *root);

/*
 * The header block alone (for ENVELOPE): `block` is the raw header with or
 * without its blank line.
 */
void envelope_parse(struct arena *a, struct str block,
    const struct mime_limits *limits, struct envelope *out);

#endif
