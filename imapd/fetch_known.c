/* SPDX-License-Identifier: ISC */
/*
 * fetch_known.c - answers to FETCH that need no message to be opened: flags,
 * and what the index has.
 *
 * Owns:    nothing that outlives a step.
 * Runs in: imapd.
 * Trusts:  what is kept to be in IMAP syntax, because this program has written
 *          it; the index has checked that it is whole.
 * Spec:    RFC 3501 section 7.4.2.
 *
 * Clients ask so for all messages whenever they open a mailbox: no call of the
 * clock, no look-up from the start, no second copy for each of them.
 */
#include "imap/imap_date.h"
#include "imap/imap_requote.h"
#include "imapd/fetch_facts.h"
#include "imapd/fetch_job.h"
#include "imapd/flag_texts.h"
#include "imapd/line_out.h"
#include "imapd/session.h"
#include "store/view_modseq.h"

/* So many messages, or bytes, between two looks at the clock. */
#define LOOK_MESSAGES 64
#define LOOK_BYTES (32 * 1024)
/* A label, a number, a date: any item without its value, and what follows. */
#define ITEM_MAX 128
/* After messages that were not known: how many are passed over, at most. */
#define PASS_MAX 32

struct run {
	const struct fetch_plan *plan;
	struct view_walk walk;
	struct line_out out;
	struct flag_texts flags;
	struct line_number seq, uid;
	uint64_t modseq; /* of the present message */
	bool adds_uid; /* UID FETCH, and nobody has asked for it */
	bool uid_only; /* UIDFETCH, which begins with it */
	bool has_utf8, hides_recent; /* ENABLEd: session.h */
	struct buf quoted; /* a value with UTF-8 in quoted strings */
};

static inline void
put_flags(struct run *r, const struct flags *flags)
{
	struct str text = flag_texts_get(&r->flags, flags);

	line_out_put(&r->out, STR("FLAGS "));
	line_out_need(&r->out, text.n + ITEM_MAX);
	line_out_put(&r->out, text);
}

static inline void
put_uid(struct run *r)
{
	line_out_put(&r->out, STR("UID "));
	line_out_next(&r->out, &r->uid, r->walk.uid);
}

static void
put_date(struct line_out *o, int64_t date_s)
{
	char text[IMAP_DATE_TIME_SIZE];

	imap_date_time_write_local(date_s, text);
	line_out_put(o, STR("INTERNALDATE \""));
	line_out_put(o, str_make(text, IMAP_DATE_TIME_SIZE - 1));
	line_out_put(o, STR("\""));
}

/* Values are kept in the form that every client understands. */
static void
put_value(struct run *r, struct str label, struct str value)
{
	struct line_out *o = &r->out;

	if (r->has_utf8 && str_find(value, '{') < value.n) {
		buf_clear(&r->quoted);
		imap_requote(&r->quoted, value);
		value = buf_str(&r->quoted);
	}
	line_out_put(o, label);
	line_out_need(o, value.n + ITEM_MAX);
	line_out_put(o, value);
}

/* The size was asked for before, so it is known. */
static void
put_fields(
    struct line_out *o, const struct fetch_section *sec, struct str packed)
{
	size_t n = 0;

	(void)fetch_facts_size(sec, packed, &n);
	line_out_need(o, sec->label.n + n + ITEM_MAX);
	line_out_put(o, sec->label);
	line_out_put(o, STR(" {"));
	line_out_number(o, n);
	line_out_put(o, STR("}\r\n"));
	fetch_facts_fields(sec, packed, o->p);
	o->p += n;
}

static void
put_binary_size(
    struct line_out *o, const struct fetch_section *sec, struct str kept)
{
	uint64_t n = 0;

	(void)fetch_facts_binary(sec, kept, &n);
	line_out_need(o, sec->label.n + ITEM_MAX);
	line_out_put(o, sec->label);
	line_out_put(o, STR(" "));
	line_out_number(o, n);
}

static void
put_item(struct run *r, const struct fetch_item *item,
    const struct fetch_facts *facts, const struct flags *flags)
{
	struct line_out *o = &r->out;

	switch (item->kind) {
	case FETCH_UID:
		put_uid(r);
		return;
	case FETCH_FLAGS:
		put_flags(r, flags);
		return;
	case FETCH_MODSEQ:
		line_out_put(o, STR("MODSEQ ("));
		line_out_number(o, r->modseq);
		line_out_put(o, STR(")"));
		return;
	case FETCH_INTERNALDATE:
		put_date(o, facts->known.date_s);
		return;
	case FETCH_SIZE:
		line_out_put(o, STR("RFC822.SIZE "));
		line_out_number(o, facts->known.wire_size);
		return;
	case FETCH_ENVELOPE:
		put_value(r, STR("ENVELOPE "), facts->envelope);
		return;
	case FETCH_BODY:
		put_value(r, STR("BODY "), facts->body);
		return;
	case FETCH_BODYSTRUCTURE:
		put_value(r, STR("BODYSTRUCTURE "), facts->bodystructure);
		return;
	case FETCH_EMAILID:
	case FETCH_THREADID:
	case FETCH_SAVEDATE:
	case FETCH_BINARY:
	case FETCH_PREVIEW: /* fetch_facts_suffice() has refused them */
		return;
	case FETCH_SECTION:
		put_fields(o, &item->section, facts->fields);
		return;
	case FETCH_BINARY_SIZE:
		put_binary_size(o, &item->section, facts->binary);
		return;
	}
}

/*
 * Packed fields that are not in their form are not known, nor is a size that
 * was not asked for before.
 */
static bool
can_be_read(const struct fetch_plan *p, const struct fetch_facts *facts)
{
	const struct fetch_item *i;
	uint64_t size;
	size_t n;

	if (facts->fields.p == NULL && facts->binary.p == NULL)
		return true;
	for (i = p->items; i != NULL; i = i->next) {
		if (i->kind == FETCH_SECTION &&
		    !fetch_facts_size(&i->section, facts->fields, &n))
			return false;
		if (i->kind == FETCH_BINARY_SIZE &&
		    !fetch_facts_binary(&i->section, facts->binary, &size))
			return false;
	}
	return true;
}

/* The present message. Once the first byte is put nothing can fail. */
static bool
answer(struct run *r)
{
	struct line_out *o = &r->out;
	struct fetch_facts facts;
	const struct fetch_item *i;
	struct flags flags;

	if (r->plan->has_flags && !view_walk_flags(&r->walk, &flags))
		return false;
	if (r->plan->has_flags && r->hides_recent)
		flags.system &= (uint8_t)~FLAG_RECENT;
	/* Before the facts, which are borrowed from the index. */
	if (r->plan->has_modseq)
		r->modseq = view_modseq(r->walk.v, r->walk.uid);
	if (r->plan->needs != 0 &&
	    (!fetch_facts_find(r->walk.v, r->walk.uid, r->plan, &facts) ||
		!can_be_read(r->plan, &facts)))
		return false;
	line_out_need(o, ITEM_MAX);
	line_out_put(o, STR("* "));
	if (r->uid_only) {
		line_out_number(o, r->walk.uid);
		line_out_put(o, STR(" UIDFETCH ("));
	} else {
		line_out_next(o, &r->seq, r->walk.seq);
		line_out_put(o, STR(" FETCH ("));
	}
	if (r->adds_uid) {
		put_uid(r);
		line_out_put(o, STR(" "));
	}
	for (i = r->plan->items; i != NULL; i = i->next) {
		line_out_need(o, ITEM_MAX);
		put_item(r, i, &facts, &flags);
		if (i->next != NULL)
			line_out_put(o, STR(" "));
	}
	line_out_put(o, STR(")\r\n"));
	return true;
}

/* Up to the next look at the clock. False: this was the last one for now. */
static bool
answer_some(struct fetch *f, struct run *r)
{
	size_t end = r->out.n + LOOK_BYTES;

	for (int i = 0; i < LOOK_MESSAGES && r->out.n < end; i++) {
		if (!view_walk_next(&r->walk)) {
			f->at_end = true;
			return false;
		}
		f->uid = r->walk.uid;
		if (!answer(r)) {
			f->misses++;
			f->known_from = f->uid +
			    (f->misses < PASS_MAX ? f->misses : PASS_MAX);
			return false;
		}
		fetch_pass(f);
		f->misses = 0;
	}
	return true;
}

enum step
fetch_known(struct cmd *c)
{
	struct fetch *f = c->state;
	struct run r = {
	    .plan = &f->plan,
	    .adds_uid = c->uid && !f->plan.has_uid && !c->s->uid_only,
	    .uid_only = c->s->uid_only,
	    .has_utf8 = session_has_utf8(c->s),
	    .hides_recent = c->s->imap4rev2,
	};
	bool more, must_wait = false;

	if (f->at_end || f->uid < f->known_from)
		return STEP_DONE;
	session_send(c->s);
	buf_init(&r.quoted, SIZE_MAX / 2);
	flag_texts_init(&r.flags, view_mailbox(c->s->view));
	view_walk_begin(&r.walk, c->s->view, &f->uids, f->uid);
	line_out_begin(&r.out, c->s->conn);
	do {
		more = answer_some(f, &r);
		line_out_end(&r.out);
		must_wait =
		    more && (conn_is_full(c->s->conn) || cmd_time_is_up(c));
	} while (more && !must_wait);
	flag_texts_done(&r.flags);
	buf_done(&r.quoted);
	return must_wait ? STEP_MORE : STEP_DONE;
}
