/* SPDX-License-Identifier: ISC */
/*
 * cclient.c - a mail program made of UW's c-client library: what Alpine and
 * uw-imapd do with an mbox. Built by tests/lib/cclient.py.
 *
 * Owns:    nothing.
 * Runs in: tests, as the mail user, in his home folder.
 * Trusts:  its command line.
 *
 *	cclient MAILBOX COMMAND [ARGUMENT]...
 *	list                 UIDVALIDITY, last UID; UID, size, flags of each
 *	flag N FLAGS         sets them
 *	expunge
 *	append FILE FLAGS TIMES
 */
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <c-client/c-client.h>

/* ---- who it is --------------------------------------------------------------- */

/* The users of tests are in no passwd file, and the library asks for one. */
struct passwd *
getpwuid(uid_t uid)
{
	static struct passwd pw;

	pw.pw_name = (char *)"tester";
	pw.pw_dir = getenv("HOME");
	pw.pw_shell = (char *)"/bin/sh";
	pw.pw_uid = uid;
	pw.pw_gid = getgid();
	return &pw;
}

struct passwd *
getpwnam(const char *name)
{
	(void)name;
	return getpwuid(getuid());
}

/* ---- what the library calls -------------------------------------------------- */

void
mm_searched(MAILSTREAM *s, unsigned long n)
{
	(void)s;
	(void)n;
}

void
mm_exists(MAILSTREAM *s, unsigned long n)
{
	(void)s;
	(void)n;
}

void
mm_expunged(MAILSTREAM *s, unsigned long n)
{
	(void)s;
	(void)n;
}

void
mm_flags(MAILSTREAM *s, unsigned long n)
{
	(void)s;
	(void)n;
}

void
mm_notify(MAILSTREAM *s, char *text, long flag)
{
	(void)s;
	fprintf(stderr, "notify %ld %s\n", flag, text);
}

void
mm_list(MAILSTREAM *s, int delimiter, char *name, long attributes)
{
	(void)s;
	(void)delimiter;
	(void)attributes;
	printf("%s\n", name);
}

void
mm_lsub(MAILSTREAM *s, int delimiter, char *name, long attributes)
{
	mm_list(s, delimiter, name, attributes);
}

void
mm_status(MAILSTREAM *s, char *name, MAILSTATUS *status)
{
	(void)s;
	(void)name;
	(void)status;
}

void
mm_log(char *text, long flag)
{
	fprintf(stderr, "log %ld %s\n", flag, text);
}

void
mm_dlog(char *text)
{
	(void)text;
}

void
mm_login(NETMBX *mb, char *user, char *password, long trial)
{
	(void)mb;
	(void)trial;
	*user = *password = '\0';
}

void
mm_critical(MAILSTREAM *s)
{
	(void)s;
}

void
mm_nocritical(MAILSTREAM *s)
{
	(void)s;
}

long
mm_diskerror(MAILSTREAM *s, long code, long serious)
{
	(void)s;
	(void)code;
	(void)serious;
	return 1;
}

void
mm_fatal(char *text)
{
	fprintf(stderr, "fatal %s\n", text);
}

/* ---- commands ------------------------------------------------------------------ */

static void
list(MAILSTREAM *s)
{
	printf("%lu %lu\n", s->uid_validity, s->uid_last);
	for (unsigned long n = 1; n <= s->nmsgs; n++) {
		MESSAGECACHE *m;

		mail_fetchfast(s, "1:*");
		m = mail_elt(s, n);
		printf("%lu %lu", mail_uid(s, n), m->rfc822_size);
		printf("%s%s%s%s%s", m->seen ? " \\Seen" : "",
		    m->deleted ? " \\Deleted" : "",
		    m->flagged ? " \\Flagged" : "",
		    m->answered ? " \\Answered" : "",
		    m->draft ? " \\Draft" : "");
		for (int i = 0; i < NUSERFLAGS; i++)
			if (m->user_flags & 1UL << i)
				printf(" %s", s->user_flags[i]);
		printf("\n");
	}
}

static int
append(char *mailbox, const char *file, char *flags, int times)
{
	static char text[65536];
	FILE *f = fopen(file, "rb");
	size_t n = f == NULL ? 0 : fread(text, 1, sizeof(text), f);

	if (f != NULL)
		fclose(f);
	while (times-- > 0) {
		STRING message;

		INIT(&message, mail_string, text, n);
		if (!mail_append_full(NIL, mailbox, flags, NIL, &message))
			return 1;
	}
	return 0;
}

int
main(int argc, char **argv)
{
	extern DRIVER unixdriver;
	MAILSTREAM *s;
	char range[32];

	if (argc < 3)
		return 2;
	mail_link(&unixdriver);
	if (strcmp(argv[2], "append") == 0 && argc == 6)
		return append(
		    argv[1], argv[3], argv[4], (int)strtol(argv[5], NULL, 10));
	s = mail_open(NIL, argv[1], 0);
	if (s == NIL)
		return 1;
	if (strcmp(argv[2], "list") == 0) {
		list(s);
	} else if (strcmp(argv[2], "flag") == 0 && argc == 5) {
		(void)snprintf(range, sizeof(range), "%s", argv[3]);
		mail_flag(s, range, argv[4], ST_SET);
	} else if (strcmp(argv[2], "expunge") == 0) {
		mail_expunge(s);
	}
	mail_close(s);
	return 0;
}
