/* SPDX-License-Identifier: ISC */
/*
 * pre_search_test.c - walks through every state that the machine can reach by
 * up to six of all things that can happen: lines and parts of lines from the
 * client, at any moment and also while others wait; answers of authd and
 * master; the end of a TLS handshake; the clock. After each step holds:
 *
 *  1. No HANDOFF without an OK of authd for the exchange that is open.
 *  2. At most one exchange is open at authd, and only it is told of answers.
 *  3. Nothing from the clear is left when TLS starts, nor does it start twice.
 *  4. No password is asked for, or passed on, where it may not be sent.
 *  5. Nothing is said to the client while authd or master has the word.
 *  6. After the end nothing more is said or asked.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "login/pre.h"

#define DEPTH 6
#define PENDING_MAX 36

/* The world around the machine, as the worker keeps it. */
struct world {
	bool asked; /* authd owes an answer */
	bool open; /* an exchange is open at authd */
	bool granted; /* authd has said OK */
	bool handed; /* HANDOFF is on its way */
	bool shaking; /* the TLS handshake goes on */
	bool tls;
	uint16_t n_pending;
	char pending[PENDING_MAX]; /* sent by the client, not yet read */
	struct pre pre;
};

enum event {
	EVENT_INPUT,
	EVENT_AUTH_OK,
	EVENT_AUTH_MORE,
	EVENT_AUTH_BAD,
	EVENT_AUTH_BUSY,
	EVENT_TLS_DONE,
	EVENT_REFUSED,
	EVENT_TIMEOUT,
};

struct symbol {
	enum event event;
	struct str input;
};

#define SYMBOL(what)                                                           \
	{                                                                      \
		.event = (what)                                                \
	}
#define INPUT(text)                                                            \
	{                                                                      \
		.event = EVENT_INPUT, .input = STR_LIT(text)                   \
	}
/* clang-format off */
#define COMMON \
	SYMBOL(EVENT_AUTH_OK), SYMBOL(EVENT_AUTH_MORE), \
	SYMBOL(EVENT_AUTH_BAD), SYMBOL(EVENT_AUTH_BUSY), \
	SYMBOL(EVENT_TLS_DONE), SYMBOL(EVENT_REFUSED), \
	SYMBOL(EVENT_TIMEOUT), INPUT("*\r\n"), INPUT("AHUAcA==\r\n"), \
	INPUT("\r\n"), INPUT("!\r\n")
/* clang-format on */

static const struct symbol imap[] = {COMMON, INPUT("a CAPABILITY\r\n"),
    INPUT("a STARTTLS\r\n"), INPUT("a STARTTLS\r\nb NOOP\r\n"),
    INPUT("a LOGIN u p\r\n"), INPUT("a LOGIN u p\r\nb LOGIN u p\r\n"),
    INPUT("a LOGIN u {2}\r\n"), INPUT("a LOGIN {2+}\r\n"), INPUT("p"),
    INPUT("a NOOP {2+}\r\n"), INPUT("a AUTHENTICATE PLAIN\r\n"),
    INPUT("a AUTHENTICATE PLAIN =\r\n"),
    INPUT("a AUTHENTICATE SCRAM-SHA-256-PLUS\r\n"),
    INPUT("a AUTHENTICATE SCRAM-SHA-256 bg==\r\n"), INPUT("a LOGOUT\r\n")};

static const struct symbol pop3[] = {COMMON, INPUT("CAPA\r\n"),
    INPUT("STLS\r\n"), INPUT("STLS\r\nUSER u\r\n"), INPUT("USER u\r\n"),
    INPUT("PASS p\r\n"), INPUT("USER u\r\nPASS p\r\n"),
    INPUT("PASS p\r\nPASS q\r\n"), INPUT("PASS"), INPUT("AUTH\r\n"),
    INPUT("AUTH PLAIN\r\n"), INPUT("AUTH PLAIN =\r\n"),
    INPUT("AUTH SCRAM-SHA-256-PLUS\r\n"), INPUT("AUTH SCRAM-SHA-256 bg==\r\n"),
    INPUT("QUIT\r\n")};

static const struct symbol *symbols;
static struct pre_settings settings;
static struct world worlds[DEPTH + 1];
static struct buf out;
static size_t steps, states, handoffs, handshakes, starts;
static const char *broken;

static void
must(bool holds, const char *what)
{
	if (!holds && broken == NULL)
		broken = what;
}

/* ---- visited states ------------------------------------------------------- */

#define SLOTS (1u << 21)
static struct {
	uint64_t hash;
	uint8_t left; /* steps that were still to go */
} * seen;

static void
mix(uint64_t *h, const void *p, size_t n)
{
	const unsigned char *c = p;

	for (size_t i = 0; i < n; i++)
		*h = (*h ^ c[i]) * UINT64_C(0x100000001b3);
}

/* All that decides what can still happen, and nothing else. */
static uint64_t
hash_of(const struct world *w)
{
	const struct pre *p = &w->pre;
	const uint32_t facts[] = {w->asked, w->open, w->granted, w->handed,
	    w->shaking, w->tls, w->n_pending, p->state, p->want, p->has_tls,
	    p->has_binding, p->is_local, p->failures, p->errors, p->skips,
	    p->literal_left, p->literal_sum, p->mech, p->has_initial,
	    p->is_prepared, p->is_utf8, p->lang, p->n_tag, p->n_user, p->n_id,
	    p->n_sasl, p->n_line, p->line_start, p->n_command};
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	mix(&h, facts, sizeof(facts));
	mix(&h, w->pending, w->n_pending);
	mix(&h, p->tag, p->n_tag);
	mix(&h, p->user, p->n_user);
	mix(&h, p->sasl, p->n_sasl);
	mix(&h, p->line, p->n_line);
	return h | 1;
}

/* True when this state was left with as many steps to go before. */
static bool
was_here(const struct world *w, uint8_t left)
{
	uint64_t h = hash_of(w);

	for (size_t i = h * UINT64_C(0x9e3779b97f4a7c15) >> 43;; i++) {
		i &= SLOTS - 1;
		if (seen[i].hash == 0) {
			seen[i].hash = h;
			seen[i].left = left;
			states++;
			if (states > SLOTS / 4 * 3)
				fail_msg("too many states");
			return false;
		}
		if (seen[i].hash == h) {
			if (seen[i].left >= left)
				return true;
			seen[i].left = left;
			return false;
		}
	}
}

static void
copy(struct world *to, const struct world *from)
{
	const struct pre *p = &from->pre;

	memcpy(to, from, offsetof(struct world, pending));
	memcpy(to->pending, from->pending, from->n_pending);
	memcpy(&to->pre, p, offsetof(struct pre, tag));
	memcpy(to->pre.tag, p->tag, p->n_tag);
	memcpy(to->pre.user, p->user, p->n_user);
	memcpy(to->pre.id, p->id, p->n_id);
	memcpy(to->pre.sasl, p->sasl, p->n_sasl);
	memcpy(to->pre.line, p->line, p->n_line);
}

/* ---- one step ------------------------------------------------------------- */

/* What the client could be asked for, or has shown, where it may not. */
static bool
may_show(const struct pre *p)
{
	return p->has_tls ||
	    (!settings.requires_tls && (settings.allows_plain || p->is_local));
}

static void
check_start(const struct world *w)
{
	const struct pre *p = &w->pre;

	must(!w->open, "a second exchange");
	if (p->mech == PRE_MECH_PLAIN || p->mech == PRE_MECH_LOGIN)
		must(may_show(p), "a password in the clear");
	if (p->mech == PRE_MECH_SCRAM_SHA_256_PLUS)
		must(p->has_tls && p->has_binding, "PLUS without a binding");
	must(p->has_tls || !settings.requires_tls, "login without TLS");
	must((settings.mechs & 1u << p->mech) != 0, "a mechanism not on offer");
}

/* Feeds what waits and does what the machine wants, as the worker does. */
static void
settle(struct world *w)
{
	struct pre *p = &w->pre;

	while (p->want == PRE_DO_READ && w->n_pending > 0) {
		size_t n =
		    pre_feed(p, str_make(w->pending, w->n_pending), &out);

		must(n <= w->n_pending, "more used than given");
		w->n_pending = (uint16_t)(w->n_pending - n);
		memmove(w->pending, w->pending + n, w->n_pending);
		if (n == 0 && p->want == PRE_DO_READ)
			break;
	}
	if (p->want == PRE_DO_TLS && !w->shaking) {
		must(w->n_pending == 0, "bytes left when TLS starts");
		must(p->n_line == 0 && p->n_sasl == 0, "state left for TLS");
		must(!w->tls, "TLS twice");
		w->shaking = true;
		handshakes++;
	} else if (p->want == PRE_DO_START && !w->asked) {
		check_start(w);
		w->open = w->asked = true;
		starts++;
	} else if ((p->want == PRE_DO_ANSWER || p->want == PRE_DO_CANCEL) &&
	    !w->asked) {
		must(w->open, "an answer without a question");
		w->asked = true;
	} else if (p->want == PRE_DO_HANDOFF && !w->handed) {
		must(w->granted, "HANDOFF without a grant");
		w->handed = true;
		handoffs++;
	}
	must(p->want != PRE_DO_HANDOFF || w->granted, "HANDOFF, no grant");
	must(p->has_tls == w->tls, "TLS by itself");
}

/* False: this can not happen now. */
static bool
happen(struct world *w, const struct symbol *s)
{
	struct pre *p = &w->pre;

	switch (s->event) {
	case EVENT_INPUT:
		/* While shaking hands the bytes are GnuTLS's. */
		if (p->want == PRE_DO_CLOSE || w->shaking || w->handed ||
		    w->n_pending + s->input.n > PENDING_MAX)
			return false;
		memcpy(w->pending + w->n_pending, s->input.p, s->input.n);
		w->n_pending = (uint16_t)(w->n_pending + s->input.n);
		break;
	case EVENT_AUTH_OK:
		if (!w->asked || p->want == PRE_DO_CANCEL)
			return false;
		w->asked = w->open = false;
		w->granted = true;
		pre_auth_ok(p);
		break;
	case EVENT_AUTH_MORE:
		if (!w->asked || p->want == PRE_DO_CANCEL)
			return false;
		w->asked = false;
		/* The client will now type what was asked for. */
		if (p->mech == PRE_MECH_PLAIN || p->mech == PRE_MECH_LOGIN)
			must(may_show(p), "asks for a password in the clear");
		pre_auth_more(p, STR("x"), &out);
		break;
	case EVENT_AUTH_BAD:
	case EVENT_AUTH_BUSY:
		if (!w->asked)
			return false;
		w->asked = w->open = false;
		pre_auth_fail(p,
		    s->event == EVENT_AUTH_BAD ? CHAN_AUTH_BAD
					       : CHAN_AUTH_UNAVAILABLE,
		    &out);
		break;
	case EVENT_TLS_DONE:
		if (!w->shaking)
			return false;
		w->shaking = false;
		w->tls = true;
		pre_tls_started(p, true);
		break;
	case EVENT_REFUSED:
		if (!w->handed || p->want != PRE_DO_HANDOFF)
			return false;
		pre_refused(p, HANDOFF_FAILED, &out);
		break;
	case EVENT_TIMEOUT:
		if (p->want != PRE_DO_READ)
			return false;
		pre_timeout(p, &out);
		break;
	}
	return true;
}

static void
walk(size_t depth, size_t n_symbols)
{
	struct world *now = &worlds[depth], *next = &worlds[depth + 1];

	for (size_t i = 0; i < n_symbols && broken == NULL; i++) {
		bool silent;

		copy(next, now);
		silent = next->asked || next->handed || next->shaking;
		buf_clear(&out);
		if (!happen(next, &symbols[i]))
			continue;
		settle(next);
		steps++;
		must(!buf_is_over(&out), "says too much");
		if (silent && symbols[i].event == EVENT_INPUT)
			must(out.n == 0, "talks out of turn");
		if (next->pre.state == PRE_CLOSED)
			must(next->pre.want == PRE_DO_CLOSE, "no end");
		if (broken != NULL) {
			print_error("%s: step %zu: event %d %.*s\n", broken,
			    depth, symbols[i].event, STR_ARG(symbols[i].input));
			break;
		}
		if (depth + 1 < DEPTH &&
		    !was_here(next, (uint8_t)(DEPTH - depth - 1)))
			walk(depth + 1, n_symbols);
	}
	if (broken != NULL && depth > 0)
		print_error("  before it, at %zu: state %d want %d\n", depth,
		    now->pre.state, now->pre.want);
}

static void
search(enum login_service service, int flags)
{
	memset(seen, 0, SLOTS * sizeof(*seen));
	states = 0;
	settings = (struct pre_settings){.service = service,
	    .offers_tls = (flags & 1) != 0,
	    .requires_tls = (flags & 2) != 0,
	    .allows_plain = (flags & 4) != 0,
	    .expire_days = -1,
	    .mechs = (1u << PRE_MECHS) - 1,
	    .greeting = "Ready."};
	symbols = service == LOGIN_IMAP ? imap : pop3;
	memset(&worlds[0], 0, sizeof(worlds[0]));
	worlds[0].tls = (flags & 8) != 0;
	buf_clear(&out);
	pre_init(&worlds[0].pre, &settings, worlds[0].tls, worlds[0].tls,
	    (flags & 16) != 0, &out);
	walk(0, service == LOGIN_IMAP ? ARRAY_LEN(imap) : ARRAY_LEN(pop3));
	assert_null(broken);
}

static void
test_search(UNUSED void **state)
{
	/* Offers, requires, allows, has TLS; local. */
	static const int ways[] = {
	    1, 1 | 2, 1 | 4, 1 | 8, 1 | 16, 0, 1 | 2 | 16};

	buf_init(&out, PRE_OUT_MAX);
	seen = calloc(SLOTS, sizeof(*seen));
	assert_non_null(seen);
	for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
		search(LOGIN_IMAP, ways[i]);
		search(LOGIN_POP3, ways[i]);
	}
	print_message("%zu steps, %zu starts, %zu handshakes, %zu handoffs\n",
	    steps, starts, handshakes, handoffs);
	/* It went everywhere. */
	assert_true(steps > 100000);
	assert_true(handoffs > 100 && handshakes > 100 && starts > 1000);
	free(seen);
	buf_done(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_search),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
