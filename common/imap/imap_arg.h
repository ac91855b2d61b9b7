/* SPDX-License-Identifier: ISC */
/*
 * imap_arg.h - a command's arguments as a tree in the command's arena.
 *
 * "FETCH 1:* (FLAGS BODY.PEEK[HEADER.FIELDS (DATE)]<0.10>)" becomes
 *   ATOM "1:*", LIST( ATOM "FLAGS", ATOM "BODY.PEEK[HEADER.FIELDS (DATE)]<0.10>")
 * The lexer knows that an atom which contains "[" runs on to its "]" and
 * may hold blanks, lists, quoted strings there (RFC 3501: section), kept raw;
 * a literal in there has become a quoted string. "]" does not end the section
 * inside its parentheses or quotes. Only BODY, BODY.PEEK, BINARY* begin one:
 * "[" is a common byte of mailbox names elsewhere.
 */
#ifndef IMAP_IMAP_ARG_H
#define IMAP_IMAP_ARG_H

#include "base/arena.h"
#include "base/str.h"

enum imap_arg_type {
	IMAP_ARG_END, /* behind the last one of every list */
	IMAP_ARG_ATOM, /* also numbers, sets, flags with their backslash, NIL */
	IMAP_ARG_QUOTED, /* unescaped */
	IMAP_ARG_LITERAL, /* in memory */
	IMAP_ARG_STREAM, /* a literal left on the wire: only `size` is known */
	IMAP_ARG_LIST, /* parenthesised */
};

struct imap_arg {
	enum imap_arg_type type;
	struct str s; /* ATOM, QUOTED, LITERAL */
	const struct imap_arg *list; /* LIST: first element, ends with END */
	uint64_t size; /* STREAM: bytes to come */
	bool binary; /* literal8 (~{n}) */
	bool nonsync; /* LITERAL+ / LITERAL- */
};

/*
 * Typed access. Each looks at **a, and on a match stores the value and steps
 * *a to the next argument; on a mismatch returns false and steps nothing.
 */
bool imap_arg_end(const struct imap_arg *a);
bool imap_arg_atom(const struct imap_arg **a, struct str *out);
/* astring: atom, quoted or literal (RFC 3501: astring). */
bool imap_arg_astring(const struct imap_arg **a, struct str *out);
/* nstring: NIL gives out->p == NULL. */
bool imap_arg_nstring(const struct imap_arg **a, struct str *out);
bool imap_arg_string(const struct imap_arg **a, struct str *out);
/* list-mailbox: as astring, an atom may also hold "%" and "*". */
bool imap_arg_list_mailbox(const struct imap_arg **a, struct str *out);
bool imap_arg_list(const struct imap_arg **a, const struct imap_arg **first);
/* number, or nz-number (no leading zero) when min > 0. */
bool imap_arg_u32(const struct imap_arg **a, uint32_t min, uint32_t *out);
bool imap_arg_u64(const struct imap_arg **a, uint64_t *out);
/* The atom `word`, compared without regard to case. */
bool imap_arg_word(const struct imap_arg **a, const char *word);

/* All from `a` to its END with lists and strings, for longer than a command. */
const struct imap_arg *imap_arg_copy(
    struct arena *arena, const struct imap_arg *a);
/* Bytes of all its strings. */
size_t imap_arg_bytes(const struct imap_arg *a);

#endif
