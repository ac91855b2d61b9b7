/* SPDX-License-Identifier: ISC */
/*
 * session.c - one POP3 session behind the login: input to commands, turns,
 * the end.
 *
 * Owns:    struct session.
 * Runs in: pop3d, as the mail user.
 * Trusts:  nothing from the client.
 * Spec:    RFC 1939, RFC 2449, RFC 6856.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/bounds.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "pop3d/session.h"

#define TURN_MS 4
/* A client that only talks nonsense is no mail client. */
#define ERRORS_IN_A_ROW_MAX 20

/* ---- replies ------------------------------------------------------------- */

static void PRINTF_LIKE(3, 0)
    reply(struct session *s, const char *prefix, const char *fmt, va_list ap)
{
	char text[400];
	size_t code;

	(void)vsnprintf(
	    text, sizeof(text), pop3_text_after(s->lang, fmt, &code), ap);
	conn_write_str(s->conn, str_of(prefix));
	conn_write_str(s->conn, str_make(fmt, code));
	conn_write_str(s->conn, str_of(text));
	conn_write_str(s->conn, STR("\r\n"));
}

enum step
session_ok(struct session *s, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	reply(s, "+OK ", fmt, ap);
	va_end(ap);
	s->errors_in_a_row = 0;
	return STEP_DONE;
}

/* For each message of a session: without the printf that takes its time. */
enum step
session_ok_number(struct session *s, const char *english, uint64_t n)
{
	struct str rest = str_of(pop3_text(s->lang, english));
	size_t at = 0;
	char digits[NUM_DIGITS_MAX];

	while (at < rest.n && !str_starts(str_skip(rest, at), STR("%llu")))
		at++;
	conn_write_str(s->conn, STR("+OK "));
	conn_write_str(s->conn, str_head(rest, at));
	conn_write_str(s->conn, str_make(digits, num_write_u64(digits, n)));
	conn_write_str(s->conn, str_skip(rest, at + 4));
	conn_write_str(s->conn, STR("\r\n"));
	s->errors_in_a_row = 0;
	return STEP_DONE;
}

enum step
session_err(struct session *s, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	reply(s, "-ERR ", fmt, ap);
	va_end(ap);
	s->errors_in_a_row++;
	return STEP_DONE;
}

enum step
session_go_on(struct session *s, session_job_fn *job)
{
	s->job = job;
	return STEP_MORE;
}

bool
session_must_yield(const struct session *s)
{
	return conn_is_full(s->conn) || clock_mono_ms() >= s->turn_ends_ms;
}

/* ---- the end ------------------------------------------------------------- */

static void
set_why(struct session *s, const char *why)
{
	(void)snprintf(s->why, sizeof(s->why), "%s", why);
}

/* What the log says of the session, in the words of Dovecot's line. */
static void
note(struct session *s)
{
	host_session_note(s->host, s,
	    "top=%u/%llu retr=%u/%llu del=%u/%u size=%llu reason=\"%s\"",
	    s->top_count, (unsigned long long)s->top_bytes, s->retr_count,
	    (unsigned long long)s->retr_bytes, s->removed, s->drop.n,
	    (unsigned long long)s->drop.size, s->why);
}

static void
session_free(struct session *s)
{
	if (s->state != SESSION_CLOSING)
		note(s);
	store_wait_end(&s->waiter);
	send_abandon(s);
	maildrop_close(&s->drop);
	host_session_ended(s->host, s);
	conn_free(&s->conn);
	free(s);
}

/* Says no more after what is queued. */
static void
finish(struct session *s, const char *why)
{
	set_why(s, why);
	note(s);
	s->state = SESSION_CLOSING;
	store_wait_end(&s->waiter);
	send_abandon(s);
	maildrop_close(&s->drop);
	conn_finish(s->conn);
}

/* After a STEP_MORE of the store; false: it wants to be called later. */
static bool
go_on(struct session *s)
{
	return !store_wait(host_store(s->host), &s->waiter);
}

static bool
update_failed(struct session *s, const struct err *e)
{
	log_error("removing messages failed: %s", e->text);
	(void)session_err(
	    s, "[SYS/TEMP] Some deleted messages were not removed");
	finish(s, "update failed");
	return false;
}

/* False: nothing more to do in this turn. */
static bool
update(struct session *s)
{
	uint32_t n;
	struct err e;
	enum step step = maildrop_update(&s->drop, s->turn_ends_ms, &e);

	n = s->drop.n_deleted;
	switch (step) {
	case STEP_MORE:
		return go_on(s);
	case STEP_FAIL:
		if (!s->abandoned)
			return update_failed(s, &e);
		log_error("removing messages failed: %s", e.text);
		break;
	case STEP_DONE:
		s->removed = n;
		break;
	}
	if (s->abandoned) {
		session_free(s);
		return false;
	}
	if (n > 0)
		(void)session_ok(
		    s, "Bye, %u message%s removed", n, n == 1 ? "" : "s");
	else
		(void)session_ok(s, "Bye");
	finish(s, "logged out");
	return false;
}

/* ---- work ---------------------------------------------------------------- */

static bool
load(struct session *s)
{
	struct err e;

	switch (maildrop_load(&s->drop, s->turn_ends_ms, &e)) {
	case STEP_MORE:
		return go_on(s);
	case STEP_FAIL:
		if (e.code == ERR_NOT_FOUND || e.code == ERR_BAD_NAME) {
			(void)session_err(s, "There is no such folder");
			finish(s, "no such folder");
			return false;
		}
		log_error("can not read the mailbox: %s", e.text);
		(void)session_err(s,
		    e.code == ERR_FORMAT
			? "[SYS/PERM] The mailbox is in a format that is not "
			  "read here, it must be converted first"
			: "[SYS/TEMP] Can not read the mailbox");
		finish(s, "mailbox can not be read");
		return false;
	case STEP_DONE:
		break;
	}
	s->state = SESSION_TRANSACTION;
	if (s->login_delay_s > 0)
		delay_begin(host_setting(s->host, "state_dir"));
	(void)session_ok(s, "%u message%s (%llu octets)", s->drop.n,
	    s->drop.n == 1 ? "" : "s", (unsigned long long)s->drop.size);
	return true;
}

static bool
run_job(struct session *s)
{
	struct err e;

	switch (s->job(s, &e)) {
	case STEP_MORE:
		return go_on(s);
	case STEP_DONE:
		s->job = NULL;
		return true;
	case STEP_FAIL:
		break;
	}
	/* In the middle of a message there is no way to say so. */
	log_error("can not read a message: %s", e.text);
	finish(s, "message can not be read");
	return false;
}

/* Takes the next command; false: there is none. */
static bool
run_command(struct session *s)
{
	struct str in = conn_peek(s->conn), line;
	size_t used;
	enum line_found found =
	    line_next(in, POP3_LINE_MAX, &s->skipping, &line, &used);

	if (found == LINE_WHOLE)
		(void)command_run(s, line);
	else if (found == LINE_TOO_LONG)
		(void)session_err(s, "Line too long");
	conn_consume(s->conn, used);
	if (s->errors_in_a_row > ERRORS_IN_A_ROW_MAX) {
		/* It has its answer; there is one for each. */
		finish(s, "too many bad commands");
		return false;
	}
	if (found != LINE_NONE || used > 0)
		return true;
	/* Part of a line that will never be whole counts for nothing. What was
	 * asked before still gets its answers: the way back may be open. */
	if (conn_saw_eof(s->conn))
		finish(s, "connection closed");
	return false;
}

/* One step of what the state asks for; false: nothing more can be done. */
static bool
work(struct session *s)
{
	switch (s->state) {
	case SESSION_OPENING:
		return load(s);
	case SESSION_TRANSACTION:
		return s->job != NULL ? run_job(s) : run_command(s);
	case SESSION_UPDATING:
		return update(s);
	case SESSION_CLOSING:
		break;
	}
	return false;
}

static bool
take_turn(void *session)
{
	struct session *s = session;

	s->turn_ends_ms = clock_mono_ms() + TURN_MS;
	while (work(s)) {
		/* UPDATING goes on even if nobody listens. */
		if (conn_is_full(s->conn) && s->state == SESSION_TRANSACTION)
			return false; /* on_drain wakes us */
		if (clock_mono_ms() >= s->turn_ends_ms)
			return true;
	}
	return false;
}

/* ---- events -------------------------------------------------------------- */

static void
on_input(UNUSED struct conn *c, void *arg)
{
	struct session *s = arg;

	if (s->state == SESSION_CLOSING)
		conn_consume(s->conn, conn_peek(s->conn).n);
	else
		host_wake(s->host, s);
}

static void
on_drain(UNUSED struct conn *c, void *arg)
{
	struct session *s = arg;

	host_wake(s->host, s);
}

static void
on_close(UNUSED struct conn *c, const struct err *why, void *arg)
{
	struct session *s = arg;

	if (s->state == SESSION_UPDATING) {
		/* QUIT was said: its work is done to the end. */
		s->abandoned = true;
		set_why(s, "connection lost at the end");
		host_wake(s->host, s);
		return;
	}
	if (s->state != SESSION_CLOSING)
		set_why(s,
		    why->code == ERR_TIMEOUT ? "idle for too long"
					     : "connection lost");
	session_free(s);
}

static const struct conn_handlers handlers = {on_input, on_drain, on_close};

/* ---- for the host -------------------------------------------------------- */

static bool
has_workaround(struct host *h, const char *name)
{
	const char *set = host_setting(h, "pop3_client_workarounds");
	struct str list = set == NULL ? STR("outlook-no-nuls") : str_of(set);
	struct str word;

	while (str_next(&list, ' ', &word)) {
		if (str_eq_nocase(word, str_of(name)))
			return true;
	}
	return false;
}

static void
refuse(struct session *s, struct host *h, const struct err *e)
{
	if (e->code == ERR_IN_USE) {
		log_info(
		    "maildrop in use user=<%s>: %s", host_user(h), e->text);
		(void)session_err(
		    s, "[IN-USE] Another POP3 session has this mailbox open");
		return;
	}
	log_error("can not open INBOX of user=<%s>: %s", host_user(h), e->text);
	(void)session_err(s, "[SYS/TEMP] Can not open the mailbox");
}

/* RFC 2449 section 6.5: counted for the user, whatever he opens. */
static bool
comes_too_early(struct session *s, struct host *h)
{
	if (s->login_delay_s == 0 ||
	    delay_left(host_setting(h, "state_dir"), s->login_delay_s) == 0)
		return false;
	log_info("login too early user=<%s>", host_user(h));
	(void)session_err(s,
	    "[LOGIN-DELAY] Minimum time between logins is %u seconds",
	    s->login_delay_s);
	return true;
}

/* What the client chose before the login (ipc/handoff.h). */
static void
take_choice(struct session *s, struct str choice)
{
	struct str word;

	while (str_next(&choice, ' ', &word)) {
		if (str_eq(word, STR("UTF8")))
			s->is_utf8 = true;
		else if (str_starts(word, STR("LANG=")))
			(void)pop3_lang_find(
			    str_skip(word, 5), POP3_LANG_EN, &s->lang);
	}
}

static void
lock_may_be_free(void *arg)
{
	struct session *s = arg;

	host_wake(s->host, s);
}

static const char *
setting_or(struct host *h, const char *name, const char *otherwise)
{
	const char *value = host_setting(h, name);

	return value == NULL || value[0] == '\0' ? otherwise : value;
}

/*
 * -1: never. What the passwd-file says of this user keeps messages longer than
 * the setting, which is what was announced before the login.
 */
static int32_t
read_expire(struct host *h)
{
	const char *own = setting_or(h, "user_expire", "0");
	uint32_t days, least;

	if (strcmp(own, "never") == 0 ||
	    !num_parse_u32(str_of(setting_or(h, "pop3_expire", "never")), 0,
		INT32_MAX, &least))
		return -1;
	if (num_parse_u32(str_of(own), least, INT32_MAX, &days))
		return (int32_t)days;
	return (int32_t)least;
}

/* Likewise no longer than the setting. */
static uint32_t
read_login_delay(struct host *h)
{
	uint32_t most = host_setting_seconds(h, "pop3_login_delay", 0), own;

	return num_parse_u32(
		   str_of(setting_or(h, "user_login_delay", "")), 0, most, &own)
	    ? own
	    : most;
}

static void
read_way(struct session *s, struct host *h)
{
	struct maildrop_way *w = &s->way;
	const char *state = setting_or(h, "state_dir", NULL);

	w->folder = setting_or(h, "pop3_folder", "INBOX");
	if (str_eq_nocase(str_of(w->folder), STR("INBOX")))
		w->folder = "INBOX";
	w->place = host_mail_place(h);
	w->state_dir = state != NULL && state[0] == '/' ? state : NULL;
	w->deleted_flag = setting_or(h, "pop3_deleted_flag", "");
	w->mark_seen = !host_setting_bool(h, "pop3_no_flag_updates", false);
	w->expire_days = read_expire(h);
	/* The store reads a format behind "xuidl:" as: the field goes first. */
	(void)snprintf(s->uidl, sizeof(s->uidl), "%s%s",
	    host_setting_bool(h, "reuse_xuidl", false) ? "xuidl:" : "",
	    setting_or(h, "pop3_uidl", ""));
	w->uidl_format = s->uidl;
}

static void
read_settings(struct session *s, struct host *h, const struct host_peer *p)
{
	read_way(s, h);
	s->no_nuls = has_workaround(h, "outlook-no-nuls");
	s->add_eoh = has_workaround(h, "oe-ns-eoh");
	s->has_last = host_setting_bool(h, "pop3_enable_last", false);
	if (!p->from_shell)
		s->login_delay_s = read_login_delay(h);
	(void)pop3_lang_find(str_of(setting_or(h, "pop3_language", "en")),
	    POP3_LANG_EN, &s->preferred_lang);
	take_choice(s, p->client_id);
}

static void *
session_new(struct host *h, struct conn *c, const struct host_peer *p)
{
	struct session *s = mem_new(1, sizeof(*s));
	struct err e;

	s->conn = c;
	read_settings(s, h, p);
	if (comes_too_early(s, h)) {
		free(s);
		return NULL;
	}
	if (maildrop_open(&s->drop, host_store(h), &s->way, &e) == -1) {
		refuse(s, h, &e);
		free(s);
		return NULL;
	}
	s->host = h;
	s->waiter.fn = lock_may_be_free;
	s->waiter.arg = s;
	conn_set_handlers(c, &handlers, s);
	conn_set_timeout(c,
	    (int64_t)host_setting_seconds(h, "pop3_idle_timeout", POP3_IDLE_S) *
		1000);
	host_wake(h, s);
	return s;
}

/* Marks are forgotten: only QUIT removes. */
static void
say_bye(void *session, const char *why)
{
	struct session *s = session;

	if (s->state == SESSION_UPDATING || s->state == SESSION_CLOSING)
		return;
	/* In the middle of a reply it would become part of a message. */
	if (s->job == NULL)
		(void)session_err(s, "[SYS/TEMP] %s", why);
	finish(s, why);
}

static const char *
state_text(void *session)
{
	static const char *const words[] = {
	    [SESSION_OPENING] = "opening",
	    [SESSION_TRANSACTION] = "INBOX",
	    [SESSION_UPDATING] = "removing",
	    [SESSION_CLOSING] = "closing",
	};

	return words[((struct session *)session)->state];
}

const struct host_ops session_ops = {
    .service = "pop3",
    .session_new = session_new,
    .session_turn = take_turn,
    .session_end = say_bye,
    .session_state = state_text,
};
