/* SPDX-License-Identifier: ISC */
/*
 * main.c - imapd: all IMAP sessions of one user.
 *
 * Owns:    nothing; host runs the process, client.c each session.
 * Runs in: imapd, as the mail user.
 * Trusts:  master, for who the user is.
 */
#include "host/host.h"
#include "imapd/client.h"

static void *
session_new(struct host *h, struct conn *conn, const struct host_peer *peer)
{
	return client_new(h, conn, peer);
}

static bool
session_turn(void *session)
{
	return client_turn(session);
}

static void
session_end(void *session, const char *why)
{
	client_bye(session, why);
}

static const char *
session_state(void *session)
{
	return client_state(session);
}

static void
session_rest(void *session)
{
	client_rest(session);
}

static const struct host_ops ops = {
    .service = "imap",
    .session_new = session_new,
    .session_turn = session_turn,
    .session_end = session_end,
    .session_state = session_state,
    .session_rest = session_rest,
};

int
main(int argc, char **argv)
{
	return host_main(argc, argv, &ops);
}
