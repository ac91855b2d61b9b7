/* SPDX-License-Identifier: ISC */
/*
 * cmd_lsub.c - LSUB.
 *
 * Owns:    nothing; names come from the store at each call.
 * Runs in: imapd, as the mail user.
 * Trusts:  nothing.
 * Spec:    RFC 3501 section 6.3.9.
 */
#include "base/bounds.h"
#include "base/map.h"
#include "imapd/commands.h"
#include "imapd/habit.h"
#include "imapd/list_arg.h"
#include "imapd/list_write.h"
#include "imapd/name.h"
#include "imapd/reply.h"
#include "text/glob.h"

struct lsub {
	struct str pattern;
	struct list_job *job; /* until all names are there */
	bool is_read;
	struct mbox_entry *at; /* the next one to be looked at */
	bool tells_levels; /* there is a "%" */
	struct map levels; /* names above subscribed ones, told */
	struct buf wire; /* the name being looked at */
};

static void
lsub_done(struct cmd *c)
{
	struct lsub *l = c->state;

	list_job_free(&l->job);
	map_done(&l->levels);
	buf_done(&l->wire);
}

/* Attributes say nothing but that a level is no subscribed mailbox. */
static void
tell(struct cmd *c, const struct mbox_entry *m, char delimiter, struct str wire)
{
	struct list_line line = {
	    .word = "LSUB",
	    .entry = m,
	    .delimiter = delimiter,
	    .wire = wire,
	    .is_bare = true,
	};

	if (habit_has(c->s, HABIT_LSUB_FLAGS) && m != NULL)
		line.is_bare = false;

	list_write(c->s, &line);
}

/*
 * The subscribed name did not match, but a level above it may, as "foo" above
 * "foo/bar" matches "%". Once per level.
 */
static void
tell_levels(struct cmd *c, struct lsub *l, char delimiter, struct str wire)
{
	struct str level = wire, name;

	for (;;) {
		level.n = str_rfind(level, delimiter);
		if (level.n == 0 || level.n >= wire.n)
			return;
		wire.n = level.n;
		if (map_find(&l->levels, level) != NULL ||
		    !glob_match(l->pattern, level, delimiter))
			continue;
		name = arena_str(c->arena, level);
		map_put(&l->levels, name, l);
		tell(c, NULL, delimiter, name);
	}
}

/* A name that is the same as another one is told where it is asked for. */
static void
tell_alias(struct cmd *c, struct lsub *l, const struct mbox_entry *m)
{
	struct str alias = store_alias(c->s->store), wire;

	if (alias.n == 0 || !str_starts_nocase(l->pattern, alias) ||
	    m->delimiter != '.' || str_starts(m->name, alias) ||
	    str_eq(m->name, STR("INBOX")))
		return;
	wire = arena_printf(
	    c->arena, "%.*s%.*s", STR_ARG(alias), STR_ARG(buf_str(&l->wire)));
	if (glob_match(l->pattern, wire, m->delimiter))
		tell(c, m, m->delimiter, wire);
}

static void
tell_one(struct cmd *c, struct lsub *l, const struct mbox_entry *m)
{
	buf_clear(&l->wire);
	name_wire(c->s, &l->wire, m->name);
	if (name_matches(l->pattern, m->name, buf_str(&l->wire), m->delimiter))
		tell(c, m, m->delimiter, buf_str(&l->wire));
	else if (l->tells_levels)
		tell_levels(c, l, m->delimiter, buf_str(&l->wire));
	else
		tell_alias(c, l, m);
}

/* Subscribed names are no levels to be told as such. */
static void
note_subscribed(struct cmd *c, struct lsub *l)
{
	struct mbox_entry *m;

	for (m = l->at; m != NULL; m = m->next) {
		buf_clear(&l->wire);
		name_wire(c->s, &l->wire, m->name);
		map_put(&l->levels, arena_str(c->arena, buf_str(&l->wire)), l);
	}
}

/* False: answered. */
static bool
lsub_begin(struct cmd *c)
{
	struct lsub *l = arena_new(c->arena, 1, sizeof(*l));
	struct list_arg arg;

	if (list_arg_parse(c, &arg) != NULL || arg.is_extended) {
		(void)reply_bad(c, "Reference and mailbox pattern expected");
		return false;
	}
	if (arg.asks_root) {
		tell(c, NULL, store_delimiter_of(c->s->store, arg.reference),
		    STR(""));
		(void)reply_ok(c, NULL, "Done");
		return false;
	}
	l->pattern = arg.n_patterns > 0 ? arg.patterns[0] : STR("");
	l->tells_levels = str_find(l->pattern, '%') < l->pattern.n;
	buf_init(&l->wire, MAILBOX_NAME_MAX_BYTES * 16);
	map_init(&l->levels);
	c->state = l;
	c->cleanup = lsub_done;
	return true;
}

static enum step
read_names(struct cmd *c, struct lsub *l, struct err *e)
{
	enum step step;

	if (l->is_read)
		return STEP_DONE;
	do
		step = store_list(
		    c->s->store, LIST_SUBSCRIBED, c->arena, &l->job, &l->at, e);
	while (step == STEP_MORE && !cmd_time_is_up(c));
	if (step != STEP_DONE)
		return step;
	l->is_read = true;
	if (l->tells_levels)
		note_subscribed(c, l);
	return STEP_DONE;
}

enum step
cmd_lsub(struct cmd *c)
{
	struct lsub *l;
	enum step step;
	struct err e;

	if (c->state == NULL && !lsub_begin(c))
		return STEP_DONE;
	l = c->state;
	step = read_names(c, l, &e);
	if (step == STEP_FAIL)
		return reply_err(c, &e);
	if (step == STEP_MORE)
		return STEP_MORE;
	/* However short a turn is, it gets one further. */
	for (bool any = false; l->at != NULL; l->at = l->at->next, any = true) {
		if (conn_is_full(c->s->conn) || (any && cmd_time_is_up(c)))
			return STEP_MORE;
		tell_one(c, l, l->at);
	}
	return reply_ok(c, NULL, "Done");
}
