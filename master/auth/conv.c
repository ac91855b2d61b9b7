/* SPDX-License-Identifier: ISC */
/*
 * conv.c - one conversation with one client, from AUTH_START to the answer.
 *
 * Owns:    struct conv, its SASL exchange and its attempt.
 * Runs in: authd.
 * Trusts:  nothing of the login worker's but that it speaks for its own client;
 *          auth children for who somebody is.
 */
#include <arpa/inet.h>
#include <ev.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "auth/attempt.h"
#include "auth/conv.h"
#include "auth/name.h"
#include "auth/userdb.h"
#include "base/assert.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/secret.h"
#include "ipc/chan_grant.h"
#include "os/fd.h"
#include "os/rng.h"
#include "text/utf8.h"

/* Failures leave at multiples of this after the command came. */
#define ROUND_MS 250
/* So long may an attempt wait for its turn. */
#define QUEUE_S 20.0
/* Of a folder that is opened by the name of its user and its own. */
#define FOLDER_MAX 255

enum state {
	CONV_SASL,
	CONV_WAITING,
	CONV_DELAYED,
	CONV_QUEUED,
	CONV_TRYING,
	CONV_HOLDING,
};

/* Who it is, as far as known. */
struct who {
	char name[USER_NAME_MAX + 1];
	bool has_ids;
	uint32_t uid, gid;
	char home[CHAN_TRY_PATH_MAX + 1], mail[CHAN_TRY_PATH_MAX + 1];
	char extra[CHAN_TRY_EXTRA_MAX + 1];
};

struct conv {
	struct broker *b;
	struct broker_worker *worker; /* NULL: gone */
	uint64_t conn, cookie;
	uint32_t number;
	enum chan_auth_service service;
	char mech[CHAN_AUTH_MECH_MAX + 1];
	char rhost[INET6_ADDRSTRLEN];
	char ip[16]; /* of the peer */
	size_t ip_n;
	uint16_t peer_port;
	bool local;
	bool prepares; /* SASLprep belongs to this form of login */
	bool cancelled;

	enum state state;
	int64_t t0_ms; /* arrival of the command that is being answered */
	ev_timer timer;
	struct sasl *sasl;
	char asked[USER_NAME_MAX + 1]; /* the name, normalised; or "" */
	char folder[FOLDER_MAX + 1]; /* behind it; or "" */
	struct penalty_who penalty;
	bool penalised; /* penalty_begin without its end */
	struct queue_item queued;
	struct attempt *attempt;
	enum chan_try_want want;
	size_t source; /* index of the one being asked */
	bool looking_up;
	bool unavailable; /* a source was out of order */
	bool scram_known; /* real keys were used */
	struct who who;
	int hold_fd;
	enum chan_auth_why why;
	const char *reason; /* for the log */
	char detail[120]; /* what the source says of it, or "" */
};

static void advance(struct conv *c, enum sasl_said said, struct buf *out);
static void try_source(struct conv *c);

/* ---- the end ---- */

static void
conv_free(struct conv *c)
{
	ev_timer_stop(c->b->loop, &c->timer);
	queue_remove(&c->b->queue, &c->queued);
	if (c->attempt != NULL) {
		attempt_forget(c->attempt);
		c->b->running--;
	}
	if (c->penalised)
		penalty_end(c->b->penalty, &c->penalty, false, false);
	if (c->worker != NULL) {
		c->worker->conv = NULL;
		chan_set_state(c->worker->chan, BROKER_IDLE);
	}
	sasl_free(&c->sasl);
	fd_close(&c->hold_fd);
	secret_wipe(&c->who, sizeof(c->who));
	MEM_FREE(c);
}

static void
end_penalty(struct conv *c, bool ok, bool failed)
{
	if (c->penalised)
		penalty_end(c->b->penalty, &c->penalty, ok, failed);
	c->penalised = false;
}

static void
send_simple(struct conv *c, const struct chan_auth_msg *m)
{
	struct buf *b = chan_frame();

	chan_auth_write(m, b);
	if (c->worker != NULL)
		broker_send(c->worker, b);
}

/* FAIL goes out now. */
static void
send_fail(struct conv *c)
{
	int64_t held = clock_mono_ms() - c->t0_ms;
	struct chan_auth_msg m = {.type = CHAN_AUTH_FAIL,
	    .fail = {.conv = c->number,
		.why = c->cancelled ? CHAN_AUTH_CANCELLED : c->why,
		.held_ms = (uint32_t)(held < 0 ? 0 : held)}};

	send_simple(c, &m);
	conv_free(c);
}

static void
on_moment(UNUSED struct ev_loop *loop, ev_timer *w, UNUSED int events)
{
	send_fail(w->data);
}

static void
set_timer(struct conv *c,
    void (*fn)(struct ev_loop *loop, ev_timer *w, int events), double s)
{
	ev_timer_stop(c->b->loop, &c->timer);
	ev_now_update(c->b->loop);
	ev_timer_init(&c->timer, fn, s < 0 ? 0 : s, 0);
	c->timer.data = c;
	ev_timer_start(c->b->loop, &c->timer);
}

/* The next moment at which failures of this age leave. */
static int64_t
moment_ms(const struct conv *c)
{
	int64_t age = clock_mono_ms() - c->t0_ms;
	int64_t least = c->b->settings->failure_delay_ms;

	if (age <= least)
		return least;
	return (age + ROUND_MS - 1) / ROUND_MS * ROUND_MS;
}

static void
log_failure(const struct conv *c)
{
	log_info("login failed user=<%s> service=%s mech=%s rip=%s reason=%s"
		 "%s%s%s",
	    c->asked, auth_settings_service(c->service), c->mech, c->rhost,
	    c->reason, c->detail[0] != '\0' ? " detail=\"" : "", c->detail,
	    c->detail[0] != '\0' ? "\"" : "");
}

/* Every failure that could tell something leaves at the same moment. */
static void
fail(struct conv *c, enum chan_auth_why why, const char *reason)
{
	c->why = why;
	c->reason = reason;
	c->state = CONV_HOLDING;
	end_penalty(c, false,
	    why == CHAN_AUTH_BAD || why == CHAN_AUTH_EXPIRED ||
		why == CHAN_AUTH_CONTACTADMIN || why == CHAN_AUTH_NOT_ALLOWED);
	log_failure(c);
	if (c->worker == NULL) {
		conv_free(c);
		return;
	}
	chan_set_state(c->worker->chan, BROKER_JUDGING);
	set_timer(c, on_moment,
	    (double)(c->t0_ms + moment_ms(c) - clock_mono_ms()) / 1000.0);
}

/* What is wrong can be seen by anybody: no reason to wait. */
static void
fail_now(struct conv *c, enum chan_auth_why why, const char *reason)
{
	c->why = why;
	c->reason = reason;
	log_failure(c);
	send_fail(c);
}

/* ---- success ---- */

/* Settings of this session's process that are not those of all. */
static void
write_extra(const struct conv *c, struct buf *out)
{
	buf_add_c(out, c->who.extra);
	if (c->folder[0] != '\0')
		buf_addf(out, "pop3_folder=%s\n", c->folder);
}

static int
send_grant(struct conv *c, struct err *e)
{
	struct buf extra;
	struct grant g = {.worker = c->worker->number,
	    .conn = c->conn,
	    .cookie = c->cookie,
	    .peer_ip = str_make(c->ip, c->ip_n),
	    .peer_port = c->peer_port,
	    .service = str_of(auth_settings_service(c->service)),
	    .user = str_of(c->who.name),
	    .sysuid = c->who.uid,
	    .sysgid = c->who.gid,
	    .home = str_of(c->who.home),
	    .mail_location = str_of(c->who.mail)};
	bool held = c->hold_fd != -1;
	struct buf *b = chan_frame();

	buf_init(&extra, GRANT_EXTRA_MAX);
	write_extra(c, &extra);
	g.extra = buf_str(&extra);
	grant_write(&g, held, b);
	buf_done(&extra);
	return chan_send(c->b->master, b, &c->hold_fd, held ? 1 : 0, e);
}

static void
grant(struct conv *c)
{
	struct chan_auth_msg ok = {.type = CHAN_AUTH_OK, .conv = c->number};
	struct err e;

	end_penalty(c, true, false);
	if (c->worker == NULL) {
		conv_free(c);
		return;
	}
	if (c->cancelled) {
		send_fail(c);
		return;
	}
	if (send_grant(c, &e) == -1) {
		log_error("grant: %s", e.text);
		fail(c, CHAN_AUTH_UNAVAILABLE, "no grant");
		return;
	}
	log_info("login user=<%s> service=%s mech=%s rip=%s%s%s", c->who.name,
	    auth_settings_service(c->service), c->mech, c->rhost,
	    c->folder[0] != '\0' ? " folder=" : "", c->folder);
	send_simple(c, &ok);
	conv_free(c);
}

/* The right password is not all: may this account have mail here? */
static void
check_and_grant(struct conv *c)
{
	const struct auth_settings *s = c->b->settings;
	struct userdb_range range = {
	    s->first_uid, s->last_uid, s->first_gid, s->last_gid};
	struct err e;

	if (s->unprivileged) {
		c->who.uid = (uint32_t)geteuid();
		c->who.gid = (uint32_t)getegid();
		grant(c);
		return;
	}
	if (userdb_check(c->who.uid, c->who.gid, &range, &e) == -1) {
		log_error("user=<%s> may not log in: %s", c->who.name, e.text);
		fail(c, CHAN_AUTH_CONTACTADMIN, "uid or gid not valid");
		return;
	}
	grant(c);
}

/*
 * "alice+lists" is Alice with her folder "lists", over POP3, which knows no
 * folders. Where the separator may be in a name it is nothing but that. False:
 * this can not be the name of a folder.
 */
static bool
cut_folder(
    const struct conv *c, struct str *name, char folder[static FOLDER_MAX + 1])
{
	const struct auth_settings *s = c->b->settings;
	char sep = s->folder_separator[0];
	struct str chars = str_of(s->name_chars), rest;
	size_t at;

	folder[0] = '\0';
	if (c->service != CHAN_AUTH_POP3 || sep == '\0' ||
	    str_find(chars, sep) != chars.n)
		return true;
	at = str_find(*name, sep);
	if (at == name->n)
		return true;
	rest = str_skip(*name, at + 1);
	*name = str_head(*name, at);
	for (size_t i = 0; i < rest.n; i++) {
		if ((unsigned char)rest.p[i] < ' ' || rest.p[i] == 127)
			return false;
	}
	return utf8_is_valid(rest) && str_to_c(rest, folder, FOLDER_MAX + 1);
}

/* An authorization name that is not the user's own is nobody's right. */
static bool
is_own_authzid(const struct conv *c)
{
	struct str z = sasl_authzid(c->sasl);
	char name[USER_NAME_MAX + 1], folder[FOLDER_MAX + 1];

	return z.n == 0 ||
	    (cut_folder(c, &z, folder) &&
		(folder[0] == '\0' || strcmp(folder, c->folder) == 0) &&
		name_normalise(z, str_of(c->b->settings->name_chars),
		    c->b->settings->keep_case, name) &&
		strcmp(name, c->asked) == 0);
}

/* ---- answers of auth children ---- */

static bool
needs_lookup(const struct conv *c)
{
	const struct who *w = &c->who;

	return (!w->has_ids && !c->b->settings->unprivileged) ||
	    (w->home[0] == '\0' && w->mail[0] == '\0');
}

static void ask_child(struct conv *c, const struct attempt_question *q);

static void
look_up(struct conv *c)
{
	struct attempt_question q = {.kind = CHAN_TRY_LOOKUP,
	    .work = {.want = CHAN_TRY_WHO,
		.name = str_of(c->who.name),
		.service = str_of(auth_settings_service(c->service)),
		.rhost = str_of(c->rhost)}};

	c->looking_up = true;
	ask_child(c, &q);
}

static void
found_out(struct conv *c)
{
	if (!is_own_authzid(c))
		fail(c, CHAN_AUTH_NOT_ALLOWED, "authorization as another user");
	else if (needs_lookup(c))
		look_up(c);
	else
		check_and_grant(c);
}

static void
note_who(struct conv *c, const struct chan_try_result *r)
{
	struct who *w = &c->who;

	*w = (struct who){.has_ids = r->has_ids, .uid = r->uid, .gid = r->gid};
	/* The decoder has checked the lengths and that there is no NUL. */
	ASSERT(str_to_c(r->name, w->name, sizeof(w->name)));
	ASSERT(str_to_c(r->home, w->home, sizeof(w->home)));
	ASSERT(str_to_c(r->mail, w->mail, sizeof(w->mail)));
	ASSERT(str_to_c(r->extra, w->extra, sizeof(w->extra)));
}

static void
looked_up(struct conv *c, const struct chan_try_result *r)
{
	struct who *w = &c->who;

	if (r->outcome != CHAN_TRY_OK) {
		log_error("user=<%s>: no uid, gid or home known: %.*s", w->name,
		    STR_ARG(r->text));
		fail(c,
		    r->outcome == CHAN_TRY_UNKNOWN ? CHAN_AUTH_CONTACTADMIN
						   : CHAN_AUTH_UNAVAILABLE,
		    "account not found");
		return;
	}
	if (!w->has_ids) {
		w->uid = r->uid;
		w->gid = r->gid;
		w->has_ids = r->has_ids;
	}
	if (w->home[0] == '\0')
		ASSERT(str_to_c(r->home, w->home, sizeof(w->home)));
	check_and_grant(c);
}

/* Nobody has these keys; the exchange goes on as if somebody had. */
static void
give_keys(struct conv *c, const struct chan_try_result *r)
{
	unsigned char stored[32], server[32];
	struct sasl_keys k = {.iter = r->iter, .salt = r->salt};
	struct buf out;

	c->scram_known = r->outcome == CHAN_TRY_OK;
	if (c->scram_known) {
		note_who(c, r);
		k.stored = r->stored_key;
		k.server = r->server_key;
	} else {
		rng_bytes(stored, sizeof(stored));
		rng_bytes(server, sizeof(server));
		k.stored = str_make(stored, sizeof(stored));
		k.server = str_make(server, sizeof(server));
	}
	buf_init(&out, SASL_BYTES_MAX);
	advance(c, sasl_keys(c->sasl, &k, &out), &out);
	buf_done(&out);
}

static const char *
reason_of(enum chan_try_outcome outcome)
{
	switch (outcome) {
	case CHAN_TRY_UNKNOWN:
		return "unknown-user";
	case CHAN_TRY_EXPIRED:
		return "password-expired";
	case CHAN_TRY_LOCKED:
		return "account-not-usable";
	case CHAN_TRY_UNAVAILABLE:
		return "unavailable";
	default:
		return "password";
	}
}

/* No: the next source, or the end. */
static void
refused(struct conv *c, const struct chan_try_result *r)
{
	if (r->text.n > 0)
		log_debug("user=<%s>: %.*s", c->asked, STR_ARG(r->text));
	if (r->outcome == CHAN_TRY_EXPIRED || r->outcome == CHAN_TRY_LOCKED)
		(void)snprintf(
		    c->detail, sizeof(c->detail), "%.*s", STR_ARG(r->text));
	switch (r->outcome) {
	case CHAN_TRY_EXPIRED:
		fail(c, CHAN_AUTH_EXPIRED, reason_of(r->outcome));
		return;
	case CHAN_TRY_LOCKED:
		fail(c, CHAN_AUTH_CONTACTADMIN, reason_of(r->outcome));
		return;
	case CHAN_TRY_UNAVAILABLE:
		c->unavailable = true;
		log_error("authentication is out of order user=<%s>: %.*s",
		    c->asked, STR_ARG(r->text));
		break;
	default:
		break;
	}
	if (++c->source < c->b->settings->n_sources)
		try_source(c);
	else if (c->unavailable)
		fail(c, CHAN_AUTH_UNAVAILABLE, "unavailable");
	else
		fail(c, CHAN_AUTH_BAD, reason_of(r->outcome));
}

static void
on_answer(const struct chan_try_result *r, int hold_fd, void *arg)
{
	struct conv *c = arg;
	struct broker *b = c->b;

	c->attempt = NULL;
	b->running--;
	if (hold_fd != -1) {
		fd_close(&c->hold_fd);
		c->hold_fd = hold_fd;
	}
	if (c->looking_up) {
		c->looking_up = false;
		looked_up(c, r);
	} else if (c->want == CHAN_TRY_KEYS &&
	    (r->outcome == CHAN_TRY_OK || r->outcome == CHAN_TRY_UNKNOWN) &&
	    r->iter > 0) {
		give_keys(c, r);
	} else if (r->outcome == CHAN_TRY_OK) {
		note_who(c, r);
		found_out(c);
	} else {
		refused(c, r);
	}
	conv_pump(b);
}

/* ---- questions to auth children ---- */

static void
ask_child(struct conv *c, const struct attempt_question *q)
{
	c->state = CONV_TRYING;
	c->b->running++;
	c->attempt = attempt_start(c->b, q, on_answer, c);
}

static void
try_source(struct conv *c)
{
	const struct auth_settings *s = c->b->settings;
	struct attempt_question q = {
	    .work = {.want = c->want,
		.name = str_of(c->asked),
		.password = c->want == CHAN_TRY_VERIFY ? sasl_password(c->sasl)
						       : STR(""),
		.service = str_of(auth_settings_service(c->service)),
		.rhost = str_of(c->rhost)}};

	/* Only a passwd-file knows keys. */
	while (c->want == CHAN_TRY_KEYS && c->source < s->n_sources &&
	    s->sources[c->source] != CHAN_TRY_PASSWD_FILE)
		c->source++;
	if (c->source >= s->n_sources) {
		fail(c, c->unavailable ? CHAN_AUTH_UNAVAILABLE : CHAN_AUTH_BAD,
		    "no source");
		return;
	}
	q.kind = s->sources[c->source];
	q.hold = q.kind == CHAN_TRY_PAM && s->pam_session;
	ask_child(c, &q);
}

void
conv_pump(struct broker *b)
{
	struct queue_item *it;

	/* Without a spawner everybody waits for the next one. */
	while (b->running < b->running_max && b->spawner != NULL &&
	    (it = queue_take(&b->queue)) != NULL) {
		struct conv *c = CONTAINER_OF(it, struct conv, queued);

		ev_timer_stop(b->loop, &c->timer);
		try_source(c);
	}
}

static void
on_queue_time(UNUSED struct ev_loop *loop, ev_timer *w, UNUSED int events)
{
	struct conv *c = w->data;

	queue_remove(&c->b->queue, &c->queued);
	fail(c, CHAN_AUTH_UNAVAILABLE, "waited too long");
}

static void
enqueue(struct conv *c)
{
	struct broker *b = c->b;
	struct queue_item *out;

	c->state = CONV_QUEUED;
	set_timer(c, on_queue_time, QUEUE_S);
	out = queue_add(&b->queue, &c->queued,
	    penalty_block(b->penalty, str_make(c->ip, c->ip_n)));
	if (out != NULL)
		fail(CONTAINER_OF(out, struct conv, queued),
		    CHAN_AUTH_UNAVAILABLE, "too many attempts");
	conv_pump(b);
}

static void
on_delay_over(UNUSED struct ev_loop *loop, ev_timer *w, UNUSED int events)
{
	enqueue(w->data);
}

/* Waits for its penalty, then for its turn. */
static void
judge(struct conv *c, enum chan_try_want want)
{
	struct broker *b = c->b;
	int64_t wait_ms = 0;

	c->want = want;
	c->source = 0;
	if (b->settings->penalties) {
		c->penalised = true;
		wait_ms = penalty_begin(b->penalty, &c->penalty);
	}
	if (wait_ms == 0) {
		enqueue(c);
		return;
	}
	c->state = CONV_DELAYED;
	set_timer(c, on_delay_over, (double)wait_ms / 1000.0);
}

/* ---- the exchange ---- */

/* The name as it is known here; "" when nobody can have it. */
static void
note_name(struct conv *c)
{
	const struct auth_settings *s = c->b->settings;
	struct str name = sasl_name(c->sasl);

	if (!cut_folder(c, &name, c->folder) ||
	    !name_normalise(
		name, str_of(s->name_chars), s->keep_case, c->asked))
		c->asked[0] = '\0';
	c->penalty = penalty_who(c->b->penalty, str_make(c->ip, c->ip_n),
	    str_of(c->asked), c->local);
}

static void
start_judging(struct conv *c, enum chan_try_want want)
{
	bool prepared = !c->prepares || sasl_prepare(c->sasl);
	struct str password = sasl_password(c->sasl);

	note_name(c);
	/*
	 * Nobody has such a name or password. It waits like the others; the
	 * penalty counts for the address.
	 */
	if (!prepared || c->asked[0] == '\0' || password.n > PASSWORD_MAX ||
	    (want == CHAN_TRY_VERIFY && password.n == 0)) {
		if (c->b->settings->penalties) {
			c->penalised = true;
			(void)penalty_begin(c->b->penalty, &c->penalty);
		}
		fail(c, CHAN_AUTH_BAD, "name-or-password-not-possible");
		return;
	}
	judge(c, want);
}

static void
send_challenge(struct conv *c, const struct buf *out)
{
	struct chan_auth_msg m = {.type = CHAN_AUTH_MORE,
	    .more = {.conv = c->number, .data = buf_str(out)}};

	if (c->worker == NULL || c->cancelled) {
		end_penalty(c, false, false);
		send_fail(c);
		return;
	}
	c->state = CONV_WAITING;
	chan_set_state(c->worker->chan, BROKER_WAITING);
	send_simple(c, &m);
}

static void
advance(struct conv *c, enum sasl_said said, struct buf *out)
{
	switch (said) {
	case SASL_CHALLENGE:
		send_challenge(c, out);
		break;
	case SASL_PASSWORD:
		start_judging(c, CHAN_TRY_VERIFY);
		break;
	case SASL_NEEDS_KEYS:
		start_judging(c, CHAN_TRY_KEYS);
		break;
	case SASL_PROVED:
		/* Made-up keys prove nothing, whatever a client may send. */
		if (c->scram_known)
			found_out(c);
		else
			fail(c, CHAN_AUTH_BAD, "unknown-user");
		break;
	case SASL_WRONG:
		fail(c, CHAN_AUTH_BAD, "password");
		break;
	case SASL_MALFORMED:
		end_penalty(c, false, true);
		fail_now(c, CHAN_AUTH_MALFORMED, "malformed");
		break;
	}
}

static void
step(struct conv *c, struct str input, bool has_input)
{
	struct buf out;

	c->t0_ms = clock_mono_ms();
	c->state = CONV_SASL;
	buf_init(&out, SASL_BYTES_MAX);
	advance(c, sasl_step(c->sasl, input, has_input, &out), &out);
	buf_wipe(&out);
	buf_done(&out);
}

static void
write_ip(struct str ip, char *out, size_t size)
{
	if (ip.n == 0 ||
	    inet_ntop(ip.n == 4 ? AF_INET : AF_INET6, ip.p, out,
		(socklen_t)size) == NULL)
		(void)snprintf(out, size, "local");
}

/* May this mechanism be used on this connection? */
static bool
is_allowed(const struct conv *c, const struct chan_auth_start *start,
    enum chan_auth_why *why)
{
	const struct auth_settings *s = c->b->settings;

	*why = CHAN_AUTH_MECHANISM;
	if (!sasl_is_mechanism(start->mech) ||
	    !auth_settings_has_mech(s, start->service, start->mech))
		return false;
	*why = CHAN_AUTH_NEEDS_TLS;
	return !sasl_is_plaintext(start->mech) ||
	    (start->flags & (CHAN_AUTH_TLS | CHAN_AUTH_LOCAL)) != 0 ||
	    s->allow_plaintext[start->service];
}

static struct conv *
conv_new(struct broker_worker *w, const struct chan_auth_start *start)
{
	struct conv *c = mem_new(1, sizeof(*c));

	c->b = w->b;
	c->worker = w;
	w->conv = c;
	c->number = start->conv;
	c->conn = start->conn;
	c->cookie = start->cookie;
	c->service = start->service;
	c->local =
	    start->peer_ip.n == 0 || (start->flags & CHAN_AUTH_LOCAL) != 0;
	c->prepares = (start->flags & CHAN_AUTH_PREPARE) != 0;
	c->hold_fd = -1;
	c->ip_n = start->peer_ip.n;
	c->peer_port = start->peer_port;
	memcpy(c->ip, start->peer_ip.p, c->ip_n);
	write_ip(start->peer_ip, c->rhost, sizeof(c->rhost));
	(void)str_to_c(start->mech, c->mech, sizeof(c->mech));
	ev_timer_init(&c->timer, on_moment, 0, 0);
	return c;
}

void
conv_start(struct broker_worker *w, const struct chan_auth_start *start)
{
	struct conv *c = conv_new(w, start);
	const struct sasl_binding binding = {.unique = start->unique,
	    .exporter = start->exporter,
	    .offered = (start->flags & CHAN_AUTH_TLS) != 0 &&
		auth_settings_has_mech(
		    c->b->settings, start->service, STR("SCRAM-SHA-256-PLUS"))};
	enum chan_auth_why why;

	c->t0_ms = clock_mono_ms();
	chan_set_state(w->chan, BROKER_JUDGING);
	if (!is_allowed(c, start, &why)) {
		fail_now(c, why,
		    why == CHAN_AUTH_MECHANISM ? "mechanism" : "needs-tls");
		return;
	}
	c->sasl = sasl_new(c->b->sasl, start->mech, &binding);
	if (c->sasl == NULL)
		fail_now(c, CHAN_AUTH_MECHANISM, "mechanism");
	else
		step(c, start->initial, start->has_initial);
}

void
conv_more(struct conv *c, struct str data)
{
	chan_set_state(c->worker->chan, BROKER_JUDGING);
	step(c, data, true);
}

void
conv_cancel(struct conv *c)
{
	c->cancelled = true;
	/* What is being judged or held back ends as if nothing had been said. */
	if (c->state == CONV_WAITING || c->state == CONV_DELAYED ||
	    c->state == CONV_QUEUED)
		send_fail(c);
}

void
conv_worker_gone(struct conv *c)
{
	c->worker = NULL;
	if (c->state != CONV_TRYING)
		conv_free(c);
}
