/* SPDX-License-Identifier: ISC */
/* acl_test.c - rights, identifiers, the file, and what they come to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "base/bounds.h"
#include "store/acl.h"

static const struct {
	const char *in, *out; /* NULL: refused */
} rights[] = {
    {"", ""},
    {"lr", "lr"},
    {"aexkpitswrl", "lrwstipekxacd"},
    /* RFC 4314 section 2.1.1: the examples. */
    {"lrswida", "lrwstieda"},
    {"lrswikda", "lrwstiekacd"},
    {"c", "kxc"},
    {"d", "ted"},
    {"k", "kc"},
    {"x", "xc"},
    {"t", "td"},
    {"e", "ed"},
    {"ll", "l"},
    /* Section 3.1: not understood. */
    {"lrQswicda", NULL},
    {"lrqswicda", NULL},
    {"l r", NULL},
    {"l0", NULL},
    {"+l", NULL},
};

static void
test_rights(void **state)
{
	struct buf b;
	unsigned got, again;

	(void)state;
	buf_init(&b, 100);
	for (size_t i = 0; i < ARRAY_LEN(rights); i++) {
		bool ok = acl_rights_parse(str_of(rights[i].in), &got);

		if (ok != (rights[i].out != NULL))
			fail_msg("%s", rights[i].in);
		if (!ok)
			continue;
		buf_clear(&b);
		acl_rights_write(&b, got);
		assert_int_equal(b.n, strlen(rights[i].out));
		for (size_t k = 0; k < b.n; k++)
			if (strchr(rights[i].out, b.p[k]) == NULL)
				fail_msg(
				    "%s: %.*s", rights[i].in, (int)b.n, b.p);
		/* "c" and "d" that one member brings would bring the other. */
		if (acl_rights_parse(buf_str(&b), &again))
			assert_int_equal(again & got, got);
	}
	buf_done(&b);
}

static const struct {
	const char *in;
	bool ok;
	enum acl_kind kind;
	bool is_negative;
	const char *name, *out;
} ids[] = {
    {"bob", true, ACL_USER, false, "bob", "bob"},
    {"-bob", true, ACL_USER, true, "bob", "-bob"},
    {"anyone", true, ACL_ANYONE, false, "", "anyone"},
    {"-anyone", true, ACL_ANYONE, true, "", "-anyone"},
    {"anonymous", true, ACL_ANYONE, false, "", "anyone"},
    {"authenticated", true, ACL_AUTHENTICATED, false, "", "authenticated"},
    {"owner", true, ACL_OWNER, false, "", "owner"},
    {"$staff", true, ACL_GROUP, false, "staff", "$staff"},
    {"-$staff", true, ACL_GROUP, true, "staff", "-$staff"},
    {"group=staff", true, ACL_GROUP, false, "staff", "$staff"},
    {"!$out", true, ACL_GROUP_OVERRIDE, false, "out", "!$out"},
    {"group-override=out", true, ACL_GROUP_OVERRIDE, false, "out", "!$out"},
    {"user=bob", true, ACL_USER, false, "bob", "bob"},
    {"user=anyone", true, ACL_USER, false, "anyone", "user=anyone"},
    {"user=$x", true, ACL_USER, false, "$x", "user=$x"},
    {"user=-x", true, ACL_USER, false, "-x", "user=-x"},
    {"two words", true, ACL_USER, false, "two words", "two words"},
    {"a=b", true, ACL_USER, false, "a=b", "a=b"},
    {"Anyone", true, ACL_USER, false, "Anyone", "Anyone"},
    {"", false, 0, false, NULL, NULL},
    {"-", false, 0, false, NULL, NULL},
    {"--bob", false, 0, false, NULL, NULL},
    {"$", false, 0, false, NULL, NULL},
    {"!bob", false, 0, false, NULL, NULL},
    {"#bob", false, 0, false, NULL, NULL},
    {"user=", false, 0, false, NULL, NULL},
    {"group=", false, 0, false, NULL, NULL},
    {"bo\nb", false, 0, false, NULL, NULL},
    {"bo\tb", false, 0, false, NULL, NULL},
};

static void
test_ids(void **state)
{
	struct acl_id id;
	struct buf b;

	(void)state;
	buf_init(&b, 1000);
	for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
		if (acl_id_parse(str_of(ids[i].in), &id) != ids[i].ok)
			fail_msg("%s", ids[i].in);
		if (!ids[i].ok)
			continue;
		assert_int_equal(id.kind, ids[i].kind);
		assert_int_equal(id.is_negative, ids[i].is_negative);
		assert_true(str_eq(id.name, str_of(ids[i].name)));
		buf_clear(&b);
		acl_id_write(&b, &id);
		if (!str_eq(buf_str(&b), str_of(ids[i].out)))
			fail_msg("%s: %.*s", ids[i].in, (int)b.n, b.p);
	}
	buf_done(&b);
}

static const struct {
	const char *what, *in, *out; /* NULL: refused */
} files[] = {
    {"empty", "", ""},
    {"as Dovecot writes it",
	"group=staff lr\nuser=alice alr\nuser=bob lrts\n-user=bob w\n"
	"user=group=x lr\n\"user=two words\" kxet\ngroup-override=staff l\n",
	"group=staff lr\nuser=alice lra\nuser=bob lrst\n-user=bob w\n"
	"user=group=x lr\n\"user=two words\" tekx\ngroup-override=staff l\n"},
    {"sorted", "user=bob l\nanyone r\n-anyone w\nauthenticated l\n",
	"anyone r\n-anyone w\nauthenticated l\nuser=bob l\n"},
    {"no rights: less than anyone", "anyone lr\nuser=bob\n",
	"anyone lr\nuser=bob \n"},
    {"remarks and empty lines", "# ours\n\nanyone l\n", "# ours\nanyone l\n"},
    {"rights by name", "user=bob l :read custom other\n",
	"user=bob lr :custom other\n"},
    {"names alone", "user=bob :lookup\n", "user=bob l\n"},
    {"quotes in a name", "\"user=a\\\"b\" l\n", "user=a\"b l\n"},
    {"lines of one identifier add up", "anyone l :x\nanyone r :y\n",
	"anyone lr :x y\n"},
    {"no line end", "anyone l", "anyone l\n"},
    {"CRLF", "anyone l\r\n", "anyone l\n"},
    {"another word", "anonymous l\n", "anyone l\n"},
    {"unknown letter", "anyone lq\n", NULL},
    {"unknown identifier", "anyone l\nsomebody r\n", NULL},
    {"junk behind the rights", "anyone l r\n", NULL},
    {"quote without an end", "\"user=a l\n", NULL},
    {"junk behind the quote", "\"user=a\"l\n", NULL},
    {"no name", "user= l\n", NULL},
};

static void
test_files(void **state)
{
	struct acl l;
	struct err e;
	struct buf b;

	(void)state;
	buf_init(&b, 10000);
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		int rc;

		acl_init(&l);
		rc = acl_parse(&l, str_of(files[i].in), &e);
		if ((rc == 0) != (files[i].out != NULL))
			fail_msg("%s", files[i].what);
		if (rc == 0) {
			buf_clear(&b);
			acl_write(&l, &b);
			if (!str_eq(buf_str(&b), str_of(files[i].out)))
				fail_msg(
				    "%s: %.*s", files[i].what, (int)b.n, b.p);
		} else {
			assert_int_equal(e.code, ERR_CORRUPT);
		}
		acl_done(&l);
	}
	buf_done(&b);
}

static const struct {
	const char *file, *user, *group, *want;
} whos[] = {
    {"", "bob", NULL, ""},
    {"anyone lr\n", "bob", NULL, "lr"},
    {"anyone lr\nuser=bob lrw\n", "bob", NULL, "lrw"},
    {"anyone lrw\nuser=bob l\n", "bob", NULL, "l"},
    {"anyone lrw\nuser=bob\n", "bob", NULL, ""},
    {"anyone lrw\nuser=bob l\n", "carol", NULL, "lrw"},
    {"anyone lrw\n-user=bob w\n", "bob", NULL, "lr"},
    {"-anyone w\nuser=bob lrw\n", "bob", NULL, "lr"},
    {"owner lrw\n", "bob", NULL, ""},
    {"group=staff lr\n", "bob", NULL, ""},
    {"group=staff lr\n", "bob", "staff", "lr"},
    {"group=staff lr\nuser=bob l\n", "bob", "staff", "l"},
    {"group-override=out\nuser=bob l\n", "bob", "out", ""},
    {"authenticated r\nanyone l\n", "bob", NULL, "r"},
    {"-user=bob lr\n", "bob", NULL, ""},
};

static void
test_who(void **state)
{
	struct str group;
	unsigned want;
	struct acl l;
	struct err e;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(whos); i++) {
		struct acl_who who = {.user = str_of(whos[i].user)};

		if (whos[i].group != NULL) {
			group = str_of(whos[i].group);
			who.groups = &group;
			who.n_groups = 1;
		}
		acl_init(&l);
		assert_int_equal(acl_parse(&l, str_of(whos[i].file), &e), 0);
		assert_true(acl_rights_parse(str_of(whos[i].want), &want));
		if (acl_rights_of(&l, &who) != want)
			fail_msg("%zu: %s", i, whos[i].file);
		acl_done(&l);
	}
}

static void
test_changes(void **state)
{
	struct acl_id id;
	struct acl l;
	struct err e;
	char name[32];

	(void)state;
	acl_init(&l);
	assert_true(acl_id_parse(STR("bob"), &id));
	assert_null(acl_find(&l, &id));
	assert_int_equal(acl_set(&l, &id, 0, &e), 0);
	assert_int_equal(l.v.n, 0);
	assert_int_equal(acl_set(&l, &id, ACL_READ, &e), 0);
	assert_int_equal(acl_find(&l, &id)->rights, ACL_READ);
	assert_int_equal(acl_set(&l, &id, 0, &e), 0);
	assert_null(acl_find(&l, &id));
	assert_false(acl_remove(&l, &id));
	for (size_t i = 0; i < ACL_ENTRIES_MAX; i++) {
		(void)snprintf(name, sizeof(name), "u%zu", i);
		assert_true(acl_id_parse(str_of(name), &id));
		assert_int_equal(acl_set(&l, &id, ACL_READ, &e), 0);
	}
	assert_true(acl_id_parse(STR("more"), &id));
	assert_int_equal(acl_set(&l, &id, ACL_READ, &e), -1);
	assert_int_equal(e.code, ERR_LIMIT);
	acl_done(&l);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_rights),
	    cmocka_unit_test(test_ids),
	    cmocka_unit_test(test_files),
	    cmocka_unit_test(test_who),
	    cmocka_unit_test(test_changes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
