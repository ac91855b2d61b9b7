/* SPDX-License-Identifier: ISC */
/*
 * share.c - gives others rights on a mailbox, and takes them.
 *
 * Owns:    struct share_job; the file dovecot-acl while it is changed.
 * Runs in: imapd, restantectl, as the owner of the files.
 * Trusts:  nothing: identifiers come from clients.
 * Spec:    RFC 4314 sections 2, 3 and 4; formats.md 2.11.
 *
 * A change narrows in dovecot-acl first and widens in the permissions last, so
 * that nobody has more than he should, whenever it is interrupted; the same
 * change once more completes it.
 *
 *	START --file written--> FILES --last one--> TIDY --> done
 */
#include "store/share.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/bounds.h"
#include "base/mem.h"
#include "os/file.h"
#include "os/posix_acl.h"
#include "store/space.h"
#include "store/special.h"

#define ACL_TEMP "dovecot-acl.lock"

/* Of what the kernel can tell apart. */
#define ACL_MAPPED (ACL_LOOKUP | ACL_READ | ACL_SEEN | ACL_POST | ACL_TIED)

/* ---- a mailbox and its list ------------------------------------------------ */

/* Its store, name and place; the viewer's rights on it. */
static int
find(struct store **s, struct arena *a, struct str *name,
    struct rights_place *p, unsigned *rights, struct err *e)
{
	*p = (struct rights_place){0};
	if (space_of(s, a, name, e) == -1)
		return -1;
	if ((*s)->ops->rights_place == NULL)
		return err_set(e, ERR_UNSUPPORTED, "No rights are kept here");
	if ((*s)->ops->rights_place(*s, *name, p, e) == -1)
		return -1;
	if (p->is_level)
		return err_set(e, ERR_NOT_FOUND, "no mailbox, only a folder");
	return rights_of(*s, *name, rights, e);
}

static bool
is_special(struct str name)
{
	if (str_eq(name, STR("INBOX")))
		return true;
	for (unsigned use = USE_DRAFTS; use <= USE_ARCHIVE; use++)
		if (str_eq(special_default_name(use), name))
			return true;
	return false;
}

int
store_my_rights(struct store *s, struct str name, unsigned *out, struct err *e)
{
	struct rights_place p;
	unsigned rights = 0;
	struct arena a;
	int rc;

	arena_init(&a);
	rc = find(&s, &a, &name, &p, &rights, e);
	/* One that is made when it is first used. */
	if (rc == -1 && e->code == ERR_NOT_FOUND && s->head == NULL &&
	    is_special(name)) {
		rights = ACL_ALL;
		rc = 0;
	}
	arena_done(&a);
	if (rc == 0 && (rights & ACL_ANY_OF) == 0)
		rc = err_set(e, ERR_NOT_FOUND, "no such mailbox");
	if (rc == 0)
		*out = rights;
	return rc;
}

/* RFC 4314 section 6: whoever may not look it up does not learn of it. */
static int
need_admin(unsigned rights, struct err *e)
{
	if ((rights & ACL_ADMIN) != 0)
		return 0;
	return (rights & ACL_LOOKUP) != 0
	    ? err_set(e, ERR_PERM, "not the right to do this")
	    : err_set(e, ERR_NOT_FOUND, "no such mailbox");
}

static int
find_as_admin(struct store **s, struct arena *a, struct str *name,
    struct rights_place *p, unsigned *rights, struct err *e)
{
	return find(s, a, name, p, rights, e) == -1 ? -1
						    : need_admin(*rights, e);
}

static struct str
owner_of(const struct store *s)
{
	return s->kind == SPACE_SHARED ? STR("") : str_of(s->user);
}

/* Where there is no file, what the modes of the files say. */
static int
load_or_derive(
    struct store *s, const struct rights_place *p, struct acl *l, struct err *e)
{
	const struct acl_id anyone = {.kind = ACL_ANYONE};

	if (rights_load(p, l, e) == 0)
		return 0;
	if (e->code != ERR_NOT_FOUND)
		return -1;
	return !share_has_uids(s)
	    ? 0
	    : acl_set(l, &anyone, share_rights_of_others(p), e);
}

int
store_acl(struct store *s, struct str name, struct acl *l, struct str *owner,
    struct err *e)
{
	struct rights_place p;
	unsigned rights;
	struct arena a;
	int rc;

	arena_init(&a);
	rc = find_as_admin(&s, &a, &name, &p, &rights, e);
	if (rc == 0)
		rc = load_or_derive(s, &p, l, e);
	if (rc == 0)
		*owner = owner_of(s);
	arena_done(&a);
	return rc;
}

/* ---- what can be given ----------------------------------------------------- */

static bool
is_owner(const struct store *s, const struct acl_id *id)
{
	return id->kind == ACL_OWNER ||
	    (id->kind == ACL_USER && s->kind != SPACE_SHARED &&
		str_eq(id->name, owner_of(s)));
}

/* Has he, or have they, ids of their own, so that the kernel must agree? */
static bool
is_mapped(struct store *s, const struct acl_id *id)
{
	uint32_t sysuid;

	if (id->kind == ACL_USER && share_uid_of(s, id->name, &sysuid))
		return sysuid != geteuid();
	return share_has_uids(s);
}

static void
sets_of(struct store *s, const struct rights_place *p, const struct acl_id *id,
    struct acl_sets *out)
{
	*out = (struct acl_sets){0};
	if (is_owner(s, id)) {
		out->required = ACL_ALL;
		return;
	}
	if (!is_mapped(s, id)) {
		for (unsigned r = 1; r <= ACL_ALL; r <<= 1)
			out->v[out->n++] = r;
		return;
	}
	for (unsigned r = 1; r <= ACL_ALL; r <<= 1)
		if ((r & ACL_MAPPED & ~(unsigned)ACL_TIED) != 0)
			out->v[out->n++] = r;
	/* Who may change INBOX's folder may change all of them. */
	if (!p->holds_all)
		out->v[out->n++] = ACL_TIED;
}

int
store_acl_sets(struct store *s, struct str name, const struct acl_id *id,
    struct acl_sets *out, struct err *e)
{
	struct rights_place p;
	unsigned rights;
	struct arena a;
	int rc;

	arena_init(&a);
	rc = find_as_admin(&s, &a, &name, &p, &rights, e);
	if (rc == 0)
		sets_of(s, &p, id, out);
	arena_done(&a);
	return rc;
}

static int
refuse(unsigned rights, bool is_inbox, struct err *e)
{
	struct buf b;

	buf_init(&b, 64);
	for (unsigned r = 1; r <= ACL_ALL; r <<= 1) {
		struct buf one;

		buf_init(&one, 8);
		if ((rights & r) != 0) {
			acl_rights_write(&one, r);
			(void)buf_add_str(&b, str_head(buf_str(&one), 1));
		}
		buf_done(&one);
	}
	(void)err_set(e, ERR_UNSUPPORTED,
	    "These rights can not be given to other accounts of this "
	    "system%s: %.*s",
	    is_inbox && (rights & ACL_TIED) != 0
		? ", in INBOX of a Maildir, whose folder holds all others"
		: "",
	    STR_ARG(buf_str(&b)));
	buf_done(&b);
	return -1;
}

/* The rights that an identifier has after the change. */
static int
judge(struct store *s, const struct rights_place *p, const struct acl_change *c,
    unsigned before, unsigned *after, struct share_result *out, struct err *e)
{
	bool touches_tied = (c->rights & ACL_TIED) != 0;
	struct acl_sets sets;
	unsigned can = 0, now = c->rights;

	sets_of(s, p, &c->id, &sets);
	for (size_t i = 0; i < sets.n; i++)
		can |= sets.v[i];
	if (c->op == ACL_ADD)
		now = before | c->rights;
	else if (c->op == ACL_TAKE)
		now = before & ~c->rights;
	else if (c->op == ACL_DELETE)
		now = 0;
	*after = now;
	if (is_mapped(s, &c->id) && !c->id.is_negative) {
		if (c->op <= ACL_ADD && (c->rights & ~can) != 0)
			return refuse(c->rights & ~can, p->holds_all, e);
		if (touches_tied && (now & ACL_TIED) != 0 &&
		    (now & ACL_TIED) != ACL_TIED) {
			out->left_out = now & ACL_TIED;
			*after = now & ~(unsigned)ACL_TIED;
		}
		if ((*after & ACL_TIED) != 0 && (*after & ACL_READ) == 0)
			return err_set(e, ERR_UNSUPPORTED,
			    "w, i, t and e can not be given without r");
	}
	return 0;
}

/* ---- targets --------------------------------------------------------------- */

struct share_job {
	struct store *s;
	struct arena arena;
	struct str name;
	struct rights_place place;
	struct acl acl;
	VEC(struct share_target) targets;
	struct share_files *files;
	enum { START, FILES, TIDY } phase;
	struct share_result result;
	/* TIDY: the owner's mailboxes, gone through. */
	void *list_at;
	struct mbox_entry *all, *next;
	bool is_listed;
};

static unsigned
rights_of_id(const struct acl *l, const struct acl_id *id)
{
	struct acl_who who = {.user = STR("")};

	if (id->kind == ACL_USER)
		who.user = id->name;
	if (id->kind == ACL_GROUP || id->kind == ACL_GROUP_OVERRIDE) {
		who.groups = &id->name;
		who.n_groups = 1;
	}
	return acl_rights_of(l, &who);
}

static bool
has_target(const struct share_job *job, int kind, uint32_t number)
{
	VEC_EACH(&job->targets, t)
		if (t->kind == kind && t->number == number)
			return true;
	return false;
}

/* False: it is not known who that is. */
static bool
add_target(struct share_job *job, const struct acl_id *id, bool is_listed,
    bool is_changed)
{
	struct share_target t = {.id = *id, .is_changed = is_changed};

	switch (id->kind) {
	case ACL_OWNER:
		return true;
	case ACL_ANYONE:
	case ACL_AUTHENTICATED:
		t.kind = POSIX_ACL_OTHER;
		break;
	case ACL_USER:
		t.kind = POSIX_ACL_USER;
		if (!share_uid_of(job->s, id->name, &t.number))
			return false;
		if (t.number == geteuid())
			return true;
		break;
	case ACL_GROUP:
	case ACL_GROUP_OVERRIDE:
		t.kind = POSIX_ACL_GROUP;
		if (!share_gid_of(id->name, &t.number))
			return false;
		break;
	}
	if (has_target(job, t.kind, t.number))
		return true;
	/* Who is no more in the list has what anyone has: no entry. */
	t.level = is_listed || t.kind == POSIX_ACL_OTHER
	    ? share_level_of(rights_of_id(&job->acl, id))
	    : SHARE_NONE;
	t.is_denied =
	    is_listed && t.level == SHARE_NONE && t.kind != POSIX_ACL_OTHER;
	*VEC_ADD(&job->targets) = t;
	return true;
}

/* Is the user or group in the list, with or without "-"? */
static bool
is_in_list(const struct acl *l, const struct acl_id *id)
{
	VEC_EACH(&l->v, it)
		if (it->id.kind == id->kind && str_eq(it->id.name, id->name))
			return true;
	return false;
}

static int
find_targets(struct share_job *job, const struct acl_change *c, struct err *e)
{
	if (!share_has_uids(job->s))
		return 0;
	if (!add_target(job, &c->id, is_in_list(&job->acl, &c->id), true) &&
	    c->op <= ACL_ADD && c->rights != 0 && !c->id.is_negative)
		return err_set(e, ERR_UNSUPPORTED,
		    c->id.kind == ACL_USER ? "No such user is known here"
					   : "No such group is known here");
	VEC_EACH(&job->acl.v, it)
		(void)add_target(job, &it->id, true, false);
	if (!share_can_list(&job->place))
		VEC_EACH(&job->targets, t)
			if (t->kind != POSIX_ACL_OTHER &&
			    t->level != SHARE_NONE && t->is_changed)
				return err_set(e, ERR_UNSUPPORTED,
				    "This file system keeps no access lists: "
				    "rights can be given to anyone only");
	return 0;
}

/* ---- the change ------------------------------------------------------------ */

static int
save_acl(const struct rights_place *p, const struct acl *l, struct err *e)
{
	struct file_perm perm;
	struct buf b;
	int dirfd, rc;

	if (p->is_file && file_make_path(p->acl_dir, e) == -1)
		return -1;
	dirfd = file_open_dir(AT_FDCWD, p->acl_dir, true, e);
	if (dirfd == -1)
		return -1;
	buf_init(&b, ACL_FILE_MAX);
	acl_write(l, &b);
	rc = file_perm_of(dirfd, &perm, e);
	/* Those who may bring mail to the folder may not write this, not even
	 * between its making and what share_files() does to it. */
	if (rc == 0)
		perm.file_mode &= (mode_t)~022;
	if (rc == 0 && buf_is_over(&b))
		rc = err_set(e, ERR_LIMIT, "dovecot-acl too large");
	else if (rc == 0 && b.n == 0)
		rc = unlinkat(dirfd, ACL_FILE, 0) == -1 && errno != ENOENT
		    ? err_sys(e, "remove dovecot-acl")
		    : 0;
	else if (rc == 0)
		rc = file_replace(
		    dirfd, ACL_FILE, ACL_TEMP, buf_str(&b), &perm, NULL, e);
	if (rc == 0)
		rc = file_sync(dirfd, "folder", e);
	buf_done(&b);
	close(dirfd);
	return rc;
}

static int
start(struct share_job *job, const struct acl_change *c, struct err *e)
{
	unsigned rights, before, after;
	struct acl_entry *it;
	struct acl_id id = c->id;

	if (find(&job->s, &job->arena, &job->name, &job->place, &rights, e) ==
		-1 ||
	    need_admin(rights, e) == -1 ||
	    load_or_derive(job->s, &job->place, &job->acl, e) == -1)
		return -1;
	if (is_owner(job->s, &c->id)) {
		if (c->op <= ACL_ADD && !c->id.is_negative &&
		    (c->op == ACL_ADD || c->rights == ACL_ALL))
			return 0;
		/* An entry of his that another server wrote may go. */
		if (c->op == ACL_DELETE && acl_find(&job->acl, &id) == NULL)
			id.kind = ACL_OWNER;
		if (c->op != ACL_DELETE)
			return err_set(e, ERR_UNSUPPORTED,
			    "The owner always has all rights");
	}
	it = acl_find(&job->acl, &id);
	before = it == NULL ? 0 : it->rights;
	if (judge(job->s, &job->place, c, before, &after, &job->result, e) ==
	    -1)
		return -1;
	if (c->op == ACL_DELETE)
		(void)acl_remove(&job->acl, &id);
	else if (acl_set(&job->acl, &id, after, e) == -1)
		return -1;
	if (find_targets(job, c, e) == -1)
		return -1;
	store_head(job->s)->share_gen++;
	return save_acl(&job->place, &job->acl, e);
}

/* Has a target rights on another mailbox? */
static bool
is_named_elsewhere(struct share_job *job, const struct share_target *t)
{
	struct rights_place p = {0};
	struct acl l;
	struct err e;
	bool found = false;

	if (job->s->ops->rights_place(job->s, job->next->name, &p, &e) == -1 ||
	    p.is_level)
		return false;
	acl_init(&l);
	if (rights_load(&p, &l, &e) == 0)
		found = is_in_list(&l, &t->id) &&
		    share_level_of(rights_of_id(&l, &t->id)) != SHARE_NONE;
	else
		found = e.code != ERR_NOT_FOUND;
	acl_done(&l);
	return found;
}

/* Who has nothing any more need not pass the folders above. */
static enum step
tidy(struct share_job *job, struct err *e)
{
	struct share_target *t = job->targets.n > 0 ? job->targets.v : NULL;
	enum step step;

	if (t == NULL || !t->is_changed || t->level != SHARE_NONE)
		return STEP_DONE;
	if (!job->is_listed) {
		step = job->s->ops->list(
		    job->s, &job->arena, &job->list_at, &job->all, e);
		if (step != STEP_DONE)
			return step == STEP_FAIL ? STEP_DONE : step;
		job->is_listed = true;
		job->next = job->all;
	}
	for (int i = 0; job->next != NULL; job->next = job->next->next) {
		if (is_named_elsewhere(job, t))
			return STEP_DONE;
		if (++i == 100) {
			job->next = job->next->next;
			return STEP_MORE;
		}
	}
	share_close_way(job->s, &job->place, t);
	return STEP_DONE;
}

void
store_on_share(struct store *s,
    void (*fn)(void *arg, const struct store_shared *), void *arg)
{
	s->on_share = fn;
	s->on_share_arg = arg;
}

static void
tell_one(struct store *s, const struct rights_place *p, char kind,
    uint32_t number, bool gives)
{
	char location[PATH_MAX + 40];

	if (s->head != NULL || s->on_share == NULL)
		return;
	(void)snprintf(location, sizeof(location), "%s:%s%s", s->ops->driver,
	    s->root, s->is_fs_layout ? ":LAYOUT=fs" : "");
	s->on_share(s->on_share_arg,
	    &(struct store_shared){.kind = kind,
		.number = number,
		.gives = gives,
		.location = location,
		.folder = p->path});
}

/* Whom the kernel lets in by now, or no more. */
static void
tell(const struct share_job *job)
{
	VEC_EACH(&job->targets, t)
		if (t->is_changed)
			tell_one(job->s, &job->place,
			    t->kind == POSIX_ACL_USER        ? 'u'
				: t->kind == POSIX_ACL_GROUP ? 'g'
							     : 'a',
			    t->number, t->level != SHARE_NONE);
}

void
share_tell_gone(struct store *s, const struct rights_place *p)
{
	if (p->path[0] != '\0')
		tell_one(s, p, '*', 0, false);
}

void
share_tell_again(struct store *s, struct str name)
{
	struct share_job *job;
	struct err e;

	if (s->head != NULL || s->on_share == NULL || !share_has_uids(s))
		return;
	job = mem_new(1, sizeof(*job));
	job->s = s;
	arena_init(&job->arena);
	acl_init(&job->acl);
	if (s->ops->rights_place(s, name, &job->place, &e) == 0 &&
	    !job->place.is_level &&
	    rights_load(&job->place, &job->acl, &e) == 0)
		VEC_EACH(&job->acl.v, it)
			(void)add_target(job, &it->id, true, true);
	tell(job);
	share_job_free(&job);
}

enum step
store_acl_change(struct store *s, struct str name, const struct acl_change *c,
    struct share_job **jobp, struct share_result *out, struct err *e)
{
	struct share_job *job = *jobp;
	enum step step = STEP_DONE;

	store_begin_step(s);
	if (job == NULL) {
		job = *jobp = mem_new(1, sizeof(*job));
		job->s = s;
		arena_init(&job->arena);
		acl_init(&job->acl);
		job->name = arena_str(&job->arena, name);
	}
	switch (job->phase) {
	case START:
		step = start(job, c, e) == -1 ? STEP_FAIL : STEP_DONE;
		break;
	case FILES:
		if (job->targets.n > 0)
			step = share_files(job->s, &job->place, job->targets.v,
			    job->targets.n, &job->files, job->result.note, e);
		break;
	case TIDY:
		step = tidy(job, e);
		if (step == STEP_DONE)
			*out = job->result;
		if (step == STEP_DONE)
			tell(job);
		return step;
	}
	if (step != STEP_DONE)
		return step;
	job->phase++;
	return STEP_MORE;
}

void
share_job_free(struct share_job **jobp)
{
	struct share_job *job = *jobp;

	*jobp = NULL;
	if (job == NULL)
		return;
	share_files_end(&job->files);
	if (job->list_at != NULL)
		job->s->ops->list_end(&job->list_at);
	VEC_DONE(&job->targets);
	acl_done(&job->acl);
	arena_done(&job->arena);
	free(job);
}

void
share_inherit(struct store *s, struct str name)
{
	struct share_job *job = mem_new(1, sizeof(*job));
	struct str above = str_head(name, str_rfind(name, s->delimiter));
	struct rights_place p = {0};
	struct err e;
	enum step step;

	job->s = s;
	arena_init(&job->arena);
	acl_init(&job->acl);
	if (above.n == name.n || s->ops->rights_place == NULL ||
	    s->ops->rights_place(s, above, &p, &e) == -1 || p.is_level ||
	    rights_load(&p, &job->acl, &e) == -1 ||
	    s->ops->rights_place(s, name, &job->place, &e) == -1 ||
	    job->place.is_level || save_acl(&job->place, &job->acl, &e) == -1)
		goto out;
	if (share_has_uids(s))
		VEC_EACH(&job->acl.v, it)
			(void)add_target(job, &it->id, true, false);
	do
		step = job->targets.n == 0
		    ? STEP_DONE
		    : share_files(s, &job->place, job->targets.v,
			  job->targets.n, &job->files, job->result.note, &e);
	while (step == STEP_MORE);
	if (step == STEP_FAIL)
		store_warn(s,
		    "mailbox=%.*s does not get the rights of %.*s: %s",
		    STR_ARG(name), STR_ARG(above), e.text);
out:
	share_job_free(&job);
}
