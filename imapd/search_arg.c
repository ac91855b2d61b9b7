/* SPDX-License-Identifier: ISC */
/*
 * search_arg.c - search keys from a command's arguments.
 *
 * Owns:    nothing; the query lies in the command's arena.
 * Runs in: imapd.
 * Trusts:  nothing; nesting and the number of keys are bounded.
 * Spec:    RFC 3501 section 6.4.4, RFC 5032 (WITHIN), RFC 7162 section 3.1.5,
 *          RFC 8474 section 6, RFC 8514 section 4.3, RFC 9586, RFC 9738; RFC
 *          9755 section 3 (no charset once UTF8=ACCEPT is enabled).
 */
#include "base/bounds.h"
#include "base/clock.h"
#include "base/num.h"
#include "imap/imap_char.h"
#include "imap/imap_date.h"
#include "imapd/modseq.h"
#include "imapd/search_arg.h"
#include "imapd/session.h"
#include "text/ascii.h"
#include "text/charset.h"
#include "text/utf8.h"

/* NOT NOT NOT ... and lists in lists. */
#define DEPTH_MAX 100

/* The sets made so far; they are released when the rest is wrong. */
struct made_set {
	struct set32 *set;
	struct made_set *next;
};

struct parser {
	struct cmd *c;
	const struct imap_arg *at;
	struct str charset; /* p == NULL: UTF-8 */
	unsigned depth;
	bool bad_charset;
	bool has_numbers; /* sequence numbers, with UIDONLY */
	struct made_set *made;
};

/* What follows the key's word. */
enum operand {
	OPERAND_NONE,
	OPERAND_TEXT,
	OPERAND_FIELD_TEXT, /* HEADER: field name, text */
	OPERAND_DATE,
	OPERAND_NUMBER,
	OPERAND_AGE, /* seconds before now */
	OPERAND_KEYWORD,
	OPERAND_UIDS,
	OPERAND_UID_AFTER,
	OPERAND_UID_BEFORE,
	OPERAND_ID, /* objectid */
	OPERAND_MODSEQ, /* perhaps an entry and its type, number */
	OPERAND_KEY,
	OPERAND_TWO_KEYS,
};

struct search_key {
	const char *word;
	enum operand operand;
	enum query_key key;
	bool negate;
	uint8_t flag; /* QUERY_FLAG */
	const char *field; /* QUERY_HEADER */
};

#define FLAG_KEY(word, flag)                                                   \
	{                                                                      \
		word, OPERAND_NONE, QUERY_FLAG, false, flag, NULL              \
	}
#define UNFLAG_KEY(word, flag)                                                 \
	{                                                                      \
		word, OPERAND_NONE, QUERY_FLAG, true, flag, NULL               \
	}
#define FIELD_KEY(word, field)                                                 \
	{                                                                      \
		word, OPERAND_TEXT, QUERY_HEADER, false, 0, field              \
	}
#define KEY(word, operand, key)                                                \
	{                                                                      \
		word, operand, key, false, 0, NULL                             \
	}

static const struct search_key keys[] = {
    KEY("ALL", OPERAND_NONE, QUERY_ALL),
    FLAG_KEY("ANSWERED", FLAG_ANSWERED),
    FLAG_KEY("DELETED", FLAG_DELETED),
    FLAG_KEY("DRAFT", FLAG_DRAFT),
    FLAG_KEY("FLAGGED", FLAG_FLAGGED),
    FLAG_KEY("RECENT", FLAG_RECENT),
    FLAG_KEY("SEEN", FLAG_SEEN),
    UNFLAG_KEY("OLD", FLAG_RECENT),
    UNFLAG_KEY("UNANSWERED", FLAG_ANSWERED),
    UNFLAG_KEY("UNDELETED", FLAG_DELETED),
    UNFLAG_KEY("UNDRAFT", FLAG_DRAFT),
    UNFLAG_KEY("UNFLAGGED", FLAG_FLAGGED),
    UNFLAG_KEY("UNSEEN", FLAG_SEEN),
    FIELD_KEY("BCC", "Bcc"),
    FIELD_KEY("CC", "Cc"),
    FIELD_KEY("FROM", "From"),
    FIELD_KEY("SUBJECT", "Subject"),
    FIELD_KEY("TO", "To"),
    KEY("BODY", OPERAND_TEXT, QUERY_BODY),
    KEY("TEXT", OPERAND_TEXT, QUERY_TEXT),
    KEY("HEADER", OPERAND_FIELD_TEXT, QUERY_HEADER),
    KEY("BEFORE", OPERAND_DATE, QUERY_BEFORE),
    KEY("ON", OPERAND_DATE, QUERY_ON),
    KEY("SINCE", OPERAND_DATE, QUERY_SINCE),
    KEY("SENTBEFORE", OPERAND_DATE, QUERY_SENT_BEFORE),
    KEY("SENTON", OPERAND_DATE, QUERY_SENT_ON),
    KEY("SENTSINCE", OPERAND_DATE, QUERY_SENT_SINCE),
    KEY("OLDER", OPERAND_AGE, QUERY_OLDER),
    KEY("YOUNGER", OPERAND_AGE, QUERY_YOUNGER),
    KEY("SAVEDBEFORE", OPERAND_DATE, QUERY_SAVED_BEFORE),
    KEY("SAVEDON", OPERAND_DATE, QUERY_SAVED_ON),
    KEY("SAVEDSINCE", OPERAND_DATE, QUERY_SAVED_SINCE),
    KEY("SAVEDATESUPPORTED", OPERAND_NONE, QUERY_ALL),
    KEY("EMAILID", OPERAND_ID, QUERY_EMAIL_ID),
    KEY("THREADID", OPERAND_ID, QUERY_THREAD_ID),
    KEY("LARGER", OPERAND_NUMBER, QUERY_LARGER),
    KEY("SMALLER", OPERAND_NUMBER, QUERY_SMALLER),
    KEY("KEYWORD", OPERAND_KEYWORD, QUERY_KEYWORD),
    {"UNKEYWORD", OPERAND_KEYWORD, QUERY_KEYWORD, true, 0, NULL},
    KEY("MODSEQ", OPERAND_MODSEQ, QUERY_MODSEQ),
    KEY("UID", OPERAND_UIDS, QUERY_UIDS),
    KEY("UIDAFTER", OPERAND_UID_AFTER, QUERY_UIDS),
    KEY("UIDBEFORE", OPERAND_UID_BEFORE, QUERY_UIDS),
    KEY("NOT", OPERAND_KEY, QUERY_NOT),
    KEY("OR", OPERAND_TWO_KEYS, QUERY_OR),
};

static struct query *parse_key(struct parser *p);

static struct query *
negated(struct parser *p, struct query *q)
{
	struct query *not = query_new(p->c->arena, QUERY_NOT);

	query_add(not, q);
	return not ;
}

static struct query *
flag_query(struct parser *p, uint8_t flag)
{
	struct query *q = query_new(p->c->arena, QUERY_FLAG);

	q->number = flag;
	return q;
}

/* A string of the command in UTF-8; false: the charset does not allow it. */
static bool
parse_text(struct parser *p, struct str *out)
{
	struct arena *a = p->c->arena;
	struct str raw;
	struct buf b;
	bool known = true;

	if (!imap_arg_astring(&p->at, &raw))
		return false;
	if (p->charset.p == NULL) {
		*out = raw;
		return utf8_is_valid(raw);
	}
	buf_init(&b, raw.n * 4 + 64);
	known = charset_to_utf8(p->charset, raw, &b);
	*out = arena_str(a, buf_str(&b));
	buf_done(&b);
	return known;
}

static struct query *
new_uids(struct parser *p)
{
	struct made_set *made = arena_new(p->c->arena, 1, sizeof(*made));
	struct query *q = query_new_uids(p->c->arena);

	made->set = q->uids;
	made->next = p->made;
	p->made = made;
	return q;
}

static bool
parse_uids(struct parser *p, bool uid, struct str text, struct query **out)
{
	*out = new_uids(p);
	return session_parse_set_as(p->c, text, uid, (*out)->uids);
}

/* RFC 9738: all behind the one UID, or all before it. */
static bool
parse_uid_side(struct parser *p, bool after, struct query **out)
{
	uint32_t uid;

	if (!imap_arg_u32(&p->at, 1, &uid))
		return false;
	*out = new_uids(p);
	if (p->c->s->view == NULL)
		return true;
	set32_copy((*out)->uids, view_uids(p->c->s->view));
	set32_remove_range(
	    (*out)->uids, after ? 0 : uid, after ? uid : UINT32_MAX);
	return true;
}

static bool
parse_keyword(struct parser *p, struct query *q)
{
	struct str name;
	size_t number;

	/* RFC 3501: flag-keyword = atom */
	if (!imap_arg_atom(&p->at, &name) ||
	    !imap_char_all(name, IMAP_CHAR_ATOM))
		return false;
	if (p->c->s->view != NULL &&
	    mailbox_keyword_find(view_mailbox(p->c->s->view), name, &number))
		q->number = (int64_t)number;
	else
		q->key = QUERY_NEVER;
	q->name = name; /* it may come into being: context.c */
	return true;
}

static bool
parse_date(struct parser *p, struct query *q)
{
	struct str text;
	int32_t day;

	if (!imap_arg_astring(&p->at, &text) || !imap_date_parse(text, &day))
		return false;
	q->number = day;
	return true;
}

/* RFC 7162 section 7: attr-flag, an atom or one behind a backslash. */
static bool
is_entry_name(struct str s)
{
	if (!str_starts_nocase(s, STR("/flags/")))
		return false;
	s = str_skip(s, strlen("/flags/"));
	if (s.n > 0 && s.p[0] == '\\')
		s = str_skip(s, 1);
	return imap_char_all(s, IMAP_CHAR_ATOM);
}

/*
 * "/flags/\\draft" all 620162338, or the number alone. There is one number for
 * all flags, so which flag is meant changes nothing (RFC 7162 section 3.1.5).
 */
static bool
parse_modseq(struct parser *p, struct query *q)
{
	static const char *const types[] = {"all", "priv", "shared"};
	struct str entry;
	uint64_t v;
	size_t i = 0;

	if (p->at->type == IMAP_ARG_QUOTED) {
		if (!imap_arg_string(&p->at, &entry) || !is_entry_name(entry))
			return false;
		while (i < ARRAY_LEN(types) && !imap_arg_word(&p->at, types[i]))
			i++;
		if (i == ARRAY_LEN(types))
			return false;
	}
	if (!modseq_arg(&p->at, 0, &v))
		return false;
	q->number = (int64_t)v;
	return true;
}

static bool
parse_children(struct parser *p, struct query *q, unsigned n)
{
	while (n-- > 0) {
		struct query *child = parse_key(p);

		if (child == NULL)
			return false;
		query_add(q, child);
	}
	return true;
}

/* RFC 8474 section 7: objectid. */
static bool
is_object_id(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!ascii_is_alnum(s.p[i]) && s.p[i] != '_' && s.p[i] != '-')
			return false;
	return s.n > 0 && s.n <= 255;
}

/* What follows the word of `k`, into `q`. */
static bool
parse_operand(struct parser *p, const struct search_key *k, struct query *q)
{
	uint64_t v;
	uint32_t age;

	switch (k->operand) {
	case OPERAND_NONE:
		q->number = k->flag;
		return true;
	case OPERAND_FIELD_TEXT:
		/* No field has an empty name, but the grammar allows to ask. */
		return imap_arg_astring(&p->at, &q->name) &&
		    parse_text(p, &q->text);
	case OPERAND_TEXT:
		q->name = str_of(k->field);
		if (!parse_text(p, &q->text))
			return false;
		/* Every text holds the empty one; a field must be there. */
		if (q->text.n == 0 && k->field == NULL)
			q->key = QUERY_ALL;
		return true;
	case OPERAND_DATE:
		return parse_date(p, q);
	case OPERAND_NUMBER:
		if (!imap_arg_u64(&p->at, &v) || v > INT64_MAX)
			return false;
		q->number = (int64_t)v;
		return true;
	case OPERAND_AGE:
		if (!imap_arg_u32(&p->at, 1, &age))
			return false;
		q->number = clock_wall_s() - age;
		return true;
	case OPERAND_KEYWORD:
		return parse_keyword(p, q);
	case OPERAND_ID:
		return imap_arg_atom(&p->at, &q->text) && is_object_id(q->text);
	case OPERAND_MODSEQ:
		return parse_modseq(p, q);
	case OPERAND_KEY:
		return parse_children(p, q, 1);
	case OPERAND_TWO_KEYS:
		return parse_children(p, q, 2);
	case OPERAND_UIDS:
	case OPERAND_UID_AFTER:
	case OPERAND_UID_BEFORE:
		break;
	}
	return false;
}

/* NEW is RECENT UNSEEN. */
static struct query *
new_key(struct parser *p)
{
	struct query *q = query_new(p->c->arena, QUERY_AND);

	query_add(q, flag_query(p, FLAG_RECENT));
	query_add(q, negated(p, flag_query(p, FLAG_SEEN)));
	return q;
}

static const struct search_key *
find_key(struct str word)
{
	size_t i;

	for (i = 0; i < ARRAY_LEN(keys); i++)
		if (str_eq_nocase(word, str_of(keys[i].word)))
			return &keys[i];
	return NULL;
}

static bool
is_set(struct str word)
{
	char c = word.n > 0 ? word.p[0] : '\0';

	return (c >= '0' && c <= '9') || c == '*' || c == '$';
}

static struct query *
parse_word(struct parser *p, struct str word)
{
	const struct search_key *k;
	struct query *q;

	/* "$" names no number, so it may stay (RFC 9586 section 3.5). */
	if (is_set(word) && word.p[0] != '$' && p->c->s->uid_only) {
		p->has_numbers = true;
		return NULL;
	}
	if (is_set(word))
		return parse_uids(p, false, word, &q) ? q : NULL;
	if (str_eq_nocase(word, STR("NEW")))
		return new_key(p);
	k = find_key(word);
	if (k == NULL)
		return NULL;
	if (k->operand == OPERAND_UIDS) {
		if (!imap_arg_atom(&p->at, &word) ||
		    !parse_uids(p, true, word, &q))
			return NULL;
		return q;
	}
	if (k->operand == OPERAND_UID_AFTER || k->operand == OPERAND_UID_BEFORE)
		return parse_uid_side(p, k->operand == OPERAND_UID_AFTER, &q)
		    ? q
		    : NULL;
	q = query_new(p->c->arena, k->key);
	if (!parse_operand(p, k, q))
		return NULL;
	return k->negate ? negated(p, q) : q;
}

/* All keys up to the end of the list, as one AND. */
static struct query *
parse_keys(struct parser *p)
{
	struct query *q = query_new(p->c->arena, QUERY_AND);

	do {
		struct query *child = parse_key(p);

		if (child == NULL)
			return NULL;
		query_add(q, child);
	} while (!imap_arg_end(p->at));
	return q;
}

static struct query *
parse_list(struct parser *p, const struct imap_arg *first)
{
	const struct imap_arg *outer = p->at;
	struct query *q;

	p->at = first;
	q = imap_arg_end(first) ? NULL : parse_keys(p);
	p->at = outer;
	return q;
}

/* RFC 3501: search-key. NULL: the grammar does not allow it. */
static struct query *
parse_key(struct parser *p)
{
	const struct imap_arg *first;
	struct query *q = NULL;
	struct str word;

	if (++p->depth <= DEPTH_MAX) {
		if (imap_arg_list(&p->at, &first))
			q = parse_list(p, first);
		else if (imap_arg_atom(&p->at, &word))
			q = parse_word(p, word);
	}
	p->depth--;
	return q;
}

static bool
parse_charset(struct parser *p)
{
	struct str name;

	if (!imap_arg_astring(&p->at, &name))
		return false;
	if (!charset_is_known(name))
		p->bad_charset = true;
	else if (!str_eq_nocase(name, STR("UTF-8")) &&
	    !str_eq_nocase(name, STR("US-ASCII")))
		p->charset = name;
	return true;
}

/* The charset is known, or bad. */
static enum search_arg_result
parse_program(struct parser *p, const struct imap_arg **a, struct query **out)
{
	struct query *q;

	if (imap_arg_end(p->at))
		return SEARCH_ARG_SYNTAX;
	if (p->bad_charset)
		return SEARCH_ARG_CHARSET;
	q = parse_keys(p);
	if (q == NULL) {
		for (; p->made != NULL; p->made = p->made->next)
			set32_done(p->made->set);
		return p->has_numbers ? SEARCH_ARG_NUMBERS : SEARCH_ARG_SYNTAX;
	}
	*a = p->at;
	*out = q;
	return SEARCH_ARG_OK;
}

enum search_arg_result
search_arg_parse(struct cmd *c, const struct imap_arg **a, struct query **out)
{
	struct parser p = {.c = c, .at = *a};
	bool is_given = imap_arg_word(&p.at, "CHARSET");

	if (is_given && (c->s->utf8 || !parse_charset(&p)))
		return SEARCH_ARG_SYNTAX;
	return parse_program(&p, a, out);
}

enum search_arg_result
search_arg_parse_charset(
    struct cmd *c, const struct imap_arg **a, struct query **out)
{
	struct parser p = {.c = c, .at = *a};

	/* Other charsets would contradict what was enabled. */
	if (c->s->utf8 && !str_eq_nocase(p.at->s, STR("UTF-8")))
		return SEARCH_ARG_SYNTAX;
	if (!parse_charset(&p))
		return SEARCH_ARG_SYNTAX;
	return parse_program(&p, a, out);
}
