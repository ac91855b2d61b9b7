/* SPDX-License-Identifier: ISC */
/*
 * try_passwd.c - an attempt judged by the passwd-file.
 *
 * Owns:    nothing.
 * Runs in: an auth child, as the pass user.
 * Trusts:  the file as far as passwd_file.h says; authd for the work.
 */
#include <stdio.h>

#include "os/passwd_file.h"
#include "auth/try.h"
#include "auth/userdb.h"
#include "base/map.h"
#include "base/secret.h"

/*
 * The salt of a user who has no SCRAM keys in the file, whether he exists or
 * not: always the same for a name, as a stored one is.
 */
static void
make_salt(const uint64_t key[2], struct str name, unsigned char salt[16])
{
	char text[USER_NAME_MAX + 2] = {0};
	uint64_t half;

	memcpy(text + 1, name.p, name.n);
	for (int i = 0; i < 2; i++) {
		text[0] = (char)i;
		half = map_hash_keyed(key, str_make(text, name.n + 1));
		memcpy(salt + 8 * i, &half, sizeof(half));
	}
}

static void
set_text(struct try_answer *a, enum chan_try_outcome outcome, const char *text)
{
	a->outcome = outcome;
	(void)snprintf(a->text, sizeof(a->text), "%s", text);
}

/*
 * What the extra fields set for this user, as lines of our own settings. In a
 * passwd-file of Dovecot's a "%" is written twice.
 */
static bool
write_extra(const struct passwd_file_user *u, char *out, size_t size)
{
	struct buf b;
	bool ok;

	buf_init(&b, size);
	if (u->uidl.n > 0) {
		buf_add_c(&b, "pop3_uidl=");
		for (size_t i = 0; i < u->uidl.n; i++) {
			if (u->uidl.p[i] == '%' && i + 1 < u->uidl.n &&
			    u->uidl.p[i + 1] == '%')
				i++;
			buf_add_byte(&b, u->uidl.p[i]);
		}
		buf_add_byte(&b, '\n');
	}
	if (u->quota.n > 0)
		buf_addf(&b, "maildir_quota=%.*s\n", STR_ARG(u->quota));
	if (u->has_reuse_xuidl)
		buf_addf(&b, "reuse_xuidl=%s\n", u->reuse_xuidl ? "yes" : "no");
	if (u->login_delay.n > 0)
		buf_addf(
		    &b, "user_login_delay=%.*s\n", STR_ARG(u->login_delay));
	if (u->expire.n > 0)
		buf_addf(&b, "user_expire=%.*s\n", STR_ARG(u->expire));
	ok = !buf_is_over(&b) && str_to_c(buf_str(&b), out, size);
	buf_done(&b);
	return ok;
}

static void
tell_who(const struct passwd_file_user *u, struct try_answer *a)
{
	if (!str_to_c(u->name, a->name, sizeof(a->name)) ||
	    !str_to_c(u->home, a->home, sizeof(a->home)) ||
	    !str_to_c(u->mail, a->mail, sizeof(a->mail)) ||
	    !write_extra(u, a->extra, sizeof(a->extra))) {
		set_text(
		    a, CHAN_TRY_UNAVAILABLE, "passwd-file: field too long");
		return;
	}
	a->outcome = CHAN_TRY_OK;
	a->has_ids = u->has_uid && u->has_gid;
	a->uid = u->uid;
	a->gid = u->gid;
}

/* The right password alone is not enough. */
static bool
may_log_in(
    const struct passwd_file_user *u, struct str rhost, struct try_answer *a)
{
	if (u->nologin)
		set_text(a, CHAN_TRY_LOCKED, "nologin");
	else if (!passwd_file_net_allows(u->allow_nets, rhost))
		set_text(a, CHAN_TRY_LOCKED, "not in allow_nets");
	else
		return true;
	return false;
}

static void
verify(const struct chan_try_work *w, const struct passwd_file_user *u,
    struct try_answer *a)
{
	struct err e;
	bool match;

	if (passwd_hash_verify(u->hash, w->password, &match, &e) == -1)
		set_text(a, CHAN_TRY_UNAVAILABLE, e.text);
	else if (!match)
		set_text(a, CHAN_TRY_MISMATCH, "password");
	else if (may_log_in(u, w->rhost, a)) {
		tell_who(u, a);
		a->is_clean =
		    a->outcome == CHAN_TRY_OK && passwd_hash_is_clean(u->hash);
	}
}

/* Work for nobody that costs what it costs for the file's first user. */
static void
verify_nobody(const struct chan_try_work *w, struct str model)
{
	struct err ignored;
	bool match;

	if (model.n == 0 ||
	    passwd_hash_verify(model, w->password, &match, &ignored) == -1)
		(void)passwd_hash_verify(
		    passwd_hash_dummy(), w->password, &match, &ignored);
}

static void
keys_of(const struct chan_try_work *w, const struct passwd_file_user *u,
    const unsigned char salt[16], struct try_answer *a)
{
	struct err e;

	if (!may_log_in(u, w->rhost, a) ||
	    passwd_hash_keys(u->hash, salt, &a->keys, &e) == -1) {
		if (a->outcome != CHAN_TRY_LOCKED)
			set_text(a, CHAN_TRY_UNKNOWN, e.text);
		a->outcome = CHAN_TRY_UNKNOWN;
		a->keys.iter = 0;
		return;
	}
	tell_who(u, a);
}

/* Iterations and salt as some user of this file might have them. */
static void
keys_of_nobody(
    struct str model, const unsigned char salt[16], struct try_answer *a)
{
	struct passwd_hash_keys like;
	struct err ignored;

	/* What gives no keys has cost nothing. */
	if (passwd_hash_keys(model, salt, &like, &ignored) == -1) {
		passwd_hash_keys_decoy();
		like.iter = PASSWD_HASH_ITER_DEFAULT;
	}
	a->keys = (struct passwd_hash_keys){.iter = like.iter, .salt_n = 16};
	memcpy(a->keys.salt, salt, 16);
	secret_wipe(&like, sizeof(like));
}

void
try_passwd_file(int fd, const uint64_t salt_key[2],
    const struct chan_try_work *w, struct try_answer *a)
{
	struct passwd_file_user u;
	unsigned char salt[16];
	struct buf line, first;
	struct str model;
	struct err e;
	/* The challenge of SCRAM is not held back, as failures are. */
	int (*find)(int, struct str, struct buf *, struct passwd_file_user *,
	    struct buf *, struct str *, struct err *) = w->want == CHAN_TRY_KEYS
	    ? passwd_file_find_evenly
	    : passwd_file_find;

	if (fd == -1) {
		set_text(a, CHAN_TRY_UNAVAILABLE, "passwd-file is not there");
		return;
	}
	buf_init(&line, PASSWD_FILE_LINE_MAX);
	buf_init(&first, PASSWD_FILE_LINE_MAX);
	make_salt(salt_key, w->name, salt);
	if (find(fd, w->name, &line, &u, &first, &model, &e) == -1) {
		set_text(a,
		    e.code == ERR_NOT_FOUND ? CHAN_TRY_UNKNOWN
					    : CHAN_TRY_UNAVAILABLE,
		    e.text);
		if (e.code == ERR_NOT_FOUND && w->want == CHAN_TRY_VERIFY)
			verify_nobody(w, model);
	} else if (w->want == CHAN_TRY_VERIFY) {
		verify(w, &u, a);
	} else if (w->want == CHAN_TRY_KEYS) {
		keys_of(w, &u, salt, a);
	} else {
		tell_who(&u, a);
	}
	if (w->want == CHAN_TRY_KEYS && a->outcome == CHAN_TRY_UNKNOWN)
		keys_of_nobody(model, salt, a);
	buf_wipe(&line);
	buf_wipe(&first);
	buf_done(&line);
	buf_done(&first);
}

void
try_lookup(const char *name, struct try_answer *a)
{
	struct userdb_user u;
	struct err e;

	if (userdb_find(name, &u, &e) == -1) {
		set_text(a,
		    e.code == ERR_NOT_FOUND ? CHAN_TRY_UNKNOWN
					    : CHAN_TRY_UNAVAILABLE,
		    e.text);
		return;
	}
	a->outcome = CHAN_TRY_OK;
	a->has_ids = true;
	a->uid = u.sysuid;
	a->gid = u.sysgid;
	(void)snprintf(a->name, sizeof(a->name), "%s", name);
	if (!str_to_c(str_of(u.home), a->home, sizeof(a->home)))
		set_text(a, CHAN_TRY_UNAVAILABLE, "home directory too long");
}
