/* SPDX-License-Identifier: ISC */
/*
 * user.c - finds a user as logins find him, his places and programs.
 *
 * Owns:    nothing.
 * Runs in: restantectl.
 * Trusts:  the configuration, the passwd-file as far as its owner may write
 *          it.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/num.h"
#include "os/passwd_file.h"
#include "os/priv.h"
#include "os/user_dir.h"
#include "user.h"

/* ---- finding him ---------------------------------------------------------- */

static const char *
setting(const struct conf *conf, const char *name)
{
	return conf_item(conf, schema_find(str_of(name)), SCHEMA_GLOBAL, 0);
}

static bool
setting_is_on(const struct conf *conf, const char *name)
{
	return str_eq(str_of(setting(conf, name)), STR("yes"));
}

static uint32_t
number_setting(const struct conf *conf, const char *name)
{
	uint32_t n;

	return num_parse_u32(str_of(setting(conf, name)), 0, UINT32_MAX, &n)
	    ? n
	    : 0;
}

/* "a b" of a list. */
static const char *
list_setting(const struct conf *conf, struct arena *a, const char *name)
{
	const struct schema_setting *s = schema_find(str_of(name));
	const char *all = "";

	for (size_t i = 0; i < conf_count(conf, s, SCHEMA_GLOBAL); i++)
		all = arena_c(a,
		    arena_printf(a, "%s%s%s", all, i > 0 ? " " : "",
			conf_item(conf, s, SCHEMA_GLOBAL, i)));
	return all;
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

/* The "%%" of Dovecot's passwd-files is one "%" of ours. */
static const char *
halve_percents(struct arena *a, struct str s)
{
	char *out = arena_new(a, s.n + 1, 1);
	size_t n = 0;

	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '%' && i + 1 < s.n && s.p[i + 1] == '%')
			i++;
		out[n++] = s.p[i];
	}
	return out;
}

static void
take_entry(
    const struct passwd_file_user *p, struct arena *a, struct ctl_user *u)
{
	if (p->mail.n > 0)
		u->mail_location = arena_c(a, p->mail);
	if (p->home.n > 0)
		u->home = arena_c(a, p->home);
	if (p->uidl.n > 0)
		u->pop3_uidl = halve_percents(a, p->uidl);
	if (p->has_reuse_xuidl)
		u->reuse_xuidl = p->reuse_xuidl;
	if (p->has_uid && p->has_gid) {
		u->sysuid = p->uid;
		u->sysgid = p->gid;
	}
}

/* True: he is there. Else *e says why not. */
static bool
find_in_file(const struct conf *conf, const char *name, struct arena *a,
    struct ctl_user *u, struct err *e)
{
	const char *path = setting(conf, "passwd_file");
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct passwd_file_user p;
	struct buf line;
	bool found;

	if (fd == -1) {
		(void)err_sys(e, "open %s", path);
		return false;
	}
	buf_init(&line, PASSWD_FILE_LINE_MAX);
	found =
	    passwd_file_find(fd, str_of(name), &line, &p, NULL, NULL, e) == 0;
	if (found)
		take_entry(&p, a, u);
	buf_wipe(&line);
	buf_done(&line);
	close(fd);
	return found;
}

/* What is not known yet comes from the account. */
static void
find_account(const char *name, struct arena *a, struct ctl_user *u)
{
	const struct passwd *pw = getpwnam(name);

	if (pw == NULL)
		return;
	if (u->home == NULL)
		u->home = arena_c(a, str_of(pw->pw_dir));
	if (u->sysuid == (uid_t)-1) {
		u->sysuid = pw->pw_uid;
		u->sysgid = pw->pw_gid;
	}
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
find_index(const struct ctl_user *u, struct arena *a)
{
	struct str dir = str_of(u->index_dir);
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
	(void)err_set(e, ERR_NOT_FOUND, "no user %s is known", name);
	*out = (struct ctl_user){
	    .name = arena_c(a, str_of(name)),
	    .mail_location = arena_c(a, str_of(setting(conf, "mail_location"))),
	    .folder_names = arena_c(a, str_of(setting(conf, "folder_names"))),
	    .courier_compat =
		arena_c(a, str_of(setting(conf, "courier_compat"))),
	    .mbox_read_locks = list_setting(conf, a, "mbox_read_locks"),
	    .mbox_write_locks = list_setting(conf, a, "mbox_write_locks"),
	    .mbox_lock_timeout_s = number_setting(conf, "mbox_lock_timeout"),
	    .mbox_dotlock_stale_s =
		number_setting(conf, "mbox_dotlock_change_timeout"),
	    .pop3_uidl = arena_c(a, str_of(setting(conf, "pop3_uidl"))),
	    .reuse_xuidl = setting_is_on(conf, "reuse_xuidl"),
	    .index_dir = arena_c(a, str_of(setting(conf, "index_dir"))),
	    .state_dir = arena_c(a, str_of(setting(conf, "state_dir"))),
	    .other_users_location =
		arena_c(a, str_of(setting(conf, "other_users_location"))),
	    .sysuid = (uid_t)-1,
	    .sysgid = (gid_t)-1,
	};
	if (auth_has(conf, "passwd-file"))
		found = find_in_file(conf, name, a, out, e);
	if (found ? out->sysuid == (uid_t)-1 || out->home == NULL
		  : auth_has(conf, "pam") &&
		    (e->code == ERR_NOT_FOUND || !priv_is_root()))
		find_account(name, a, out);
	if (found && out->home == NULL)
		out->home = "";
	if (out->home != NULL) {
		rc = check_right(conf, out, e);
		out->index = find_index(out, a);
	} else if (e->code == ERR_NOT_FOUND) {
		(void)err_set(e, ERR_NOT_FOUND, "no user %s is known", name);
	}
	conf_free(&conf);
	return rc;
}

/* ---- his places ----------------------------------------------------------------- */

/* Below a folder of all users' folders: made here for him, as master does. */
static int
make_dir(const char *all, const struct ctl_user *u, char *out, size_t size,
    struct err *e)
{
	struct str name = str_of(u->name);

	if (name.n == 0 || *name.p == '.' || str_find(name, '/') != name.n)
		return err_set(
		    e, ERR_BAD_NAME, "no folder can be called %s", u->name);
	return user_dir_make(
	    all, u->name, priv_is_root(), u->sysuid, u->sysgid, out, size, e);
}

static int
make_index(const struct ctl_user *u, char *out, size_t size, struct err *e)
{
	struct str all = str_of(u->index_dir);
	char root[4000];

	if (all.n == 0 || (*all.p != '/' && *all.p != '%'))
		return err_set(e, ERR_UNSUPPORTED,
		    "index_dir is %s: nothing is kept", u->index_dir);
	if (str_ends(all, STR("/%u")))
		all.n -= 3;
	if (str_find(all, '%') != all.n)
		return err_set(e, ERR_UNSUPPORTED,
		    "index_dir is a place of the user's own: he can do it");
	if (!str_to_c(all, root, sizeof(root)))
		return err_set(e, ERR_LIMIT, "index_dir is too long");
	return make_dir(root, u, out, size, e);
}

int
ctl_user_state(const struct ctl_user *u, char *out, size_t size, struct err *e)
{
	return make_dir(u->state_dir, u, out, size, e);
}

/* ---- his imapd ------------------------------------------------------------------ */

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
	const char *libexec;
	ssize_t n = readlink("/proc/self/exe", own, sizeof(own));
	int rc = 0;

	if (ctl_load(o, &conf) == -1)
		return err_set(e, ERR_SYNTAX, "the configuration is wrong");
	libexec = setting(conf, "libexec_dir");
	n = n < 0 ? 0 : (ssize_t)str_rfind(str_make(own, (size_t)n), '/');
	if (!find_imapd(own, (size_t)n, program, size) &&
	    !find_imapd(libexec, strlen(libexec), program, size))
		rc = err_set(e, ERR_NOT_FOUND, "imapd is not installed");
	else
		rc = make_index(u, index, size, e);
	conf_free(&conf);
	return rc;
}
