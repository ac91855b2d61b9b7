/* SPDX-License-Identifier: ISC */
/*
 * pam_test.c - PAM's answers and what we make of them, with the modules of
 * libpam-wrapper in the place of the system's. The program starts itself anew
 * with the wrapper loaded; without the wrapper installed it says so.
 */
#include <fcntl.h>
#include <ftw.h>
#include <glob.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "auth/pam.h"

static char dir[] = "/tmp/restante-pam.XXXXXX";

static void
write_file(const char *name, const char *text)
{
	char path[200];
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "w");
	assert_non_null(f);
	(void)fputs(text, f);
	(void)fclose(f);
}

static enum chan_try_outcome
attempt(
    const char *service, const char *name, const char *password, char user[64])
{
	const struct pam_try_request r = {service, name, password, "192.0.2.9"};
	enum chan_try_outcome outcome;
	struct pam_try *t;
	const char *canonical = NULL;
	char text[200] = "";

	outcome = pam_try_begin(&r, &t, &canonical, text, sizeof(text));
	if (outcome == CHAN_TRY_OK)
		(void)snprintf(user, 64, "%s", canonical);
	else
		assert_true(text[0] != '\0');
	pam_try_end(&t);
	assert_null(t);
	return outcome;
}

static void
test_matrix(UNUSED void **state)
{
	char user[64] = "";

	assert_int_equal(attempt("imap", "bob", "secret", user), CHAN_TRY_OK);
	assert_string_equal(user, "bob");
	assert_int_equal(
	    attempt("imap", "bob", "wrong", user), CHAN_TRY_MISMATCH);
	assert_int_equal(attempt("imap", "bob", "", user), CHAN_TRY_MISMATCH);
	assert_int_equal(
	    attempt("imap", "nobody", "secret", user), CHAN_TRY_MISMATCH);
	/* The file of another service does not let him in. */
	assert_int_not_equal(
	    attempt("pop3", "bob", "secret", user), CHAN_TRY_OK);
}

static void
test_a_module_may_change_the_name(UNUSED void **state)
{
	char user[64] = "";

	assert_int_equal(attempt("rename", "bob", "secret", user), CHAN_TRY_OK);
	assert_string_equal(user, "canonical");
}

/* Whatever else a module asks for, it gets nothing. */
static void
test_only_one_hidden_prompt(UNUSED void **state)
{
	char user[64] = "";

	assert_int_equal(attempt("chatty", "bob", "secret", user), CHAN_TRY_OK);
	assert_int_equal(
	    attempt("twice", "bob", "secret", user), CHAN_TRY_UNAVAILABLE);
	/* What is asked in the open gets the name, not the password. */
	assert_int_equal(
	    attempt("echo", "bob", "secret", user), CHAN_TRY_MISMATCH);
	assert_int_equal(attempt("echo", "ann", "x", user), CHAN_TRY_OK);
}

static void
test_outcomes(UNUSED void **state)
{
	static const struct {
		const char *service;
		enum chan_try_outcome outcome;
	} cases[] = {{"deny", CHAN_TRY_MISMATCH},
	    {"missing-module", CHAN_TRY_UNAVAILABLE},
	    {"no-such-service", CHAN_TRY_MISMATCH},
	    {"account-denied", CHAN_TRY_LOCKED}};
	char user[64];
	size_t i;

	for (i = 0; i < ARRAY_LEN(cases); i++)
		assert_int_equal(
		    attempt(cases[i].service, "bob", "secret", user),
		    cases[i].outcome);
}

static void
test_session(UNUSED void **state)
{
	const struct pam_try_request r = {"imap", "bob", "secret", "::1"};
	const char *user;
	struct pam_try *t;
	struct err e;
	char text[200];

	assert_int_equal(
	    pam_try_begin(&r, &t, &user, text, sizeof(text)), CHAN_TRY_OK);
	assert_int_equal(pam_try_open_session(t, &e), 0);
	pam_try_close_session(t);
	pam_try_end(&t);
}

static void
test_service_file(UNUSED void **state)
{
	char out[32];

	assert_true(pam_try_service(dir, "", "imap", out, sizeof(out)));
	assert_string_equal(out, "imap");
	assert_true(pam_try_service(dir, "", "sieve", out, sizeof(out)));
	assert_string_equal(out, "restante");
	assert_true(pam_try_service(dir, "dovecot", "imap", out, sizeof(out)));
	assert_string_equal(out, "dovecot");
	assert_false(pam_try_service(dir, "../x", "imap", out, sizeof(out)));
	assert_false(pam_try_service(dir, ".", "imap", out, sizeof(out)));
	assert_false(
	    pam_try_service(dir, "a-name-of-forty-bytes-does-not-fit-in-here",
		"imap", out, sizeof(out)));
}

static void
write_services(const char *modules)
{
	char text[2000];
	const char *const base =
	    "auth required %1$s/pam_matrix.so passdb=%2$s/passdb\n"
	    "account required %1$s/pam_matrix.so passdb=%2$s/passdb\n"
	    "session required %1$s/pam_matrix.so passdb=%2$s/passdb\n";

	write_file("passdb",
	    "bob:secret:imap\nbob:secret:rename\n"
	    "bob:secret:chatty\nbob:secret:twice\n"
	    "bob:secret:account-denied\n"
	    "bob:secret:echo\nann:ann:echo\n");
	(void)snprintf(text, sizeof(text), base, modules, dir);
	write_file("imap", text);
	write_file("pop3", text);
	(void)snprintf(text, sizeof(text),
	    "auth required %1$s/pam_matrix.so passdb=%2$s/passdb\n"
	    "auth required %1$s/pam_set_items.so\n"
	    "account required pam_permit.so\n",
	    modules, dir);
	write_file("rename", text);
	(void)snprintf(text, sizeof(text),
	    "auth required %1$s/pam_chatty.so info error num_lines=3\n"
	    "auth required %1$s/pam_matrix.so passdb=%2$s/passdb\n"
	    "account required pam_permit.so\n",
	    modules, dir);
	write_file("chatty", text);
	(void)snprintf(text, sizeof(text),
	    "auth required %1$s/pam_matrix.so passdb=%2$s/passdb\n"
	    "auth required %1$s/pam_matrix.so passdb=%2$s/passdb\n"
	    "account required pam_permit.so\n",
	    modules, dir);
	write_file("twice", text);
	(void)snprintf(text, sizeof(text),
	    "auth required %1$s/pam_matrix.so echo passdb=%2$s/passdb\n"
	    "account required pam_permit.so\n",
	    modules, dir);
	write_file("echo", text);
	write_file("deny",
	    "auth required pam_deny.so\n"
	    "account required pam_permit.so\n");
	write_file("missing-module",
	    "auth required /nonexistent/pam_none.so\n"
	    "account required pam_permit.so\n");
	(void)snprintf(text, sizeof(text),
	    "auth required %1$s/pam_matrix.so passdb=%2$s/passdb\n"
	    "account required pam_deny.so\n",
	    modules, dir);
	write_file("account-denied", text);
	write_file("other",
	    "auth required pam_deny.so\naccount required pam_deny.so\n");
}

static int
remove_one(const char *path, UNUSED const struct stat *st, UNUSED int flag,
    UNUSED struct FTW *ftw)
{
	return remove(path);
}

/* The first file that fits; false when there is none. */
static bool
find_file(const char *pattern, char *out, size_t size)
{
	glob_t found;
	bool ok = glob(pattern, 0, NULL, &found) == 0;

	if (ok) {
		(void)snprintf(out, size, "%s", found.gl_pathv[0]);
		globfree(&found);
	}
	return ok;
}

static int
start_wrapped(char **argv)
{
	char library[300];

	if (!find_file(
		"/usr/lib/*/libpam_wrapper.so", library, sizeof(library))) {
		puts("pam_test: skipped, libpam-wrapper is not installed");
		return 0;
	}
	(void)setenv("LD_PRELOAD", library, 1);
	(void)setenv("PAM_WRAPPER", "1", 1);
	(void)setenv("RESTANTE_PAM_WRAPPED", mkdtemp(dir), 1);
	(void)setenv("PAM_WRAPPER_SERVICE_DIR", dir, 1);
	/* What pam_set_items.so sets. */
	(void)setenv("PAM_USER", "canonical", 1);
	write_services(getenv("RESTANTE_PAM_MODULES"));
	(void)execv("/proc/self/exe", argv);
	perror("pam_test: exec");
	return 1;
}

int
main(UNUSED int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_matrix),
	    cmocka_unit_test(test_a_module_may_change_the_name),
	    cmocka_unit_test(test_only_one_hidden_prompt),
	    cmocka_unit_test(test_outcomes),
	    cmocka_unit_test(test_session),
	    cmocka_unit_test(test_service_file),
	};
	const char *wrapped = getenv("RESTANTE_PAM_WRAPPED");
	char module[300];
	int failed;

#ifdef RESTANTE_SANITIZE
	/* The sanitizer wants to be loaded before pam_wrapper. */
	(void)puts("skipped: does not run below a sanitizer");
	return 0;
#endif
	if (wrapped == NULL) {
		if (find_file("/usr/lib/*/pam_wrapper", module, sizeof(module)))
			(void)setenv("RESTANTE_PAM_MODULES", module, 1);
		return start_wrapped(argv);
	}
	(void)snprintf(dir, sizeof(dir), "%s", wrapped);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	(void)nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	return failed;
}
