/* SPDX-License-Identifier: ISC */
/*
 * append_job.c - the messages of an APPEND or a REPLACE.
 *
 * Owns:    the messages until they are committed; the draft's file.
 * Runs in: imapd, as the mail user.
 * Trusts:  nothing; sizes meet the limit before the first byte is wanted, and
 *          messages go to disk as they come, never to memory.
 * Spec:    RFC 3501 section 6.3.11, RFC 3502 (MULTIAPPEND), RFC 3516
 *          (literal8), RFC 4466, RFC 4469 (CATENATE, BADURL, TOOBIG), RFC 6855
 *          section 4 (UTF8), RFC 7888 (LITERAL+), RFC 9738, RFC 9755 section 4
 *          (8-bit in headers).
 *
 * ARGS --literal announced--> DIRECT --its last byte--> ARGS
 * ARGS --literal8, CATENATE, UTF8--> TEXT, URL <--> PARTS --) --> DRAFT --> ARGS
 * ARGS --end of the line--> complete
 */
#include "imapd/append_job.h"

#include <unistd.h>

#include "imap/imap_date.h"
#include "imap/imap_set.h"
#include "imapd/append_url.h"
#include "imapd/client.h"
#include "imapd/flags.h"
#include "imapd/limit.h"
#include "imapd/reply.h"
#include "imapd/session.h"
#include "os/file.h"

#define PARSE_BYTES (64 * 1024)
#define BADURL_MAX 4000

/* ---- arguments ----------------------------------------------------------------- */

/* append-data: where it is, and what follows it. */
static const char *
data_parse(struct cmd *c, const struct imap_arg *a, struct message_args *out)
{
	out->behind = a->type == IMAP_ARG_END ? a : a + 1;
	out->data = a;
	if (a->type == IMAP_ARG_STREAM) {
		out->form = a->binary ? APPEND_LITERAL8 : APPEND_LITERAL;
		return NULL;
	}
	if (imap_arg_word(&a, "CATENATE"))
		out->form = APPEND_CATENATE;
	else if (c->s->utf8 && imap_arg_word(&a, "UTF8"))
		out->form = APPEND_UTF8;
	else
		return "Message literal expected";
	if (!imap_arg_list(&a, &out->data))
		return "List expected";
	out->behind = a;
	return NULL;
}

/* [SP flag-list] [SP date-time] SP append-data. NULL: good. */
static const char *
message_args_parse(
    struct cmd *c, const struct imap_arg *a, struct message_args *out)
{
	const struct imap_arg *list;
	struct str date;
	int zone;

	*out = (struct message_args){.date_s = -1};
	if (imap_arg_list(&a, &list) &&
	    !flags_parse(list, c->arena, &out->flags))
		return "Flag list expected";
	if (a->type == IMAP_ARG_QUOTED) {
		date = a->s;
		if (!imap_date_time_parse(date, &out->date_s, &zone))
			return "Date expected: \"dd-Mon-yyyy hh:mm:ss +zzzz\"";
		a++;
	}
	return data_parse(c, a, out);
}

const char *
append_job_fault(struct cmd *c, const struct imap_arg *a)
{
	struct message_args m;

	return message_args_parse(c, a, &m);
}

/* ---- refusals ------------------------------------------------------------------ */

enum step
append_job_refuse(struct cmd *c, const struct err *e)
{
	/* The client may create it and try again (RFC 3501 section 7.1). */
	if (e->code == ERR_NOT_FOUND)
		return reply_no(c, "TRYCREATE", "No such mailbox");
	if (e->code == ERR_UNSUPPORTED)
		return reply_no(
		    c, "UNKNOWN-CTE", "Can not be stored with these NULs");
	return reply_err(c, e);
}

static enum step
refuse_size(struct cmd *c)
{
	return reply_no(c, "TOOBIG", "Message too large");
}

/* STEP_FAIL: answered. */
static enum step
check_header(struct cmd *c, struct append_job *j, struct str piece)
{
	if (append_header_feed(&j->header, piece))
		return STEP_DONE;
	(void)reply_no(
	    c, "CANNOT", "8-bit in the header: ENABLE UTF8=ACCEPT first");
	return STEP_FAIL;
}

/* TEXT-CHARs but "]" (RFC 4469 section 5: url-resp-text). */
static enum step
refuse_url(struct cmd *c, struct str url)
{
	char code[BADURL_MAX + 16];
	size_t n = sizeof("BADURL ") - 1;

	memcpy(code, "BADURL ", n);
	for (size_t i = 0; i < url.n && i < BADURL_MAX; i++) {
		char ch = url.p[i];

		code[n++] = ch < ' ' || ch > '~' || ch == ']' ? '?' : ch;
	}
	/* There must be something. */
	if (url.n == 0)
		code[n++] = '?';
	code[n] = '\0';
	return reply_no(c, code, "No such message or part");
}

/* Is it the URL that is wrong, or did something else fail? */
static bool
is_of_url(const struct err *e)
{
	static const enum err_code codes[] = {ERR_NOT_FOUND, ERR_GONE,
	    ERR_SYNTAX, ERR_BAD_NAME, ERR_PERM, ERR_LIMIT, ERR_UNSUPPORTED};

	for (size_t i = 0; i < ARRAY_LEN(codes); i++)
		if (e->code == codes[i])
			return true;
	return false;
}

/* ---- the draft ----------------------------------------------------------------- */

static void
draft_end(struct draft *d)
{
	if (d->parser != NULL)
		(void)part_parser_finish(d->parser);
	if (d->fd != -1)
		close(d->fd);
	*d = (struct draft){.fd = -1};
}

/* What a mailbox of lines might not give back (append_encode.h). */
static void
look(struct draft *d, struct str s)
{
	const char *end = s.p + s.n, *lf = s.p;

	d->has_nul |= memchr(s.p, '\0', s.n) != NULL;
	while ((lf = memchr(lf, '\n', (size_t)(end - lf))) != NULL) {
		char one = lf > s.p ? lf[-1] : d->last[1];
		char two = lf > s.p + 1 ? lf[-2]
		    : lf > s.p          ? d->last[1]
					: d->last[0];

		d->has_lone_lf |= one != '\r';
		d->has_odd_cr |= one == '\r' && two == '\r';
		if (++lf == end)
			break;
	}
	d->last[0] = s.n > 1 ? end[-2] : d->last[1];
	d->last[1] = end[-1];
}

static int
draft_add(struct append_job *j, struct str bytes, struct err *e)
{
	struct draft *d = &j->draft;

	if (d->fd == -1)
		d->fd = append_scratch(j->append, e);
	if (d->fd == -1 || file_write(d->fd, bytes, e) == -1)
		return -1;
	if (bytes.n > 0)
		look(d, bytes);
	d->size += bytes.n;
	return 0;
}

/* As it is. */
static void
plan_plain(struct cmd *c, struct draft *d)
{
	d->plan.pieces = arena_new(c->arena, 1, sizeof(*d->plan.pieces));
	d->plan.pieces[0] =
	    (struct encode_piece){.kind = ENCODE_COPY, .len = d->size};
	d->plan.n = 1;
	d->plan.size = d->size;
}

/* Reads the draft to see which of its parts are to be encoded. */
static enum step
draft_parse(struct cmd *c, struct draft *d, struct err *e)
{
	char room[PARSE_BYTES] UNINITIALIZED;
	struct part *root;
	size_t got;

	if (d->parser == NULL)
		d->parser = part_parser_new(c->arena, &mime_limits_default);
	while (d->parsed < d->size) {
		if (file_read_at(
			d->fd, d->parsed, room, sizeof(room), &got, e) == -1)
			return STEP_FAIL;
		if (got == 0)
			break;
		part_parser_feed(d->parser, str_make(room, got));
		d->parsed += got;
		if (cmd_time_is_up(c))
			return STEP_MORE;
	}
	root = part_parser_finish(d->parser);
	d->parser = NULL;
	return encode_plan_make(c->arena, d->fd, d->size, root, d->has_odd_cr,
		   &d->plan, e) == 0
	    ? STEP_DONE
	    : STEP_FAIL;
}

static enum step
draft_plan(struct cmd *c, struct draft *d, struct err *e)
{
	enum step step = STEP_DONE;

	if (d->is_planned)
		return STEP_DONE;
	if (d->may_encode && (d->has_nul || d->has_lone_lf || d->has_odd_cr))
		step = draft_parse(c, d, e);
	else
		plan_plain(c, d);
	d->is_planned = step == STEP_DONE;
	d->run = (struct encode_run){.plan = &d->plan, .fd = d->fd};
	return step;
}

/* The draft, as it is to be stored, to the store. */
static enum step
draft_store(struct cmd *c, struct append_job *j, struct err *e)
{
	struct draft *d = &j->draft;
	char *room;
	struct str piece;
	enum step step;

	if (!d->is_begun) {
		step = append_may_add(j->append, d->plan.size, e);
		if (step != STEP_DONE)
			return step;
		if (append_message(j->append, &j->m.flags, j->m.date_s,
			d->plan.size, e) == -1)
			return STEP_FAIL;
		d->is_begun = true;
	}
	room = arena_new(c->arena, 2, ENCODE_ROOM);
	do {
		if (encode_next(&d->run, room, &piece, e) == -1 ||
		    (piece.n > 0 && append_data(j->append, piece, e) == -1))
			return STEP_FAIL;
	} while (piece.n > 0 && !cmd_time_is_up(c));
	return piece.n > 0 ? STEP_MORE : STEP_DONE;
}

/* STEP_FAIL: answered. */
static enum step
draft_step(struct cmd *c, struct append_job *j)
{
	struct arena_mark mark;
	struct err e;
	enum step step;

	if (j->draft.size == 0) {
		(void)reply_no(c, "CANNOT", "Message is empty");
		return STEP_FAIL;
	}
	step = draft_plan(c, &j->draft, &e);
	if (step == STEP_DONE && j->draft.plan.size > c->s->append_max_bytes) {
		(void)refuse_size(c);
		return STEP_FAIL;
	}
	if (step == STEP_DONE) {
		mark = arena_mark(c->arena);
		step = draft_store(c, j, &e);
		arena_rewind(c->arena, mark);
	}
	if (step == STEP_FAIL)
		(void)append_job_refuse(c, &e);
	if (step != STEP_DONE)
		return step;
	draft_end(&j->draft);
	j->messages++;
	j->phase = APPEND_ARGS;
	return STEP_MORE;
}

/* ---- literals ------------------------------------------------------------------ */

/* Behind a literal the arguments begin anew (imap_lex_forget_args). */
static bool
take_args(struct cmd *c, struct append_job *j)
{
	const struct imap_arg *a = c->args;

	j->awaits_args = false;
	if (j->m.form == APPEND_LITERAL || j->m.form == APPEND_LITERAL8) {
		j->at = a;
		return true;
	}
	if (!imap_arg_list(&a, &j->part))
		return false;
	j->at = a;
	if (!j->in_inner)
		return true;
	j->in_inner = false;
	return imap_arg_list(&j->part, &a) && imap_arg_end(a);
}

/* Its bytes, as far as they have come. STEP_FAIL: answered. */
static enum step
take_data(struct cmd *c, struct append_job *j)
{
	bool is_direct = j->phase == APPEND_DIRECT;
	struct str piece;
	struct err e;

	while (client_literal_left(c) > 0) {
		piece = client_literal_peek(c);
		if (piece.n == 0)
			return client_wait(c);
		/* RFC 3501: CHAR8 is any octet but NUL. */
		if (!j->draft.may_encode && str_find(piece, '\0') < piece.n) {
			(void)reply_bad(c, "NUL in a message");
			return STEP_FAIL;
		}
		if (check_header(c, j, piece) == STEP_FAIL)
			return STEP_FAIL;
		if ((is_direct ? append_data(j->append, piece, &e)
			       : draft_add(j, piece, &e)) == -1) {
			(void)append_job_refuse(c, &e);
			return STEP_FAIL;
		}
		client_literal_consume(c, piece.n);
		if (cmd_time_is_up(c))
			return STEP_MORE;
	}
	j->awaits_args = true;
	if (is_direct)
		j->phase = APPEND_ARGS;
	else
		j->phase =
		    j->m.form == APPEND_LITERAL8 ? APPEND_DRAFT : APPEND_PARTS;
	return client_more_args(c);
}

/* A literal that becomes part of the draft is asked for. STEP_FAIL: answered. */
static enum step
begin_text(struct cmd *c, struct append_job *j, const struct imap_arg *a)
{
	if (a->size > c->s->append_max_bytes ||
	    j->draft.size > c->s->append_max_bytes - a->size) {
		(void)refuse_size(c);
		return STEP_FAIL;
	}
	j->draft.may_encode |= a->binary;
	j->phase = APPEND_TEXT;
	j->parts++;
	client_literal_accept(c);
	return STEP_MORE;
}

/* ---- CATENATE ------------------------------------------------------------------ */

static enum step
fail_bad(struct cmd *c, const char *why)
{
	(void)reply_bad(c, why);
	return STEP_FAIL;
}

static enum step
begin_url(struct cmd *c, struct append_job *j)
{
	struct err e;

	if (append_url_open(c, j->url_text, &j->url, &e) == -1) {
		(void)refuse_url(c, j->url_text);
		return STEP_FAIL;
	}
	j->phase = APPEND_URL;
	j->parts++;
	return STEP_MORE;
}

/* cat-part (RFC 4469 section 5, RFC 6855 section 8). */
static enum step
next_catenated(struct cmd *c, struct append_job *j)
{
	const struct imap_arg *list;

	if (imap_arg_word(&j->part, "TEXT"))
		return j->part->type == IMAP_ARG_STREAM
		    ? begin_text(c, j, j->part)
		    : fail_bad(c, "Literal expected behind TEXT");
	if (imap_arg_word(&j->part, "URL"))
		return imap_arg_astring(&j->part, &j->url_text)
		    ? begin_url(c, j)
		    : fail_bad(c, "URL expected");
	if (!c->s->utf8 || !imap_arg_word(&j->part, "UTF8") ||
	    !imap_arg_list(&j->part, &list) || list->type != IMAP_ARG_STREAM ||
	    !list->binary)
		return fail_bad(c, "TEXT or URL expected");
	j->in_inner = true;
	return begin_text(c, j, list);
}

/* The next part of the list, or its end. STEP_FAIL: answered. */
static enum step
next_part(struct cmd *c, struct append_job *j)
{
	bool is_utf8 = j->m.form == APPEND_UTF8;

	if (imap_arg_end(j->part)) {
		if (j->parts == 0)
			return fail_bad(c, "Part of a message expected");
		j->phase = APPEND_DRAFT;
		return STEP_MORE;
	}
	if (!is_utf8)
		return next_catenated(c, j);
	if (j->parts > 0 || j->part->type != IMAP_ARG_STREAM ||
	    !j->part->binary)
		return fail_bad(c, "One literal8 expected");
	return begin_text(c, j, j->part);
}

/* STEP_FAIL: answered. */
static enum step
take_url(struct cmd *c, struct append_job *j)
{
	struct buf b;
	struct err e;
	enum step step;
	bool is_over, is_written = true, is_refused = false;

	buf_init(&b, APPEND_URL_ROOM);
	do {
		buf_clear(&b);
		step = append_url_next(j->url, &b, &e);
		is_over = b.n > c->s->append_max_bytes - j->draft.size;
		if (step == STEP_FAIL || is_over || b.n == 0)
			continue;
		is_refused = check_header(c, j, buf_str(&b)) == STEP_FAIL;
		is_written = is_refused || draft_add(j, buf_str(&b), &e) == 0;
	} while (step == STEP_MORE && !is_over && !is_refused && is_written &&
	    !cmd_time_is_up(c));
	buf_done(&b);
	if (is_refused)
		return STEP_FAIL;
	if (step == STEP_FAIL && is_of_url(&e))
		(void)refuse_url(c, j->url_text);
	else if (step == STEP_FAIL || !is_written)
		(void)reply_err(c, &e);
	else if (is_over)
		(void)refuse_size(c);
	if (step == STEP_FAIL || !is_written || is_over)
		return STEP_FAIL;
	if (step == STEP_DONE) {
		append_url_close(&j->url);
		j->phase = APPEND_PARTS;
	}
	return STEP_MORE;
}

/* ---- messages ------------------------------------------------------------------ */

static enum step
open_mailbox(struct cmd *c, struct append_job *j, struct err *e)
{
	enum step step = STEP_DONE;

	if (j->is_open)
		return STEP_DONE;
	do
		step = append_begin(c->s->store, j->name, &j->append, e);
	while (step == STEP_MORE && !cmd_time_is_up(c));
	j->is_open = step == STEP_DONE;
	if (j->is_open && j->opened != NULL)
		j->opened(c, j->append);
	return step;
}

/* A literal that the mailbox takes as it comes. */
static enum step
begin_direct(struct cmd *c, struct append_job *j, struct err *e)
{
	uint64_t size = j->m.data->size;
	enum step step = append_may_add(j->append, size, e);

	if (step != STEP_DONE)
		return step;
	if (append_message(j->append, &j->m.flags, j->m.date_s, size, e) == -1)
		return STEP_FAIL;
	j->messages++;
	j->phase = APPEND_DIRECT;
	client_literal_accept(c);
	return STEP_DONE;
}

/* The arguments of the next message. STEP_FAIL: answered. */
static enum step
next_message(struct cmd *c, struct append_job *j)
{
	const char *why = message_args_parse(c, j->at, &j->m);
	bool is_literal = j->m.form == APPEND_LITERAL;
	enum step step;
	struct err e;

	if (why != NULL)
		return fail_bad(c, why);
	if (j->m.data->type == IMAP_ARG_STREAM &&
	    j->m.data->size > c->s->append_max_bytes) {
		(void)refuse_size(c);
		return STEP_FAIL;
	}
	if (is_literal && j->m.data->size == 0) {
		(void)reply_no(c, "CANNOT", "Message is empty");
		return STEP_FAIL;
	}
	if (limit_save_exceeded(c->s, (uint32_t)j->messages + 1) != 0) {
		(void)limit_refuse(c, (uint32_t)j->messages, 0);
		return STEP_FAIL;
	}
	j->header = (struct append_header){
	    .is_over = session_has_utf8(c->s) || c->s->append_8bit};
	step = open_mailbox(c, j, &e);
	if (step == STEP_DONE && is_literal)
		step = begin_direct(c, j, &e);
	if (step == STEP_FAIL)
		(void)append_job_refuse(c, &e);
	if (step != STEP_DONE || is_literal)
		return step == STEP_FAIL ? step : STEP_MORE;
	j->at = j->m.behind;
	j->part = j->m.data;
	j->parts = 0;
	if (j->m.form == APPEND_LITERAL8)
		return begin_text(c, j, j->m.data);
	j->phase = APPEND_PARTS;
	return STEP_MORE;
}

static enum step
step_on(struct cmd *c, struct append_job *j)
{
	switch (j->phase) {
	case APPEND_ARGS:
		break;
	case APPEND_DIRECT:
	case APPEND_TEXT:
		return take_data(c, j);
	case APPEND_PARTS:
		return next_part(c, j);
	case APPEND_URL:
		return take_url(c, j);
	case APPEND_DRAFT:
		return draft_step(c, j);
	}
	if (imap_arg_end(j->at) && j->messages > 0)
		return STEP_DONE;
	if (j->messages > 0 && j->is_single)
		return fail_bad(c, "One message expected");
	return next_message(c, j);
}

enum step
append_job_step(struct cmd *c, struct append_job *j, bool *complete)
{
	enum append_phase before;
	enum step step;

	*complete = false;
	if (j->awaits_args && !take_args(c, j))
		return reply_bad(c, "End of the list expected");
	/* Phases follow each other at once; what waits does so in one. */
	do {
		before = j->phase;
		step = step_on(c, j);
	} while (step == STEP_MORE && j->phase != before && !j->awaits_args &&
	    !cmd_time_is_up(c));
	*complete = step == STEP_DONE;
	return step == STEP_FAIL ? STEP_DONE : step;
}

enum step
append_job_commit(struct cmd *c, struct append_job *j, uint32_t *uidvalidity,
    struct set32 *uids, struct err *e)
{
	enum step step;

	do
		step = append_commit(j->append, uidvalidity, uids, e);
	while (step == STEP_MORE && !append_yields(j->append) &&
	    !cmd_time_is_up(c));
	if (step == STEP_MORE && append_yields(j->append))
		cmd_yield(c);
	return step;
}

void
append_job_write_uids(
    struct buf *b, uint32_t uidvalidity, const struct set32 *uids)
{
	if (uidvalidity == 0)
		return;
	buf_addf(b, "APPENDUID %u ", uidvalidity);
	imap_set_write(b, uids);
	buf_add_byte(b, '\0');
	if (buf_is_over(b))
		b->n = 0;
}

void
append_job_init(struct append_job *j, const struct imap_arg *first)
{
	j->at = first;
	j->draft.fd = -1;
}

void
append_job_done(struct append_job *j)
{
	append_url_close(&j->url);
	draft_end(&j->draft);
	append_free(&j->append);
}
