/* SPDX-License-Identifier: ISC */
/*
 * fuzz_pop3.c - a POP3 session: mail and commands by the fuzzer, the store, the
 * connection and the host played by the target.
 *
 * Input: a byte with the number of messages and how the commands are cut, the
 * messages (each behind its length), then what the client says.
 * Checked: one reply per command, multi-line replies are well-formed and their
 * content is the message, nothing is removed but what was marked, and only
 * behind QUIT.
 *
 * Owns:    nothing.
 * Runs in: make fuzz, make check.
 * Trusts:  nothing.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/bounds.h"
#include "base/buf.h"
#include "base/mem.h"
#include "base/num.h"
#include "net/line.h"
#include "pop3d/session.h"
#include "store/object.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MESSAGES_MAX 4

struct view {
	struct str messages[MESSAGES_MAX];
	uint32_t n;
	struct set32 deleted, seen;
	bool expunged;
};

struct conn {
	struct buf in, out;
	const struct conn_handlers *h;
	void *arg;
	bool eof, finishing, freed;
};

static struct view the_view;
static struct conn the_conn;
static bool woken, ended;

/* ---- store --------------------------------------------------------------- */

struct msg {
	uint32_t uid;
};

enum step
view_open(UNUSED struct store *s, UNUSED struct str name, UNUSED bool read_only,
    struct view **out, UNUSED struct err *e)
{
	*out = &the_view;
	return STEP_DONE;
}

bool
store_must_wait(UNUSED const struct store *s)
{
	return false;
}

bool
store_wait(UNUSED struct store *s, UNUSED struct store_waiter *w)
{
	return false;
}

void
store_wait_end(UNUSED struct store_waiter *w)
{
}

void
view_close(struct view **v)
{
	*v = NULL;
}

uint32_t
view_count(struct view *v)
{
	return v->n;
}

uint32_t
view_uid(UNUSED struct view *v, uint32_t seq)
{
	return seq;
}

bool
view_flags(UNUSED struct view *v, UNUSED uint32_t uid, struct flags *out)
{
	*out = (struct flags){0};
	return true;
}

bool
view_save_date(UNUSED struct view *v, UNUSED uint32_t uid, UNUSED int64_t *out)
{
	return false;
}

struct mailbox *
view_mailbox(UNUSED struct view *v)
{
	return NULL;
}

bool
mailbox_keyword_find(UNUSED const struct mailbox *m, UNUSED struct str name,
    UNUSED size_t *number)
{
	return false;
}

int
msg_internal_date(
    UNUSED struct msg *m, UNUSED int64_t *out, UNUSED struct err *e)
{
	return -1;
}

int
msg_header(UNUSED struct msg *m, UNUSED struct str *out, struct err *e)
{
	return err_set(e, ERR_OTHER, "not asked for");
}

enum step
msg_parts_step(UNUSED struct msg *m, struct err *e)
{
	err_set(e, ERR_OTHER, "not asked for");
	return STEP_FAIL;
}

int
msg_parts(UNUSED struct msg *m, UNUSED struct part **out, struct err *e)
{
	return err_set(e, ERR_OTHER, "not asked for");
}

enum step
view_store(struct view *v, const struct set32 *uids, UNUSED enum store_op op,
    const struct flag_wish *w, UNUSED bool silent, UNUSED uint32_t *at,
    UNUSED struct set32 *gone, UNUSED struct err *e)
{
	if (w->system != FLAG_SEEN)
		abort();
	set32_copy(&v->seen, uids);
	return STEP_DONE;
}

enum step
view_remove(struct view *v, const struct set32 *uids, UNUSED uint32_t *at,
    UNUSED struct err *e)
{
	set32_copy(&v->deleted, uids);
	v->expunged = true;
	return STEP_DONE;
}

int
msg_open(
    UNUSED struct view *v, uint32_t uid, struct msg **out, UNUSED struct err *e)
{
	*out = mem_new(1, sizeof(**out));
	(*out)->uid = uid;
	return 0;
}

void
msg_close(struct msg **m)
{
	free(*m);
	*m = NULL;
}

int
msg_size(struct msg *m, uint64_t *out, UNUSED struct err *e)
{
	*out = the_view.messages[m->uid - 1].n;
	return 0;
}

int
msg_wire_size(struct msg *m, uint64_t *out, UNUSED struct err *e)
{
	struct str s = the_view.messages[m->uid - 1];

	*out = s.n;
	for (size_t i = 0; i < s.n; i++)
		*out += s.p[i] == '\n' && (i == 0 || s.p[i - 1] != '\r');
	return 0;
}

enum step
msg_load_step(UNUSED struct msg *m, UNUSED size_t first, UNUSED struct err *e)
{
	return STEP_DONE;
}

enum step
msg_ready(UNUSED struct msg *m, UNUSED struct err *e)
{
	return STEP_DONE;
}

enum step
msg_wire_size_step(UNUSED struct msg *m, UNUSED struct err *e)
{
	return STEP_DONE;
}

/* Of each second message. */
bool
msg_at_hand(struct msg *m, uint64_t off, size_t n, struct str *out)
{
	struct str s = the_view.messages[m->uid - 1];

	if (m->uid % 2 == 0 || off >= s.n)
		return false;
	*out = str_head(str_skip(s, off), n);
	return true;
}

int
msg_read(struct msg *m, uint64_t off, void *p, size_t n, size_t *got,
    UNUSED struct err *e)
{
	struct str s =
	    str_head(str_skip(the_view.messages[m->uid - 1], off), n);

	/* Short, so that pieces end in odd places. */
	s = str_head(s, 7);
	if (s.n > 0)
		memcpy(p, s.p, s.n);
	*got = s.n;
	return 0;
}

int
msg_pop3_uidl(struct msg *m, UNUSED const char *format, struct arena *a,
    struct str *uidl, uint32_t *order, UNUSED struct err *e)
{
	*uidl = arena_printf(a, "u%u", m->uid);
	*order = 0;
	return 0;
}

/* ---- connection ---------------------------------------------------------- */

struct str
conn_peek(struct conn *c)
{
	return buf_str(&c->in);
}

void
conn_consume(struct conn *c, size_t n)
{
	buf_drop(&c->in, n);
}

bool
conn_at_eof(const struct conn *c)
{
	return c->eof && c->in.n == 0;
}

bool
conn_saw_eof(const struct conn *c)
{
	return c->eof;
}

void
conn_write(struct conn *c, const void *p, size_t n)
{
	if (c->finishing)
		abort();
	buf_add(&c->out, p, n);
}

char *
conn_write_room(struct conn *c, size_t n)
{
	return buf_room(&c->out, n);
}

void
conn_written(struct conn *c, size_t n)
{
	c->out.n += n;
}

bool
conn_is_full(UNUSED const struct conn *c)
{
	return false;
}

void
conn_finish(struct conn *c)
{
	c->finishing = true;
}

void
conn_free(struct conn **c)
{
	(*c)->freed = true;
	*c = NULL;
}

void
conn_set_handlers(struct conn *c, const struct conn_handlers *h, void *arg)
{
	c->h = h;
	c->arg = arg;
}

void
conn_set_timeout(UNUSED struct conn *c, UNUSED int64_t idle_ms)
{
}

/* ---- host ---------------------------------------------------------------- */

void
host_wake(UNUSED struct host *h, UNUSED void *session)
{
	woken = true;
}

void
host_session_note(
    UNUSED struct host *h, UNUSED void *session, UNUSED const char *fmt, ...)
{
}

void
host_session_ended(UNUSED struct host *h, UNUSED void *session)
{
	ended = true;
}

struct store *
host_store(UNUSED struct host *h)
{
	return NULL;
}

const char *
host_setting(UNUSED struct host *h, const char *name)
{
	/* No NULs are replaced, so that bytes can be compared. */
	return strcmp(name, "pop3_client_workarounds") == 0 ? "" : NULL;
}

uint32_t
host_setting_seconds(
    UNUSED struct host *h, UNUSED const char *name, uint32_t otherwise)
{
	return otherwise;
}

bool
host_setting_bool(
    UNUSED struct host *h, UNUSED const char *name, bool otherwise)
{
	return otherwise;
}

const char *
host_user(UNUSED struct host *h)
{
	return "joe";
}

const char *
host_mail_place(UNUSED struct host *h)
{
	static char place[] = "/tmp/fuzz_pop3.XXXXXX";
	static bool made;

	/* Locked by this process alone, and needed by nobody afterwards. */
	if (!made && mkdtemp(place) == NULL)
		abort();
	made = true;
	return place;
}

/* ---- what the client sees ------------------------------------------------ */

static void
need(bool cond)
{
	if (!cond)
		abort();
}

/* The next line, which must end in CRLF. */
static struct str
line_of(struct str *s)
{
	size_t lf = str_find(*s, '\n');
	struct str line;

	need(lf < s->n && lf > 0 && s->p[lf - 1] == '\r');
	line = str_head(*s, lf - 1);
	*s = str_skip(*s, lf + 1);
	return line;
}

/* The lines of a multi-line reply without stuffing, in `out`. */
static void
multi(struct str *s, struct buf *out)
{
	struct str line;

	buf_clear(out);
	for (;;) {
		line = line_of(s);
		if (str_eq(line, STR(".")))
			return;
		if (str_starts(line, STR(".")))
			line = str_skip(line, 1);
		buf_add_str(out, line);
		buf_add_c(out, "\r\n");
	}
}

/* The message as RETR must give it, with its last line ended. */
static void
wire_form(struct str m, struct buf *out)
{
	buf_clear(out);
	for (size_t i = 0; i < m.n; i++) {
		if (m.p[i] == '\n' && (i == 0 || m.p[i - 1] != '\r'))
			buf_add_byte(out, '\r');
		buf_add_byte(out, m.p[i]);
	}
	if (m.n > 0 && m.p[m.n - 1] != '\n')
		buf_add_c(out, m.p[m.n - 1] == '\r' ? "\n" : "\r\n");
}

struct client {
	struct str replies;
	bool deleted[MESSAGES_MAX], quit;
	struct buf got, want;
};

static void
check_listing(struct client *c)
{
	struct str lines, line;
	uint32_t i;

	multi(&c->replies, &c->got);
	lines = buf_str(&c->got);
	for (i = 0; i < the_view.n; i++) {
		char start[12];

		if (c->deleted[i])
			continue;
		line = line_of(&lines);
		(void)snprintf(start, sizeof(start), "%u ", i + 1);
		need(str_starts(line, str_of(start)));
	}
	need(lines.n == 0);
}

/* Follows the session: what must the reply to this command line be? */
static void
check_reply(struct client *c, struct str line)
{
	struct str all = line, word, arg, status = line_of(&c->replies);
	bool is_ok = str_starts(status, STR("+OK"));
	uint32_t i, number;

	need(is_ok || str_starts(status, STR("-ERR ")));
	(void)str_cut(&line, ' ', &word);
	line = str_trim(line);
	(void)str_cut(&line, ' ', &arg);
	/* Leading zeros are digits like others: "0001" is message 1. */
	i = num_parse_u32(arg, 1, MESSAGES_MAX, &number) ? number - 1
							 : MESSAGES_MAX;
	if (!is_ok)
		return;
	need(all.n <= POP3_LINE_MAX);
	if (str_eq_nocase(word, STR("RETR"))) {
		need(i < the_view.n && !c->deleted[i]);
		multi(&c->replies, &c->got);
		wire_form(the_view.messages[i], &c->want);
		need(str_eq(buf_str(&c->got), buf_str(&c->want)));
	} else if (str_eq_nocase(word, STR("TOP"))) {
		need(i < the_view.n && !c->deleted[i]);
		multi(&c->replies, &c->got);
		wire_form(the_view.messages[i], &c->want);
		/* A part of it, or with the blank line that is missing. */
		need(str_starts(buf_str(&c->want), buf_str(&c->got)) ||
		    (str_starts(buf_str(&c->got), buf_str(&c->want)) &&
			c->got.n == c->want.n + 2));
	} else if (str_eq_nocase(word, STR("DELE"))) {
		need(i < the_view.n && !c->deleted[i]);
		c->deleted[i] = true;
	} else if (str_eq_nocase(word, STR("RSET"))) {
		memset(c->deleted, 0, sizeof(c->deleted));
	} else if (str_eq_nocase(word, STR("CAPA")) ||
	    (str_eq_nocase(word, STR("LANG")) && arg.n == 0)) {
		multi(&c->replies, &c->got);
	} else if (str_eq_nocase(word, STR("LIST")) ||
	    str_eq_nocase(word, STR("UIDL"))) {
		if (arg.n == 0)
			check_listing(c);
	} else if (str_eq_nocase(word, STR("QUIT"))) {
		c->quit = true;
	}
}

static bool
is_too_many(struct str reply)
{
	if (!str_starts(reply, STR("-ERR ")))
		return false;
	reply = str_skip(reply, 5);
	for (int i = 0; i < POP3_LANGS; i++)
		if (str_starts(reply,
			str_of(pop3_text(
			    (enum pop3_lang)i, "Too many bad commands"))))
			return true;
	return false;
}

static void
check_all(struct str commands)
{
	struct client c = {.replies = buf_str(&the_conn.out)};
	struct str line;
	uint32_t i;

	buf_init(&c.got, 1 << 24);
	buf_init(&c.want, 1 << 24);
	need(str_starts(line_of(&c.replies), STR("+OK ")));
	while (!c.quit && c.replies.n > 0) {
		bool whole = str_cut(&commands, '\n', &line);

		if (str_ends(line, STR("\r")))
			line.n--;
		need(whole || line.n > POP3_LINE_MAX);
		check_reply(&c, line);
		/* "Too many bad commands" comes after the last reply. */
		if (is_too_many(c.replies))
			break;
	}
	need(the_view.expunged ==
	    (c.quit && !set32_is_empty(&the_view.deleted)));
	for (i = 0; i < the_view.n; i++)
		need(set32_has(&the_view.deleted, i + 1) ==
		    (c.quit && c.deleted[i]));
	buf_done(&c.got);
	buf_done(&c.want);
}

/* ---- the run ------------------------------------------------------------- */

static void
run(struct str commands, size_t step)
{
	/* Messages come as they are: the other way is fuzz_downgrade's. */
	static const struct host_peer peer = {
	    .client_id = STR_LIT("UTF8 LANG=en")};
	void *s = session_ops.session_new(NULL, &the_conn, &peer);
	size_t at = 0;

	need(s != NULL);
	for (;;) {
		while (woken && !ended) {
			woken = false;
			if (session_ops.session_turn(s))
				woken = true;
		}
		(void)session_ops; /* the session may be gone */
		if (ended || the_conn.finishing || the_conn.eof)
			break;
		(void)session_ops.session_state(s);
		buf_add_str(
		    &the_conn.in, str_head(str_skip(commands, at), step));
		at += step;
		the_conn.eof = at >= commands.n;
		the_conn.h->on_input(&the_conn, the_conn.arg);
	}
	if (!ended) {
		struct err e = {.code = ERR_CLOSED};

		the_conn.h->on_close(&the_conn, &e, the_conn.arg);
		while (woken && !ended) {
			woken = false;
			(void)session_ops.session_turn(s);
		}
	}
	need(ended && the_conn.freed);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str in = str_make(data, size), commands;
	size_t step;
	uint32_t i;

	if (size < 2 || size > 20000)
		return 0;
	the_view = (struct view){.n = data[0] % (MESSAGES_MAX + 1)};
	step = (size_t)data[0] / 8 + 1;
	set32_init(&the_view.deleted);
	set32_init(&the_view.seen);
	in = str_skip(in, 1);
	for (i = 0; i < the_view.n; i++) {
		size_t n = in.n > 0 ? (uint8_t)in.p[0] : 0;

		in = str_skip(in, 1);
		the_view.messages[i] = str_head(in, n);
		in = str_skip(in, n);
	}
	commands = in;
	the_conn = (struct conn){0};
	buf_init(&the_conn.in, 1 << 20);
	buf_init(&the_conn.out, 1 << 26);
	woken = ended = false;
	run(commands, step);
	check_all(commands);
	buf_done(&the_conn.in);
	buf_done(&the_conn.out);
	set32_done(&the_view.deleted);
	set32_done(&the_view.seen);
	return 0;
}
