/* SPDX-License-Identifier: ISC */
/*
 * cmd_share.c - share USER [MAILBOX WHOM RIGHTS], unshare USER MAILBOX WHOM: what
 * SETACL, DELETEACL and GETACL do, from a shell.
 *
 * Owns:    nothing.
 * Runs in: restantectl; what touches mail in a process of the user.
 * Trusts:  nothing of what that process says: lines are printed without control
 *          characters. It says lines of fields with tabs between them:
 *
 *	share	MAILBOX	IDENTIFIER	RIGHTS
 *	note	TEXT
 *	record	KIND	NUMBER	+|-	LOCATION	FOLDER: share_record.h
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ipc/share_record.h"
#include "os/fd.h"
#include "os/file.h"
#include "store/share.h"
#include "user.h"

#define OUTPUT_MAX_BYTES ((size_t)16 * 1024 * 1024)

struct sharing {
	struct str mailbox; /* p NULL: list all */
	struct acl_change change;
};

/* ---- in the process of the user ------------------------------------------------ */

static void
tell_entry(struct buf *out, struct str mailbox, const struct acl_entry *it)
{
	struct buf b;

	buf_init(&b, 1024);
	(void)buf_add_c(out, "share\t");
	ctl_add_field(out, mailbox, '\t');
	acl_id_write(&b, &it->id);
	ctl_add_field(out, buf_str(&b), '\t');
	buf_clear(&b);
	acl_rights_write(&b, it->rights);
	ctl_add_field(out, buf_str(&b), '\n');
	buf_done(&b);
}

static void
tell_mailbox(struct store *s, struct str mailbox, struct buf *out)
{
	struct str owner;
	struct acl l;
	struct err e;

	acl_init(&l);
	if (store_acl(s, mailbox, &l, &owner, &e) == 0) {
		VEC_EACH(&l.v, it)
			tell_entry(out, mailbox, it);
	} else if (e.code != ERR_NOT_FOUND && e.code != ERR_PERM) {
		(void)buf_add_c(out, "note\t");
		ctl_add_field(out, mailbox, ':');
		(void)buf_add_byte(out, ' ');
		ctl_add_field(out, str_of(e.text), '\n');
	}
	acl_done(&l);
}

static int
tell_all(struct store *s, struct buf *out)
{
	struct list_job *job = NULL;
	struct mbox_entry *m = NULL;
	struct arena a;
	enum step step;
	struct err e;

	arena_init(&a);
	do
		step = store_list(s, LIST_EXISTING, &a, &job, &m, &e);
	while (step == STEP_MORE);
	list_job_free(&job);
	if (step == STEP_FAIL)
		(void)buf_addf(out, "%s", e.text);
	/* His own alone. */
	for (; step == STEP_DONE && m != NULL; m = m->next)
		if (*m->name.p != '#' && (m->attrs & MBOX_NONEXISTENT) == 0)
			tell_mailbox(s, m->name, out);
	arena_done(&a);
	return step == STEP_DONE ? 0 : -1;
}

static int
change(struct store *s, const struct sharing *sh, struct buf *out)
{
	struct share_result result = {0};
	struct share_job *job = NULL;
	enum step step;
	struct err e;

	do
		step = store_acl_change(
		    s, sh->mailbox, &sh->change, &job, &result, &e);
	while (step == STEP_MORE);
	share_job_free(&job);
	if (step == STEP_FAIL) {
		(void)buf_addf(out, "%s", e.text);
		return -1;
	}
	if (result.note[0] != '\0') {
		(void)buf_add_c(out, "note\t");
		ctl_add_field(out, str_of(result.note), '\n');
	}
	if (result.left_out != 0)
		(void)buf_add_c(out,
		    "note\tOf w, t, i and e all or none can be given: now "
		    "none\n");
	tell_mailbox(s, sh->mailbox, out);
	return 0;
}

/* A path that has what separates here makes a record that is not sound. */
static void
tell_record(void *arg, const struct store_shared *sh)
{
	struct buf *out = arg;

	(void)buf_addf(out, "record\t%c\t%u\t%c\t", sh->kind, sh->number,
	    sh->gives ? '+' : '-');
	ctl_add_field(out, str_of(sh->location), '\t');
	ctl_add_field(out, str_of(sh->folder), '\n');
}

static int
in_child(const struct store_settings *set, struct buf *out, void *arg)
{
	struct store_settings plain = *set;
	const struct sharing *sh = arg;
	struct store *s;
	struct err e;
	int rc;

	plain.index_dir = NULL;
	if (store_open(&plain, NULL, &s, &e) == -1) {
		(void)buf_addf(out, "%s", e.text);
		return 1;
	}
	store_on_share(s, tell_record, out);
	rc = sh->mailbox.p == NULL ? tell_all(s, out) : change(s, sh, out);
	store_close(&s);
	return rc == 0 ? 0 : 1;
}

/* ---- for master's list ------------------------------------------------------------ */

/* The file, locked; it still has its name, which master takes away. */
static int
open_added(int dir)
{
	struct stat st;
	int fd;

	for (;;) {
		fd = openat(dir, SHARE_ADD_FILE,
		    O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC,
		    0600);
		if (fd == -1)
			return -1;
		if (flock(fd, LOCK_EX) == -1 || fstat(fd, &st) == -1) {
			fd_close(&fd);
			return -1;
		}
		if (st.st_nlink > 0)
			return fd;
		fd_close(&fd);
	}
}

/* Lines that master takes in before it starts the next process. */
static int
append_lines(const char *state_dir, struct str lines, struct err *e)
{
	int dir = file_open_dir(AT_FDCWD, state_dir, true, e), fd, rc = -1;

	if (dir == -1)
		return -1;
	fd = open_added(dir);
	if (fd == -1)
		(void)err_sys(e, SHARE_ADD_FILE);
	else
		rc = file_write(fd, lines, e);
	if (fd != -1)
		close(fd);
	close(dir);
	return rc;
}

/* What the user's process says becomes what he may say of himself. */
static void
keep_records(const struct ctl_user *u, const struct buf *said)
{
	struct str rest = buf_str(said), line;
	struct buf lines, one;
	struct err e;

	buf_init(&lines, OUTPUT_MAX_BYTES);
	while (str_next(&rest, '\n', &line)) {
		struct share_record r;

		if (!str_starts(line, STR("record\t")))
			continue;
		buf_init(&one, 8192);
		(void)buf_addf(&one, "%u\t%s\t%.*s", (unsigned)u->sysuid,
		    u->name, STR_ARG(str_skip(line, 7)));
		if (share_record_parse(buf_str(&one), &r))
			share_record_write(&lines, &r);
		buf_done(&one);
	}
	if (lines.n > 0 &&
	    append_lines(u->state_dir, buf_str(&lines), &e) == -1)
		(void)ctl_complain("the other user will not find it in #user/ "
				   "(SETACL over IMAP would say so): %s",
		    e.text);
	buf_done(&lines);
}

/* ---- output ---------------------------------------------------------------------- */

static void
print_line(struct buf *out, struct str line, bool json, bool *first)
{
	struct str kind, field[3];
	size_t n = 0;

	if (!str_next(&line, '\t', &kind))
		return;
	while (n < 3 && str_next(&line, '\t', &field[n]))
		n++;
	if (str_eq(kind, STR("note")) && n > 0 && !json) {
		(void)ctl_complain("%.*s", STR_ARG(field[0]));
		return;
	}
	if (!str_eq(kind, STR("share")) || n < 2)
		return;
	if (n < 3)
		field[2] = STR("");
	if (!json) {
		(void)buf_addf(out, "%-30.*s %-20.*s %.*s\n", STR_ARG(field[0]),
		    STR_ARG(field[1]), STR_ARG(field[2]));
		return;
	}
	(void)buf_addf(out, "%s\n  {\"mailbox\": ", *first ? "" : ",");
	ctl_json_string(out, field[0]);
	(void)buf_add_c(out, ", \"identifier\": ");
	ctl_json_string(out, field[1]);
	(void)buf_add_c(out, ", \"rights\": ");
	ctl_json_string(out, field[2]);
	(void)buf_add_byte(out, '}');
	*first = false;
}

static int
print(const struct ctl_options *o, const struct buf *said)
{
	struct str rest = buf_str(said), line;
	struct buf out;
	bool first = true;
	int rc;

	buf_init(&out, OUTPUT_MAX_BYTES);
	if (o->json)
		(void)buf_add_c(&out, "{\"shares\": [");
	while (str_next(&rest, '\n', &line))
		print_line(&out, line, o->json, &first);
	if (o->json)
		(void)buf_add_c(&out, "]}\n");
	rc = ctl_print(&out);
	buf_done(&out);
	return rc;
}

/* ---- both ------------------------------------------------------------------------ */

static int
run(const struct ctl_options *o, const char *name, struct sharing *sh)
{
	struct ctl_user u;
	struct arena a;
	struct buf said;
	struct err e;
	int rc;

	arena_init(&a);
	buf_init(&said, OUTPUT_MAX_BYTES);
	if (ctl_user_find(o, name, &a, &u, &e) == -1) {
		rc = ctl_complain("%s", e.text);
	} else {
		u.serves_others = true;
		rc = ctl_user_run(&u, false, in_child, sh, &said, &e);
		if (rc == -1)
			rc = ctl_complain("%s", e.text);
		else if (rc != 0)
			rc = ctl_complain("%.*s", STR_ARG(buf_str(&said)));
		else {
			keep_records(&u, &said);
			rc = print(o, &said);
		}
	}
	buf_done(&said);
	arena_done(&a);
	return rc;
}

/* As SETACL has them. */
static const char *
rights_parse(const char *text, struct acl_change *c)
{
	struct str s = str_of(text);

	c->op = *text == '+' ? ACL_ADD : *text == '-' ? ACL_TAKE : ACL_REPLACE;
	if (c->op != ACL_REPLACE)
		s = str_skip(s, 1);
	return acl_rights_parse(s, &c->rights)
	    ? NULL
	    : "rights are of the letters lrswipkxteacd";
}

int
ctl_share(const struct ctl_options *o, int argc, char **argv)
{
	struct sharing sh = {0};
	const char *why;

	if (argc != 2 && argc != 5)
		return ctl_usage("name a user; or him, a mailbox, whom, and "
				 "the rights");
	if (argc == 5) {
		sh.mailbox = str_of(argv[2]);
		if (!acl_id_parse(str_of(argv[3]), &sh.change.id))
			return ctl_complain("%s is no identifier", argv[3]);
		why = rights_parse(argv[4], &sh.change);
		if (why != NULL)
			return ctl_complain("%s", why);
	}
	return run(o, argv[1], &sh);
}

int
ctl_unshare(const struct ctl_options *o, int argc, char **argv)
{
	struct sharing sh = {.change = {.op = ACL_DELETE}};

	if (argc != 4)
		return ctl_usage("name a user, a mailbox, and whom");
	sh.mailbox = str_of(argv[2]);
	if (!acl_id_parse(str_of(argv[3]), &sh.change.id))
		return ctl_complain("%s is no identifier", argv[3]);
	return run(o, argv[1], &sh);
}
