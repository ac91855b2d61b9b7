/* SPDX-License-Identifier: ISC */
/* conf_test.c - the table of settings, the file, the plain lines. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/buf.h"
#include "conf/conf.h"
#include "conf/conf_dump.h"
#include "conf/schema.h"
#include "ipc/child.h"

static struct buf problems;

static struct conf *
parse(const char *text)
{
	struct conf *c = NULL;
	struct err e;

	buf_init(&problems, 100000);
	if (conf_parse("t.conf", str_of(text), &c, &problems, &e) == -1) {
		buf_add_byte(&problems, 0);
		return NULL;
	}
	return c;
}

static const char *
text_of(const struct conf *c, const char *name, enum schema_scope scope)
{
	return conf_item(c, schema_find(str_of(name)), scope, 0);
}

static void
test_table(UNUSED void **state)
{
	size_t n;
	const struct schema_setting *t = schema_table(&n);
	struct buf b;
	struct err e;

	buf_init(&b, 10000);
	for (size_t i = 0; i < n; i++) {
		struct str rest = str_of(t[i].preset), item;

		if (i > 0)
			assert_true(strcmp(t[i - 1].name, t[i].name) < 0);
		assert_ptr_equal(schema_find(str_of(t[i].name)), &t[i]);
		assert_true(strlen(t[i].name) <= 40);
		assert_non_null(t[i].help);
		assert_true(t[i].readers != 0);
		assert_true(t[i].type != SCHEMA_WORD || t[i].words != NULL);
		/* Each default passes the check for values. */
		if (!t[i].list)
			assert_int_equal(schema_plain(&t[i], rest, &b, &e), 0);
		while (t[i].list && rest.n > 0 && str_next(&rest, ' ', &item))
			assert_int_equal(schema_plain(&t[i], item, &b, &e), 0);
	}
	assert_null(schema_find(STR("no_such")));
	assert_null(schema_find(STR("")));
	buf_done(&b);
}

static void
test_values(UNUSED void **state)
{
	static const struct {
		const char *name, *value, *plain; /* NULL: refused */
	} CASES[] = {
	    {"reuse_xuidl", "YES", "yes"},
	    {"reuse_xuidl", "off", "no"},
	    {"reuse_xuidl", "maybe", NULL},
	    {"imap_idle_timeout", "30m", "1800"},
	    {"imap_idle_timeout", "30 min", "1800"},
	    {"imap_idle_timeout", "2h", "7200"},
	    {"imap_idle_timeout", "59", NULL},
	    {"imap_idle_timeout", "60", "60"},
	    {"imap_idle_timeout", "30K", NULL},
	    {"imap_idle_timeout", "", NULL},
	    {"imap_idle_timeout", "-1", NULL},
	    {"append_limit", "100M", "104857600"},
	    {"append_limit", "4G", NULL},
	    {"append_limit", "99999999999999999999G", NULL},
	    {"append_limit", "18446744073709551615G", NULL},
	    {"imap_port", "65535", "65535"},
	    {"imap_port", "65536", NULL},
	    {"imap_port", "14m", NULL},
	    {"log_level", "DEBUG", "debug"},
	    {"log_level", "loud", NULL},
	    {"passwd_file", "/x", "/x"},
	    {"passwd_file", "x", NULL},
	    {"login_greeting", "hi\nthere", NULL},
	    {"login_greeting", "hi there", "hi there"},
	};
	struct buf b;
	struct err e;

	buf_init(&b, 10000);
	for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
		const struct schema_setting *s =
		    schema_find(str_of(CASES[i].name));
		int rc;

		assert_non_null(s);
		buf_clear(&b);
		rc = schema_plain(s, str_of(CASES[i].value), &b, &e);
		if (CASES[i].plain == NULL) {
			assert_int_equal(rc, -1);
			assert_int_equal(e.code, ERR_SYNTAX);
		} else {
			assert_int_equal(rc, 0);
			assert_true(
			    str_eq(buf_str(&b), str_of(CASES[i].plain)));
		}
	}
	buf_done(&b);
}

static void
test_nearest(UNUSED void **state)
{
	assert_string_equal(
	    schema_nearest(STR("imap_prot"))->name, "imap_port");
	assert_string_equal(
	    schema_nearest(STR("mail_locaton"))->name, "mail_location");
	assert_string_equal(schema_nearest(STR("lisen"))->name, "listen");
	assert_null(schema_nearest(STR("qqqqqqqqq")));
	assert_int_equal(schema_edit_distance(STR("abc"), STR("acb")), 1);
	assert_int_equal(schema_edit_distance(STR(""), STR("abc")), 3);
	assert_int_equal(schema_edit_distance(STR("abc"), STR("abc")), 0);
}

static void
test_file(UNUSED void **state)
{
	struct conf *c = parse("# a comment\n"
			       "listen = {\"127.0.0.1\", \"::1\"} // two\n"
			       "/* a longer\n * one */\n"
			       "imap_port = 1143\n"
			       "pop3_uidl = %08Xu%08Xv\n"
			       "mail_location = \"maildir:~/M:LAYOUT=fs\"\n"
			       "service imap {\n"
			       "\tmail_location = maildir:~/I # x\n"
			       "}\n"
			       "proxy_networks += {192.0.2.0/24}\n");
	const struct schema_setting *s;

	assert_non_null(c);
	s = schema_find(STR("listen"));
	assert_int_equal(conf_count(c, s, SCHEMA_GLOBAL), 2);
	assert_string_equal(conf_item(c, s, SCHEMA_GLOBAL, 1), "::1");
	assert_string_equal(conf_where(c, s, SCHEMA_IMAP), "t.conf:2");
	assert_string_equal(text_of(c, "imap_port", SCHEMA_GLOBAL), "1143");
	assert_string_equal(
	    conf_where(c, schema_find(STR("imap_port")), SCHEMA_GLOBAL),
	    "t.conf:5");
	assert_string_equal(
	    text_of(c, "mail_location", SCHEMA_POP3), "maildir:~/M:LAYOUT=fs");
	assert_string_equal(
	    text_of(c, "mail_location", SCHEMA_IMAP), "maildir:~/I");
	assert_string_equal(
	    text_of(c, "pop3_uidl", SCHEMA_GLOBAL), "%08Xu%08Xv");
	assert_string_equal(text_of(c, "pop3_port", SCHEMA_GLOBAL), "110");
	assert_string_equal(
	    text_of(c, "imap_idle_timeout", SCHEMA_GLOBAL), "1800");
	assert_null(
	    conf_where(c, schema_find(STR("pop3_port")), SCHEMA_GLOBAL));
	conf_free(&c);
	buf_done(&problems);
}

static void
test_problems(UNUSED void **state)
{
	static const struct {
		const char *text, *want;
	} CASES[] = {
	    {"imap_prot = 1\n",
		"t.conf:1: unknown setting 'imap_prot' (did you mean"
		" 'imap_port'?)\n"},
	    {"# x\n# y\n\nlog = a\nfrobnicate_it = 1\n",
		"t.conf:5: unknown setting 'frobnicate_it'\n"},
	    {"imap_port = 70000\n",
		"t.conf:1: imap_port = 70000: out of range: 0 to 65535 is"
		" possible\n"},
	    {"\n\nauth = {pam, ldap}\n",
		"t.conf:3: auth = ldap: must be one of: pam passwd-file\n"},
	    {"service imap {\n log_user = x\n}\n",
		"t.conf:2: 'log_user' can not be set for one service"
		" alone\n"},
	    {"service smtp {\n}\n",
		"t.conf:2: unknown service 'smtp' (imap or pop3)\n"},
	    {"first_valid_uid = 2000\nlast_valid_uid = 1000\n",
		"t.conf:2: last_valid_uid is below first_valid_uid\n"},
	    {"tls_cert = {/a, /b}\ntls_key = {/a}\n",
		"t.conf:2: tls_key has 1 files, tls_cert has 2: they go in"
		" pairs\n"},
	    {"auth = {}\n", "t.conf: auth is empty: nobody could log in\n"},
	};

	for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
		assert_null(parse(CASES[i].text));
		assert_string_equal(problems.p, CASES[i].want);
		buf_done(&problems);
	}
	/* Those that libconfuse words itself still name the line. */
	assert_null(parse("log = \"x\"\nlisten = {\n"));
	assert_non_null(strstr(problems.p, "t.conf:"));
	buf_done(&problems);
	/* Several wrong values are reported together. */
	assert_null(parse("imap_port = x\npop3_port = y\n"));
	assert_non_null(strstr(problems.p, "t.conf:1: imap_port"));
	assert_non_null(strstr(problems.p, "t.conf:2: pop3_port"));
	buf_done(&problems);
}

static void
write_file(const char *dir, const char *name, const char *text)
{
	char path[300];
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "w");
	assert_non_null(f);
	(void)fputs(text, f);
	(void)fclose(f);
}

static void
test_include(UNUSED void **state)
{
	char dir[] = "/tmp/conf_test.XXXXXX", path[300], want[400];
	struct conf *c = NULL;
	struct err e;

	assert_non_null(mkdtemp(dir));
	write_file(dir, "a", "# 1\ninclude(\"b\")\nimap_port = 1\n");
	write_file(dir, "b", "# 1\n\nimap_port = 2\npop3_port = 3\n");
	buf_init(&problems, 100000);
	(void)snprintf(path, sizeof(path), "%s/a", dir);
	assert_int_equal(conf_load(path, false, &c, &problems, &e), 0);
	assert_string_equal(text_of(c, "imap_port", SCHEMA_GLOBAL), "1");
	(void)snprintf(want, sizeof(want), "%s/a:3", dir);
	assert_string_equal(
	    conf_where(c, schema_find(STR("imap_port")), SCHEMA_GLOBAL), want);
	(void)snprintf(want, sizeof(want), "%s/b:4", dir);
	assert_string_equal(
	    conf_where(c, schema_find(STR("pop3_port")), SCHEMA_GLOBAL), want);
	conf_free(&c);

	write_file(dir, "b", "include(\"a\")\n");
	assert_int_equal(conf_load(path, false, &c, &problems, &e), -1);
	assert_non_null(strstr(e.text, "too many files"));
	write_file(dir, "b", "\nfrob = 1\n");
	assert_int_equal(conf_load(path, false, &c, &problems, &e), -1);
	(void)snprintf(
	    want, sizeof(want), "%s/b:2: unknown setting 'frob'", dir);
	assert_string_equal(e.text, want);
	(void)unlink(path);
	assert_int_equal(conf_load(path, false, &c, &problems, &e), -1);
	assert_int_equal(conf_load(path, true, &c, &problems, &e), 0);
	assert_string_equal(text_of(c, "imap_port", SCHEMA_GLOBAL), "143");
	conf_free(&c);
	(void)snprintf(path, sizeof(path), "%s/b", dir);
	(void)unlink(path);
	(void)rmdir(dir);
	buf_done(&problems);
}

static void
test_plain(UNUSED void **state)
{
	struct conf *c = parse("imap_idle_timeout = 1h\nauth = {}\n"
			       "auth += {passwd-file}\n"
			       "service pop3 { allow_plaintext_auth = on\n"
			       "  mail_location = \"maildir:~/P\"}\n");
	struct child_settings p;
	size_t at;
	struct buf b;
	struct err e;

	assert_non_null(c);
	buf_init(&b, 100000);
	conf_write_plain(c, SCHEMA_IMAPD, SCHEMA_IMAP, &b);
	assert_int_equal(child_settings_parse(buf_str(&b), &p, &e), 0);
	assert_int_equal(child_setting_u64(&p, "imap_idle_timeout", 0), 3600);
	assert_int_equal(child_setting_u64(&p, "append_limit", 0), 104857600);
	assert_string_equal(child_setting(&p, "mail_location"), "auto");
	/* What imapd does not read is not handed to it. */
	assert_int_equal(str_find_str(buf_str(&b), STR("passwd_file")), b.n);
	child_settings_done(&p);

	buf_clear(&b);
	conf_write_plain(c, SCHEMA_POP3D, SCHEMA_POP3, &b);
	assert_int_equal(child_settings_parse(buf_str(&b), &p, &e), 0);
	assert_string_equal(child_setting(&p, "mail_location"), "maildir:~/P");
	child_settings_done(&p);

	buf_clear(&b);
	conf_write_plain(c, SCHEMA_LOGIN, SCHEMA_GLOBAL, &b);
	assert_int_equal(child_settings_parse(buf_str(&b), &p, &e), 0);
	assert_null(child_setting(&p, "imap:allow_plaintext_auth"));
	assert_true(child_setting_bool(&p, "pop3:allow_plaintext_auth", false));
	assert_false(child_setting_bool(&p, "allow_plaintext_auth", true));
	child_settings_done(&p);

	buf_clear(&b);
	conf_write_plain(c, SCHEMA_MASTER, SCHEMA_GLOBAL, &b);
	assert_int_equal(child_settings_parse(buf_str(&b), &p, &e), 0);
	at = 0;
	assert_string_equal(child_setting_next(&p, "auth", &at), "passwd-file");
	assert_null(child_setting_next(&p, "auth", &at));
	at = 0;
	assert_string_equal(child_setting_next(&p, "listen", &at), "*");
	assert_string_equal(child_setting_next(&p, "listen", &at), "::");
	assert_null(child_setting_next(&p, "listen", &at));
	at = 0;
	assert_null(child_setting_next(&p, "imap_listen", &at));
	assert_null(child_setting(&p, "no_such"));
	child_settings_done(&p);
	conf_free(&c);
	buf_done(&b);
	buf_done(&problems);
}

/* What is dumped can be read again and means the same. */
static void
test_dump(UNUSED void **state)
{
	struct conf *c = parse("login_greeting = \"a \\\"b\\\" \\\\ c\"\n"
			       "listen = {}\n"
			       "service imap { log_level = debug }\n");
	struct conf *again;
	struct buf b, plain, plain_again;

	assert_non_null(c);
	buf_done(&problems);
	buf_init(&b, 100000);
	buf_init(&plain, 100000);
	buf_init(&plain_again, 100000);
	conf_dump_text(c, false, &b);
	buf_add_byte(&b, 0);
	again = parse(b.p);
	assert_non_null(again);
	conf_write_plain(c, SCHEMA_ALL, SCHEMA_GLOBAL, &plain);
	conf_write_plain(again, SCHEMA_ALL, SCHEMA_GLOBAL, &plain_again);
	assert_true(str_eq(buf_str(&plain), buf_str(&plain_again)));
	buf_clear(&b);
	conf_dump_json(c, &b);
	assert_true(
	    str_find_str(buf_str(&b), STR("\"listen\": {\"value\": []")) < b.n);
	conf_free(&c);
	conf_free(&again);
	buf_done(&b);
	buf_done(&plain);
	buf_done(&plain_again);
	buf_done(&problems);
}

static const char MARK_BEGIN[] = ".\\\" The list is written from the table";
static const char MARK_END[] = ".\\\" End of the list\n";

/* The manual page holds exactly what the table says. */
static void
test_man(UNUSED void **state)
{
	static const char PAGE[] = "man/restante.conf.5";
	static char page[400000];
	struct str text, list;
	struct buf want;
	FILE *f = fopen(PAGE, "r");
	size_t at;

	assert_non_null(f);
	text = str_make(page, fread(page, 1, sizeof(page), f));
	(void)fclose(f);
	at = str_find_str(text, str_of(MARK_BEGIN));
	assert_true(at < text.n);
	list = str_skip(text, at);
	list = str_skip(list, str_find(list, '\n') + 1);
	at = str_find_str(list, str_of(MARK_END));
	assert_true(at < list.n);
	buf_init(&want, sizeof(page));
	conf_dump_mdoc(&want);
	if (getenv("WRITE_MAN") != NULL) {
		f = fopen(PAGE, "r+");
		assert_non_null(f);
		(void)fwrite(page, 1, (size_t)(list.p - page), f);
		(void)fwrite(want.p, 1, want.n, f);
		(void)fwrite(list.p + at, 1, list.n - at, f);
		(void)fflush(f);
		assert_int_equal(ftruncate(fileno(f), ftell(f)), 0);
		(void)fclose(f);
	} else if (!str_eq(str_head(list, at), buf_str(&want))) {
		print_error("%s is not what the table says: run"
			    " WRITE_MAN=1 build/common/conf/conf_test\n",
		    PAGE);
		fail();
	}
	buf_done(&want);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_table),
	    cmocka_unit_test(test_values),
	    cmocka_unit_test(test_nearest),
	    cmocka_unit_test(test_file),
	    cmocka_unit_test(test_problems),
	    cmocka_unit_test(test_include),
	    cmocka_unit_test(test_plain),
	    cmocka_unit_test(test_dump),
	    cmocka_unit_test(test_man),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
