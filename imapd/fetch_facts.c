/* SPDX-License-Identifier: ISC */
/*
 * fetch_facts.c - which FETCH items are answered from what is kept, and how.
 *
 * Owns:    the list of header fields that are kept.
 * Runs in: imapd.
 * Trusts:  what is kept to be what this program once wrote; the index has
 *          checked that it is whole.
 *
 * Changing the list, or the form of any value, changes INDEX_VERSION.
 */
#include "imapd/fetch_facts.h"

#include <stdlib.h>

#include "imapd/fetch_section.h"

/* What Thunderbird, Evolution, mutt, iOS, Outlook, Roundcube, mbsync and their
 * kin ask for when they list; sorted without case. */
static struct str listed[] = {
    STR_LIT("ARCHIVED-AT"),
    STR_LIT("AUTO-SUBMITTED"),
    STR_LIT("BCC"),
    STR_LIT("CC"),
    STR_LIT("CONTENT-CLASS"),
    STR_LIT("CONTENT-DESCRIPTION"),
    STR_LIT("CONTENT-TRANSFER-ENCODING"),
    STR_LIT("CONTENT-TYPE"),
    STR_LIT("DATE"),
    STR_LIT("DISPOSITION-NOTIFICATION-TO"),
    STR_LIT("FROM"),
    STR_LIT("IMPORTANCE"),
    STR_LIT("IN-REPLY-TO"),
    STR_LIT("LINES"),
    STR_LIT("LIST-ID"),
    STR_LIT("LIST-POST"),
    STR_LIT("LIST-SUBSCRIBE"),
    STR_LIT("LIST-UNSUBSCRIBE"),
    STR_LIT("LIST-UNSUBSCRIBE-POST"),
    STR_LIT("MAIL-FOLLOWUP-TO"),
    STR_LIT("MAIL-REPLY-TO"),
    STR_LIT("MESSAGE-ID"),
    STR_LIT("MIME-VERSION"),
    STR_LIT("NEWSGROUPS"),
    STR_LIT("ORGANIZATION"),
    STR_LIT("PRECEDENCE"),
    STR_LIT("PRIORITY"),
    STR_LIT("REFERENCES"),
    STR_LIT("REPLY-TO"),
    STR_LIT("RETURN-PATH"),
    STR_LIT("RETURN-RECEIPT-TO"),
    STR_LIT("SENDER"),
    STR_LIT("SUBJECT"),
    STR_LIT("TO"),
    STR_LIT("USER-AGENT"),
    STR_LIT("X-BEENTHERE"),
    STR_LIT("X-DRAFT-INFO"),
    STR_LIT("X-LABEL"),
    STR_LIT("X-LOOP"),
    STR_LIT("X-MAILER"),
    STR_LIT("X-MAILING-LIST"),
    STR_LIT("X-MSMAIL-PRIORITY"),
    STR_LIT("X-ORIGINAL-TO"),
    STR_LIT("X-PRIORITY"),
    STR_LIT("X-SPAM-FLAG"),
    STR_LIT("X-UNIFORM-TYPE-IDENTIFIER"),
    STR_LIT("X-UNIVERSALLY-UNIQUE-IDENTIFIER"),
};

static int
compare_names(const void *a, const void *b)
{
	return str_cmp_nocase(*(const struct str *)a, *(const struct str *)b);
}

static bool
is_listed(const struct fetch_section *sec)
{
	if (sec->n_numbers > 0 || sec->text != SECTION_FIELDS)
		return false;
	for (size_t i = 0; i < sec->n_fields; i++)
		if (bsearch(&sec->fields[i], listed, ARRAY_LEN(listed),
			sizeof(listed[0]), compare_names) == NULL)
			return false;
	return true;
}

int
fetch_facts_slot(const struct fetch_item *item)
{
	switch (item->kind) {
	case FETCH_ENVELOPE:
		return INDEX_ENVELOPE;
	case FETCH_BODY:
		return INDEX_BODY;
	case FETCH_BODYSTRUCTURE:
		return INDEX_BODYSTRUCTURE;
	case FETCH_SECTION:
		return is_listed(&item->section) ? INDEX_FIELDS : 0;
	default:
		return 0;
	}
}

bool
fetch_facts_suffice(const struct fetch_plan *p)
{
	bool any = (p->needs & NEED_FACTS) != 0;

	if (p->sets_seen)
		return false;
	for (const struct fetch_item *i = p->items; i != NULL; i = i->next) {
		bool has_slot = fetch_facts_slot(i) != 0;

		if (!has_slot &&
		    (i->kind == FETCH_SECTION || i->kind == FETCH_BODY))
			return false;
		any = any || has_slot;
	}
	return any;
}

struct str
fetch_facts_fields(
    const struct fetch_section *sec, struct str block, struct arena *a)
{
	return fetch_section_filter(sec, block, a);
}

struct str
fetch_facts_listed(struct str header, struct arena *a)
{
	const struct fetch_section all = {
	    .text = SECTION_FIELDS,
	    .fields = listed,
	    .n_fields = ARRAY_LEN(listed),
	};

	return fetch_section_filter(&all, header, a);
}

static struct str *
place_of(struct fetch_facts *f, int slot)
{
	switch (slot) {
	case INDEX_ENVELOPE:
		return &f->envelope;
	case INDEX_BODY:
		return &f->body;
	case INDEX_BODYSTRUCTURE:
		return &f->bodystructure;
	default:
		return &f->fields;
	}
}

bool
fetch_facts_find(struct view *v, uint32_t uid, const struct fetch_plan *p,
    struct fetch_facts *out)
{
	*out = (struct fetch_facts){0};
	if ((p->needs & NEED_FACTS) != 0 &&
	    (!view_known(v, uid, &out->known) || !out->known.has_size ||
		!out->known.has_date))
		return false;
	for (const struct fetch_item *i = p->items; i != NULL; i = i->next) {
		int slot = fetch_facts_slot(i);
		struct str *place = place_of(out, slot);

		if (slot != 0 && place->p == NULL &&
		    !view_fact(v, uid, (enum index_slot)slot, place))
			return false;
	}
	return true;
}

struct str
fetch_facts_value(const struct fetch_facts *f, const struct fetch_item *item)
{
	struct fetch_facts copy = *f;

	return *place_of(&copy, fetch_facts_slot(item));
}
