/* SPDX-License-Identifier: ISC */
/*
 * cmd_idle.c - IDLE.
 *
 * Owns:    the view's listener while it runs.
 * Runs in: imapd, as the mail user.
 * Trusts:  nothing.
 * Spec:    RFC 2177. Any line ends it; one that is not DONE is BAD. Commands
 *          that were sent behind DONE without waiting follow as always.
 */
#include "imapd/client.h"
#include "imapd/commands.h"
#include "imapd/context.h"
#include "imapd/metadata.h"
#include "imapd/notify.h"
#include "imapd/reply.h"
#include "imapd/session.h"
#include "imapd/sync.h"

static void
idle_cleanup(struct cmd *c)
{
	if (c->s->view != NULL && !notify_is_on(c->s))
		view_listen(c->s->view, NULL, NULL);
}

static enum step
idle_begin(struct cmd *c)
{
	if (!imap_arg_end(c->args))
		return reply_bad(c, "No arguments expected");
	c->state = c;
	c->cleanup = idle_cleanup;
	client_continue(c, "idling");
	if (c->s->view != NULL && !notify_is_on(c->s))
		view_listen(c->s->view, client_news, c->s);
	notify_command_ended(c->s);
	return STEP_MORE;
}

/* A response that is half out comes before the tagged one. */
static bool
is_within(struct session *s)
{
	if (notify_is_within(s))
		return notify_step(s, true) == STEP_MORE && notify_is_within(s);
	return context_is_within(s) && context_step(s) == STEP_MORE &&
	    context_is_within(s);
}

enum step
cmd_idle(struct cmd *c)
{
	struct session *s = c->s;
	enum step step;
	struct str line;

	if (c->state == NULL)
		return idle_begin(c);
	if (is_within(s)) {
		client_go_on(c);
		return STEP_MORE;
	}
	step = client_line(c, &line);
	if (step == STEP_DONE && str_eq_nocase(line, STR("DONE\r\n")))
		return reply_ok(c, NULL, "Done");
	if (step != STEP_MORE)
		return reply_bad(c, "DONE expected");
	/* client_line has said that we wait; not so while there is more. */
	if (notify_is_on(s)) {
		if (notify_is_due(s) && notify_step(s, true) == STEP_MORE)
			client_go_on(c);
	} else if (s->view != NULL && !s->lost &&
	    (view_has_news(s->view) || context_is_due(s)) &&
	    sync_tell(c) == STEP_MORE)
		client_go_on(c);
	if (metadata_has_news(s))
		metadata_tell(s);
	/* The mailbox is gone: the reply, then BYE. */
	if (s->lost)
		return reply_no(
		    c, "NONEXISTENT", "Selected mailbox was deleted");
	return STEP_MORE;
}
