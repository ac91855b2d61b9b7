/* SPDX-License-Identifier: ISC */
/*
 * cmd_index.c - index USER: lists every mailbox once, so that the first session
 * of the user finds all that lists are made of.
 *
 * Owns:    an imapd of the user, and what goes to and comes from it.
 * Runs in: restantectl; the mail is read by imapd, as the user.
 * Trusts:  nothing that imapd says: it may stop, say anything, or say it for
 *          ever.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
#include <ev.h>

#include "os/file.h"
#include "text/utf7.h"
#include "user.h"

#define ANSWER_WAIT_MS (10 * 60 * 1000)
#define LINE_MAX_BYTES ((size_t)64 * 1024)
#define NAMES_MAX_BYTES ((size_t)64 * 1024 * 1024)

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

/* In the user's process: what is there, a name on each line. */
static int
list_names(const struct store_settings *set, struct buf *out, UNUSED void *arg)
{
	struct ev_loop *loop = ev_loop_new(EVFLAG_NOENV);
	struct mbox_entry *m = NULL;
	struct list_job *job = NULL;
	struct store *s = NULL;
	enum step step = STEP_FAIL;
	struct arena a;
	struct err e;

	arena_init(&a);
	if (loop == NULL)
		(void)err_set(&e, ERR_OTHER, "no event loop");
	else if (store_open(set, loop, &s, &e) == 0)
		while ((step = store_list(s, false, &a, &job, &m, &e)) ==
		    STEP_MORE)
			store_pause(s);
	if (step != STEP_DONE)
		buf_addf(out, "The mailboxes can not be listed: %s\n", e.text);
	for (; step == STEP_DONE && m != NULL; m = m->next)
		if (!(m->attrs &
			(MBOX_NOSELECT | MBOX_NONEXISTENT |
			    MBOX_ON_FIRST_USE)) &&
		    str_find(m->name, '\n') == m->name.n)
			buf_addf(out, "%.*s\n", STR_ARG(m->name));
	list_job_free(&job);
	store_close(&s);
	arena_done(&a);
	if (loop != NULL)
		ev_loop_destroy(loop);
	return step == STEP_DONE ? 0 : 1;
}

/* A name as IMAP has it, quoted. */
static bool
quote(struct str name, struct buf *out)
{
	struct buf wire;
	bool ok;

	buf_init(&wire, LINE_MAX_BYTES);
	ok = utf7_encode(&wire, name);
	buf_clear(out);
	(void)buf_add_byte(out, '"');
	for (size_t i = 0; i < wire.n; i++) {
		if (wire.p[i] == '"' || wire.p[i] == '\\')
			(void)buf_add_byte(out, '\\');
		(void)buf_add_byte(out, wire.p[i]);
	}
	(void)buf_add_byte(out, '"');
	ok = ok && !buf_is_over(out);
	buf_done(&wire);
	return ok;
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

/* Not what LIST shows: special-use mailboxes are made when they are opened. */
static int
index_all(struct imap *im, struct str names, struct buf *out)
{
	uint64_t messages = 0;
	size_t failed = 0, n = 0;
	struct buf quoted;
	struct str name;

	buf_init(&quoted, LINE_MAX_BYTES);
	while (str_next(&names, '\n', &name)) {
		if (name.n == 0)
			continue;
		if (quote(name, &quoted) &&
		    command(im, "EXAMINE ", buf_str(&quoted), NULL, NULL) &&
		    command(im, fetch_all, STR(""), on_fetch, &messages) &&
		    command(im, "NOOP", STR(""), NULL, NULL)) {
			n++;
		} else {
			buf_addf(out, "%.*s can not be read.\n", STR_ARG(name));
			failed++;
		}
	}
	(void)command(im, "LOGOUT", STR(""), NULL, NULL);
	buf_addf(out, "%llu messages in %zu mailboxes.\n",
	    (unsigned long long)messages, n);
	buf_done(&quoted);
	return failed > 0;
}

/* ---- imapd ----------------------------------------------------------------------- */

NORETURN static void
run_imapd(const struct ctl_options *o, const struct ctl_user *u,
    const char *program, const char *index, int in, int out)
{
	char home[4400], user[600], location[4400], dir[4400], names[64];
	char *env[] = {home, NULL};
	const char *argv[20], **at = argv;
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
	/* NOOP comes back when all filters are made. */
	*at++ = "-o";
	*at++ = "search_filter_now=yes";
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
    const char *index, struct str names, struct buf *out)
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
	rc = index_all(&im, names, out);
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
	struct buf out, names;
	struct err e;
	int status;

	if (argc != 2 || argv[1][0] == '-')
		return ctl_usage("name one user");
	arena_init(&a);
	buf_init(&out, 1024 * 1024);
	buf_init(&names, NAMES_MAX_BYTES);
	if (ctl_user_find(o, argv[1], &a, &u, &e) == -1 ||
	    ctl_user_imapd(o, &u, program, index, sizeof(program), &e) == -1) {
		status = ctl_complain("%s", e.text);
	} else if ((status = ctl_user_run(
			&u, true, list_names, NULL, &names, &e)) != 0) {
		status = ctl_complain("%.*s",
		    STR_ARG(status == -1 ? str_of(e.text)
					 : str_trim(buf_str(&names))));
	} else {
		/* A session that ends early is no reason to end too. */
		(void)sigaction(
		    SIGPIPE, &(struct sigaction){.sa_handler = SIG_IGN}, NULL);
		status = talk(o, &u, program, index, buf_str(&names), &out);
		for (size_t i = 0; i < out.n; i++)
			if ((unsigned char)out.p[i] < 0x20 && out.p[i] != '\n')
				out.p[i] = '?';
		if (ctl_print(&out) != 0)
			status = 1;
	}
	buf_done(&out);
	buf_done(&names);
	arena_done(&a);
	return status;
}
