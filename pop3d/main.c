/* SPDX-License-Identifier: ISC */
/*
 * main.c - pop3d: all POP3 sessions of one user, or one on standard input and
 * output.
 *
 * Owns:    nothing.
 * Runs in: pop3d, as the mail user.
 * Trusts:  see host.c.
 */
#include "host/host.h"
#include "pop3d/session.h"

int
main(int argc, char **argv)
{
	return host_main(argc, argv, &session_ops);
}
