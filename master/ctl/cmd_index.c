/* SPDX-License-Identifier: ISC */
/*
 * cmd_index.c - index USER: lists every mailbox once, so that the first session
 * of the user finds all that lists are made of.
 *
 * Owns:    an imapd of the user, and what goes to and comes from it.
 * Runs in: restantectl; the mail is read by imapd, as the user.
 * Trusts:  nothing that imapd says: it may stop, say anything, or say it for
 *          ever; names of mailboxes go back to it as they came.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/vec.h"
#include "os/file.h"
#include "user.h"

#define ANSWER_WAIT_MS (10 * 60 * 1000)
#define LINE_MAX_BYTES ((size_t)64 * 1024)
#define MAILBOXES_MAX 100000

struct imap {
	int to, from;
	struct buf in;
	unsigned tag;
};

/* ---- one command ------------------------------------------------------------- */

/* More of what imapd says; false: nothing comes any more. */
static bool
more(struct imap *im)
{
	struct pollfd p = {.fd = im->from, .events = POLLIN};
	char piece[16 * 1024];
	ssize_t n;

	if (poll(&p, 1, ANSWER_WAIT_MS) <= 0)
		return false;
	n = read(im->from, piece, sizeof(piece));
	if (n <= 0 || im->in.n > LINE_MAX_BYTES * 64)
		return false;
	return buf_add(&im->in, piece, (size_t)n);
}

/* The next line without its end; false: there is none. */
static bool
next_line(struct imap *im, struct buf *line)
{
	size_t n;

	while ((n = str_find(buf_str(&im->in), '\n')) == im->in.n) {
		/* The middle of something long is of no interest. */
		if (im->in.n > LINE_MAX_BYTES)
			buf_drop(&im->in, im->in.n - LINE_MAX_BYTES / 2);
		if (!more(im))
			return false;
	}
	buf_clear(line);
	(void)buf_add_str(line, str_trim(str_head(buf_str(&im->in), n)));
	buf_drop(&im->in, n + 1);
	return true;
}

typedef void line_fn(void *arg, struct str line);

/* Sends a command; OK: true. Untagged lines go to `fn`. */
static bool
command(struct imap *im, const char *text, struct str argument, line_fn *fn,
    void *arg)
{
	char tag[24];
	struct buf b, line;
	struct err e;
	bool ok = false;

	(void)snprintf(tag, sizeof(tag), "x%u ", ++im->tag);
	buf_init(&b, LINE_MAX_BYTES);
	buf_init(&line, LINE_MAX_BYTES);
	(void)buf_addf(&b, "%s%s%.*s\r\n", tag, text, STR_ARG(argument));
	if (!buf_is_over(&b) && file_write(im->to, buf_str(&b), &e) == 0)
		while (next_line(im, &line)) {
			struct str s = buf_str(&line);

			if (str_starts(s, str_of(tag))) {
				ok = str_starts(
				    str_skip(s, strlen(tag)), STR("OK"));
				break;
			}
			if (fn != NULL)
				fn(arg, s);
		}
	buf_done(&b);
	buf_done(&line);
	return ok;
}

/* ---- all mailboxes ------------------------------------------------------------- */

struct names {
	struct arena arena;
	VEC(struct str) v;
};

/* * LIST (\Flags) "." name, where the name goes back as it is. */
static void
on_list(void *arg, struct str line)
{
	struct names *names = arg;
	struct str rest, flags;

	if (!str_starts(line, STR("* LIST (")) || names->v.n == MAILBOXES_MAX)
		return;
	rest = line;
	if (!str_cut(&rest, ')', &flags) ||
	    str_find_str(flags, STR("\\Noselect")) != flags.n ||
	    str_find_str(flags, STR("\\NonExistent")) != flags.n)
		return;
	rest = str_trim(rest);
	if (!str_cut(&rest, ' ', &flags) || rest.n == 0 || *rest.p == '{')
		return;
	*VEC_ADD(&names->v) = arena_str(&names->arena, rest);
}

static const char fetch_all[] =
    "UID FETCH 1:* (FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODYSTRUCTURE "
    "BODY.PEEK[HEADER.FIELDS (DATE FROM TO CC SUBJECT)])";

static void
on_fetch(void *arg, struct str line)
{
	uint64_t *n = arg;

	*n += str_starts(line, STR("* ")) &&
	    str_find_str(str_head(line, 40), STR(" FETCH (")) <
		(line.n < 40 ? line.n : 40);
}

static int
index_all(struct imap *im, struct buf *out)
{
	struct names names = {0};
	uint64_t messages = 0;
	size_t failed = 0;
	int status;

	arena_init(&names.arena);
	if (!command(im, "LIST \"\" *", STR(""), on_list, &names)) {
		buf_add_c(out, "The mailboxes can not be listed.\n");
		failed = 1;
	}
	VEC_EACH(&names.v, name)
		if (!command(im, "EXAMINE ", *name, NULL, NULL) ||
		    !command(im, fetch_all, STR(""), on_fetch, &messages)) {
			buf_addf(
			    out, "%.*s can not be read.\n", STR_ARG(*name));
			failed++;
		}
	(void)command(im, "LOGOUT", STR(""), NULL, NULL);
	buf_addf(out, "%llu messages in %zu mailboxes.\n",
	    (unsigned long long)messages,
	    names.v.n - (failed < names.v.n ? failed : names.v.n));
	status = failed > 0;
	VEC_DONE(&names.v);
	arena_done(&names.arena);
	return status;
}

/* ---- imapd ----------------------------------------------------------------------- */

NORETURN static void
run_imapd(const struct ctl_options *o, const struct ctl_user *u,
    const char *program, const char *index, int in, int out)
{
	char home[4400], user[600], location[4400], dir[4400], names[64];
	char *env[] = {home, NULL};
	const char *argv[16], **at = argv;
	struct err e;

	(void)snprintf(home, sizeof(home), "HOME=%s", u->home);
	(void)snprintf(user, sizeof(user), "user=%s", u->name);
	(void)snprintf(
	    location, sizeof(location), "mail_location=%s", u->mail_location);
	(void)snprintf(dir, sizeof(dir), "index_dir=%s", index);
	(void)snprintf(
	    names, sizeof(names), "folder_names=%s", u->folder_names);
	*at++ = "imapd";
	if (o->config_said) {
		*at++ = "-c";
		*at++ = o->config;
	}
	*at++ = "-o";
	*at++ = user;
	*at++ = "-o";
	*at++ = location;
	*at++ = "-o";
	*at++ = names;
	if (index[0] != '\0') {
		*at++ = "-o";
		*at++ = dir;
	}
	*at = NULL;
	if (dup2(in, STDIN_FILENO) == -1 || dup2(out, STDOUT_FILENO) == -1 ||
	    ctl_user_become(u, &e) == -1)
		_exit(125);
	(void)execve(program, (char *const *)(uintptr_t)argv, env);
	_exit(126);
}

static int
talk(const struct ctl_options *o, const struct ctl_user *u, const char *program,
    const char *index, struct buf *out)
{
	int in[2], from[2], status = 0, rc;
	struct imap im = {0};
	pid_t pid;

	if (pipe2(in, O_CLOEXEC) == -1 || pipe2(from, O_CLOEXEC) == -1)
		return ctl_complain("pipe: no descriptors");
	pid = fork();
	if (pid == -1)
		return ctl_complain("fork: no process");
	if (pid == 0)
		run_imapd(o, u, program, index, in[0], from[1]);
	close(in[0]);
	close(from[1]);
	im.to = in[1];
	im.from = from[0];
	buf_init(&im.in, LINE_MAX_BYTES * 80);
	rc = index_all(&im, out);
	close(in[1]);
	close(from[0]);
	buf_done(&im.in);
	while (waitpid(pid, &status, 0) == -1 && errno == EINTR)
		;
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		return ctl_complain("%s has failed", program);
	return rc;
}

int
ctl_index(const struct ctl_options *o, int argc, char **argv)
{
	char program[4200], index[4200];
	struct ctl_user u;
	struct arena a;
	struct buf out;
	struct err e;
	int status;

	if (argc != 2 || argv[1][0] == '-')
		return ctl_usage();
	arena_init(&a);
	buf_init(&out, 1024 * 1024);
	if (ctl_user_find(o, argv[1], &a, &u, &e) == -1 ||
	    ctl_user_imapd(o, &u, program, index, sizeof(program), &e) == -1) {
		status = ctl_complain("%s", e.text);
	} else {
		/* A session that ends early is no reason to end too. */
		(void)sigaction(
		    SIGPIPE, &(struct sigaction){.sa_handler = SIG_IGN}, NULL);
		status = talk(o, &u, program, index, &out);
		for (size_t i = 0; i < out.n; i++)
			if ((unsigned char)out.p[i] < 0x20 && out.p[i] != '\n')
				out.p[i] = '?';
		if (ctl_print(&out) != 0)
			status = 1;
	}
	buf_done(&out);
	arena_done(&a);
	return status;
}
