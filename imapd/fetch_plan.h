/* SPDX-License-Identifier: ISC */
/*
 * fetch_plan.h - what a FETCH asks for, and what it takes to answer
 * (RFC 3501 sections 6.4.5 and 9: fetch-att, section; RFC 3516 for BINARY).
 */
#ifndef IMAPD_FETCH_PLAN_H
#define IMAPD_FETCH_PLAN_H

#include "base/arena.h"
#include "imap/imap_arg.h"
#include "imapd/search_return.h"

/* What can be asked for; sections have more in struct fetch_section. */
enum fetch_kind {
	FETCH_UID,
	FETCH_FLAGS,
	FETCH_INTERNALDATE,
	FETCH_SIZE,
	FETCH_ENVELOPE,
	FETCH_BODY,
	FETCH_BODYSTRUCTURE,
	FETCH_MODSEQ,
	FETCH_EMAILID,
	FETCH_THREADID,
	FETCH_SAVEDATE,
	FETCH_PREVIEW,
	FETCH_SECTION,
	FETCH_BINARY,
	FETCH_BINARY_SIZE,
};

enum section_text {
	SECTION_WHOLE, /* BODY[], BODY[1.2] */
	SECTION_HEADER,
	SECTION_FIELDS,
	SECTION_FIELDS_NOT,
	SECTION_TEXT,
	SECTION_MIME,
};

/* A path of part numbers can not be longer than parts can be nested. */
#define SECTION_NUMBERS_MAX 200

struct fetch_section {
	uint32_t *numbers; /* part path; n_numbers 0: the message */
	size_t n_numbers;
	enum section_text text;
	struct str *fields; /* of HEADER.FIELDS, sorted without case */
	size_t n_fields;
	bool partial;
	uint64_t start, count; /* of wire bytes; below 2^63 each */
	struct str label; /* as it stands before the value in the answer */
	uint64_t listed; /* fields as bits, when all are kept: fetch_facts.h */
};

struct fetch_item {
	enum fetch_kind kind;
	struct fetch_section section; /* FETCH_SECTION, FETCH_BINARY* */
	bool lazy; /* FETCH_PREVIEW: only when it is known */
	int slot; /* where its value is kept, or 0: fetch_facts.h */
	struct fetch_item *next;
};

/* What is needed, cheapest first. */
enum fetch_need {
	NEED_SIZE = 1 << 0, /* as it is sent */
	NEED_HEADER = 1 << 1, /* the header of the message */
	NEED_BYTES = 1 << 2, /* the message, without its structure */
	NEED_PARTS = 1 << 3, /* the tree of parts */
	NEED_ENVELOPE = 1 << 4, /* from the tree, or else from the header */
	NEED_EMAIL_ID = 1 << 5, /* what may have to be read for it */
	NEED_THREAD_ID = 1 << 6,
	NEED_PREVIEW = 1 << 7,
	NEED_OPEN = 1 << 8, /* only to be asked */
	NEED_DATE = 1 << 9, /* INTERNALDATE */
};

struct fetch_plan {
	struct fetch_item *items;
	unsigned needs; /* enum fetch_need */
	bool sets_seen; /* BODY[] and not BODY.PEEK[] */
	bool has_uid, has_flags, has_modseq, has_binary;
	/* Modifiers (RFC 7162 sections 3.1.4.1, 3.2.6): */
	uint64_t changed_since; /* only messages above; 0: all */
	bool has_changed_since;
	bool vanished;
	bool has_partial;
	struct partial_range partial; /* RFC 9394 section 3.3 */
	struct str bad; /* the item that is to blame, if there is one */
};

/*
 * The items in *a (one atom, a macro, or a list), which is moved behind them.
 * All in `arena`. False: the grammar does not allow it, see fetch_plan_fault().
 */
bool fetch_plan_parse(
    struct arena *arena, const struct imap_arg **a, struct fetch_plan *out);
/* What to tell the client then: names the item, in printable ASCII, bounded. */
const char *fetch_plan_fault(struct arena *arena, const struct fetch_plan *p);

/*
 * What stands between the brackets of BODY[...] ("", "1.2.MIME"), without a
 * label. False: the grammar does not allow it.
 */
bool fetch_plan_section(
    struct arena *arena, struct str spec, struct fetch_section *out);

/*
 * "(CHANGEDSINCE n VANISHED PARTIAL n:n)" behind the items, or nothing; adds
 * MODSEQ.
 */
bool fetch_plan_modifiers(
    struct arena *arena, const struct imap_arg **a, struct fetch_plan *p);

#endif
