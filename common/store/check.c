/* SPDX-License-Identifier: ISC */
/*
 * check.c - the table of checkers, and repair by opening every mailbox.
 *
 * Owns:    nothing.
 * Runs in: restantectl, as the mail user.
 * Trusts:  nothing on disk.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "store/check_impl.h"
#include "store/mailbox_impl.h"

static const struct checker {
	const char *driver; /* NULL: any */
	checker_fn *run;
} checkers[] = {
    {"maildir", maildir_check},
    {"mbox", mbox_check},
    {NULL, index_check_user},
};

void
check_tell(struct check *c, int weight, const char *kind, struct str mailbox,
    const char *cure, const char *fmt, ...)
{
	char text[1000];
	struct check_finding f = {
	    .weight = (enum check_weight)(weight & ~CHECK_CAN_REPAIR),
	    .can_repair = (weight & CHECK_CAN_REPAIR) != 0,
	    .kind = kind,
	    .mailbox = mailbox,
	    .cure = str_of(cure),
	};
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	f.text = str_of(text);
	c->found(c->arg, &f);
}

int
store_check(const struct store_settings *set, check_found_fn *found, void *arg,
    struct check_sum *sum, struct err *e)
{
	struct location loc;
	struct arena a;
	struct check c = {
	    .set = set,
	    .loc = &loc,
	    .arena = &a,
	    .found = found,
	    .arg = arg,
	    .sum = sum,
	};
	bool known = false;
	int rc = -1;

	*sum = (struct check_sum){0};
	arena_init(&a);
	if (location_get(&a, set, &loc, e) == -1)
		goto out;
	sum->driver = loc.driver;
	if (loc.note != NULL)
		check_tell(&c, CHECK_NOTE, "place", STR(""),
		    "Say mail_location for this user, or move one of them.",
		    "%s", loc.note);
	rc = 0;
	for (size_t i = 0; i < ARRAY_LEN(checkers) && rc == 0; i++) {
		if (checkers[i].driver != NULL &&
		    strcmp(checkers[i].driver, loc.driver) != 0)
			continue;
		known = known || checkers[i].driver != NULL;
		rc = checkers[i].run(&c, e);
	}
	if (rc == 0 && !known)
		rc = err_set(e, ERR_UNSUPPORTED,
		    "%s mailboxes can not be checked yet", loc.driver);
out:
	arena_done(&a);
	return rc;
}

/* ---- repair --------------------------------------------------------------- */

struct repair {
	struct store *s;
	check_found_fn *found;
	void *arg;
};

static int
repair_one(struct store *s, struct str name, struct err *e)
{
	struct view *v = NULL;
	enum step step;
	int rc = -1;

	do {
		step = view_open(s, name, false, &v, e);
		if (step == STEP_MORE)
			store_pause(s);
	} while (step == STEP_MORE);
	if (step != STEP_DONE)
		return -1;
	do {
		step = s->ops->sync(view_mailbox(v), SYNC_FORCE, e);
		if (step == STEP_MORE)
			store_pause(s);
	} while (step == STEP_MORE);
	if (step == STEP_DONE)
		rc = s->ops->repair == NULL
		    ? 0
		    : s->ops->repair(view_mailbox(v), e);
	view_close(&v);
	return rc;
}

static void
tell_failed(
    struct repair *r, const char *kind, struct str name, const struct err *e)
{
	struct check_finding f = {
	    .weight = CHECK_FAULT,
	    .kind = kind,
	    .mailbox = name,
	    .text = str_of(e->text),
	    .cure = STR("See what the system says above; nothing was changed."),
	};

	r->found(r->arg, &f);
}

int
store_repair(const struct store_settings *set, struct ev_loop *loop,
    check_found_fn *found, void *arg, struct err *e)
{
	struct repair r = {.found = found, .arg = arg};
	void *at = NULL;
	struct mbox_entry *m = NULL;
	struct arena a;
	struct err own;
	enum step step;

	if (index_repair_user(set, &own) == -1)
		tell_failed(&r, "index", STR(""), &own);
	if (store_open(set, loop, &r.s, e) == -1)
		return -1;
	arena_init(&a);
	do {
		/* What is on disk: no mailbox is made on first use here. */
		step = r.s->ops->list(r.s, &a, &at, &m, e);
		if (step == STEP_MORE)
			store_pause(r.s);
	} while (step == STEP_MORE);
	for (; step == STEP_DONE && m != NULL; m = m->next)
		if (!(m->attrs & (MBOX_NOSELECT | MBOX_NONEXISTENT)) &&
		    repair_one(r.s, m->name, &own) == -1)
			tell_failed(&r, "open", m->name, &own);
	r.s->ops->list_end(&at);
	arena_done(&a);
	store_close(&r.s);
	return step == STEP_DONE ? 0 : -1;
}
