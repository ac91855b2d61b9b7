/* SPDX-License-Identifier: ISC */
/*
 * imap_lex.h - a client's bytes to one command at a time: tag, name, argument
 * tree. It works byte by byte and keeps its state between pieces of input, so
 * nothing is looked at twice. No I/O: its owner reads, and sends the "+".
 *
 *	imap_lex_begin(&lex, &arena);
 *	for (;;) {
 *		event = imap_lex_feed(&lex, input, &used);  consume `used`
 *		...
 *	}
 */
#ifndef IMAP_IMAP_LEX_H
#define IMAP_IMAP_LEX_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/vec.h"
#include "imap/imap_arg.h"

/* None of them may be "unlimited". */
struct imap_lex_limits {
	uint32_t line_bytes; /* of a command, without its literals */
	uint32_t nesting; /* lists within lists */
	uint32_t args; /* atoms, strings and lists together */
	uint32_t literal_bytes; /* all literals kept in memory, in sum */
	/* RFC 7888: the largest one that may come without waiting... */
	uint64_t nonsync_bytes;
	/* ...and that is skipped when it can not be taken: see must_close. */
	uint64_t skip_bytes;
};

enum imap_lex_event {
	IMAP_LEX_MORE, /* all input is used up, the command goes on */
	/*
	 * Tag and name are known (`tag`, `name`, `uid`). The owner may now set
	 * `limits`, `stream`, `sections`, or call imap_lex_reject().
	 */
	IMAP_LEX_NAME,
	/* The client waits for "+ " before it sends a literal of its command. */
	IMAP_LEX_LITERAL,
	/*
	 * A literal that is not kept: args ends with IMAP_ARG_STREAM, or with a
	 * list, not closed yet, that does; it is stream_arg. The owner either
	 * takes its bytes from the input, then feeds on; or leaves it with
	 * imap_lex_refuse_stream().
	 */
	IMAP_LEX_STREAM,
	IMAP_LEX_DONE, /* the command is whole: args */
	/*
	 * The line is not a command, or was rejected; `why` has the words, `tag`
	 * is empty when there was none. All bytes that belong to it are used,
	 * unless must_close.
	 */
	IMAP_LEX_BAD,
};

/*
 * TAG --SP--> NAME --SP--> ARG <--> ATOM, SECTION, QUOTED, LITERAL, AFTER
 * any --CRLF--> done            any --error--> SKIP --CRLF--> bad
 */
enum imap_lex_state {
	IMAP_LEX_IN_TAG,
	IMAP_LEX_IN_NAME,
	IMAP_LEX_BEHIND_NAME, /* NAME was returned; SP or CRLF follows */
	IMAP_LEX_IN_ARG, /* an argument must begin */
	IMAP_LEX_IN_ATOM,
	IMAP_LEX_IN_SECTION, /* between [ and ] of a FETCH item */
	IMAP_LEX_IN_SECTION_QUOTED, /* a quoted string in there */
	IMAP_LEX_IN_SECTION_ESCAPE,
	IMAP_LEX_IN_QUOTED,
	IMAP_LEX_IN_ESCAPE,
	IMAP_LEX_IN_BRACE, /* behind "{" */
	IMAP_LEX_IN_BRACE_END,
	IMAP_LEX_IN_BRACE_CR,
	IMAP_LEX_IN_BRACE_LF,
	IMAP_LEX_IN_LITERAL,
	IMAP_LEX_IN_TILDE, /* behind "~": literal8 or an atom */
	IMAP_LEX_AFTER_ARG,
	IMAP_LEX_IN_CR,
	IMAP_LEX_IN_SKIP,
	IMAP_LEX_IN_SKIP_LITERAL,
};

struct imap_lex {
	/* Results; slices and tree live in the arena. */
	struct str tag, name;
	bool uid; /* "UID FETCH": name is "FETCH" */
	const struct imap_arg *args; /* at DONE and STREAM, ends with END */
	const struct imap_arg *stream_arg; /* at STREAM */
	const char *why; /* at BAD */
	bool too_big; /* BAD because a literal was too large */
	bool must_close; /* ...so large that it will not even be skipped */

	/* Modes that the owner sets at NAME; begin() clears them. */
	struct imap_lex_limits limits;
	/*
	 * Literals behind so many arguments are not kept; within a list those
	 * alone that follow the atom TEXT (RFC 4469), or are the first of a
	 * list behind the atom UTF8 (RFC 6855). 0: all are kept.
	 */
	uint32_t stream;
	bool sections; /* BODY[...] and the like are one atom */
	bool utf8; /* UTF-8 in quoted strings, too (RFC 9755 section 3) */
	bool raw8bit; /* ...or any 8-bit; the owner judges it */

	/* The rest is private. */
	struct arena *arena;
	enum imap_lex_state state;
	struct buf text; /* the token that is being read */
	VEC(struct imap_arg) done; /* arguments, of open lists too */
	VEC(size_t) lists; /* where in `done` each open list began */
	uint32_t line_bytes, n_args, literal_sum;
	uint64_t literal_left;
	bool literal_binary, literal_nonsync, literal_digits;
	bool in_section, in_section_list;
	/* Skipping: how much of "{digits+}" the line's end looks like. */
	uint8_t skip_brace;
	uint64_t skip_size;
};

/* Owned by the caller, until imap_lex_done(); no command has begun. */
void imap_lex_init(struct imap_lex *l);
void imap_lex_done(struct imap_lex *l);
/*
 * A new command; its parts go to `arena`. Small memory of the last one is
 * kept, so an idle session costs a few hundred bytes.
 */
void imap_lex_begin(struct imap_lex *l, const struct imap_lex_limits *limits,
    struct arena *arena);
/* True before the first byte of a command. */
bool imap_lex_is_idle(const struct imap_lex *l);
/*
 * Reads on; *used says how many bytes of `in` were taken. May return before
 * all of `in` is used: call again with the rest.
 */
enum imap_lex_event imap_lex_feed(
    struct imap_lex *l, struct str in, size_t *used);
/*
 * The command will not be carried out: what is left of it is skipped, then
 * comes BAD with `why` (a constant).
 */
void imap_lex_reject(struct imap_lex *l, const char *why);
/*
 * After STREAM, with no byte of the literal taken. A literal that the client
 * waits to send is thereby over: true, the next command may begin. Otherwise
 * false: feed on until BAD, which has swallowed it.
 */
bool imap_lex_refuse_stream(struct imap_lex *l, const char *why);
/* The same with `left` bytes of the literal still to come. */
void imap_lex_abandon_stream(
    struct imap_lex *l, uint64_t left, const char *why);
/*
 * After STREAM and its bytes: forget the arguments told so far, so that the
 * next event brings the following ones alone (RFC 3502). A list that is not
 * closed yet begins anew.
 */
void imap_lex_forget_args(struct imap_lex *l);

#endif
