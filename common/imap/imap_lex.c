/* SPDX-License-Identifier: ISC */
/*
 * imap_lex.c - a client's bytes to one command at a time.
 *
 * Owns:    struct imap_lex.
 * Runs in: login workers (small limits) and imapd.
 * Trusts:  nothing; each byte meets a state, each size a limit before memory.
 * Spec:    RFC 3501 section 9 (command, literal, quoted), RFC 7888 (LITERAL+),
 *          RFC 3516 (literal8), RFC 4469 (CATENATE). Lines end in CRLF; a lone CR or LF is an error.
 *
 * An error does not end the line: it is skipped to its CRLF, with those
 * literals that the client sends without waiting, so that no byte of a broken
 * command is ever taken for the next one.
 */
#include "imap/imap_lex.h"

#include "base/assert.h"
#include "base/num.h"
#include "imap/imap_char.h"
#include "text/utf8.h"

enum outcome {
	TAKE, /* the byte is used */
	AGAIN, /* another state looks at the same byte */
	EVENT_TAKE, /* as TAKE, and feed() returns l->event... */
	EVENT_KEEP, /* ...leaving the byte for the next call */
};

struct result {
	enum outcome outcome;
	enum imap_lex_event event;
};

#define RESULT(o) ((struct result){.outcome = (o), .event = IMAP_LEX_MORE})
#define EVENT(o, e) ((struct result){.outcome = (o), .event = (e)})

enum { BUF_KEEP_BYTES = 512, VEC_KEEP = 16 };
/* Bytes of "{digits+}" that are looked for in a string that was not closed. */
enum { SIZE_DIGITS_MAX = 64 };

/* The "{digits+}" at the end of a skipped line. */
enum { BRACE_NONE, BRACE_OPEN, BRACE_DIGITS, BRACE_PLUS, BRACE_CLOSED };

/* ---- errors ---------------------------------------------------------------- */

/*
 * An error may come amid "{3+}", or right behind it: what announces a literal
 * announces it all the same.
 */
static void
brace_to_skip(struct imap_lex *l)
{
	l->skip_size = l->literal_left;
	switch (l->state) {
	case IMAP_LEX_IN_BRACE:
		l->skip_brace = l->literal_digits ? BRACE_DIGITS : BRACE_OPEN;
		break;
	case IMAP_LEX_IN_BRACE_END:
		l->skip_brace = BRACE_PLUS;
		break;
	case IMAP_LEX_IN_BRACE_CR:
	case IMAP_LEX_IN_BRACE_LF:
		l->skip_brace = l->literal_nonsync ? BRACE_CLOSED : BRACE_NONE;
		break;
	default:
		l->skip_brace = BRACE_NONE;
	}
}

static struct result
bad(struct imap_lex *l, const char *why)
{
	if (l->why == NULL)
		l->why = why;
	brace_to_skip(l);
	l->state = IMAP_LEX_IN_SKIP;
	return RESULT(AGAIN);
}

void
imap_lex_reject(struct imap_lex *l, const char *why)
{
	(void)bad(l, why);
}

/* Digits of a size; one that is too large for a number stays so. */
static void
add_digit(uint64_t *size, char c)
{
	uint64_t digit = (uint64_t)(c - '0');

	if (!num_mul(*size, UINT64_C(10), size) ||
	    !num_add(*size, digit, size) || *size > INT64_MAX)
		*size = UINT64_MAX / 10 + 1;
}

/* So much will not be read for nothing (RFC 7888 section 4). */
static struct result
give_up(struct imap_lex *l)
{
	if (l->why == NULL)
		l->why = "Literal too large";
	l->too_big = l->must_close = true;
	return EVENT(EVENT_TAKE, IMAP_LEX_BAD);
}

/* Follows the line's end through "{", digits, "+", "}". */
static void
skip_follow(struct imap_lex *l, char c)
{
	if (c == '{') {
		l->skip_brace = BRACE_OPEN;
		l->skip_size = 0;
	} else if (c >= '0' && c <= '9' &&
	    (l->skip_brace == BRACE_OPEN || l->skip_brace == BRACE_DIGITS)) {
		l->skip_brace = BRACE_DIGITS;
		add_digit(&l->skip_size, c);
	} else if (c == '+' && l->skip_brace == BRACE_DIGITS) {
		l->skip_brace = BRACE_PLUS;
	} else if (c == '}' && l->skip_brace == BRACE_PLUS) {
		l->skip_brace = BRACE_CLOSED;
	} else if (c != '\r' || l->skip_brace != BRACE_CLOSED) {
		l->skip_brace = BRACE_NONE;
	}
}

/*
 * As bad(), where the end of the line may be at fault: the "{3+}" before it is
 * the size of a literal all the same (RFC 7888 section 3).
 */
static struct result
bad_in_text(struct imap_lex *l, const char *why)
{
	struct result r = bad(l, why);
	size_t n = l->text.n < SIZE_DIGITS_MAX ? l->text.n : SIZE_DIGITS_MAX;

	for (size_t i = l->text.n - n; i < l->text.n; i++)
		skip_follow(l, l->text.p[i]);
	return r;
}

static struct result
in_skip(struct imap_lex *l, char c)
{
	if (c != '\n') {
		skip_follow(l, c);
		return RESULT(TAKE);
	}
	if (l->skip_brace == BRACE_CLOSED &&
	    l->skip_size > l->limits.skip_bytes)
		return give_up(l);
	if (l->skip_brace == BRACE_CLOSED && l->skip_size > 0) {
		l->literal_left = l->skip_size;
		l->skip_brace = BRACE_NONE;
		l->state = IMAP_LEX_IN_SKIP_LITERAL;
		return RESULT(TAKE);
	}
	if (l->skip_brace == BRACE_CLOSED) {
		l->skip_brace = BRACE_NONE;
		return RESULT(TAKE);
	}
	return EVENT(EVENT_TAKE, IMAP_LEX_BAD);
}

/* ---- arguments -------------------------------------------------------------- */

static struct imap_arg *
arg_add(struct imap_lex *l, enum imap_arg_type type)
{
	struct imap_arg *a = VEC_ADD(&l->done);

	l->n_args++;
	a->type = type;
	return a;
}

/* Moves what was added to `done` since `from` to the arena, with its END. */
static const struct imap_arg *
args_take(struct imap_lex *l, size_t from)
{
	size_t n = l->done.n - from;
	struct imap_arg *list = arena_new(l->arena, n + 1, sizeof(*list));

	if (n > 0)
		memcpy(list, l->done.v + from, n * sizeof(*list));
	list[n].type = IMAP_ARG_END;
	l->done.n = from;
	return list;
}

/* Ends the token in `text` as an argument of `type`. */
static void
text_done(struct imap_lex *l, enum imap_arg_type type)
{
	struct imap_arg *a = arg_add(l, type);

	a->s = arena_str(l->arena, buf_str(&l->text));
	buf_clear(&l->text);
	l->state = IMAP_LEX_AFTER_ARG;
}

/* BODY[ and its like: what stands behind it is a section. */
static bool
is_section_item(const struct imap_lex *l)
{
	static const struct str items[] = {
	    STR_LIT("BODY"),
	    STR_LIT("BODY.PEEK"),
	    STR_LIT("BINARY"),
	    STR_LIT("BINARY.PEEK"),
	    STR_LIT("BINARY.SIZE"),
	};
	size_t i;

	for (i = 0; i < ARRAY_LEN(items); i++)
		if (str_eq_nocase(buf_str(&l->text), items[i]))
			return true;
	return false;
}

/* RFC 3501: tag. */
static struct result
in_tag(struct imap_lex *l, char c)
{
	if (imap_char_is(c, IMAP_CHAR_TAG)) {
		buf_add_byte(&l->text, c);
		return RESULT(TAKE);
	}
	if (l->text.n == 0 || (c != ' ' && c != '\r'))
		return bad(l, "Tag expected");
	l->tag = arena_str(l->arena, buf_str(&l->text));
	buf_clear(&l->text);
	if (c == '\r')
		return bad(l, "Command expected");
	l->state = IMAP_LEX_IN_NAME;
	return RESULT(TAKE);
}

static struct result
in_name(struct imap_lex *l, char c)
{
	if (imap_char_is(c, IMAP_CHAR_ATOM)) {
		buf_add_byte(&l->text, c);
		return RESULT(TAKE);
	}
	if (l->text.n == 0 || (c != ' ' && c != '\r'))
		return bad(l, "Command expected");
	if (c == ' ' && !l->uid &&
	    str_eq_nocase(buf_str(&l->text), STR("UID"))) {
		l->uid = true;
		buf_clear(&l->text);
		return RESULT(TAKE);
	}
	l->name = arena_str(l->arena, buf_str(&l->text));
	buf_clear(&l->text);
	l->state = IMAP_LEX_BEHIND_NAME;
	return EVENT(EVENT_KEEP, IMAP_LEX_NAME);
}

static struct result
behind_name(struct imap_lex *l, char c)
{
	l->state = c == '\r' ? IMAP_LEX_IN_CR : IMAP_LEX_IN_ARG;
	return RESULT(TAKE);
}

static struct result
list_open(struct imap_lex *l)
{
	if (l->lists.n >= l->limits.nesting)
		return bad(l, "Too many nested lists");
	(void)arg_add(l, IMAP_ARG_LIST);
	*VEC_ADD(&l->lists) = l->done.n;
	return RESULT(TAKE);
}

static struct result
list_close(struct imap_lex *l)
{
	size_t from = l->lists.v[--l->lists.n];
	const struct imap_arg *list = args_take(l, from);

	l->done.v[from - 1].list = list;
	l->state = IMAP_LEX_AFTER_ARG;
	return RESULT(TAKE);
}

static void
brace_begin(struct imap_lex *l, bool binary)
{
	l->literal_binary = binary;
	l->literal_digits = l->literal_nonsync = false;
	l->literal_left = 0;
	l->state = IMAP_LEX_IN_BRACE;
}

static struct result
in_arg(struct imap_lex *l, char c)
{
	if (l->n_args >= l->limits.args)
		return bad(l, "Too many arguments");
	switch (c) {
	case '(':
		return list_open(l);
	case ')':
		if (l->lists.n == 0 || l->done.n != l->lists.v[l->lists.n - 1])
			return bad(l, "Argument expected before )");
		return list_close(l);
	case '"':
		l->state = IMAP_LEX_IN_QUOTED;
		return RESULT(TAKE);
	case '{':
		brace_begin(l, false);
		return RESULT(TAKE);
	case '~':
		l->state = IMAP_LEX_IN_TILDE;
		return RESULT(TAKE);
	default:
		if (!imap_char_is(c, IMAP_CHAR_TOKEN))
			return bad(l, "Argument expected");
		l->state = IMAP_LEX_IN_ATOM;
		return RESULT(AGAIN);
	}
}

static struct result
in_tilde(struct imap_lex *l, char c)
{
	if (c == '{') {
		brace_begin(l, true);
		return RESULT(TAKE);
	}
	buf_add_byte(&l->text, '~');
	l->state = IMAP_LEX_IN_ATOM;
	return RESULT(AGAIN);
}

static struct result
in_atom(struct imap_lex *l, char c)
{
	if (c == '[' && l->sections && is_section_item(l)) {
		l->in_section_list = false;
		l->state = IMAP_LEX_IN_SECTION;
	} else if (!imap_char_is(c, IMAP_CHAR_TOKEN)) {
		text_done(l, IMAP_ARG_ATOM);
		return RESULT(AGAIN);
	}
	buf_add_byte(&l->text, c);
	return RESULT(TAKE);
}

/* May 8-bit bytes stand in a string of this command? */
static bool
is_8bit(const struct imap_lex *l, char c)
{
	return (l->utf8 || l->raw8bit) && (c & 0x80) != 0;
}

/* RFC 3501: section. "]" inside the list of header names is part of one. */
static struct result
in_section(struct imap_lex *l, char c)
{
	if (c == '{') {
		l->in_section = true;
		brace_begin(l, false);
		return RESULT(TAKE);
	}
	if ((unsigned char)c < ' ' || (unsigned char)c > '~')
		return bad(l, "Section not closed by ]");
	if (c == '(')
		l->in_section_list = true;
	else if (c == ')')
		l->in_section_list = false;
	else if (c == '"')
		l->state = IMAP_LEX_IN_SECTION_QUOTED;
	else if (c == ']' && !l->in_section_list)
		l->state = IMAP_LEX_IN_ATOM;
	buf_add_byte(&l->text, c);
	return RESULT(TAKE);
}

static struct result
in_section_quoted(struct imap_lex *l, char c)
{
	if (c == '\\')
		l->state = IMAP_LEX_IN_SECTION_ESCAPE;
	else if (c == '"')
		l->state = IMAP_LEX_IN_SECTION;
	else if (!imap_char_is(c, IMAP_CHAR_QUOTED) && !is_8bit(l, c))
		return bad_in_text(l, "Byte not allowed in a quoted string");
	buf_add_byte(&l->text, c);
	return RESULT(TAKE);
}

static struct result
in_section_escape(struct imap_lex *l, char c)
{
	if (c != '"' && c != '\\')
		return bad(l, "Wrong escape in a quoted string");
	buf_add_byte(&l->text, c);
	l->state = IMAP_LEX_IN_SECTION_QUOTED;
	return RESULT(TAKE);
}

/* RFC 3501: quoted. */
static struct result
in_quoted(struct imap_lex *l, char c)
{
	if (c == '\\') {
		l->state = IMAP_LEX_IN_ESCAPE;
	} else if (c == '"') {
		if (l->utf8 && !l->raw8bit && !utf8_is_valid(buf_str(&l->text)))
			return bad(l, "Quoted string is not UTF-8");
		text_done(l, IMAP_ARG_QUOTED);
	} else if (imap_char_is(c, IMAP_CHAR_QUOTED) || is_8bit(l, c)) {
		buf_add_byte(&l->text, c);
	} else {
		return bad_in_text(l, "Byte not allowed in a quoted string");
	}
	return RESULT(TAKE);
}

static struct result
in_escape(struct imap_lex *l, char c)
{
	if (c != '"' && c != '\\')
		return bad(l, "Wrong escape in a quoted string");
	buf_add_byte(&l->text, c);
	l->state = IMAP_LEX_IN_QUOTED;
	return RESULT(TAKE);
}

static struct result
after_arg(struct imap_lex *l, char c)
{
	if (c == ' ') {
		l->state = IMAP_LEX_IN_ARG;
		return RESULT(TAKE);
	}
	if (c == ')' && l->lists.n > 0)
		return list_close(l);
	if (c == '\r' && l->lists.n == 0) {
		l->state = IMAP_LEX_IN_CR;
		return RESULT(TAKE);
	}
	return bad(l,
	    c == '\r'       ? "List not closed"
		: c == '\n' ? "Line must end with CRLF"
			    : "Space expected behind an argument");
}

static struct result
in_cr(struct imap_lex *l, char c)
{
	if (c != '\n')
		return bad(l, "CR without LF");
	l->args = args_take(l, 0);
	return EVENT(EVENT_TAKE, IMAP_LEX_DONE);
}

/* ---- literals --------------------------------------------------------------- */

/* RFC 3501: literal; RFC 7888: "+" (and "-") before the "}". */
static struct result
in_brace(struct imap_lex *l, char c)
{
	if (c >= '0' && c <= '9') {
		l->literal_digits = true;
		add_digit(&l->literal_left, c);
		return RESULT(TAKE);
	}
	if (!l->literal_digits || (c != '+' && c != '}'))
		return bad(l, "Literal size expected");
	l->literal_nonsync = c == '+';
	l->state = c == '+' ? IMAP_LEX_IN_BRACE_END : IMAP_LEX_IN_BRACE_CR;
	return RESULT(TAKE);
}

static struct result
in_brace_end(struct imap_lex *l, char c)
{
	if (c != '}')
		return bad(l, "Literal size expected");
	l->state = IMAP_LEX_IN_BRACE_CR;
	return RESULT(TAKE);
}

static struct result
in_brace_cr(struct imap_lex *l, char c)
{
	if (c != '\r')
		return bad(l, "CRLF expected behind a literal's size");
	l->state = IMAP_LEX_IN_BRACE_LF;
	return RESULT(TAKE);
}

/* The literal can not be taken; what was announced is swallowed or not sent. */
static struct result
literal_refused(struct imap_lex *l, const char *why)
{
	(void)bad(l, why);
	l->skip_brace = BRACE_NONE;
	if (!l->literal_nonsync)
		return EVENT(EVENT_TAKE, IMAP_LEX_BAD);
	if (l->literal_left > l->limits.skip_bytes)
		return give_up(l);
	if (l->literal_left > 0)
		l->state = IMAP_LEX_IN_SKIP_LITERAL;
	return RESULT(TAKE);
}

/* The arguments so far, open lists too; `done` stays as it is. */
static void
args_show(struct imap_lex *l)
{
	size_t n = l->done.n, i, from;
	const struct imap_arg *list;

	for (i = l->lists.n; i > 0; i--) {
		from = l->lists.v[i - 1];
		list = args_take(l, from);
		l->done.v[from - 1].list = list;
	}
	l->args = args_take(l, 0);
	l->done.n = n;
	for (list = l->args; list->type != IMAP_ARG_STREAM;)
		if (list[1].type == IMAP_ARG_END)
			list = list->list;
		else
			list++;
	l->stream_arg = list;
}

static bool
is_word(const struct imap_arg *a, const char *word)
{
	return a->type == IMAP_ARG_ATOM && str_eq_nocase(a->s, str_of(word));
}

/* Is the literal that begins here left to the owner? */
static bool
is_streamed(const struct imap_lex *l)
{
	size_t from;

	if (l->stream == 0 || l->n_args < l->stream)
		return false;
	if (l->lists.n == 0)
		return true;
	from = l->lists.v[l->lists.n - 1];
	if (l->done.n > from)
		return is_word(&l->done.v[l->done.n - 1], "TEXT");
	return from >= 2 && is_word(&l->done.v[from - 2], "UTF8");
}

static struct result
literal_streamed(struct imap_lex *l)
{
	struct imap_arg *a = arg_add(l, IMAP_ARG_STREAM);

	a->size = l->literal_left;
	a->binary = l->literal_binary;
	a->nonsync = l->literal_nonsync;
	args_show(l);
	l->state = IMAP_LEX_AFTER_ARG;
	return EVENT(EVENT_TAKE, IMAP_LEX_STREAM);
}

static struct result
in_brace_lf(struct imap_lex *l, char c)
{
	if (c != '\n')
		return bad(l, "CRLF expected behind a literal's size");
	if (l->literal_left > INT64_MAX ||
	    (l->literal_nonsync && l->literal_left > l->limits.nonsync_bytes)) {
		l->too_big = true;
		return literal_refused(l,
		    l->literal_left > INT64_MAX
			? "Literal too large"
			: "Literal too large to be sent without waiting");
	}
	if (is_streamed(l))
		return literal_streamed(l);
	if (l->literal_left > l->limits.literal_bytes - l->literal_sum) {
		l->too_big = true;
		return literal_refused(l, "Literal too large");
	}
	l->literal_sum += (uint32_t)l->literal_left;
	l->state = IMAP_LEX_IN_LITERAL;
	if (l->in_section)
		buf_add_byte(&l->text, '"');
	if (l->literal_nonsync)
		return RESULT(TAKE);
	return EVENT(EVENT_TAKE, IMAP_LEX_LITERAL);
}

/* A header name as literal within a section becomes a quoted string there. */
static bool
section_literal_add(struct imap_lex *l, struct str piece)
{
	size_t i;

	for (i = 0; i < piece.n; i++) {
		if (!imap_char_is(piece.p[i], IMAP_CHAR_TEXT) &&
		    !is_8bit(l, piece.p[i]))
			return false;
		if (piece.p[i] == '"' || piece.p[i] == '\\')
			buf_add_byte(&l->text, '\\');
		buf_add_byte(&l->text, piece.p[i]);
	}
	return true;
}

static bool
literal_add(struct imap_lex *l, struct str piece)
{
	if (l->in_section)
		return section_literal_add(l, piece);
	if (!l->literal_binary && str_find(piece, '\0') < piece.n)
		return false;
	return buf_add_str(&l->text, piece);
}

static void
literal_end(struct imap_lex *l)
{
	if (l->in_section) {
		buf_add_byte(&l->text, '"');
		l->in_section = false;
		l->state = IMAP_LEX_IN_SECTION;
		return;
	}
	text_done(l, IMAP_ARG_LITERAL);
	l->done.v[l->done.n - 1].binary = l->literal_binary;
	l->done.v[l->done.n - 1].nonsync = l->literal_nonsync;
}

/* Bytes of a literal, kept or skipped; returns how many were used. */
static size_t
literal_feed(struct imap_lex *l, struct str in)
{
	struct str piece = in;

	if (piece.n > l->literal_left)
		piece.n = (size_t)l->literal_left;
	l->literal_left -= piece.n;
	if (l->state == IMAP_LEX_IN_LITERAL && !literal_add(l, piece)) {
		(void)bad(l, "Byte not allowed in a literal");
		l->state = IMAP_LEX_IN_SKIP_LITERAL;
	}
	if (l->literal_left == 0) {
		if (l->state == IMAP_LEX_IN_LITERAL)
			literal_end(l);
		else
			l->state = IMAP_LEX_IN_SKIP;
	}
	return piece.n;
}

/* ---- feeding ---------------------------------------------------------------- */

typedef struct result state_fn(struct imap_lex *l, char c);

static state_fn *const states[] = {
    [IMAP_LEX_IN_TAG] = in_tag,
    [IMAP_LEX_IN_NAME] = in_name,
    [IMAP_LEX_BEHIND_NAME] = behind_name,
    [IMAP_LEX_IN_ARG] = in_arg,
    [IMAP_LEX_IN_ATOM] = in_atom,
    [IMAP_LEX_IN_SECTION] = in_section,
    [IMAP_LEX_IN_SECTION_QUOTED] = in_section_quoted,
    [IMAP_LEX_IN_SECTION_ESCAPE] = in_section_escape,
    [IMAP_LEX_IN_QUOTED] = in_quoted,
    [IMAP_LEX_IN_ESCAPE] = in_escape,
    [IMAP_LEX_IN_BRACE] = in_brace,
    [IMAP_LEX_IN_BRACE_END] = in_brace_end,
    [IMAP_LEX_IN_BRACE_CR] = in_brace_cr,
    [IMAP_LEX_IN_BRACE_LF] = in_brace_lf,
    [IMAP_LEX_IN_TILDE] = in_tilde,
    [IMAP_LEX_AFTER_ARG] = after_arg,
    [IMAP_LEX_IN_CR] = in_cr,
    [IMAP_LEX_IN_SKIP] = in_skip,
};

static struct result
byte_feed(struct imap_lex *l, char c)
{
	struct result r;

	if (l->state != IMAP_LEX_IN_SKIP &&
	    l->line_bytes >= l->limits.line_bytes)
		(void)bad(l, "Command line too long");
	do
		r = states[l->state](l, c);
	while (r.outcome == AGAIN);
	if (r.outcome != EVENT_KEEP && l->state != IMAP_LEX_IN_SKIP)
		l->line_bytes++;
	return r;
}

enum imap_lex_event
imap_lex_feed(struct imap_lex *l, struct str in, size_t *used)
{
	struct result r;
	size_t i = 0;

	ASSERT(l->arena != NULL);
	for (;;) {
		if (l->state == IMAP_LEX_IN_LITERAL ||
		    l->state == IMAP_LEX_IN_SKIP_LITERAL) {
			i += literal_feed(l, str_skip(in, i));
			if (l->literal_left > 0)
				break;
		}
		if (i == in.n)
			break;
		r = byte_feed(l, in.p[i]);
		if (r.outcome != EVENT_KEEP)
			i++;
		if (r.outcome != TAKE) {
			*used = i;
			return r.event;
		}
	}
	*used = i;
	return IMAP_LEX_MORE;
}

/* ---- streams ---------------------------------------------------------------- */

void
imap_lex_abandon_stream(struct imap_lex *l, uint64_t left, const char *why)
{
	(void)bad(l, why);
	l->literal_left = left;
	if (left > 0)
		l->state = IMAP_LEX_IN_SKIP_LITERAL;
}

bool
imap_lex_refuse_stream(struct imap_lex *l, const char *why)
{
	imap_lex_abandon_stream(l, l->literal_left, why);
	return !l->literal_nonsync;
}

void
imap_lex_forget_args(struct imap_lex *l)
{
	for (size_t i = 0; i < l->lists.n; i++) {
		l->done.v[i] = (struct imap_arg){.type = IMAP_ARG_LIST};
		l->lists.v[i] = i + 1;
	}
	l->done.n = l->lists.n;
}

/* ---- beginning and end ------------------------------------------------------ */

void
imap_lex_init(struct imap_lex *l)
{
	*l = (struct imap_lex){0};
}

void
imap_lex_done(struct imap_lex *l)
{
	buf_done(&l->text);
	VEC_DONE(&l->done);
	VEC_DONE(&l->lists);
	*l = (struct imap_lex){0};
}

/* Takes over what may stay allocated, small as it is. */
void
imap_lex_begin(struct imap_lex *l, const struct imap_lex_limits *limits,
    struct arena *arena)
{
	struct imap_lex fresh = {.arena = arena, .limits = *limits};

	if (l->text.size > BUF_KEEP_BYTES)
		buf_done(&l->text);
	if (l->done.size > VEC_KEEP)
		VEC_DONE(&l->done);
	if (l->lists.size > VEC_KEEP)
		VEC_DONE(&l->lists);
	fresh.text = l->text;
	buf_clear(&fresh.text);
	fresh.done.v = l->done.v;
	fresh.done.size = l->done.size;
	fresh.lists.v = l->lists.v;
	fresh.lists.size = l->lists.size;
	*l = fresh;
	/* Escapes and quotes at most double what the limits let in. */
	l->text.max_bytes = SIZE_MAX / 2;
}

bool
imap_lex_is_idle(const struct imap_lex *l)
{
	return l->state == IMAP_LEX_IN_TAG && l->text.n == 0;
}
