/* SPDX-License-Identifier: ISC */
/* fetch_facts_test.c - which plans need no message; the fields that are kept. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#include "imapd/fetch_facts.h"
#include "imapd/fetch_section.h"

static struct fetch_item
section(enum section_text text, struct str *fields, size_t n)
{
	return (struct fetch_item){
	    .kind = FETCH_SECTION,
	    .section = {.text = text, .fields = fields, .n_fields = n},
	};
}

static int
slot_of(struct fetch_item *item)
{
	struct fetch_plan p = {.items = item};

	fetch_facts_prepare(&p);
	return item->slot;
}

static void
test_slots(void **state)
{
	struct str known[] = {STR("date"), STR("From"), STR("x-priority")};
	struct str odd[] = {STR("date"), STR("received")};
	struct fetch_item item;

	(void)state;
	item = section(SECTION_FIELDS, known, 3);
	assert_int_equal(slot_of(&item), INDEX_FIELDS);
	item.section.partial = true;
	assert_int_equal(slot_of(&item), 0);
	item = section(SECTION_FIELDS, odd, 2);
	assert_int_equal(slot_of(&item), 0);
	item = section(SECTION_FIELDS_NOT, known, 3);
	assert_int_equal(slot_of(&item), 0);
	item = section(SECTION_WHOLE, NULL, 0);
	assert_int_equal(slot_of(&item), 0);
	item = section(SECTION_FIELDS, known, 3);
	item.section.n_numbers = 1;
	assert_int_equal(slot_of(&item), 0);
}

static void
test_plans(void **state)
{
	struct fetch_item whole = section(SECTION_WHOLE, NULL, 0);
	struct fetch_item envelope = {.kind = FETCH_ENVELOPE};
	struct fetch_item uid = {.kind = FETCH_UID, .next = &envelope};
	struct fetch_plan p = {.items = &uid, .needs = NEED_ENVELOPE};

	(void)state;
	fetch_facts_prepare(&p);
	assert_true(fetch_facts_suffice(&p));
	envelope.next = &whole;
	fetch_facts_prepare(&p);
	assert_false(fetch_facts_suffice(&p));
	envelope.next = NULL;
	p.sets_seen = true;
	assert_false(fetch_facts_suffice(&p));
	/* FLAGS and UID need nothing at all. */
	p = (struct fetch_plan){.items = &uid};
	uid.next = NULL;
	assert_true(fetch_facts_suffice(&p));
}

/* What the section gets from the fields that are kept of the header. */
static struct str
from_kept(struct fetch_item *item, struct str header, struct arena *a)
{
	struct buf kept;
	size_t n;
	char *p;

	assert_int_equal(slot_of(item), INDEX_FIELDS);
	buf_init(&kept, 100000);
	fetch_facts_pack(&kept, header);
	assert_true(str_find_str(buf_str(&kept), STR("Received")) == kept.n);
	assert_true(fetch_facts_size(&item->section, buf_str(&kept), &n));
	p = arena_new(a, n + 1, 1);
	fetch_facts_fields(&item->section, buf_str(&kept), p);
	assert_int_equal(p[n], 0);
	buf_done(&kept);
	return str_make(p, n);
}

/* From the kept fields comes what would come from the whole header. */
static void
test_fields(void **state)
{
	static const char *const headers[] = {
	    "Received: from x\n by y\nFROM : a@b\r\nno colon here\n"
	    "Subject: one\n two\nX-Other: z\nsubject: again\nDate: d\n\n",
	    "From: x", "\n", "\r\n", "", "Subject:", "X-Label: \0 y\n\n",
	    ": nameless\nSubject\n : no field\nX-LABEL:\n\t\n\n"};
	struct str want[] = {STR("from"), STR("subject"), STR("x-label")};
	struct fetch_item item = section(SECTION_FIELDS, want, 3);
	struct arena a;

	(void)state;
	arena_init(&a);
	for (size_t i = 0; i < ARRAY_LEN(headers); i++)
		assert_true(str_eq(from_kept(&item, str_of(headers[i]), &a),
		    fetch_section_filter(
			&item.section, str_of(headers[i]), &a)));
	assert_true(str_eq(from_kept(&item, str_of(headers[0]), &a),
	    STR("FROM : a@b\r\nSubject: one\r\n two\r\nsubject: "
		"again\r\n\r\n")));
	arena_done(&a);
}

/* What lies in the index may be anything, though it has a sum. */
static void
test_nonsense(void **state)
{
	static const char bytes[] = "\1\5\4\0\0\0abcd\77\0\0\0\0";
	struct str want[] = {STR("from")};
	struct fetch_item item = section(SECTION_FIELDS, want, 1);
	size_t n = 0;

	(void)state;
	(void)slot_of(&item);
	assert_true(fetch_facts_size(&item.section, str_make(bytes, 15), &n));
	for (size_t cut = 0; cut < 15; cut++) {
		bool is_whole = cut == 1 || cut == 10;

		assert_int_equal(
		    fetch_facts_size(&item.section, str_make(bytes, cut), &n),
		    is_whole);
	}
}

/* Each name of the list is found under its own number. */
static void
test_names(void **state)
{
	static const char *const names[] = {"archived-at", "From", "TO", "Date",
	    "subject", "CC", "bcc", "references",
	    "X-Universally-Unique-"
	    "Identifier",
	    "x-uniform-type-identifier", "list-id", "LINES"};
	uint64_t all = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		struct str want = str_of(names[i]);
		struct fetch_item item = section(SECTION_FIELDS, &want, 1);

		assert_int_equal(slot_of(&item), INDEX_FIELDS);
		assert_int_equal(all & item.section.listed, 0);
		all |= item.section.listed;
	}
	assert_int_equal(__builtin_popcountll(all), ARRAY_LEN(names));
}

static void
test_decoded_sizes(void **state)
{
	uint32_t path[] = {1, 12, 3};
	struct fetch_section sec = {.numbers = path, .n_numbers = 3};
	struct str kept;
	uint64_t size;
	struct buf b;

	(void)state;
	buf_init(&b, SIZE_MAX / 2);
	assert_false(fetch_facts_binary(&sec, buf_str(&b), &size));
	fetch_facts_add_binary(&b, &sec, UINT64_C(1) << 40);
	for (sec.n_numbers = 2; sec.n_numbers > 0; sec.n_numbers--) {
		assert_false(fetch_facts_binary(&sec, buf_str(&b), &size));
		fetch_facts_add_binary(&b, &sec, sec.n_numbers);
	}
	fetch_facts_add_binary(&b, &sec, 0);
	for (sec.n_numbers = 0; sec.n_numbers < 4; sec.n_numbers++) {
		assert_true(fetch_facts_binary(&sec, buf_str(&b), &size));
		assert_int_equal(size,
		    sec.n_numbers == 3 ? UINT64_C(1) << 40 : sec.n_numbers);
	}
	/* No more than there is room for; nonsense is not known. */
	sec.n_numbers = 1;
	for (path[0] = 2; path[0] < 1000; path[0]++)
		fetch_facts_add_binary(&b, &sec, 7);
	assert_in_range(b.n, 900, 1024);
	assert_false(fetch_facts_binary(&sec, buf_str(&b), &size));
	path[0] = 1;
	kept = STR("1 x\n1 -2\n1 \n11 3\n1 5\n");
	assert_true(fetch_facts_binary(&sec, kept, &size));
	assert_int_equal(size, 5);
	assert_false(
	    fetch_facts_binary(&sec, str_head(kept, kept.n - 1), &size));
	buf_done(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_slots),
	    cmocka_unit_test(test_plans),
	    cmocka_unit_test(test_fields),
	    cmocka_unit_test(test_nonsense),
	    cmocka_unit_test(test_names),
	    cmocka_unit_test(test_decoded_sizes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
