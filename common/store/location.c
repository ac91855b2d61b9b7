/* SPDX-License-Identifier: ISC */
/*
 * location.c - parses mail_location and finds mail where there is none set.
 *
 * Owns:    nothing.
 * Runs in: imapd, pop3d, as the mail user, before and in the sandbox.
 * Trusts:  the setting (the administrator's); not the user name in it: "/" and
 *          ".." of a name never become part of a path.
 * Spec:    formats.md 7.1, 9.1; Dovecot's documentation of mail_location.
 */
#include <dirent.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "store/location.h"
#include "text/ascii.h"

struct variable {
	char letter;
	const char *name;
};

static const struct variable variables[] = {
    {'u', "user"},
    {'n', "username"},
    {'d', "domain"},
    {'h', "home"},
};

/* A user name may hold anything: only what can be one level of a path. */
static bool
is_path_safe(struct str s)
{
	return s.n > 0 && memchr(s.p, '/', s.n) == NULL &&
	    memchr(s.p, '\0', s.n) == NULL && !str_eq(s, STR(".")) &&
	    !str_eq(s, STR(".."));
}

static int
add_variable(struct buf *out, const struct store_settings *set, char letter,
    bool lower, struct err *e)
{
	struct str user = str_of(set->user), domain = user, name, value;

	(void)str_cut(&domain, '@', &name);
	switch (letter) {
	case 'u':
		value = user;
		break;
	case 'n':
		value = name;
		break;
	case 'd':
		value = domain;
		break;
	case 'h':
		(void)buf_add_c(out, set->home);
		return 0;
	default:
		return err_set(e, ERR_SYNTAX,
		    "mail_location: unknown variable %%%c", letter);
	}
	if (value.n > 0 && !is_path_safe(value))
		return err_set(e, ERR_SYNTAX,
		    "mail_location: user name can not be part of a path");
	for (size_t i = 0; i < value.n; i++)
		(void)buf_add_byte(
		    out, lower ? ascii_lower(value.p[i]) : value.p[i]);
	return 0;
}

/* Cuts one variable behind its '%'; both %u and %{user}, %Lu is lower case. */
static int
expand_one(struct buf *out, const struct store_settings *set, struct str *s,
    struct err *e)
{
	bool lower = false;
	struct str name;
	char letter;

	if (s->n > 0 && *s->p == '%') {
		*s = str_skip(*s, 1);
		(void)buf_add_byte(out, '%');
		return 0;
	}
	if (s->n > 0 && *s->p == '{') {
		*s = str_skip(*s, 1);
		if (!str_cut(s, '}', &name))
			return err_set(
			    e, ERR_SYNTAX, "mail_location: no } behind %%{");
		lower = str_ends(name, STR("|lower"));
		if (lower)
			name = str_head(name, name.n - 6);
		/* Dovecot 2.4 takes the name apart with filters. */
		if (str_eq(name, STR("user|username")))
			name = STR("username");
		if (str_eq(name, STR("user|domain")))
			name = STR("domain");
		for (size_t i = 0; i < ARRAY_LEN(variables); i++)
			if (str_eq(name, str_of(variables[i].name)))
				return add_variable(
				    out, set, variables[i].letter, lower, e);
		return err_set(e, ERR_SYNTAX,
		    "mail_location: unknown variable %%{%.*s}", STR_ARG(name));
	}
	if (s->n > 1 && *s->p == 'L') {
		lower = true;
		*s = str_skip(*s, 1);
	}
	if (s->n == 0)
		return err_set(e, ERR_SYNTAX, "mail_location: %% at the end");
	letter = *s->p;
	*s = str_skip(*s, 1);
	return add_variable(out, set, letter, lower, e);
}

/* A path with variables; "~" and relative ones begin at home. */
static int
expand(struct arena *a, const struct store_settings *set, struct str text,
    struct str *out, struct err *e)
{
	struct buf b;
	int rc = -1;

	buf_init(&b, 4000);
	if (str_eq(text, STR("~")) || str_starts(text, STR("~/"))) {
		(void)buf_add_c(&b, set->home);
		text = str_skip(text, 1);
	} else if (text.n == 0 || (*text.p != '/' && *text.p != '%')) {
		(void)buf_addf(&b, "%s/", set->home);
	}
	while (text.n > 0) {
		char c = *text.p;

		text = str_skip(text, 1);
		if (c != '%')
			(void)buf_add_byte(&b, c);
		else if (expand_one(&b, set, &text, e) == -1)
			goto out;
	}
	while (b.n > 1 && b.p[b.n - 1] == '/')
		b.n--;
	if (buf_is_over(&b) || b.n == 0 || b.p[0] != '/') {
		(void)err_set(e, ERR_SYNTAX,
		    "mail_location: not an absolute path, or too long");
		goto out;
	}
	*out = arena_str(a, buf_str(&b));
	rc = 0;
out:
	buf_done(&b);
	return rc;
}

static int
parse_option(struct arena *a, const struct store_settings *set,
    struct str option, struct location *out, struct err *e)
{
	struct str value = option, key;

	if (str_eq_nocase(option, STR("UTF-8"))) {
		out->is_utf8 = true;
		return 0;
	}
	(void)str_cut(&value, '=', &key);
	if (str_eq_nocase(key, STR("LAYOUT"))) {
		out->is_fs_layout = str_eq_nocase(value, STR("fs"));
		if (out->is_fs_layout || str_eq_nocase(value, STR("maildir++")))
			return 0;
		return err_set(e, ERR_SYNTAX,
		    "mail_location: LAYOUT is Maildir++ or fs, not %.*s",
		    STR_ARG(value));
	}
	if (str_eq_nocase(key, STR("INBOX")))
		return expand(a, set, value, &out->inbox, e);
	if (str_eq_nocase(key, STR("CONTROL")))
		return expand(a, set, value, &out->control, e);
	/* Dovecot's index files are not ours, nor where they lie. */
	if (str_starts_nocase(key, STR("INDEX")) ||
	    str_eq_nocase(key, STR("VOLATILEDIR")) ||
	    str_eq_nocase(key, STR("LISTINDEX")) ||
	    str_eq_nocase(key, STR("ITERINDEX")) || option.n == 0)
		return 0;
	return err_set(e, ERR_UNSUPPORTED,
	    "mail_location: %.*s is not understood", STR_ARG(option));
}

int
location_parse(struct arena *a, const struct store_settings *set,
    struct str text, struct location *out, struct err *e)
{
	struct str rest = text, driver, path, option;

	*out = (struct location){0};
	if (!str_cut(&rest, ':', &driver))
		return err_set(e, ERR_SYNTAX,
		    "mail_location: begins with \"maildir:\" or \"mbox:\"");
	if (str_eq_nocase(driver, STR("maildir")))
		out->driver = "maildir";
	else if (str_eq_nocase(driver, STR("mbox")))
		out->driver = "mbox";
	else
		return err_set(e, ERR_UNSUPPORTED,
		    "mail_location: %.*s is neither maildir nor mbox",
		    STR_ARG(driver));
	(void)str_cut(&rest, ':', &path);
	if (expand(a, set, path, &out->root, e) == -1)
		return -1;
	while (str_next(&rest, ':', &option))
		if (parse_option(a, set, option, out, e) == -1)
			return -1;
	return 0;
}

/* ---- auto ---------------------------------------------------------------- */

static bool
is_there(const char *dir, const char *below, struct stat *st)
{
	char path[4096];
	int n = snprintf(path, sizeof(path), "%s/%s", dir, below);

	return n > 0 && (size_t)n < sizeof(path) && stat(path, st) == 0;
}

static bool
has_dir(const char *dir, const char *below)
{
	struct stat st;

	return is_there(dir, below, &st) && S_ISDIR(st.st_mode);
}

static bool
is_mbox_root(const char *home, const char *dir)
{
	static const char *const signs[] = {".imap", "inbox", "mbox"};
	char below[64];
	struct stat st;

	for (size_t i = 0; i < ARRAY_LEN(signs); i++) {
		(void)snprintf(below, sizeof(below), "%s/%s", dir, signs[i]);
		if (is_there(home, below, &st))
			return true;
	}
	return false;
}

/* The spool file of the user, if it holds mail. */
static const char *
spool_with_mail(const char *user)
{
	static const char *const spools[] = {"/var/mail", "/var/spool/mail"};
	struct stat st;

	if (!is_path_safe(str_of(user)))
		return NULL;
	for (size_t i = 0; i < ARRAY_LEN(spools); i++)
		if (is_there(spools[i], user, &st) && S_ISREG(st.st_mode) &&
		    st.st_size > 0)
			return spools[i];
	return NULL;
}

/*
 * LAYOUT=fs? Folders without a dot that are mailboxes, one or two levels deep,
 * and none with a dot.
 */
static bool
has_mailbox(const char *path, bool with_dot, int depth)
{
	char below[4096];
	struct dirent *d;
	DIR *dir = opendir(path);
	bool found = false;

	while (dir != NULL && !found && (d = readdir(dir)) != NULL) {
		struct stat st;
		bool has_dot = d->d_name[0] == '.';

		if (has_dot != with_dot || strcmp(d->d_name, ".") == 0 ||
		    strcmp(d->d_name, "..") == 0 ||
		    strcmp(d->d_name, "cur") == 0 ||
		    strcmp(d->d_name, "new") == 0 ||
		    strcmp(d->d_name, "tmp") == 0)
			continue;
		if (snprintf(below, sizeof(below), "%s/%s", path, d->d_name) >=
			(int)sizeof(below) ||
		    stat(below, &st) == -1 || !S_ISDIR(st.st_mode))
			continue;
		found = has_dir(below, "cur") ||
		    (depth > 0 && has_mailbox(below, with_dot, depth - 1));
	}
	if (dir != NULL)
		closedir(dir);
	return found;
}

static bool
looks_like_fs(const char *home)
{
	char root[4096];

	return snprintf(root, sizeof(root), "%s/Maildir", home) <
	    (int)sizeof(root) &&
	    !has_mailbox(root, true, 0) && has_mailbox(root, false, 1);
}

int
location_find(struct arena *a, const struct store_settings *set,
    struct location *out, struct err *e)
{
	const char *spool = spool_with_mail(set->user);

	if (has_dir(set->home, "Maildir/cur")) {
		if (location_parse(a, set, STR("maildir:~/Maildir"), out, e) ==
		    -1)
			return -1;
		out->is_fs_layout = looks_like_fs(set->home);
		if (spool != NULL)
			out->note = arena_printf(a,
			    "mail found in two places, serving ~/Maildir, "
			    "not %s/%s",
			    spool, set->user)
					.p;
		return 0;
	}
	if (is_mbox_root(set->home, "mail") ||
	    is_mbox_root(set->home, "Mail") || spool != NULL) {
		const char *dir = !is_mbox_root(set->home, "mail") &&
			is_mbox_root(set->home, "Mail")
		    ? "Mail"
		    : "mail";

		return location_parse(a, set,
		    arena_printf(a, "mbox:~/%s:INBOX=%s/%%u", dir,
			spool != NULL ? spool : "/var/mail"),
		    out, e);
	}
	/* No mail anywhere yet. */
	return location_parse(a, set, STR("maildir:~/Maildir"), out, e);
}

int
location_get(struct arena *a, const struct store_settings *set,
    struct location *out, struct err *e)
{
	struct str text = str_of(set->mail_location);

	if (text.n == 0 || str_eq_nocase(text, STR("auto")))
		return location_find(a, set, out, e);
	return location_parse(a, set, text, out, e);
}
