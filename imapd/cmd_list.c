/* SPDX-License-Identifier: ISC */
/*
 * cmd_list.c - LIST, LSUB, NAMESPACE.
 *
 * Owns:    nothing; names come from the store at each call.
 * Runs in: imapd, as the mail user.
 * Trusts:  nothing; names of folders on disk pass imap_write.
 * Spec:    RFC 3501 sections 6.3.8, 6.3.9, 7.2.2; RFC 3348 (CHILDREN), RFC 6154
 *          (SPECIAL-USE), RFC 2342 (NAMESPACE).
 *
 * Patterns are matched against names in their wire form, so that what a
 * client may write in a pattern and in a name is the same.
 */
#include "base/bounds.h"
#include "base/map.h"
#include "imap/imap_write.h"
#include "imapd/commands.h"
#include "imapd/reply.h"
#include "imapd/session.h"
#include "text/glob.h"
#include "text/utf7.h"

struct listing {
	const char *word; /* "LIST", "LSUB" */
	struct str pattern;
	struct list_job *job; /* until all names are there */
	bool is_subscribed, is_read;
	struct mbox_entry *at; /* the next one to be looked at */
	bool tells_levels; /* LSUB with "%" */
	struct map levels; /* LSUB: names above subscribed ones, told */
	struct buf wire; /* the name being looked at */
};

static void
listing_done(struct cmd *c)
{
	struct listing *l = c->state;

	if (l == NULL)
		return;
	list_job_free(&l->job);
	map_done(&l->levels);
	buf_done(&l->wire);
}

static void
write_attr(struct buf *b, const char *attr, bool *first)
{
	buf_addf(b, "%s%s", *first ? "" : " ", attr);
	*first = false;
}

static const char *
use_attr(enum special_use use)
{
	static const char *const attrs[] = {
	    [USE_DRAFTS] = "\\Drafts",
	    [USE_SENT] = "\\Sent",
	    [USE_TRASH] = "\\Trash",
	    [USE_JUNK] = "\\Junk",
	    [USE_ARCHIVE] = "\\Archive",
	};

	return (size_t)use < ARRAY_LEN(attrs) ? attrs[use] : NULL;
}

static void
write_attrs(struct buf *b, const struct mbox_entry *m)
{
	bool first = true;

	if ((m->attrs & (MBOX_NOSELECT | MBOX_NONEXISTENT)) != 0)
		write_attr(b, "\\Noselect", &first);
	if ((m->attrs & MBOX_NO_INFERIORS) != 0)
		write_attr(b, "\\NoInferiors", &first);
	else
		write_attr(b,
		    (m->attrs & MBOX_HAS_CHILDREN) != 0 ? "\\HasChildren"
							: "\\HasNoChildren",
		    &first);
	if ((m->attrs & MBOX_MARKED) != 0)
		write_attr(b, "\\Marked", &first);
	else if ((m->attrs & MBOX_UNMARKED) != 0)
		write_attr(b, "\\Unmarked", &first);
	if (use_attr(m->use) != NULL)
		write_attr(b, use_attr(m->use), &first);
}

/* "/" as a quoted character. */
static void
write_delimiter(struct buf *b, char c)
{
	imap_write_string(b, str_make(&c, 1));
}

/* LSUB's attributes say nothing but that a level is no mailbox. */
static void
write_entry(struct session *s, const struct listing *l,
    const struct mbox_entry *m, char delimiter, struct str wire)
{
	struct buf *b = &s->out;

	reply_begin(s);
	buf_addf(b, "%s (", l->word);
	if (m == NULL)
		buf_add_c(b, "\\Noselect");
	else if (strcmp(l->word, "LIST") == 0)
		write_attrs(b, m);
	buf_add_c(b, ") ");
	write_delimiter(b, delimiter);
	buf_add_byte(b, ' ');
	imap_write_astring(b, wire);
	reply_end(s);
}

/*
 * LSUB: the subscribed name did not match, but a level above it may, as "foo"
 * above "foo/bar" matches "%" (RFC 3501 section 6.3.9). Once per level.
 */
static void
write_levels(struct cmd *c, struct listing *l, char delimiter, struct str wire)
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
		write_entry(c->s, l, NULL, delimiter, name);
	}
}

/* A name that is the same as another one is told where it is asked for. */
static void
list_alias(struct cmd *c, struct listing *l, const struct mbox_entry *m)
{
	struct str alias = store_alias(c->s->store), wire;

	if (alias.n == 0 || !str_starts_nocase(l->pattern, alias) ||
	    m->delimiter != '.' || str_starts(m->name, alias) ||
	    str_eq(m->name, STR("INBOX")))
		return;
	wire = arena_printf(
	    c->arena, "%.*s%.*s", STR_ARG(alias), STR_ARG(buf_str(&l->wire)));
	if (glob_match(l->pattern, wire, m->delimiter))
		write_entry(c->s, l, m, m->delimiter, wire);
}

static void
list_one(struct cmd *c, struct listing *l, const struct mbox_entry *m)
{
	buf_clear(&l->wire);
	if (!utf7_encode(&l->wire, m->name))
		buf_add_str(&l->wire, m->name);
	if (glob_match(l->pattern, buf_str(&l->wire), m->delimiter))
		write_entry(c->s, l, m, m->delimiter, buf_str(&l->wire));
	else if (l->tells_levels)
		write_levels(c, l, m->delimiter, buf_str(&l->wire));
	else
		list_alias(c, l, m);
}

/* Subscribed names are no levels to be told as such. */
static void
note_subscribed(struct cmd *c, struct listing *l)
{
	struct mbox_entry *m;

	for (m = l->at; m != NULL; m = m->next) {
		buf_clear(&l->wire);
		if (utf7_encode(&l->wire, m->name))
			map_put(&l->levels,
			    arena_str(c->arena, buf_str(&l->wire)), l);
	}
}

/* An empty pattern asks for delimiter and root name of the reference. */
static enum step
tell_root(struct cmd *c, const struct listing *l, struct str reference)
{
	struct str root = STR("");
	struct space sp;

	for (size_t i = 0; store_space(c->s->store, i, &sp); i++)
		if (sp.prefix.n > 0 && str_starts(reference, sp.prefix))
			root = sp.prefix;
	write_entry(
	    c->s, l, NULL, store_delimiter_of(c->s->store, reference), root);
	return reply_ok(c, NULL, "Done");
}

/* First call: arguments. False: answered. */
static bool
listing_begin(struct cmd *c, const char *word, struct listing *l)
{
	const struct imap_arg *a = c->args;
	struct str reference, pattern;

	if (!imap_arg_astring(&a, &reference) ||
	    !imap_arg_list_mailbox(&a, &pattern) || !imap_arg_end(a)) {
		(void)reply_bad(c, "Reference and mailbox pattern expected");
		return false;
	}
	l->word = word;
	l->is_subscribed = strcmp(word, "LSUB") == 0;
	buf_init(&l->wire, MAILBOX_NAME_MAX_BYTES * 16);
	map_init(&l->levels);
	c->state = l;
	c->cleanup = listing_done;
	if (pattern.n == 0) {
		(void)tell_root(c, l, reference);
		return false;
	}
	if (reference.n + pattern.n > MAILBOX_NAME_MAX_BYTES) {
		(void)reply_no(c, "LIMIT", "Pattern too long");
		return false;
	}
	l->pattern = arena_printf(
	    c->arena, "%.*s%.*s", STR_ARG(reference), STR_ARG(pattern));
	l->tells_levels =
	    l->is_subscribed && str_find(pattern, '%') < pattern.n;
	return true;
}

static enum step
read_names(struct cmd *c, struct listing *l, struct err *e)
{
	enum step step;

	if (l->is_read)
		return STEP_DONE;
	do
		step = store_list(c->s->store, l->is_subscribed, c->arena,
		    &l->job, &l->at, e);
	while (step == STEP_MORE && !cmd_time_is_up(c));
	if (step != STEP_DONE)
		return step;
	l->is_read = true;
	if (l->tells_levels)
		note_subscribed(c, l);
	return STEP_DONE;
}

static enum step
list(struct cmd *c, const char *word)
{
	struct listing *l = c->state;
	enum step step;
	struct err e;

	if (l == NULL) {
		l = arena_new(c->arena, 1, sizeof(*l));
		if (!listing_begin(c, word, l))
			return STEP_DONE;
	}
	step = read_names(c, l, &e);
	if (step == STEP_FAIL)
		return reply_err(c, &e);
	if (step == STEP_MORE)
		return STEP_MORE;
	for (; l->at != NULL; l->at = l->at->next) {
		if (conn_is_full(c->s->conn) || cmd_time_is_up(c))
			return STEP_MORE;
		list_one(c, l, l->at);
	}
	return reply_ok(c, NULL, "Done");
}

enum step
cmd_list(struct cmd *c)
{
	return list(c, "LIST");
}

enum step
cmd_lsub(struct cmd *c)
{
	return list(c, "LSUB");
}

/* RFC 2342 section 5: the user's own, other users', shared ones. */
enum step
cmd_namespace(struct cmd *c)
{
	static const enum space_kind kinds[] = {
	    SPACE_PERSONAL, SPACE_OTHERS, SPACE_SHARED};
	struct buf *b = &c->s->out;
	struct space sp;

	if (!imap_arg_end(c->args))
		return reply_bad(c, "No arguments expected");
	reply_begin(c->s);
	buf_add_c(b, "NAMESPACE");
	for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
		bool any = false;

		for (size_t i = 0; store_space(c->s->store, i, &sp); i++) {
			if (sp.kind != kinds[k])
				continue;
			buf_add_c(b, any ? "(" : " ((");
			imap_write_string(b, sp.prefix);
			buf_add_byte(b, ' ');
			write_delimiter(b, sp.delimiter);
			buf_add_byte(b, ')');
			any = true;
		}
		buf_add_c(b, any ? ")" : " NIL");
	}
	reply_end(c->s);
	return reply_ok(c, NULL, "Done");
}
