/* SPDX-License-Identifier: ISC */
/*
 * client.h - one client: its input to commands, its output with back-pressure,
 * its end. What handlers need of it comes last.
 */
#ifndef IMAPD_CLIENT_H
#define IMAPD_CLIENT_H

#include "host/host.h"
#include "imapd/command.h"

struct client;

/* Greets, or answers the login command. Takes `conn`. */
struct client *client_new(
    struct host *h, struct conn *conn, const struct host_peer *peer);
/* A few milliseconds of work; true: there is more to do now. */
bool client_turn(struct client *cl);
/* Says BYE as soon as the present command allows it, and ends. */
void client_bye(struct client *cl, const char *why);
/* It has been idle for a while: what it does not need now goes. */
void client_rest(struct client *cl);
/* The selected mailbox or ""; valid until the next call. */
const char *client_state(struct client *cl);

/* ---- for handlers -------------------------------------------------------- */

/*
 * The handler returns STEP_MORE next and is called again only when the client
 * has sent something, or what it listens to calls client_news().
 */
enum step client_wait(struct cmd *c);
/* Takes that back. */
void client_go_on(struct cmd *c);
/* From outside of turns: the handler that waits should look again. */
void client_news(void *session);
/* The same for what may be told between commands, and by IDLE: notify.h. */
void client_push(void *session);

/* Sends "+ text". */
void client_continue(struct cmd *c, const char *text);
/*
 * A line of the client that is no command (DONE). STEP_MORE: has not come yet
 * (return it); STEP_FAIL: too long, it was skipped. *line lives in the arena.
 */
enum step client_line(struct cmd *c, struct str *line);

/*
 * For CMD_STREAM. The literal at the end of c->args is wanted: asks for it
 * where the client waits. A handler that replies without this, or before all
 * of it was taken, need not care for the rest.
 */
void client_literal_accept(struct cmd *c);
/* Bytes of it that have come; lives until the next call. */
struct str client_literal_peek(struct cmd *c);
void client_literal_consume(struct cmd *c, size_t n);
/* Bytes of it still to be consumed. */
uint64_t client_literal_left(const struct cmd *c);
/*
 * Behind the literal: return what this returns; the handler is called again
 * with the arguments that follow in c->args, none at the end of the command.
 */
enum step client_more_args(struct cmd *c);

#endif
