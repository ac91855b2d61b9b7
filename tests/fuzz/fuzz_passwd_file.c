/* SPDX-License-Identifier: ISC */
/*
 * fuzz_passwd_file.c - a passwd-file of any bytes: its first line by itself,
 * then a search for a user.
 *
 * Owns:    nothing.
 * Runs in: make fuzz, make check.
 * Trusts:  nothing.
 */
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include "os/passwd_file.h"
#include "auth/passwd_hash.h"
#include "base/assert.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool
lies_in(struct str part, struct str whole)
{
	return part.n == 0 ||
	    (part.p >= whole.p && part.p + part.n <= whole.p + whole.n);
}

static void
try_line(struct str line)
{
	static const unsigned char salt[16];
	struct passwd_hash_keys keys;
	struct passwd_file_user u;
	struct err e;
	bool is_user;

	if (passwd_file_parse(line, &u, &is_user, &e) == -1 || !is_user)
		return;
	ASSERT(u.name.n > 0 && lies_in(u.name, line) && lies_in(u.hash, line));
	ASSERT(lies_in(u.home, line) && lies_in(u.mail, line));
	ASSERT(u.home.n == 0 || u.home.p[0] == '/');
	ASSERT(str_find(u.name, ':') == u.name.n);
	(void)passwd_file_net_allows(u.allow_nets, STR("192.0.2.1"));
	(void)passwd_file_net_allows(u.allow_nets, STR("2001:db8::1"));
	if (str_starts_nocase(u.hash, STR("{SCRAM-SHA-256}")) &&
	    passwd_hash_keys(u.hash, salt, &keys, &e) == 0)
		ASSERT(keys.iter > 0 && keys.salt_n > 0 &&
		    keys.salt_n <= sizeof(keys.salt));
}

static void
try_file(struct str content)
{
	int fd = memfd_create("passwd", MFD_CLOEXEC);
	struct passwd_file_user u;
	struct buf line, first;
	struct str model;
	struct err e;

	ASSERT(
	    fd != -1 && write(fd, content.p, content.n) == (ssize_t)content.n);
	buf_init(&line, PASSWD_FILE_LINE_MAX);
	buf_init(&first, PASSWD_FILE_LINE_MAX);
	if (passwd_file_find(fd, STR("bob"), &line, &u, &first, &model, &e) ==
	    0) {
		ASSERT(str_eq(u.name, STR("bob")));
		ASSERT(model.n == 0 || model.n >= 2);
	}
	buf_done(&line);
	buf_done(&first);
	(void)close(fd);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str rest = str_make(data, size), line;

	(void)str_cut(&rest, '\n', &line);
	try_line(line);
	try_file(str_make(data, size));
	return 0;
}
