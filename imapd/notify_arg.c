/* SPDX-License-Identifier: ISC */
/*
 * notify_arg.c - the arguments of NOTIFY.
 *
 * Owns:    nothing; all lies in the caller's arena.
 * Runs in: imapd, as the mail user.
 * Trusts:  nothing in the arguments.
 * Spec:    RFC 5465 sections 5, 6 and 8.
 *
 * Events may also stand without parentheses, as in the examples of the RFC's
 * section 3.1.
 */
#include "imapd/notify_arg.h"

#include "base/buf.h"

static const struct {
	const char *word;
	enum notify_event event; /* 0: known, but there are none */
	bool is_there;
} events[] = {
    {"MessageNew", NOTIFY_NEW, true},
    {"MessageExpunge", NOTIFY_EXPUNGE, true},
    {"FlagChange", NOTIFY_FLAGS, true},
    {"AnnotationChange", 0, false},
    {"MailboxName", NOTIFY_NAME, true},
    {"SubscriptionChange", NOTIFY_SUBSCRIPTION, true},
    {"MailboxMetadataChange", NOTIFY_METADATA, true},
    {"ServerMetadataChange", NOTIFY_SERVER_METADATA, true},
};

struct parser {
	const struct session *s;
	struct arena *arena;
	struct notify_arg *out;
	size_t n_names;
	bool bad_event;
};

void
notify_arg_write_events(struct buf *b)
{
	bool first = true;

	buf_add_c(b, "BADEVENT (");
	for (size_t i = 0; i < ARRAY_LEN(events); i++) {
		if (!events[i].is_there)
			continue;
		buf_addf(b, "%s%s", first ? "" : " ", events[i].word);
		first = false;
	}
	buf_add_c(b, ")");
}

/* The list of fetch-atts behind MessageNew, if there is one. */
static bool
plan_parse(struct parser *p, const struct imap_arg **a, bool is_selected)
{
	const struct imap_arg *list, *at = *a;

	if (!imap_arg_list(&at, &list))
		return true;
	if (!is_selected || imap_arg_end(list) ||
	    !fetch_plan_parse(p->arena, a, &p->out->plan))
		return false;
	p->out->has_plan = true;
	/* To be told of a message is not to read it. */
	p->out->plan.sets_seen = false;
	return true;
}

static bool
event_parse(struct parser *p, const struct imap_arg **a, bool is_selected,
    unsigned *out)
{
	struct str word;
	size_t i = 0;

	if (!imap_arg_atom(a, &word))
		return false;
	while (i < ARRAY_LEN(events) &&
	    !str_eq_nocase(word, str_of(events[i].word)))
		i++;
	if (i == ARRAY_LEN(events) || !events[i].is_there) {
		p->bad_event = true;
		return true;
	}
	*out |= events[i].event;
	if (is_selected && (events[i].event & NOTIFY_MESSAGES) == 0)
		return false;
	return events[i].event != NOTIFY_NEW || plan_parse(p, a, is_selected);
}

/* Section 5: one of the first two needs the other, the third needs both. */
static bool
events_agree(unsigned e)
{
	const unsigned both = NOTIFY_NEW | NOTIFY_EXPUNGE;

	return (e & NOTIFY_MESSAGES) == 0 || (e & both) == both;
}

/* Up to the end of the group. */
static bool
events_parse(
    struct parser *p, const struct imap_arg *a, bool is_selected, unsigned *out)
{
	const struct imap_arg *list;

	*out = 0;
	if (imap_arg_word(&a, "NONE"))
		return imap_arg_end(a);
	if (imap_arg_list(&a, &list)) {
		if (!imap_arg_end(a))
			return false;
		a = list;
	}
	if (imap_arg_end(a))
		return false;
	while (!imap_arg_end(a))
		if (!event_parse(p, &a, is_selected, out))
			return false;
	return p->bad_event || events_agree(*out);
}

static bool
group_parse(struct parser *p, const struct imap_arg *a)
{
	const unsigned allowed =
	    (FILTER_SELECTED | FILTER_SELECTED_DELAYED | FILTER_OTHERS) &
	    ~(unsigned)FILTER_SUBTREE_ONE;
	struct notify_arg *out = p->out;
	struct notify_group g = {0};
	bool is_selected;

	if (!mbox_filter_parse(p->s, p->arena, &a, allowed, &g.filter))
		return false;
	p->n_names += g.filter.n;
	is_selected = (g.filter.kind & FILTER_OTHERS) == 0;
	if ((is_selected && out->has_selected) ||
	    !events_parse(p, a, is_selected, &g.events))
		return false;
	if (!is_selected) {
		out->groups[out->n_groups++] = g;
		return true;
	}
	out->has_selected = true;
	out->is_delayed = g.filter.kind == FILTER_SELECTED_DELAYED;
	out->selected = g.events;
	return true;
}

static enum notify_arg_result
groups_parse(struct parser *p, const struct imap_arg *a)
{
	const struct imap_arg *list;
	size_t n = 0;

	if (imap_arg_end(a))
		return NOTIFY_ARG_BAD;
	for (const struct imap_arg *i = a; !imap_arg_end(i); i++)
		n++;
	if (n > NOTIFY_GROUPS_MAX)
		return NOTIFY_ARG_TOO_MUCH;
	p->out->groups = arena_new(p->arena, n, sizeof(*p->out->groups));
	while (!imap_arg_end(a))
		if (!imap_arg_list(&a, &list) || !group_parse(p, list))
			return NOTIFY_ARG_BAD;
	if (p->bad_event)
		return NOTIFY_ARG_EVENT;
	return p->n_names > NOTIFY_NAMES_MAX ? NOTIFY_ARG_TOO_MUCH
					     : NOTIFY_ARG_OK;
}

enum notify_arg_result
notify_arg_parse(const struct session *s, struct arena *arena,
    const struct imap_arg *a, struct notify_arg *out)
{
	struct parser p = {.s = s, .arena = arena, .out = out};

	*out = (struct notify_arg){0};
	if (imap_arg_word(&a, "NONE"))
		return imap_arg_end(a) ? NOTIFY_ARG_OK : NOTIFY_ARG_BAD;
	if (!imap_arg_word(&a, "SET"))
		return NOTIFY_ARG_BAD;
	out->is_set = true;
	out->status = imap_arg_word(&a, "STATUS");
	return groups_parse(&p, a);
}
