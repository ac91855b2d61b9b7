/* SPDX-License-Identifier: ISC */
/*
 * main.c - authd in its two roles: the broker and the spawner.
 *
 * Owns:    the settings.
 * Runs in: authd (broker), and as root (spawner).
 * Trusts:  master.
 */
#include <string.h>

#include "auth/broker.h"
#include "auth/spawner.h"
#include "base/log.h"
#include "base/clock.h"
#include "ipc/chan_child.h"
#include "ipc/chan_wait.h"
#include "os/proc.h"

/* Tells master why there will be no authd. */
NORETURN static void
give_up(const struct err *why)
{
	struct buf frame;
	struct err ignored;

	buf_init(&frame, CHILD_FRAME_MAX);
	child_failed_write(str_head(str_of(why->text), CHILD_TEXT_MAX), &frame);
	(void)chan_send_wait(
	    CHILD_FD_MASTER, &frame, NULL, 0, clock_mono_ms() + 1000, &ignored);
	log_fatal("%s", why->text);
}

int
main(int argc, char **argv)
{
	struct child_settings raw;
	struct auth_settings s;
	struct err e;
	int rc;

	proc_title_init(argc, argv);
	if (child_start("authd", &raw, &e) == -1)
		log_fatal("%s", e.text);
	if (auth_settings_read(&raw, &s, &e) == -1)
		give_up(&e);
	if (s.is_spawner) {
		log_set_process("spawner");
		proc_title("authd: spawner");
		rc = spawner_run(&s);
	} else {
		proc_title("authd");
		rc = broker_run(&s, &raw);
	}
	child_settings_done(&raw);
	return rc;
}
