/* SPDX-License-Identifier: ISC */
/*
 * main.c - restantectl: looks at a running server, its configuration and the
 * mail of its users.
 *
 * Owns:    the command line.
 * Runs in: restantectl, as the caller; master decides what he may.
 * Trusts:  master's answers; the caller.
 * Spec:    restantectl(8).
 */
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "config.h"
#include "ctl.h"

static const struct ctl_command COMMANDS[] = {
    {"who", "[--user NAME] [--service imap|pop3] [--ip ADDRESS]",
	"list sessions", ctl_who},
    {"kick", "NAME | --session N | --ip ADDRESS | --user NAME", "end sessions",
	ctl_kick},
    {"status", "", "show processes and counts", ctl_simple},
    {"reload", "", "read configuration and certificates again", ctl_simple},
    {"stop", "", "stop the server", ctl_simple},
    {"check", "[USER]", "check the configuration, or the mail of a user",
	ctl_check},
    {"repair", "USER", "mend what check has found", ctl_repair},
    {"index", "USER", "list a user's mail once, so that sessions need not",
	ctl_index},
    {"give-back",
	"[--to dovecot|courier] [--print] [--dovecot-config FILE] USER",
	"bring to disk what another server needs", ctl_give_back},
    {"share", "USER [MAILBOX WHOM RIGHTS]",
	"give others rights on a mailbox, or list who has some", ctl_share},
    {"unshare", "USER MAILBOX WHOM", "take them again", ctl_unshare},
    {"config", "[--all] [--plain imap|pop3]", "show the settings in effect",
	ctl_config},
};

int
ctl_complain(const char *fmt, ...)
{
	va_list ap;

	(void)fputs("restantectl: ", stderr);
	va_start(ap, fmt);
	(void)vfprintf(stderr, fmt, ap);
	va_end(ap);
	(void)fputc('\n', stderr);
	return 1;
}

/* Of the command that runs; NULL before one is known. */
static const struct ctl_command *current;

static void
print_command(FILE *f, const char *before, const struct ctl_command *c)
{
	(void)fprintf(f, "%s%s%s%s\n        %s\n", before, c->name,
	    c->arguments[0] == '\0' ? "" : " ", c->arguments, c->help);
}

static void
print_usage(FILE *f)
{
	if (current != NULL) {
		print_command(
		    f, "usage: restantectl [-c file] [--json] ", current);
		return;
	}
	(void)fputs("usage: restantectl [-c file] [--json] command\n"
		    "       restantectl -V | -h\n",
	    f);
	for (size_t i = 0; i < ARRAY_LEN(COMMANDS); i++)
		print_command(f, "  ", &COMMANDS[i]);
}

int
ctl_usage(const char *fmt, ...)
{
	va_list ap;

	(void)fprintf(stderr, "restantectl%s%s: ", current == NULL ? "" : " ",
	    current == NULL ? "" : current->name);
	va_start(ap, fmt);
	(void)vfprintf(stderr, fmt, ap);
	va_end(ap);
	(void)fputc('\n', stderr);
	print_usage(stderr);
	return 2;
}

/* A word that is no command; perhaps it is nearly one. */
static int
unknown_command(const char *word)
{
	const char *best = NULL;
	unsigned least = 3; /* more letters than two: another word */

	for (size_t i = 0; i < ARRAY_LEN(COMMANDS); i++) {
		unsigned d = schema_edit_distance(
		    str_of(word), str_of(COMMANDS[i].name));

		if (d < least) {
			least = d;
			best = COMMANDS[i].name;
		}
	}
	if (best == NULL)
		return ctl_usage("unknown command %s", word);
	(void)ctl_complain("unknown command %s; did you mean %s?", word, best);
	return 2;
}

int
ctl_print(const struct buf *out)
{
	if (buf_is_over(out))
		return ctl_complain("the answer is too long");
	if ((out->n > 0 && fwrite(out->p, 1, out->n, stdout) != out->n) ||
	    fflush(stdout) == EOF)
		return ctl_complain("standard output: %m");
	return 0;
}

void
ctl_json_string(struct buf *out, struct str s)
{
	buf_add_byte(out, '"');
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (c == '"' || c == '\\')
			buf_addf(out, "\\%c", c);
		else if (c < 0x20)
			buf_addf(out, "\\u%04x", c);
		else
			buf_add_byte(out, (char)c);
	}
	buf_add_byte(out, '"');
}

int
main(int argc, char **argv)
{
	static const struct option LONG[] = {
	    {"json", no_argument, NULL, 'j'},
	    {"help", no_argument, NULL, 'h'},
	    {"version", no_argument, NULL, 'V'},
	    {NULL, 0, NULL, 0},
	};
	struct ctl_options o = {.config = SYSCONFDIR "/restante/restante.conf"};
	int c;

	/* "+": options behind the command are the command's own. */
	while ((c = getopt_long(argc, argv, "+c:hV", LONG, NULL)) != -1) {
		switch (c) {
		case 'c':
			o.config = optarg;
			o.config_said = true;
			break;
		case 'j':
			o.json = true;
			break;
		case 'h':
			print_usage(stdout);
			return 0;
		case 'V':
			(void)printf("restantectl %s\n", PACKAGE_VERSION);
			return 0;
		default:
			/* getopt has said what it is. */
			print_usage(stderr);
			return 2;
		}
	}
	argc -= optind;
	argv += optind;
	/* --json is understood behind the command too. */
	for (int i = 1; i < argc; i++)
		if (str_eq(str_of(argv[i]), STR("--json"))) {
			o.json = true;
			for (int j = i; j < argc; j++)
				argv[j] = argv[j + 1];
			argc--;
			i--;
		}
	if (argc == 0)
		return ctl_usage("which command?");
	for (size_t i = 0; i < ARRAY_LEN(COMMANDS); i++)
		if (str_eq(str_of(argv[0]), str_of(COMMANDS[i].name)))
			current = &COMMANDS[i];
	if (current == NULL)
		return unknown_command(argv[0]);
	if (argc == 2 && str_eq(str_of(argv[1]), STR("--help"))) {
		print_usage(stdout);
		return 0;
	}
	return current->run(&o, argc, argv);
}
