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
 *
 * Header fields are kept ready to be copied, so that a list of a client's own
 * choice costs no parsing:
 *
 *	u8 1: a blank line ended the header; 0: there was none
 *	for each field: u8 its number in the list + 1; u32 n; n bytes, CRLF last
 */
#include "imapd/fetch_facts.h"

#include "base/num.h"

#include "imapd/fetch_stream.h"
#include "mime/header.h"

/* What Thunderbird, Evolution, mutt, iOS, Outlook, Roundcube, mbsync and their
 * kin ask for when they list. Numbers of fields are places here. */
static const struct str listed[] = {
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

/* Room for a header that stays. */
#define WIRE_KEPT_MAX ((size_t)16 * 1024)
/* Of one message; who asks for more has them counted again. */
#define BINARY_KEPT_MAX 1024

_Static_assert(ARRAY_LEN(listed) < 64, "wanted fields are bits of a word");

/* ---- names to numbers ------------------------------------------------------ */

/* Names are told apart by their length and three of their letters, mostly. */
#define PLACES 256u

static uint8_t places[PLACES]; /* number + 1; 0: free */

static unsigned
letter(char c)
{
	return (uint8_t)c | 0x20u;
}

static unsigned
place_of_name(struct str name)
{
	unsigned first = letter(name.p[0]), last = letter(name.p[name.n - 1]);
	unsigned middle = letter(name.p[name.n / 2]);

	return ((unsigned)name.n * 37 + first * 11 + middle * 5 + last) %
	    PLACES;
}

static void
fill_places(void)
{
	for (size_t i = 0; i < ARRAY_LEN(listed); i++) {
		unsigned at = place_of_name(listed[i]);

		while (places[at] != 0)
			at = (at + 1) % PLACES;
		places[at] = (uint8_t)(i + 1);
	}
}

/* Its number + 1, or 0. */
static uint8_t
number_of(struct str name)
{
	static bool is_filled;

	if (!is_filled)
		fill_places();
	is_filled = true;
	if (name.n == 0)
		return 0;
	for (unsigned at = place_of_name(name); places[at] != 0;
	     at = (at + 1) % PLACES)
		if (str_eq_nocase(listed[places[at] - 1], name))
			return places[at];
	return 0;
}

/* ---- plans ------------------------------------------------------------------ */

/* The fields as bits; 0: there are others among them. */
static uint64_t
bits_of(const struct fetch_section *sec)
{
	uint64_t bits = 0;

	if (sec->n_numbers > 0 || sec->text != SECTION_FIELDS || sec->partial)
		return 0;
	for (size_t i = 0; i < sec->n_fields; i++) {
		uint8_t number = number_of(sec->fields[i]);

		if (number == 0)
			return 0;
		bits |= UINT64_C(1) << number;
	}
	return bits;
}

static int
slot_of(const struct fetch_item *item)
{
	switch (item->kind) {
	case FETCH_ENVELOPE:
		return INDEX_ENVELOPE;
	case FETCH_BODY:
		return INDEX_BODY;
	case FETCH_BODYSTRUCTURE:
		return INDEX_BODYSTRUCTURE;
	case FETCH_SECTION:
		return item->section.listed != 0 ? INDEX_FIELDS : 0;
	case FETCH_BINARY_SIZE:
		return INDEX_BINARY;
	default:
		return 0;
	}
}

void
fetch_facts_prepare(struct fetch_plan *p)
{
	for (struct fetch_item *i = p->items; i != NULL; i = i->next) {
		if (i->kind == FETCH_SECTION)
			i->section.listed = bits_of(&i->section);
		i->slot = slot_of(i);
	}
}

bool
fetch_facts_suffice(const struct fetch_plan *p)
{
	if (p->sets_seen)
		return false;
	for (const struct fetch_item *i = p->items; i != NULL; i = i->next)
		switch (i->kind) {
		case FETCH_UID:
		case FETCH_FLAGS:
		case FETCH_INTERNALDATE:
		case FETCH_SIZE:
		case FETCH_MODSEQ:
			break;
		default:
			if (i->slot == 0)
				return false;
		}
	return true;
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
	case INDEX_BINARY:
		return &f->binary;
	default:
		return &f->fields;
	}
}

bool
fetch_facts_find(struct view *v, uint32_t uid, const struct fetch_plan *p,
    struct fetch_facts *out)
{
	const unsigned of_record = NEED_SIZE | NEED_DATE;

	*out = (struct fetch_facts){0};
	if ((p->needs & of_record) != 0 &&
	    (!view_known(v, uid, &out->known) ||
		((p->needs & NEED_SIZE) != 0 && !out->known.has_size) ||
		((p->needs & NEED_DATE) != 0 && !out->known.has_date)))
		return false;
	if ((p->needs & ~of_record) == 0)
		return true;
	for (const struct fetch_item *i = p->items; i != NULL; i = i->next) {
		struct str *place = place_of(out, i->slot);

		if (i->slot != 0 && place->p == NULL &&
		    !view_fact(v, uid, (enum index_slot)i->slot, place))
			return false;
	}
	return true;
}

struct str
fetch_facts_value(const struct fetch_facts *f, const struct fetch_item *item)
{
	struct fetch_facts copy = *f;

	return *place_of(&copy, item->slot);
}

/* ---- header fields ----------------------------------------------------------- */

struct kept_field {
	uint8_t number;
	struct str bytes;
};

#define FIELD_HEAD (1 + sizeof(uint32_t))

/* False: no more, or (then *rest is not empty) not in this form. */
static bool
next_field(struct str *rest, struct kept_field *out)
{
	uint32_t n;

	if (rest->n < FIELD_HEAD)
		return false;
	memcpy(&n, rest->p + 1, sizeof(n));
	if (n > rest->n - FIELD_HEAD)
		return false;
	out->number = (uint8_t)*rest->p % 64;
	out->bytes = str_make(rest->p + FIELD_HEAD, n);
	*rest = str_make(out->bytes.p + n, rest->n - FIELD_HEAD - n);
	return true;
}

static void
pack_field(struct buf *out, uint8_t number, struct str wire)
{
	/* One that the header was cut in has no end of its own. */
	bool has_end = wire.n > 0 && wire.p[wire.n - 1] == '\n';
	uint32_t n = (uint32_t)(wire.n + (has_end || wire.n == 0 ? 0 : 2));
	char *to = buf_room(out, FIELD_HEAD + n);

	if (to == NULL)
		return;
	*to = (char)number;
	memcpy(to + 1, &n, sizeof(n));
	memcpy(to + FIELD_HEAD, wire.p, wire.n);
	if (n > wire.n)
		memcpy(to + FIELD_HEAD + wire.n, "\r\n", 2);
	out->n += FIELD_HEAD + n;
}

/* Converted as a whole, then cut into fields: each of them is short. */
void
fetch_facts_pack(struct buf *out, struct str header)
{
	static struct buf wire; /* its room stays for the next header */
	struct header_iter it;
	struct header_field f;
	size_t begin = out->n;
	bool after_cr = false;

	if (wire.max_bytes == 0)
		buf_init(&wire, SIZE_MAX / 4);
	buf_clear(&wire);
	wire_convert(&wire, header, &after_cr);
	(void)buf_add_byte(out, 0);
	header_iter_init(&it, buf_str(&wire));
	while (header_iter_next_any(&it, &f)) {
		uint8_t number = number_of(f.name);

		if (number != 0)
			pack_field(out, number, f.raw);
	}
	out->p[begin] = it.has_blank;
	if (wire.size > WIRE_KEPT_MAX)
		buf_done(&wire);
}

bool
fetch_facts_size(
    const struct fetch_section *sec, struct str packed, size_t *out)
{
	struct kept_field f;
	size_t n;

	if (packed.n == 0)
		return false;
	n = *packed.p != 0 ? 2 : 0;
	packed = str_skip(packed, 1);
	while (next_field(&packed, &f))
		if (sec->listed >> f.number & 1)
			n += f.bytes.n;
	*out = n;
	return packed.n == 0;
}

void
fetch_facts_fields(const struct fetch_section *sec, struct str packed, char *to)
{
	bool has_blank = *packed.p != 0;
	struct kept_field f;

	packed = str_skip(packed, 1);
	while (next_field(&packed, &f))
		if (sec->listed >> f.number & 1) {
			memcpy(to, f.bytes.p, f.bytes.n);
			to += f.bytes.n;
		}
	if (has_blank)
		memcpy(to, "\r\n", 2);
}

/* ---- decoded sizes ------------------------------------------------------------ */

/* "1.2 ": what stands before a size, which ends with a line end. */
static void
write_path(struct buf *b, const struct fetch_section *sec)
{
	for (size_t i = 0; i < sec->n_numbers; i++)
		(void)buf_addf(b, i == 0 ? "%u" : ".%u", sec->numbers[i]);
	(void)buf_add_byte(b, ' ');
}

void
fetch_facts_add_binary(
    struct buf *kept, const struct fetch_section *sec, uint64_t size)
{
	size_t before = kept->n;

	write_path(kept, sec);
	(void)buf_addf(kept, "%llu\n", (unsigned long long)size);
	if (kept->n > BINARY_KEPT_MAX)
		kept->n = before;
}

bool
fetch_facts_binary(
    const struct fetch_section *sec, struct str kept, uint64_t *size)
{
	struct str line, path;
	bool found = false;
	struct buf b;

	buf_init(&b, BINARY_KEPT_MAX);
	write_path(&b, sec);
	path = buf_str(&b);
	while (!found && !buf_is_over(&b) && str_cut(&kept, '\n', &line))
		found = str_starts(line, path) &&
		    num_parse_u64(str_skip(line, path.n), 0, INT64_MAX, size);
	buf_done(&b);
	return found;
}
