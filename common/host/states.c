/* SPDX-License-Identifier: ISC */
/*
 * states.c - what the sessions are doing, for `who` and for ps.
 *
 * Owns:    host_session.state.
 * Runs in: imapd and pop3d.
 * Trusts:  the services' words.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "host/host_impl.h"
#include "os/proc.h"

#define STATE_TEXT_MAX 200

/* Mailbox names are any text: control bytes do not belong on a terminal. */
static void
clean(const char *from, char *to, size_t size)
{
	size_t i;

	for (i = 0; from[i] != '\0' && i < size - 1; i++)
		to[i] = (unsigned char)from[i] < ' ' || from[i] == 127
		    ? '?'
		    : from[i];
	to[i] = '\0';
}

static void
set_title(struct host *h)
{
	const struct host_session *hs;

	if (h->n_sessions == 1) {
		hs = LIST_OF(h->sessions.next, struct host_session, all);
		proc_title("%sd: %s %s%s%s", h->ops->service, h->user,
		    hs->remote_ip,
		    hs->state == NULL || hs->state[0] == '\0' ? "" : " ",
		    hs->state == NULL ? "" : hs->state);
	} else {
		proc_title("%sd: %s %zu sessions", h->ops->service, h->user,
		    h->n_sessions);
	}
}

void
host_tell_states(struct host *h)
{
	char text[STATE_TEXT_MAX];

	LIST_EACH(&h->sessions, l) {
		struct host_session *hs = LIST_OF(l, struct host_session, all);

		clean(h->ops->session_state(hs->session), text, sizeof(text));
		if (hs->state != NULL && strcmp(hs->state, text) == 0)
			continue;
		free(hs->state);
		hs->state = mem_strdup(text);
		intake_tell_state(h, hs);
	}
	set_title(h);
}
