/* SPDX-License-Identifier: ISC */
/*
 * user.c - finds a user and becomes him.
 *
 * Owns:    the child.
 * Runs in: restantectl; the child as the mail user, confined.
 * Trusts:  the configuration, the passwd-file as far as its owner may write
 *          it; not what the child writes.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/num.h"
#include "base/vec.h"
#include "os/fd.h"
#include "os/file.h"
#include "os/priv.h"
#include "os/sandbox.h"
#include "store/location.h"
#include "user.h"

#define PASSWD_MAX ((size_t)256 * 1024 * 1024)
#define GROUPS_MAX 4096

/* ---- finding him ---------------------------------------------------------- */

static const char *
setting(const struct conf *conf, const char *name)
{
	return conf_item(conf, schema_find(str_of(name)), SCHEMA_GLOBAL, 0);
}

static bool
auth_has(const struct conf *conf, const char *word)
{
	const struct schema_setting *s = schema_find(STR("auth"));

	for (size_t i = 0; i < conf_count(conf, s, SCHEMA_GLOBAL); i++)
		if (str_eq(str_of(conf_item(conf, s, SCHEMA_GLOBAL, i)),
			str_of(word)))
			return true;
	return false;
}

static bool
take_extra(struct str word, struct arena *a, struct ctl_user *u)
{
	struct str key, value = word;
	uint32_t id;

	if (!str_cut(&value, '=', &key))
		return true;
	if (str_starts(key, STR("userdb_")))
		key = str_skip(key, 7);
	if (str_eq(key, STR("mail"))) {
		u->mail_location = arena_c(a, value);
	} else if (str_eq(key, STR("home"))) {
		u->home = arena_c(a, value);
	} else if (str_eq(key, STR("uid")) || str_eq(key, STR("gid"))) {
		if (!num_parse_u32(value, 0, UINT32_MAX - 1, &id))
			return false;
		if (*key.p == 'u')
			u->sysuid = id;
		else
			u->sysgid = id;
	}
	return true;
}

/* name:hash:uid:gid::home::extra fields */
static bool
take_line(struct str line, struct arena *a, struct ctl_user *u)
{
	struct str field[7] = {{0}}, word;
	uint32_t id;

	for (size_t i = 0; i < ARRAY_LEN(field); i++)
		if (!str_cut(&line, ':', &field[i]))
			break;
	if (field[2].n > 0) {
		if (!num_parse_u32(field[2], 0, UINT32_MAX - 1, &id))
			return false;
		u->sysuid = id;
	}
	if (field[3].n > 0) {
		if (!num_parse_u32(field[3], 0, UINT32_MAX - 1, &id))
			return false;
		u->sysgid = id;
	}
	if (field[5].n > 0)
		u->home = arena_c(a, field[5]);
	while (str_next(&line, ' ', &word))
		if (word.n > 0 && !take_extra(word, a, u))
			return false;
	return true;
}

/* True: he is there. */
static bool
find_in_file(const struct conf *conf, const char *name, struct arena *a,
    struct ctl_user *u, struct err *e)
{
	struct buf b;
	struct str rest, line, head;
	bool found = false;

	buf_init(&b, PASSWD_MAX);
	e->text[0] = '\0';
	if (file_load(AT_FDCWD, setting(conf, "passwd_file"), &b, NULL, e) ==
	    0) {
		rest = buf_str(&b);
		while (!found && str_next(&rest, '\n', &line)) {
			head = str_head(line, str_find(line, ':'));
			if (line.n == 0 || *line.p == '#' ||
			    !str_eq(head, str_of(name)))
				continue;
			line = str_trim(line);
			found = take_line(line, a, u);
			if (!found)
				(void)err_set(e, ERR_CORRUPT,
				    "the line of %s in the passwd-file is "
				    "wrong",
				    name);
		}
	}
	buf_wipe(&b);
	buf_done(&b);
	return found;
}

static void
find_account(const char *name, struct arena *a, struct ctl_user *u)
{
	const struct passwd *pw = getpwnam(name);

	if (pw == NULL)
		return;
	u->home = arena_c(a, str_of(pw->pw_dir));
	u->sysuid = pw->pw_uid;
	u->sysgid = pw->pw_gid;
}

static bool
id_is_valid(
    const struct conf *conf, const char *first, const char *last, uint32_t id)
{
	uint64_t low = 1, high = 0;

	(void)num_parse_u64(str_of(setting(conf, first)), 0, UINT32_MAX, &low);
	(void)num_parse_u64(str_of(setting(conf, last)), 0, UINT32_MAX, &high);
	return id >= low && (high == 0 || id <= high) && id != 0;
}

/* What is not root sees its own mail only, which needs no rights. */
static int
check_right(const struct conf *conf, struct ctl_user *u, struct err *e)
{
	if (!priv_is_root()) {
		if (u->sysuid == (uid_t)-1)
			u->sysuid = getuid();
		if (u->sysuid != getuid())
			return err_set(e, ERR_PERM,
			    "only root may look at the mail of another user");
		u->sysgid = getgid();
		return 0;
	}
	if (u->sysuid == (uid_t)-1 || u->sysgid == (gid_t)-1)
		return err_set(e, ERR_NOT_FOUND,
		    "no uid and gid are known of %s", u->name);
	if (!id_is_valid(
		conf, "first_valid_uid", "last_valid_uid", u->sysuid) ||
	    !id_is_valid(conf, "first_valid_gid", "last_valid_gid", u->sysgid))
		return err_set(e, ERR_PERM,
		    "%s has uid %u and gid %u, which may not log in", u->name,
		    u->sysuid, u->sysgid);
	return 0;
}

/* %u, %h and %%; what stands for nothing stays as it is. */
static const char *
expand(const struct ctl_user *u, const char *from, struct arena *a)
{
	struct buf b;
	const char *out;

	buf_init(&b, PATH_MAX);
	for (; *from != '\0'; from++) {
		if (from[0] != '%' || from[1] == '\0')
			(void)buf_add_byte(&b, *from);
		else if (*++from == 'u')
			(void)buf_add_c(&b, u->name);
		else if (*from == 'h')
			(void)buf_add_c(&b, u->home);
		else
			(void)buf_add(
			    &b, from - (*from != '%'), *from == '%' ? 1 : 2);
	}
	out = buf_is_over(&b) ? NULL : arena_c(a, buf_str(&b));
	buf_done(&b);
	return out;
}

/* Where his sessions have their index; it is not made here. */
static const char *
find_index(const struct conf *conf, const struct ctl_user *u, struct arena *a)
{
	struct str dir = str_of(setting(conf, "index_dir"));
	const char *text = dir.p;

	if ((*text != '/' && *text != '%') || *u->name == '.' ||
	    strchr(u->name, '/') != NULL)
		return NULL; /* "none", or none that master would make */
	if (str_ends(dir, STR("/%u")))
		dir.n -= 3;
	if (str_find(dir, '%') == dir.n)
		text = arena_printf(a, "%.*s/%s", STR_ARG(dir), u->name).p;
	else
		text = expand(u, text, a);
	return text != NULL && *text == '/' && access(text, F_OK) == 0 ? text
								       : NULL;
}

int
ctl_user_find(const struct ctl_options *o, const char *name, struct arena *a,
    struct ctl_user *out, struct err *e)
{
	struct conf *conf = NULL;
	bool found = false;
	int rc = -1;

	if (ctl_load(o, &conf) == -1)
		return err_set(e, ERR_SYNTAX, "the configuration is wrong");
	e->text[0] = '\0';
	*out = (struct ctl_user){
	    .name = arena_c(a, str_of(name)),
	    .mail_location = arena_c(a, str_of(setting(conf, "mail_location"))),
	    .folder_names = arena_c(a, str_of(setting(conf, "folder_names"))),
	    .courier_compat =
		arena_c(a, str_of(setting(conf, "courier_compat"))),
	    .sysuid = (uid_t)-1,
	    .sysgid = (gid_t)-1,
	};
	if (auth_has(conf, "passwd-file"))
		found = find_in_file(conf, name, a, out, e);
	if (!found && auth_has(conf, "pam"))
		find_account(name, a, out);
	if (out->home == NULL) {
		if (e->text[0] == '\0' || e->code == ERR_NOT_FOUND)
			(void)err_set(
			    e, ERR_NOT_FOUND, "no user %s is known", name);
	} else {
		rc = check_right(conf, out, e);
		out->index = find_index(conf, out, a);
	}
	conf_free(&conf);
	return rc;
}

/* ---- becoming him ------------------------------------------------------------ */

struct places {
	struct arena arena;
	VEC(struct sandbox_path) paths;
};

static int
add_place(const char *path, void *arg, UNUSED struct err *e)
{
	struct places *p = arg;

	*VEC_ADD(&p->paths) = (struct sandbox_path){
	    .path = arena_c(&p->arena, str_of(path)),
	    .access = SANDBOX_MAIL,
	};
	return 0;
}

/* Only where the mail is, without making it. */
static int
add_location(const struct store_settings *set, struct places *p, struct err *e)
{
	struct location loc;

	if (location_get(&p->arena, set, &loc, e) == -1)
		return -1;
	(void)add_place(loc.root.p, p, e);
	if (loc.inbox.p != NULL)
		(void)add_place(loc.inbox.p, p, e);
	if (loc.control.p != NULL)
		(void)add_place(loc.control.p, p, e);
	return 0;
}

int
ctl_user_become(const struct ctl_user *u, struct err *e)
{
	gid_t groups[GROUPS_MAX];
	int n = GROUPS_MAX;

	if (!priv_is_root())
		return 0;
	/* As logins have it: the groups of the account, if there is one. */
	if (getpwnam(u->name) == NULL ||
	    getgrouplist(u->name, u->sysgid, groups, &n) == -1) {
		groups[0] = u->sysgid;
		n = 1;
	}
	return priv_drop(u->sysuid, u->sysgid, groups, (size_t)n, e);
}

static int
confine(const struct store_settings *set, bool read_only, struct err *e)
{
	struct sandbox s = {.profile = SANDBOX_USER};
	struct sandbox_report report;
	struct places p = {0};
	int rc;

	arena_init(&p.arena);
	rc = read_only ? add_location(set, &p, e)
		       : store_places(set, add_place, &p, e);
	if (set->index_dir != NULL)
		(void)add_place(set->index_dir, &p, e);
	if (rc == 0) {
		s.paths = p.paths.v;
		s.n_paths = p.paths.n;
		rc = sandbox_enter(&s, &report, e);
	}
	VEC_DONE(&p.paths);
	arena_done(&p.arena);
	return rc;
}

#define STATUS_FAILED 125 /* the reason is what was written */

NORETURN static void
run_child(const struct ctl_user *u, bool read_only, ctl_user_fn *fn, void *arg,
    int fd, size_t max_bytes)
{
	const struct store_settings set = {
	    .user = u->name,
	    .home = u->home,
	    .mail_location = u->mail_location,
	    .folder_names = u->folder_names,
	    .courier_compat = u->courier_compat,
	    .index_dir = u->index,
	    .poll_only = true,
	};
	int status = STATUS_FAILED;
	struct buf out;
	struct err e;

	buf_init(&out, max_bytes);
	if (ctl_user_become(u, &e) == -1 || confine(&set, read_only, &e) == -1)
		buf_addf(&out, "%s", e.text);
	else
		status = fn(&set, &out, arg);
	if (file_write(fd, buf_str(&out), &e) == -1)
		status = STATUS_FAILED;
	_exit(status);
}

int
ctl_user_run(const struct ctl_user *u, bool read_only, ctl_user_fn *fn,
    void *arg, struct buf *out, struct err *e)
{
	int fds[2], status, rc;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) == -1)
		return err_sys(e, "pipe");
	pid = fork();
	if (pid == -1) {
		err_sys(e, "fork");
		close(fds[0]);
		close(fds[1]);
		return -1;
	}
	if (pid == 0) {
		close(fds[0]);
		run_child(u, read_only, fn, arg, fds[1], out->max_bytes);
	}
	close(fds[1]);
	rc = fd_read_all(fds[0], out, e);
	close(fds[0]);
	while (waitpid(pid, &status, 0) == -1)
		if (errno != EINTR)
			return err_sys(e, "waitpid");
	if (rc == -1)
		return -1;
	if (!WIFEXITED(status))
		return err_set(e, ERR_OTHER,
		    "the process of %s was ended by signal %d", u->name,
		    WTERMSIG(status));
	if (WEXITSTATUS(status) == STATUS_FAILED)
		return err_set(e, ERR_OTHER, "%.*s", STR_ARG(buf_str(out)));
	return WEXITSTATUS(status);
}

/* ---- his imapd ------------------------------------------------------------------ */

/* Below the folder of all indexes: made here for him, as master makes it. */
static int
make_index_dir(const char *all, const struct ctl_user *u, char *out,
    size_t size, struct err *e)
{
	struct str name = str_of(u->name);
	struct stat st;
	int at, fd = -1, rc = -1;

	if (name.n == 0 || *name.p == '.' || str_find(name, '/') != name.n ||
	    snprintf(out, size, "%s/%s", all, u->name) >= (int)size)
		return err_set(
		    e, ERR_BAD_NAME, "no folder can be called %s", u->name);
	at = file_open_dir(AT_FDCWD, all, true, e);
	if (at == -1)
		return err_in(e, "index_dir");
	if (mkdirat(at, u->name, 0700) == 0 && priv_is_root() &&
	    fchownat(at, u->name, u->sysuid, u->sysgid, AT_SYMLINK_NOFOLLOW) ==
		-1)
		(void)err_sys(e, "%s", out);
	else if ((fd = file_open_dir(at, u->name, false, e)) == -1 ||
	    fstat(fd, &st) == -1)
		(void)err_in(e, "%s", out);
	else if (st.st_uid != u->sysuid)
		(void)err_set(
		    e, ERR_PERM, "%s does not belong to %s", out, u->name);
	else
		rc = 0;
	if (fd != -1)
		close(fd);
	close(at);
	return rc;
}

static bool
find_imapd(const char *dir, size_t n, char *out, size_t size)
{
	return n > 0 &&
	    snprintf(out, size, "%.*s/imapd", (int)n, dir) < (int)size &&
	    access(out, X_OK) == 0;
}

int
ctl_user_imapd(const struct ctl_options *o, const struct ctl_user *u,
    char *program, char *index, size_t size, struct err *e)
{
	struct conf *conf = NULL;
	char own[4000];
	const char *libexec, *all;
	ssize_t n = readlink("/proc/self/exe", own, sizeof(own));
	int rc = 0;

	if (ctl_load(o, &conf) == -1)
		return err_set(e, ERR_SYNTAX, "the configuration is wrong");
	libexec = setting(conf, "libexec_dir");
	all = setting(conf, "index_dir");
	n = n < 0 ? 0 : (ssize_t)str_rfind(str_make(own, (size_t)n), '/');
	if (!find_imapd(own, (size_t)n, program, size) &&
	    !find_imapd(libexec, strlen(libexec), program, size))
		rc = err_set(e, ERR_NOT_FOUND, "imapd is not installed");
	else if (all[0] != '/')
		rc = err_set(e, ERR_UNSUPPORTED,
		    "index_dir is %s: nothing is kept", all);
	else if (strchr(all, '%') != NULL)
		rc = err_set(e, ERR_UNSUPPORTED,
		    "index_dir is a place of the user's own: he can do it");
	else
		rc = make_index_dir(all, u, index, size, e);
	conf_free(&conf);
	return rc;
}
