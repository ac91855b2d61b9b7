/* SPDX-License-Identifier: ISC */
/* passwd_file_test.c - lines, files, stored values, names. */
#include <dlfcn.h>
#include <gsasl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

#include "auth/name.h"
#include "auth/try.h"
#include "os/fd.h"
#include "os/passwd_file.h"
#include "auth/passwd_hash.h"
#include "text/base64.h"

static void
test_line(UNUSED void **state)
{
	struct passwd_file_user u;
	struct err e;
	bool is;

	assert_int_equal(passwd_file_parse(STR("bob:{PLAIN}x:1000:1001:Bob "
					       "B:/home/bob:/bin/sh:userdb_"
					       "mail=mbox:~/mail:INBOX=/var/"
					       "mail/%u allow_nets=10.0.0.0/8"),
			     &u, &is, &e),
	    0);
	assert_true(is);
	assert_true(str_eq(u.name, STR("bob")));
	assert_true(str_eq(u.hash, STR("{PLAIN}x")));
	assert_true(u.has_uid && u.uid == 1000 && u.has_gid && u.gid == 1001);
	assert_true(str_eq(u.home, STR("/home/bob")));
	assert_true(str_eq(u.mail, STR("mbox:~/mail:INBOX=/var/mail/%u")));
	assert_true(str_eq(u.allow_nets, STR("10.0.0.0/8")));
	/* Fields may end early; ids may be absent. */
	assert_int_equal(passwd_file_parse(STR("ann:$y$x"), &u, &is, &e), 0);
	assert_true(is && !u.has_uid && u.home.n == 0);
	assert_int_equal(
	    passwd_file_parse(STR("ann:h:5:6::/h::nologin\r"), &u, &is, &e), 0);
	assert_true(u.nologin);
	assert_int_equal(
	    passwd_file_parse(STR("ann:h:5:6::/h::userdb_pop3_login_delay=0 "
				  "userdb_pop3_expire=never"),
		&u, &is, &e),
	    0);
	assert_true(str_eq(u.login_delay, STR("0")));
	assert_true(str_eq(u.expire, STR("never")));
	assert_int_equal(passwd_file_parse(STR("# x:y"), &u, &is, &e), 0);
	assert_false(is);
	assert_int_equal(passwd_file_parse(STR(""), &u, &is, &e), 0);
	assert_false(is);
}

static void
test_bad_lines(UNUSED void **state)
{
	static const struct str bad[] = {STR_LIT(":x:1:1"),
	    STR_LIT("a:x:root:1"), STR_LIT("a:x:1:-1"),
	    STR_LIT("a:x:4294967295:1"), STR_LIT("a:x:1:1::home"),
	    STR_LIT("a:x:1:1::/h::nopassword=y"),
	    STR_LIT("a:x:1:1::/h::userdb_pop3_expire=5d"),
	    STR_LIT("a:x:1:1::/h::userdb_pop3_login_delay="),
	    STR_LIT("a:x:1:1::/h::proxy=y host=10.0.0.1"),
	    STR_LIT("a:x:1:1::/h::user=root"), STR_LIT("a:x\0y:1:1")};
	struct passwd_file_user u;
	struct err e;
	size_t i;
	bool is;

	for (i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(passwd_file_parse(bad[i], &u, &is, &e), -1);
}

static int
memory_file(struct str content)
{
	int fd = memfd_create("passwd", 0);

	assert_int_not_equal(fd, -1);
	assert_int_equal(write(fd, content.p, content.n), content.n);
	return fd;
}

static void
test_find(UNUSED void **state)
{
	struct buf text, line, first;
	struct passwd_file_user u;
	struct str model;
	char name[16];
	struct err e;
	int fd, i, n;

	buf_init(&text, 8 << 20);
	buf_init(&line, PASSWD_FILE_LINE_MAX);
	buf_init(&first, PASSWD_FILE_LINE_MAX);
	buf_add_c(&text, "# comment\n:no name\nlocked:!:1:1\nuser0:{PLAIN}p0");
	for (i = 1; i < 20000; i++)
		buf_addf(&text, "\nuser%d:{PLAIN}p%d:%d:%d::/h", i, i, i, i);
	/* A line no user can have, a bad one, the last without LF. */
	buf_add_byte(&text, '\n');
	for (i = 0; i < 200000; i++)
		buf_add_byte(&text, 'x');
	buf_add_c(&text, ":\nbad:x:y\nlast:{PLAIN}end:7:7::/last");
	fd = memory_file(buf_str(&text));
	for (i = 1; i < 20000; i += 997) {
		n = snprintf(name, sizeof(name), "user%d", i);
		assert_int_equal(passwd_file_find(fd, str_make(name, (size_t)n),
				     &line, &u, &first, &model, &e),
		    0);
		assert_int_equal(u.uid, i);
		assert_true(str_eq(model, STR("{PLAIN}p0")));
	}
	assert_int_equal(
	    passwd_file_find(fd, STR("last"), &line, &u, &first, &model, &e),
	    0);
	assert_true(str_eq(u.home, STR("/last")));
	assert_int_equal(
	    passwd_file_find(fd, STR("bad"), &line, &u, &first, NULL, &e), -1);
	assert_int_equal(e.code, ERR_CORRUPT);
	/* "user" is not "user0"; a comment is nobody; nor is a field's end. */
	assert_int_equal(
	    passwd_file_find(fd, STR("user"), &line, &u, &first, &model, &e),
	    -1);
	assert_int_equal(e.code, ERR_NOT_FOUND);
	assert_true(str_eq(model, STR("{PLAIN}p0")));
	assert_int_equal(passwd_file_find(fd, STR("# comment"), &line, &u,
			     &first, &model, &e),
	    -1);
	assert_int_equal(passwd_file_find(fd, STR("user1:{PLAIN}p1"), &line, &u,
			     &first, &model, &e),
	    -1);
	close(fd);
	buf_done(&text);
	buf_done(&line);
	buf_done(&first);
}

static void
test_nets(UNUSED void **state)
{
	struct str nets = STR("10.0.0.0/8,192.0.2.7,2001:db8::/32");

	assert_true(passwd_file_net_allows(STR(""), STR("1.2.3.4")));
	assert_true(passwd_file_net_allows(nets, STR("10.255.1.1")));
	assert_true(passwd_file_net_allows(nets, STR("192.0.2.7")));
	assert_true(passwd_file_net_allows(nets, STR("::ffff:192.0.2.7")));
	assert_true(passwd_file_net_allows(nets, STR("2001:db8:5::1")));
	assert_false(passwd_file_net_allows(nets, STR("11.0.0.1")));
	assert_false(passwd_file_net_allows(nets, STR("192.0.2.8")));
	assert_false(passwd_file_net_allows(nets, STR("2001:db9::1")));
	assert_false(passwd_file_net_allows(nets, STR("")));
	assert_false(
	    passwd_file_net_allows(STR("x/8,10.0.0.0/33"), STR("10.0.0.1")));
	assert_false(passwd_file_net_allows(STR(","), STR("10.0.0.1")));
	assert_true(passwd_file_net_allows(STR("0.0.0.0/0"), STR("1.1.1.1")));
	assert_false(passwd_file_net_allows(STR("0.0.0.0/0"), STR("2001::1")));
}

static bool
matches(const char *stored, const char *password)
{
	struct err e;
	bool match = false;

	assert_int_equal(
	    passwd_hash_verify(str_of(stored), str_of(password), &match, &e),
	    0);
	return match;
}

/* Values made with other implementations: Python's crypt and hashlib. */
static void
test_hashes(UNUSED void **state)
{
	static const char *const good[] = {
	    "{PLAIN}secret",
	    "{plain}secret",
	    "{CLEARTEXT}secret",
	    "$y$j9T$F5Jx5fExrKuPp53xLKQ..1$"
	    "GmcwIgvdUC9qLWcKCi6gklUa1dM3ziD43YxYNURLKy0",
	    "{CRYPT}$2b$05$abcdefghijklmnopqrstuuOQiyCxlgf/"
	    "oeuTqixKmWdcYUh4Hjl0a",
	    "{BLF-CRYPT}$2b$05$abcdefghijklmnopqrstuuOQiyCxlgf/"
	    "oeuTqixKmWdcYUh4Hjl0a",
	    "{SHA512-CRYPT}$6$saltsalt$"
	    "TVLlQcbpFVof5W3Yz4DTP6gRstiNuHwwTt6GLc1E5n0U0aDehy0S5knV8wiOQSpT0Y"
	    "77vwPZN.Pq.H91p5hVO1",
	    "{SHA256-CRYPT}$5$saltsalt$0IyaXrmV7.sGNS6tirgqHLqX/"
	    "G.FBvgkYA.lpPdS5sA",
	    "$6$saltsalt$"
	    "TVLlQcbpFVof5W3Yz4DTP6gRstiNuHwwTt6GLc1E5n0U0aDehy0S5knV8wiOQSpT0Y"
	    "77vwPZN.Pq.H91p5hVO1",
	    "{SCRAM-SHA-256}5000,MDEyMzQ1Njc4OWFiY2RlZg==,"
	    "QyGWlo0c520mnnWTLyWVhipR6pHPi8KYFuOB0Uc8C10=,sf7LyamnZ+"
	    "Ti3lxv4pgMpHvoDyHuGpdhjIx6lorKLCc=",
	};
	static const char *const never[] = {"", "{PLAIN}", "!", "*", "!!", "*0",
	    "!$y$j9T$x$y", "x", "{CRYPT}", "{CRYPT}*", "secret",
	    "$9$unknown$method", "$y$"};
	bool match;
	struct err e;
	size_t i;

	for (i = 0; i < ARRAY_LEN(good); i++) {
		assert_true(matches(good[i], "secret"));
		assert_false(matches(good[i], "Secret"));
		assert_false(matches(good[i], "secre"));
		assert_false(matches(good[i], "secret2"));
		assert_false(matches(good[i], ""));
	}
	for (i = 0; i < ARRAY_LEN(never); i++) {
		assert_false(matches(never[i], "secret"));
		assert_false(matches(never[i], ""));
		assert_false(matches(never[i], never[i]));
	}
	assert_false(matches("*0", "*0"));
	assert_int_equal(
	    passwd_hash_verify(STR("{ARGON2ID}x"), STR("x"), &match, &e), -1);
	assert_int_equal(e.code, ERR_UNSUPPORTED);
	assert_int_equal(
	    passwd_hash_verify(STR("{PLAIN"), STR("x"), &match, &e), -1);
	assert_false(matches("{SCRAM-SHA-256}5000,MDEyMzQ1Njc4OWFiY2RlZg==,"
			     "QyGWlo0c520mnnWTLyWVhipR6pHPi8KYFuOB0Uc8C10=,"
			     "sf7LyamnZ+Ti3lxv4pgMpHvoDyHuGpdhjIx6lorKLCc=",
	    "x"));
	assert_int_equal(passwd_hash_verify(
			     STR("{SCRAM-SHA-256}1,2,3"), STR("x"), &match, &e),
	    -1);
	/* The dummy is worked on like any other, and matches nothing. */
	assert_int_equal(
	    passwd_hash_verify(passwd_hash_dummy(), STR("x"), &match, &e), 0);
	assert_false(match);
}

static void
assert_base64(const unsigned char *p, size_t n, const char *want)
{
	struct buf b;

	buf_init(&b, 1000);
	base64_encode(&b, str_make(p, n));
	assert_true(str_eq(buf_str(&b), str_of(want)));
	buf_done(&b);
}

/* How often keys have been made; this stands before the library's. */
static unsigned n_derived, iterations_derived;

int
gsasl_scram_secrets_from_password(Gsasl_hash hash, const char *password,
    unsigned int iterations, const char *salt, size_t salt_n, char *salted,
    char *client, char *server, char *stored)
{
	int (*real)(Gsasl_hash, const char *, unsigned int, const char *,
	    size_t, char *, char *, char *, char *);
	void *found = dlsym(RTLD_NEXT, "gsasl_scram_secrets_from_password");

	assert_non_null(found);
	memcpy(&real, &found, sizeof(real));
	n_derived++;
	iterations_derived += iterations;
	return real(hash, password, iterations, salt, salt_n, salted, client,
	    server, stored);
}

/* Who has keys in the file, gets some made, or is nobody: it takes as long. */
static void
test_even_keys(UNUSED void **state)
{
#define SCRAM_KEYS                                                             \
	"{SCRAM-SHA-256}5000,W22ZaJ0SNY7soEsUEjb6gQ==,"                        \
	"WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=,"                        \
	"wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
	static const char *const files[] = {
	    "s:" SCRAM_KEYS ":1:1::/h\np:{PLAIN}x:1:1::/h\n"
	    "c:$y$j9T$x$y:1:1::/h\nn:{PLAIN}x:1:1::/h::nologin\n",
	    "p:{PLAIN}x:1:1::/h\ns:" SCRAM_KEYS ":1:1::/h\n"
	    "n:" SCRAM_KEYS ":1:1::/h::nologin\nc:$y$j9T$x$y:1:1::/h\n",
	    "c:$y$j9T$x$y:1:1::/h\nn:$y$j9T$x$y:1:1::/h::nologin\n"
	    "s:" SCRAM_KEYS ":1:1::/h\np:{PLAIN}x:1:1::/h\n"};
	static const char *const names[] = {"s", "p", "c", "n", "nobody"};
	static const uint64_t key[2] = {1, 2};

	for (size_t i = 0; i < ARRAY_LEN(files); i++)
		for (size_t j = 0; j < ARRAY_LEN(names); j++) {
			struct chan_try_work w = {.want = CHAN_TRY_KEYS,
			    .name = str_of(names[j]),
			    .rhost = STR("127.0.0.1")};
			struct try_answer a = {0};
			struct err e;
			int fd = fd_memfile("passwd", str_of(files[i]), &e);

			n_derived = iterations_derived = 0;
			try_passwd_file(fd, key, &w, &a);
			assert_int_equal(n_derived, 1);
			assert_int_equal(
			    iterations_derived, PASSWD_HASH_ITER_DEFAULT);
			assert_int_equal(
			    a.outcome, j < 2 ? CHAN_TRY_OK : CHAN_TRY_UNKNOWN);
			assert_true(a.keys.iter > 0);
			fd_close(&fd);
		}
}

/* The keys of RFC 7677 section 3: "user" with password "pencil". */
static void
test_scram_keys(UNUSED void **state)
{
	static const unsigned char salt[16] = "abcdefghijklmnop";
	struct passwd_hash_keys from_plain, k;
	struct err e;

	assert_int_equal(
	    passwd_hash_keys(
		STR("{SCRAM-SHA-256}4096,W22ZaJ0SNY7soEsUEjb6gQ==,"
		    "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=,"
		    "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="),
		salt, &k, &e),
	    0);
	assert_int_equal(k.iter, 4096);
	assert_int_equal(k.salt_n, 16);
	assert_base64(k.salt, k.salt_n, "W22ZaJ0SNY7soEsUEjb6gQ==");
	/* {PLAIN} with the same salt gives the same keys. */
	assert_int_equal(
	    passwd_hash_keys(STR("{PLAIN}pencil"), k.salt, &from_plain, &e), 0);
	assert_base64(from_plain.stored, 32,
	    "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=");
	assert_base64(from_plain.server, 32,
	    "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=");
	assert_true(matches("{SCRAM-SHA-256}4096,W22ZaJ0SNY7soEsUEjb6gQ==,"
			    "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=,"
			    "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=",
	    "pencil"));
	assert_int_equal(passwd_hash_keys(STR("$y$j9T$x$y"), salt, &k, &e), -1);
	assert_int_equal(e.code, ERR_UNSUPPORTED);
	assert_int_equal(passwd_hash_keys(STR("{PLAIN}"), salt, &k, &e), -1);
}

static void
test_names(UNUSED void **state)
{
	static const struct str bad[] = {STR_LIT(""), STR_LIT("a b"),
	    STR_LIT("../x"), STR_LIT("..x"), STR_LIT("a/b"), STR_LIT("-x"),
	    STR_LIT("a:b"), STR_LIT("a\nb"), STR_LIT("a\0b"), STR_LIT("a%u"),
	    STR_LIT("\303\244"), STR_LIT("a*"), STR_LIT("a+b")};
	char out[USER_NAME_MAX + 1], big[USER_NAME_MAX + 2];
	size_t i;

	for (i = 0; i < ARRAY_LEN(bad); i++)
		assert_false(name_normalise(bad[i], STR(""), false, out));
	assert_true(
	    name_normalise(STR("Joe.D_1-x@Example.ORG"), STR(""), false, out));
	assert_string_equal(out, "joe.d_1-x@example.org");
	assert_true(name_normalise(STR("Joe"), STR(""), true, out));
	assert_string_equal(out, "Joe");
	assert_true(name_normalise(STR("a+b"), STR("ab+/: "), false, out));
	assert_false(name_normalise(STR("a/b"), STR("ab+/: "), false, out));
	memset(big, 'a', sizeof(big));
	assert_true(
	    name_normalise(str_make(big, USER_NAME_MAX), STR(""), false, out));
	assert_false(name_normalise(
	    str_make(big, USER_NAME_MAX + 1), STR(""), false, out));
}

/*
 * What leaves at once takes as long for the first user as for nobody: where the
 * file goes on for longer than is read, either is told so.
 */
static void
test_evenly(UNUSED void **state)
{
	static const char text[] = "alice:{PLAIN}secret:1000:1000::/home/a\n";
	struct passwd_file_user u;
	struct buf line, first;
	struct str model;
	struct err e;
	int fd = memfd_create("passwd", MFD_CLOEXEC);

	assert_int_not_equal(fd, -1);
	assert_int_equal(write(fd, text, sizeof(text) - 1), sizeof(text) - 1);
	buf_init(&line, PASSWD_FILE_LINE_MAX);
	buf_init(&first, PASSWD_FILE_LINE_MAX);
	assert_int_equal(passwd_file_find_evenly(
			     fd, STR("alice"), &line, &u, &first, &model, &e),
	    0);
	assert_true(str_eq(u.hash, STR("{PLAIN}secret")));
	assert_int_equal(
	    ftruncate(fd, (off_t)PASSWD_FILE_SIZE_MAX + 1024 * 1024), 0);
	assert_int_equal(
	    passwd_file_find(fd, STR("alice"), &line, &u, &first, &model, &e),
	    0);
	assert_int_equal(passwd_file_find_evenly(
			     fd, STR("alice"), &line, &u, &first, &model, &e),
	    -1);
	assert_int_equal(e.code, ERR_LIMIT);
	assert_int_equal(passwd_file_find_evenly(
			     fd, STR("nobody"), &line, &u, &first, &model, &e),
	    -1);
	assert_int_equal(e.code, ERR_LIMIT);
	buf_done(&line);
	buf_done(&first);
	fd_close(&fd);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_line),
	    cmocka_unit_test(test_bad_lines),
	    cmocka_unit_test(test_find),
	    cmocka_unit_test(test_evenly),
	    cmocka_unit_test(test_nets),
	    cmocka_unit_test(test_hashes),
	    cmocka_unit_test(test_scram_keys),
	    cmocka_unit_test(test_even_keys),
	    cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
