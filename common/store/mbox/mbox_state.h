/* SPDX-License-Identifier: ISC */
/*
 * mbox_state.h - what an mbox message says of itself in headers that clients
 * do not see: UID, flags, keywords, length (formats.md 6.6, 6.7, 7.6).
 */
#ifndef STORE_MBOX_STATE_H
#define STORE_MBOX_STATE_H

#include "base/buf.h"

enum mbox_field {
	MBOX_VISIBLE, /* any other field */
	MBOX_STATUS,
	MBOX_X_STATUS,
	MBOX_X_KEYWORDS,
	MBOX_X_UID,
	MBOX_X_IMAP,
	MBOX_X_IMAPBASE,
	MBOX_CONTENT_LENGTH,
};

/* Letters that are kept of each of the two fields. */
enum { MBOX_OTHERS_MAX = 16 };

struct mbox_state {
	bool has_status; /* Status, X-Status or X-Keywords was there */
	bool is_old; /* letter O: \Recent no more */
	uint8_t flags; /* enum msg_flag */
	/* Letters of Status and X-Status that mean nothing to us. */
	char others[MBOX_OTHERS_MAX], x_others[MBOX_OTHERS_MAX];
	uint8_t n_others, n_x_others;
	bool has_uid_field, has_keywords;
	uint32_t uid; /* 0: none, or not a number */
	struct str keywords; /* a slice of the header */
	bool has_base; /* X-IMAPbase or X-IMAP, well formed */
	bool is_pseudo; /* X-IMAP */
	uint32_t uidvalidity, last_uid;
	bool last_uid_fixed; /* written with ten digits */
	struct str base_keywords;
	uint32_t last_uid_at; /* offset of its digits in the header */
	bool has_length;
	uint64_t length;
	uint64_t hash; /* of fields that name the message; for matching */
};

/* Which of the fields that hold state has this name, in any case of letters. */
enum mbox_field mbox_field_of(struct str name);
/* A field that clients do not see, by its whole text "Name: ...". */
bool mbox_is_hidden(struct str field);
/* Reads a header block, with or without its blank line. */
void mbox_state_parse(struct str header, struct mbox_state *out);
/* The next name of a list of keywords; false at the end. */
bool mbox_keyword_next(struct str *list, struct str *name);

/* What is to be written for one message. */
struct mbox_words {
	bool is_first; /* with X-IMAPbase */
	bool is_pseudo; /* with X-IMAP, and nothing else */
	uint32_t uidvalidity, last_uid;
	struct str base_keywords; /* " a b c", or empty */
	uint32_t uid; /* 0: no X-UID */
	bool is_old;
	uint8_t flags;
	struct str keywords; /* "a b c", or empty */
	struct str others, x_others; /* letters to keep */
	bool has_length;
	uint64_t length;
	bool crlf;
};

/*
 * Appends the fields, in the order that all programs can read, with `padding`
 * spaces behind the value that is longest. *last_uid_at, if given: offset of
 * the ten digits of last_uid in what was appended.
 */
void mbox_state_write(
    struct buf *out, const struct mbox_words *w, size_t padding);

/* A hash that stays the same between processes. */
uint64_t mbox_hash(uint64_t h, struct str bytes);
#define MBOX_HASH_INIT UINT64_C(0xcbf29ce484222325)

#endif
