/* SPDX-License-Identifier: ISC */
/*
 * client.c - one client: input to commands, output with back-pressure, end.
 *
 * Owns:    struct client with its session, connection, arena and lexer.
 * Runs in: imapd, as the mail user, in turns of a few milliseconds.
 * Trusts:  nothing from the client.
 * Spec:    RFC 3501 sections 2.2, 5.4 (autologout), 5.5 (pipelining); RFC 7888
 *          for literals that are sent without waiting; RFC 9586 (UIDREQUIRED).
 *
 * READING --name, arguments--> RUNNING --tagged reply--> READING
 *    RUNNING --client_more_args--> GATHERING --arguments--> RUNNING
 *    RUNNING --reply before the literal's end--> SWALLOWING --> READING
 * any --LOGOUT, BYE, end of input--> ENDING --on_close--> gone
 */
#include "imapd/client.h"

#include <stdio.h>

#include "base/assert.h"
#include "base/bounds.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "imap/imap_lex.h"
#include "imap/imap_write.h"
#include "imapd/capability.h"
#include "imapd/commands.h"
#include "imapd/context.h"
#include "imapd/habit.h"
#include "imapd/notify.h"
#include "imapd/progress.h"
#include "imapd/reply.h"
#include "imapd/session.h"
#include "imapd/sync.h"

/* How long one turn may take; other sessions wait meanwhile. */
enum { TURN_MS = 4 };
/* Room for IMAP_SET_RANGES_MAX of them beside the ordinary line. */
enum { LONG_LINE_MAX = IMAP_LINE_MAX + 22 * IMAP_SET_RANGES_MAX };
enum { RAW_LINE_MAX = 1024 };
/* What comes with a literal: the end of the line, what TLS adds. */
enum { WIRE_SLACK = 256 };

/* RFC 7888 section 5: what LITERAL- lets a client send without waiting. */
enum { NONSYNC_SMALL_MAX = 4096 };

enum client_phase {
	CLIENT_READING,
	CLIENT_RUNNING,
	CLIENT_GATHERING,
	CLIENT_SWALLOWING,
	CLIENT_ENDING,
};

struct client {
	struct session s; /* first: handlers know only this */
	struct host *host;
	enum client_phase phase;
	struct imap_lex lex;
	struct arena arena; /* of the command */
	struct buf line; /* a raw line, as far as it has come */
	struct cmd cmd;
	int64_t turn_until_ms, begun_ms;
	uint64_t literal_left;
	bool literal_waits; /* announced; the client waits for "+" */
	bool in_stream; /* behind a literal; the line goes on */
	bool waiting; /* the handler wants input or news */
	bool locked_out; /* ...or the store a lock */
	struct store_waiter waiter;
	struct store_waiter push_waiter;
	const char *bye; /* say so when the command allows it */
	const char *why; /* how it ended, for the log */
	uint64_t n_commands;
};

static struct client *
client_of(const struct cmd *c)
{
	return CONTAINER_OF(c->s, struct client, s);
}

/* ---- the end ---------------------------------------------------------------- */

static void
cmd_end(struct client *cl)
{
	struct cmd *c = &cl->cmd;

	if (c->cleanup != NULL)
		c->cleanup(c);
	buf_done(&c->tagged);
	store_wait_end(&cl->waiter);
	if (cl->n_commands > 0 && c->def != NULL && log_is_debug())
		log_debug("command done user=<%s> name=%s ms=%lld", cl->s.user,
		    c->def->name, (long long)(clock_mono_ms() - cl->begun_ms));
	cl->cmd = (struct cmd){0};
	arena_reset(&cl->arena);
	cl->waiting = false;
	cl->literal_left = 0;
	cl->in_stream = false;
	buf_done(&cl->line);
}

static void
client_free(struct client *cl)
{
	cmd_end(cl);
	conn_free(&cl->s.conn);
	store_wait_end(&cl->push_waiter);
	session_done(&cl->s);
	imap_lex_done(&cl->lex);
	arena_done(&cl->arena);
	free(cl);
}

/* Nothing more is read; what is queued goes out, then on_close comes. */
static void
finish(struct client *cl, const char *why)
{
	if (cl->phase == CLIENT_ENDING)
		return;
	cl->phase = CLIENT_ENDING;
	cl->why = why;
	cmd_end(cl);
	notify_done(&cl->s);
	session_unselect(&cl->s);
	session_send(&cl->s);
	conn_finish(cl->s.conn);
}

static void
say_bye(struct client *cl, const char *text, const char *why)
{
	reply_begin(&cl->s);
	buf_add_c(&cl->s.out, "BYE ");
	imap_write_text(&cl->s.out, str_of(text));
	reply_end(&cl->s);
	finish(cl, why);
}

/*
 * A literal may be half out while a command runs that does not wait, and while
 * something is told without a command.
 */
static bool
is_between_replies(const struct client *cl)
{
	return (cl->phase != CLIENT_RUNNING || cl->waiting) &&
	    !notify_is_within(&cl->s) && !context_is_within(&cl->s);
}

void
client_bye(struct client *cl, const char *why)
{
	const char *copy = arena_c(&cl->s.arena, str_of(why));

	if (cl->phase == CLIENT_ENDING)
		return;
	if (is_between_replies(cl))
		say_bye(cl, copy, copy);
	else
		cl->bye = copy;
}

/* ---- events ------------------------------------------------------------------ */

static void
on_input(UNUSED struct conn *conn, void *arg)
{
	struct client *cl = arg;

	if (cl->phase == CLIENT_ENDING) {
		conn_consume(conn, conn_peek(conn).n);
		return;
	}
	cl->waiting = false;
	host_wake(cl->host, cl);
}

static void
on_drain(UNUSED struct conn *conn, void *arg)
{
	struct client *cl = arg;

	if (cl->phase != CLIENT_ENDING)
		host_wake(cl->host, cl);
}

static void
on_close(struct conn *conn, const struct err *why, void *arg)
{
	static const char bye[] = "* BYE Idle for too long\r\n";
	struct client *cl = arg;

	if (why->code == ERR_TIMEOUT && cl->phase != CLIENT_ENDING &&
	    is_between_replies(cl)) {
		conn_write(conn, bye, sizeof(bye) - 1);
		conn_flush(conn);
	}
	host_session_note(cl->host, cl, "commands=%llu reason=\"%s\"",
	    (unsigned long long)cl->n_commands,
	    cl->why != NULL                ? cl->why
		: why->code == ERR_TIMEOUT ? "idle"
					   : why->text);
	host_session_ended(cl->host, cl);
	client_free(cl);
}

static const struct conn_handlers handlers = {
    .on_input = on_input, .on_drain = on_drain, .on_close = on_close};

/* A literal that is not taken is skipped up to twice the largest message. */
static uint64_t
skip_max(const struct client *cl)
{
	uint64_t n = cl->s.append_max_bytes;

	return 2 * (n > IMAP_LITERAL_MAX ? n : IMAP_LITERAL_MAX);
}

static void
begin_line(struct client *cl)
{
	struct imap_lex_limits limits = {
	    .line_bytes = IMAP_LINE_MAX,
	    .nesting = IMAP_NESTING_MAX,
	    .args = IMAP_ARGS_MAX,
	    .literal_bytes = IMAP_LITERAL_MAX,
	    .nonsync_bytes =
		cl->s.literal_minus ? NONSYNC_SMALL_MAX : UINT64_MAX,
	    .skip_bytes = skip_max(cl),
	};

	imap_lex_begin(&cl->lex, &limits, &cl->arena);
}

/* ---- a new client ------------------------------------------------------------- */

static void
greet(struct client *cl, const struct host_peer *peer)
{
	struct buf *b = &cl->s.out;

	if (peer->tag.n > 0)
		buf_add_str(b, peer->tag);
	buf_add_c(b, peer->tag.n > 0 ? " OK [" : "* PREAUTH [");
	capability_write(&cl->s, b);
	buf_add_c(b, "] Logged in\r\n");
	session_send(&cl->s);
}

struct client *
client_new(struct host *h, struct conn *conn, const struct host_peer *peer)
{
	struct client *cl = mem_new(1, sizeof(*cl));
	struct session *s = &cl->s;

	cl->host = h;
	cl->waiter.fn = client_news;
	cl->waiter.arg = s;
	cl->push_waiter.fn = client_push;
	cl->push_waiter.arg = s;
	session_init(s, h, conn);
	arena_init(&cl->arena);
	buf_init(&cl->line, RAW_LINE_MAX);
	imap_lex_init(&cl->lex);
	begin_line(cl);
	s->user = arena_c(&s->arena, peer->user);
	s->remote_ip = arena_c(&s->arena, peer->remote_ip);
	if (peer->client_id.n > 0)
		log_info("client user=<%s> rip=%s id=%.*s", s->user,
		    s->remote_ip, STR_ARG(peer->client_id));
	conn_set_timeout(conn,
	    (int64_t)host_setting_seconds(h, "imap_idle_timeout", IMAP_IDLE_S) *
		1000);
	habit_init(s, peer->client_id);
	greet(cl, peer);
	conn_set_handlers(conn, &handlers, cl);
	return cl;
}

const char *
client_state(struct client *cl)
{
	static char text[MAILBOX_NAME_MAX_BYTES + 1];

	(void)snprintf(
	    text, sizeof(text), "%.*s", STR_ARG(session_mailbox(&cl->s)));
	return text;
}

void
client_rest(struct client *cl)
{
	if (cl->s.out.n == 0)
		buf_done(&cl->s.out);
}

/* ---- commands ------------------------------------------------------------------ */

static void
next_command(struct client *cl)
{
	cmd_end(cl);
	notify_command_ended(&cl->s);
	cl->phase = CLIENT_READING;
	begin_line(cl);
	if (cl->s.lost)
		say_bye(cl, "Selected mailbox was deleted", "mailbox deleted");
	else if (cl->s.logout)
		finish(cl, "logged out");
	else if (cl->bye != NULL)
		say_bye(cl, cl->bye, cl->bye);
}

/* RFC 7888 section 4: rather this than to read gigabytes for nothing. */
static void
say_too_big(struct client *cl)
{
	say_bye(cl, "[TOOBIG] Literal too large", "literal too large");
}

/* After the tagged reply: what the command has left on the wire goes. */
static void
cmd_replied(struct client *cl)
{
	bool swallow = false;

	if (cl->literal_waits)
		cl->literal_waits = false; /* the client will not send it */
	else if (cl->in_stream)
		swallow = true;
	if (!swallow) {
		next_command(cl);
		return;
	}
	if (cl->literal_left > skip_max(cl)) {
		say_too_big(cl);
		return;
	}
	imap_lex_abandon_stream(&cl->lex, cl->literal_left, "");
	cl->phase = CLIENT_SWALLOWING;
}

/* True when the words stand for an allowed command. */
static const char *
command_refusal(const struct client *cl, const struct command *def)
{
	unsigned state = cl->s.view == NULL ? IN_AUTH : IN_SELECTED;

	if (def == NULL)
		return "Unknown command";
	if (cl->lex.uid && (def->flags & (CMD_UID | CMD_UID_ONLY)) == 0)
		return "Unknown UID command";
	if (!cl->lex.uid && (def->flags & CMD_UID_ONLY) != 0)
		return "Only with UID";
	if ((def->states & state) == 0)
		return "No mailbox selected";
	/* RFC 9586 sections 3.2, 3.8: what is counted by sequence numbers. */
	if (cl->s.uid_only && !cl->lex.uid && (def->flags & CMD_UID) != 0 &&
	    (def->flags & CMD_NO_NUMBERS) == 0)
		return "[UIDREQUIRED] UIDONLY is enabled, use UID before it";
	return NULL;
}

/* Tag and name are known. */
static void
name_read(struct client *cl)
{
	const struct command *def = command_find(cl->lex.name);
	const char *why = command_refusal(cl, def);

	if (why != NULL) {
		imap_lex_reject(&cl->lex, why);
		return;
	}
	cl->cmd.def = def;
	if ((def->flags & (CMD_STREAM | CMD_STREAM_2)) != 0)
		cl->lex.stream = (def->flags & CMD_STREAM) != 0 ? 1 : 2;
	cl->lex.sections = (def->flags & CMD_SECTION) != 0;
	cl->lex.utf8 = true;
	cl->lex.raw8bit =
	    (def->flags & CMD_8BIT) != 0 && !session_has_utf8(&cl->s);
	if ((def->flags & CMD_LONG) != 0)
		cl->lex.limits.line_bytes = LONG_LINE_MAX;
}

/* The arguments are complete, or reach up to a literal. */
static void
args_read(struct client *cl, bool is_stream)
{
	struct cmd *c = &cl->cmd;
	const struct imap_arg *a = cl->lex.stream_arg;

	cl->literal_waits = false;
	cl->literal_left = 0;
	cl->in_stream = is_stream;
	if (is_stream) {
		cl->literal_left = a->size;
		cl->literal_waits = !a->nonsync;
	}
	c->args = cl->lex.args;
	if (cl->phase == CLIENT_READING) {
		c->s = &cl->s;
		c->arena = &cl->arena;
		c->tag = cl->lex.tag;
		c->uid = cl->lex.uid;
		cl->begun_ms = clock_mono_ms();
		progress_begin(c, cl->begun_ms);
		cl->n_commands++;
	}
	cl->phase = CLIENT_RUNNING;
}

static void
line_bad(struct client *cl)
{
	struct imap_lex *l = &cl->lex;
	struct buf *b = &cl->s.out;

	if (cl->phase != CLIENT_SWALLOWING) {
		buf_add_c(b, l->tag.n > 0 ? "" : "*");
		buf_add_str(b, l->tag);
		buf_addf(
		    b, " BAD %s%s\r\n", l->too_big ? "[TOOBIG] " : "", l->why);
	}
	if (l->must_close)
		say_too_big(cl);
	else
		next_command(cl);
}

/* Feeds the lexer; false when there is no more input. */
static bool
read_on(struct client *cl)
{
	struct str in = conn_peek(cl->s.conn);
	enum imap_lex_event ev;
	size_t used;

	if (in.n == 0) {
		if (conn_at_eof(cl->s.conn))
			finish(cl, "connection closed");
		return false;
	}
	ev = imap_lex_feed(&cl->lex, in, &used);
	conn_consume(cl->s.conn, used);
	switch (ev) {
	case IMAP_LEX_MORE:
		break;
	case IMAP_LEX_NAME:
		name_read(cl);
		break;
	case IMAP_LEX_LITERAL:
		buf_add_c(&cl->s.out, "+ OK\r\n");
		break;
	case IMAP_LEX_STREAM:
		if (cl->phase == CLIENT_SWALLOWING)
			break;
		args_read(cl, true);
		break;
	case IMAP_LEX_DONE:
		args_read(cl, false);
		break;
	case IMAP_LEX_BAD:
		line_bad(cl);
		break;
	}
	return true;
}

/* The handler, then what has changed, then the tagged reply. */
static enum step
step_on(struct cmd *c)
{
	enum step step = STEP_DONE;

	if (!c->is_replied && c->state == NULL && habit_must_wait(c->s, c->def))
		step = reply_no(c, "UNAVAILABLE", "Busy, come back later");
	else if (!c->is_replied)
		step = c->def->fn(c);
	if (step != STEP_DONE || !c->is_replied)
		return step;
	step = sync_tell(c);
	if (step == STEP_DONE)
		buf_add_str(&c->s->out, buf_str(&c->tagged));
	return step;
}

/* Calls the handler; false when it waits for an event. */
static bool
run(struct client *cl)
{
	struct cmd *c = &cl->cmd;

	switch (step_on(c)) {
	case STEP_DONE:
		cmd_replied(cl);
		return true;
	case STEP_MORE:
		if (!cl->waiting)
			progress_tell(c, clock_mono_ms());
		cl->locked_out =
		    !cl->waiting && store_wait(cl->s.store, &cl->waiter);
		cl->waiting = cl->waiting || cl->locked_out;
		if (!cl->waiting)
			return true;
		if (cl->bye != NULL && is_between_replies(cl))
			say_bye(cl, cl->bye, cl->bye);
		else if (conn_at_eof(cl->s.conn) && !cl->locked_out)
			finish(cl, "connection closed");
		return false;
	case STEP_FAIL:
	default:
		(void)reply_no(c, "SERVERBUG", "Internal error");
		cmd_replied(cl);
		return true;
	}
}

/*
 * What is to be told between commands (RFC 5465). True: it goes on, and at
 * once, unless a lock has to be waited for.
 */
static bool
push(struct client *cl)
{
	struct session *s = &cl->s;
	enum step step;

	if (cl->phase != CLIENT_READING || !notify_is_due(s))
		return false;
	step = notify_step(s, false);
	if (s->lost)
		say_bye(cl, "Selected mailbox was deleted", "mailbox deleted");
	else if (cl->bye != NULL && is_between_replies(cl))
		say_bye(cl, cl->bye, cl->bye);
	return step == STEP_MORE && !store_wait(s->store, &cl->push_waiter);
}

bool
client_turn(struct client *cl)
{
	bool more = true, pushes;

	cl->turn_until_ms = clock_mono_ms() + TURN_MS;
	while (
	    more && cl->phase != CLIENT_ENDING && !conn_is_full(cl->s.conn)) {
		pushes = push(cl);
		if (cl->phase == CLIENT_ENDING)
			break;
		if (notify_is_within(&cl->s) && cl->phase == CLIENT_READING)
			more = pushes;
		else if (cl->phase != CLIENT_RUNNING)
			more = read_on(cl) || pushes;
		else
			more = !cl->waiting && run(cl);
		if (clock_mono_ms() >= cl->turn_until_ms)
			break;
	}
	if (cl->phase != CLIENT_ENDING)
		session_send(&cl->s);
	return more && cl->phase != CLIENT_ENDING && !conn_is_full(cl->s.conn);
}

bool
cmd_time_is_up(struct cmd *c)
{
	return clock_mono_ms() >= client_of(c)->turn_until_ms ||
	    store_must_wait(c->s->store);
}

void
cmd_yield(struct cmd *c)
{
	client_of(c)->turn_until_ms = 0;
}

/* ---- for handlers --------------------------------------------------------------- */

enum step
client_wait(struct cmd *c)
{
	client_of(c)->waiting = true;
	return STEP_MORE;
}

void
client_go_on(struct cmd *c)
{
	client_of(c)->waiting = false;
}

void
client_news(void *session)
{
	struct client *cl = CONTAINER_OF(session, struct client, s);

	if (cl->phase != CLIENT_RUNNING)
		return;
	cl->waiting = false;
	host_wake(cl->host, cl);
}

void
client_push(void *session)
{
	struct client *cl = CONTAINER_OF(session, struct client, s);

	if (cl->phase == CLIENT_READING)
		host_wake(cl->host, cl);
	else if (cl->phase == CLIENT_RUNNING && cl->cmd.def->fn == cmd_idle)
		client_news(session);
}

void
client_continue(struct cmd *c, const char *text)
{
	buf_addf(&c->s->out, "+ %s\r\n", text);
}

/*
 * All that has come is consumed at once, or a client that closes in the middle
 * of the line would never be seen to have done so.
 */
enum step
client_line(struct cmd *c, struct str *line)
{
	struct client *cl = client_of(c);
	struct str in = conn_peek(c->s->conn);
	size_t n = str_find(in, '\n');
	bool is_whole = n < in.n, is_over;

	if (is_whole)
		n++;
	buf_add(&cl->line, in.p, n);
	conn_consume(c->s->conn, n);
	if (!is_whole)
		return client_wait(c);
	is_over = buf_is_over(&cl->line);
	*line = arena_str(c->arena, buf_str(&cl->line));
	buf_done(&cl->line);
	return is_over ? STEP_FAIL : STEP_DONE;
}

void
client_literal_accept(struct cmd *c)
{
	struct client *cl = client_of(c);

	if (cl->literal_waits)
		client_continue(c, "OK");
	cl->literal_waits = false;
	/* The line goes on behind it; TLS adds some. */
	conn_expect(c->s->conn, cl->literal_left + WIRE_SLACK);
}

struct str
client_literal_peek(struct cmd *c)
{
	struct client *cl = client_of(c);
	struct str in = conn_peek(c->s->conn);

	if (in.n > cl->literal_left)
		in.n = (size_t)cl->literal_left;
	return in;
}

void
client_literal_consume(struct cmd *c, size_t n)
{
	struct client *cl = client_of(c);

	ASSERT(n <= cl->literal_left);
	cl->literal_left -= n;
	conn_consume(c->s->conn, n);
}

uint64_t
client_literal_left(const struct cmd *c)
{
	return client_of(c)->literal_left;
}

enum step
client_more_args(struct cmd *c)
{
	struct client *cl = client_of(c);

	ASSERT(cl->literal_left == 0);
	imap_lex_forget_args(&cl->lex);
	cl->phase = CLIENT_GATHERING;
	return STEP_MORE;
}
