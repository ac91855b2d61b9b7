/* SPDX-License-Identifier: ISC */
/*
 * fuzz_imapd.c - a whole session: whatever a logged-in client sends, imapd
 * goes on or ends in order, and a session after it finds the mailbox usable.
 *
 * Owns:    a Maildir below /dev/shm or /tmp, made anew for each input.
 * Runs in: make fuzz, make check.
 * Trusts:  nothing.
 */
#include "../lib/fake_host.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/log.h"
#include "os/file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
make_file(const char *home, const char *rel, const char *text)
{
	char path[200];
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/M/%s", home, rel);
	f = fopen(path, "w");
	if (f == NULL || fputs(text, f) == EOF || fclose(f) != 0)
		abort();
}

static void
make_home(char *home, size_t size)
{
	static const char *const dirs[] = {"M", "M/cur", "M/new", "M/tmp",
	    "M/.two", "M/.two/cur", "M/.two/new", "M/.two/tmp"};
	char path[200];
	size_t i;

	(void)snprintf(home, size, "%s/restante-fuzz.XXXXXX",
	    access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	if (mkdtemp(home) == NULL)
		abort();
	for (i = 0; i < ARRAY_LEN(dirs); i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", home, dirs[i]);
		if (mkdir(path, 0700) == -1)
			abort();
	}
	make_file(home, "cur/1.M1P1.h:2,S", "Subject: one\n\nhello\n");
	make_file(home, "cur/2.M1P1.h:2,",
	    "From: a <b@c>\nContent-Type: multipart/mixed; boundary=x\n\n"
	    "--x\n\npart\n--x\nContent-Type: message/rfc822\n\nSubject: in\n"
	    "\ninner\n--x--\n");
	make_file(home, "new/3.M1P1.h", "");
}

/* One session; what the server says is only read. */
static void
converse(struct store *store, struct str in)
{
	struct host h = {.setting = "append_limit", .value = "10000"};
	struct buf out;
	ssize_t n;

	buf_init(&out, 64 * 1024 * 1024);
	host_begin(&h, store, "");
	while (in.n > 0 && h.client != NULL) {
		n = write(h.fd, in.p, in.n < 4096 ? in.n : 4096);
		in = str_skip(in, n > 0 ? (size_t)n : 0);
		host_run(&h);
		(void)host_hear(&h, &out);
		buf_clear(&out);
	}
	host_run(&h);
	if (h.client != NULL)
		host_end(&h);
	else
		(void)close(h.fd);
	if (h.client != NULL)
		abort();
	buf_done(&out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct store_settings set = {.user = "joe",
	    .mail_location = "maildir:~/M",
	    .host = "h",
	    .poll_only = true,
	    .poll_ms = 1000000};
	struct store *store;
	char home[64];
	struct err e;

	log_set_level(LOG_LEVEL_FATAL);
	make_home(home, sizeof(home));
	set.home = home;
	if (store_open(&set, ev_default_loop(EVFLAG_NOENV), &store, &e) == -1)
		abort();
	converse(store, str_make(data, size));
	converse(store, STR("a SELECT INBOX\r\nb NOOP\r\nc LOGOUT\r\n"));
	store_close(&store);
	if (file_remove_tree(AT_FDCWD, home, &e) == -1)
		abort();
	return 0;
}
