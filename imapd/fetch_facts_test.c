/* SPDX-License-Identifier: ISC */
/* fetch_facts_test.c - which plans need no message; the fields that are kept. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#include "imapd/fetch_facts.h"

static struct fetch_item
section(enum section_text text, struct str *fields, size_t n)
{
	return (struct fetch_item){
	    .kind = FETCH_SECTION,
	    .section = {.text = text, .fields = fields, .n_fields = n},
	};
}

static void
test_slots(void **state)
{
	struct str known[] = {STR("date"), STR("From"), STR("x-priority")};
	struct str odd[] = {STR("date"), STR("received")};
	struct fetch_item item;

	(void)state;
	item = section(SECTION_FIELDS, known, 3);
	assert_int_equal(fetch_facts_slot(&item), INDEX_FIELDS);
	item = section(SECTION_FIELDS, odd, 2);
	assert_int_equal(fetch_facts_slot(&item), 0);
	item = section(SECTION_FIELDS_NOT, known, 3);
	assert_int_equal(fetch_facts_slot(&item), 0);
	item = section(SECTION_WHOLE, NULL, 0);
	assert_int_equal(fetch_facts_slot(&item), 0);
	item = section(SECTION_FIELDS, known, 3);
	item.section.n_numbers = 1;
	assert_int_equal(fetch_facts_slot(&item), 0);
}

static void
test_plans(void **state)
{
	struct fetch_item whole = section(SECTION_WHOLE, NULL, 0);
	struct fetch_item envelope = {.kind = FETCH_ENVELOPE};
	struct fetch_item uid = {.kind = FETCH_UID, .next = &envelope};
	struct fetch_plan p = {.items = &uid, .needs = NEED_ENVELOPE};

	(void)state;
	assert_true(fetch_facts_suffice(&p));
	envelope.next = &whole;
	assert_false(fetch_facts_suffice(&p));
	envelope.next = NULL;
	p.sets_seen = true;
	assert_false(fetch_facts_suffice(&p));
	/* FLAGS and UID need nothing of the kind. */
	p = (struct fetch_plan){.items = &uid};
	uid.next = NULL;
	assert_false(fetch_facts_suffice(&p));
}

/* From the kept fields comes what would come from the whole header. */
static void
test_fields(void **state)
{
	static const char header[] =
	    "Received: from x\n by y\nFROM : a@b\r\nno colon here\n"
	    "Subject: one\n two\nX-Other: z\nsubject: again\nDate: d\n\n";
	struct str want[] = {STR("from"), STR("subject"), STR("x-label")};
	struct fetch_item item = section(SECTION_FIELDS, want, 3);
	struct str kept, from_kept, from_all;
	struct arena a;

	(void)state;
	arena_init(&a);
	kept = fetch_facts_listed(str_of(header), &a);
	assert_true(str_find_str(kept, STR("Received")) == kept.n);
	from_kept = fetch_facts_fields(&item.section, kept, &a);
	from_all = fetch_facts_fields(&item.section, str_of(header), &a);
	assert_true(str_eq(from_kept, from_all));
	assert_true(str_eq(from_all,
	    STR("FROM : a@b\r\nSubject: one\r\n two\r\nsubject: "
		"again\r\n\r\n")));
	/* Without a blank line, and without any field. */
	kept = fetch_facts_listed(STR("From: x"), &a);
	assert_true(str_eq(fetch_facts_fields(&item.section, kept, &a),
	    fetch_facts_fields(&item.section, STR("From: x"), &a)));
	kept = fetch_facts_listed(STR("\n"), &a);
	assert_true(str_eq(kept, STR("\r\n")));
	arena_done(&a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_slots),
	    cmocka_unit_test(test_plans),
	    cmocka_unit_test(test_fields),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
