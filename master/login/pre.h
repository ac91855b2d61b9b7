/* SPDX-License-Identifier: ISC */
/*
 * pre.h - what a stranger may say, and what comes of it: the two protocols
 * before login as one machine without I/O, clock or log. Its owner reads,
 * sends, waits; the machine says what is to be done next.
 *
 *   COMMAND --STARTTLS, STLS--> TLS --pre_tls_started--> COMMAND
 *   COMMAND --LOGIN, AUTHENTICATE, PASS, AUTH--> JUDGING
 *   JUDGING --pre_auth_more--> CHALLENGED --client's answer--> JUDGING
 *   CHALLENGED --"*"--> JUDGING (want PRE_DO_CANCEL)
 *   JUDGING --pre_auth_fail--> COMMAND, or CLOSED after the last try
 *   JUDGING --pre_auth_ok--> GRANTED --pre_refused--> CLOSED
 *   any --LOGOUT, QUIT, pre_timeout, pre_shutdown, nonsense--> CLOSED
 *
 * The struct holds no pointers but `settings`: it can be copied and compared,
 * so a test can walk through all of its states.
 */
#ifndef LOGIN_PRE_H
#define LOGIN_PRE_H

#include "base/bounds.h"
#include "base/buf.h"
#include "base/str.h"
#include "ipc/chan_auth.h"
#include "ipc/chan_login.h"
#include "text/pop3_text.h"

#define PRE_TAG_MAX 128
#define PRE_ID_MAX 1024
#define PRE_ERRORS_MAX 20
#define PRE_SASL_MAX (PREAUTH_LINE_MAX / 4 * 3)
/* The longest that the machine ever says at once. */
#define PRE_OUT_MAX (16 * 1024)

/* Mechanisms, in the order in which they are announced. */
enum pre_mech {
	PRE_MECH_SCRAM_SHA_256_PLUS,
	PRE_MECH_SCRAM_SHA_256,
	PRE_MECH_PLAIN,
	PRE_MECH_LOGIN,
	PRE_MECHS,
};

struct pre_settings {
	enum login_service service;
	bool offers_tls; /* STARTTLS and STLS */
	bool requires_tls; /* no login of any kind without it */
	bool allows_plain; /* passwords without TLS, for everybody */
	uint32_t mechs; /* bits 1 << enum pre_mech */
	const char *greeting;
	bool literal_minus; /* IMAP: LITERAL- is announced, not LITERAL+ */
	const char *mask; /* IMAP: words that CAPABILITY leaves out; or NULL */
	/* POP3 */
	enum pop3_lang language; /* what "LANG *" means */
	uint32_t login_delay_s; /* 0: not announced */
	int32_t expire_days; /* -1: NEVER */
	bool by_user; /* both can be kinder to some (RFC 2449: USER) */
};

enum pre_do {
	PRE_DO_READ, /* pre_feed() with more input */
	PRE_DO_TLS, /* send, shake hands, pre_tls_started() */
	PRE_DO_START, /* AUTH_START with mech, sasl, has_initial */
	PRE_DO_ANSWER, /* AUTH_MORE with sasl */
	PRE_DO_CANCEL, /* AUTH_CANCEL */
	PRE_DO_HANDOFF, /* HANDOFF with tag; then nothing, or pre_refused() */
	PRE_DO_CLOSE, /* send, close */
};

/* Where the dialogue before the login is. */
enum pre_state {
	PRE_COMMAND,
	PRE_TLS,
	PRE_JUDGING,
	PRE_CHALLENGED,
	PRE_GRANTED,
	PRE_CLOSED,
};

struct pre {
	const struct pre_settings *settings;
	enum pre_state state;
	enum pre_do want;
	const char *why; /* with PRE_DO_CLOSE: a constant, for the log */
	bool has_tls, has_binding, is_local;
	uint8_t failures, errors;
	bool skips; /* the command is refused already, the rest of it comes */
	uint32_t literal_left; /* bytes of a literal still to come */
	uint32_t literal_sum; /* of this command */
	enum pre_mech mech;
	bool has_initial;
	bool is_prepared; /* PLAIN stands for POP3's USER and PASS */
	bool is_utf8; /* POP3: UTF8 was said */
	enum pop3_lang lang; /* POP3 */
	/* Bytes in use of the arrays below. */
	uint16_t n_tag, n_user, n_id, n_sasl, n_line;
	uint16_t line_start; /* in `line`, behind the literals */
	uint16_t n_command; /* bytes of this command, also those not kept */
	char tag[PRE_TAG_MAX]; /* of the login command */
	char user[USER_NAME_MAX]; /* of POP3's USER */
	char id[PRE_ID_MAX]; /* what handoff.h says of client_id */
	char sasl[PRE_SASL_MAX];
	char line[PREAUTH_LINE_MAX];
};

/* Writes the greeting. `is_local`: passwords need no TLS. */
void pre_init(struct pre *p, const struct pre_settings *settings, bool has_tls,
    bool has_binding, bool is_local, struct buf *out);
/*
 * Takes input, as far as the machine wants it now, and returns how much that
 * was; p->want says what is next. Called only when that is PRE_DO_READ. It
 * may leave input untouched while there are answers to be sent first.
 */
size_t pre_feed(struct pre *p, struct str in, struct buf *out);
/* The handshake after PRE_DO_TLS is done: everything starts anew. */
void pre_tls_started(struct pre *p, bool has_binding);
/* What authd says after PRE_DO_START, PRE_DO_ANSWER and PRE_DO_CANCEL. */
void pre_auth_more(struct pre *p, struct str challenge, struct buf *out);
void pre_auth_ok(struct pre *p);
void pre_auth_fail(struct pre *p, enum chan_auth_why why, struct buf *out);
/* The user's process did not take the connection. */
void pre_refused(struct pre *p, enum handoff_reason reason, struct buf *out);
/* The time is up; says so where that can not be mistaken for an answer. */
void pre_timeout(struct pre *p, struct buf *out);
/* The server ends; likewise. */
void pre_shutdown(struct pre *p, struct buf *out);

/* May passwords be sent as they are? */
bool pre_can_plain(const struct pre *p);
bool pre_can_mech(const struct pre *p, enum pre_mech mech);
const char *pre_mech_name(enum pre_mech mech);
/* Wipes what may hold a password. */
void pre_wipe(struct pre *p);

#endif
