/* SPDX-License-Identifier: ISC */
/*
 * quota.c - reports and enforces the quota of Maildir++, reports the kernel's.
 *
 * Owns:    struct quota: what was last counted, a count under way.
 * Runs in: imapd, pop3d, as the mail user.
 * Trusts:  nothing in the file: sums that do not parse, or that say "over" and
 *          are not fresh, are counted anew before anybody is refused.
 * Spec:    RFC 9208; formats.md 1.12; Courier's maildirquota(7).
 *
 * The limits are those of the setting, else those in the file; without either
 * there is no quota. One count at most is under way, whoever wants it drives
 * it; when nobody waits (the file has only grown large), a timer does.
 */
#include <ev.h>
#include <fcntl.h>
#include <linux/quota.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "store/maildir/maildirsize.h"
#include "store/mailbox_impl.h"
#include "store/quota.h"
#include "store/space.h"

#define FRESH_S (15 * 60)
#define BACKGROUND_S 0.05
#define DISK_BLOCK 1024 /* of limits, whatever the file system has */

struct quota {
	struct store *store;
	bool is_set; /* by the setting */
	struct quota_limits limits; /* of the setting */
	void *at; /* the backend's count under way */
	struct quota_limits count_limits; /* to be written with it */
	ev_timer background;
	/* The last count, for a place where no file can be written, or read. */
	bool is_unread;
	bool is_kept;
	int64_t kept_ms;
	struct maildirsize kept;
	uint32_t mailboxes_max;
	/* Names being counted. */
	bool is_listing;
	struct mbox_entry *listed; /* so far */
	bool is_counted; /* `counted` is of this very moment */
	uint64_t counted;
	void *list_at;
	struct arena names;
};

/* ---- counting ------------------------------------------------------------ */

static void
end_count(struct quota *q)
{
	if (q->at != NULL)
		q->store->ops->quota->end(&q->at);
	if (q->store->loop != NULL)
		ev_timer_stop(q->store->loop, &q->background);
}

/* A step of the count; its end is written down. */
static enum step
count_some(struct quota *q, struct maildirsize *out, struct err *e)
{
	const struct quota_ops *ops = q->store->ops->quota;
	struct maildirsize got = {.limits = q->count_limits, .n_lines = 1};
	enum step step =
	    ops->count(q->store, &q->at, &got.bytes, &got.count, e);
	struct err ignored;

	if (step == STEP_MORE)
		return step;
	if (step == STEP_DONE) {
		got.mtime_s = clock_wall_s();
		q->kept = got;
		q->kept_ms = clock_mono_ms();
		q->is_kept = ops->save(q->store, &got.limits, got.bytes,
				 got.count, q->is_set, q->at, &ignored) == -1 ||
		    q->is_unread;
		*out = got;
	}
	end_count(q);
	return step;
}

static void
on_background(UNUSED struct ev_loop *loop, ev_timer *w, UNUSED int events)
{
	struct quota *q = w->data;
	struct maildirsize ignored;
	struct err e;

	(void)count_some(q, &ignored, &e);
}

static void
begin_count(struct quota *q, const struct quota_limits *limits)
{
	if (q->at == NULL)
		q->count_limits = *limits;
}

static void
count_later(struct quota *q, const struct quota_limits *limits)
{
	if (q->at != NULL || q->store->loop == NULL ||
	    ev_is_active(&q->background))
		return;
	begin_count(q, limits);
	ev_timer_again(q->store->loop, &q->background);
}

/* ---- the quota of Maildir++ ---------------------------------------------- */

static bool
is_same(const struct quota_limits *a, const struct quota_limits *b)
{
	return a->bytes == b->bytes && a->count == b->count;
}

/*
 * What is used, and of what. STEP_DONE with *has false: there is no quota.
 * `must_be_fresh`: not from sums that others have added up.
 */
static enum step
usage(struct quota *q, bool must_be_fresh, bool *has, struct maildirsize *out,
    struct err *e)
{
	bool is_good = false;

	*has = false;
	if (q->store->ops->quota == NULL)
		return STEP_DONE;
	*has = true;
	if (q->at != NULL && must_be_fresh)
		return count_some(q, out, e);
	q->is_unread = false;
	if (q->store->ops->quota->load(q->store, out, e) == 0) {
		if (!q->is_set)
			q->limits = out->limits;
		is_good = is_same(&out->limits, &q->limits);
	} else if (e->code == ERR_NOT_FOUND && !q->is_set) {
		*has = false;
		return STEP_DONE;
	} else {
		q->is_unread =
		    e->code != ERR_NOT_FOUND && e->code != ERR_CORRUPT;
		/* The limits may be what is damaged: none are made up, but
		 * those that were read once count. */
		*has =
		    q->is_set || q->limits.bytes != 0 || q->limits.count != 0;
		if (!*has)
			return STEP_DONE;
	}
	if (is_good &&
	    (!must_be_fresh ||
		(out->n_lines <= 1 &&
		    clock_wall_s() - out->mtime_s < FRESH_S))) {
		if (out->is_large)
			count_later(q, &q->limits);
		return STEP_DONE;
	}
	if (q->is_kept && clock_mono_ms() - q->kept_ms < FRESH_S * 1000) {
		*out = q->kept;
		return STEP_DONE;
	}
	begin_count(q, &q->limits);
	return count_some(q, out, e);
}

bool
quota_is_kept(struct store *s)
{
	struct maildirsize ignored;
	struct err e;

	if (s->ops->quota == NULL)
		return false;
	return s->quota->is_set || s->ops->quota->load(s, &ignored, &e) == 0 ||
	    e.code != ERR_NOT_FOUND;
}

static bool
is_over(const struct maildirsize *m, uint64_t bytes, uint64_t count)
{
	const struct quota_limits *l = &m->limits;

	return (l->bytes != 0 &&
		   ((uint64_t)m->bytes > l->bytes ||
		       bytes > l->bytes - (uint64_t)m->bytes)) ||
	    (l->count != 0 &&
		((uint64_t)m->count > l->count ||
		    count > l->count - (uint64_t)m->count));
}

enum step
store_quota_may_add(struct store *s, struct str mailbox, uint64_t bytes,
    uint64_t count, struct err *e)
{
	struct maildirsize m;
	enum step step;
	bool has;

	store_begin_step(s);
	if ((count == 0 && bytes == 0) || str_eq(mailbox, STR("Trash")))
		return STEP_DONE;
	step = usage(s->quota, false, &has, &m, e);
	if (step != STEP_DONE || !has || !is_over(&m, bytes, count))
		return step;
	/* Nobody is refused by sums that may be wrong. */
	step = usage(s->quota, true, &has, &m, e);
	if (step != STEP_DONE || !has || !is_over(&m, bytes, count))
		return step;
	err_set(e, ERR_OVER_QUOTA, "over quota: %lld bytes, %lld messages",
	    (long long)m.bytes, (long long)m.count);
	return STEP_FAIL;
}

/* ---- mailboxes ------------------------------------------------------------- */

static void
end_listing(struct quota *q)
{
	if (!q->is_listing)
		return;
	q->store->ops->list_end(&q->list_at);
	arena_done(&q->names);
	q->is_listing = false;
}

/* How many there are now: not levels, and INBOX always. */
static enum step
count_mailboxes(struct quota *q, uint64_t *n, struct err *e)
{
	enum step step;

	if (!q->is_listing) {
		arena_init(&q->names);
		q->listed = NULL;
		q->is_listing = true;
	}
	step = q->store->ops->list(
	    q->store, &q->names, &q->list_at, &q->listed, e);
	if (step == STEP_MORE)
		return step;
	*n = 1;
	for (const struct mbox_entry *m = q->listed; m != NULL; m = m->next)
		*n += (m->attrs & (MBOX_NOSELECT | MBOX_NONEXISTENT)) == 0 &&
		    !str_eq(m->name, STR("INBOX"));
	end_listing(q);
	return step;
}

enum step
store_count_mailboxes(struct store *s)
{
	struct quota *q = s->quota;
	enum step step;
	struct err e;

	if (q->mailboxes_max == 0)
		return STEP_DONE;
	store_begin_step(s);
	step = count_mailboxes(q, &q->counted, &e);
	q->is_counted = step == STEP_DONE;
	return step == STEP_MORE ? STEP_MORE : STEP_DONE;
}

void
quota_created(struct store *s)
{
	end_listing(s->quota);
	s->quota->is_counted = false;
}

int
quota_may_create(struct store *s, struct err *e)
{
	struct quota *q = s->quota;
	uint64_t n = 0;
	enum step step;

	if (s->head != NULL || q->mailboxes_max == 0)
		return 0;
	if (q->is_counted) {
		n = q->counted;
		q->is_counted = false;
	} else {
		/* One for somebody else would be of names before this one. */
		end_listing(q);
		do
			step = count_mailboxes(q, &n, e);
		while (step == STEP_MORE);
		if (step == STEP_FAIL)
			return -1;
	}
	return n < q->mailboxes_max
	    ? 0
	    : err_set(e, ERR_OVER_QUOTA, "%llu mailboxes of %u",
		  (unsigned long long)n, q->mailboxes_max);
}

/* ---- the kernel's -------------------------------------------------------- */

/* False: none is kept here, or it has no limit for us. */
static bool
disk_usage(const struct store *s, struct quota_root *out)
{
#ifdef SYS_quotactl_fd
	struct if_dqblk d = {0};
	int fd = open(s->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	long rc;

	if (fd == -1)
		return false;
	rc = syscall(SYS_quotactl_fd, fd, QCMD((uint32_t)Q_GETQUOTA, USRQUOTA),
	    (long)geteuid(), &d);
	close(fd);
	if (rc == -1 || (d.dqb_bhardlimit == 0 && d.dqb_bsoftlimit == 0))
		return false;
	out->bytes = d.dqb_curspace;
	out->bytes_max =
	    (d.dqb_bhardlimit != 0 ? d.dqb_bhardlimit : d.dqb_bsoftlimit) *
	    DISK_BLOCK;
	return true;
#else
	(void)s;
	(void)out;
	return false;
#endif
}

/* ---- both ---------------------------------------------------------------- */

enum step
store_quota(struct store *s, struct quota_root roots[QUOTA_ROOTS], size_t *n,
    struct err *e)
{
	struct maildirsize m = {0};
	uint64_t mailboxes = 0;
	enum step step;
	bool has;

	store_begin_step(s);
	step = usage(s->quota, false, &has, &m, e);
	if (step == STEP_DONE && s->quota->mailboxes_max > 0)
		step = count_mailboxes(s->quota, &mailboxes, e);
	if (step != STEP_DONE)
		return step;
	*n = 0;
	if (!has)
		m = (struct maildirsize){0};
	if (has || s->quota->mailboxes_max > 0)
		roots[(*n)++] = (struct quota_root){.kind = QUOTA_MAIL,
		    .name = "User quota",
		    .bytes = (uint64_t)m.bytes,
		    .bytes_max = m.limits.bytes,
		    .count = (uint64_t)m.count,
		    .count_max = m.limits.count,
		    .mailboxes = mailboxes,
		    .mailboxes_max = s->quota->mailboxes_max};
	roots[*n] =
	    (struct quota_root){.kind = QUOTA_DISK, .name = "Disk quota"};
	*n += disk_usage(s, &roots[*n]);
	return STEP_DONE;
}

bool
store_quota_covers(struct store *s, struct str name)
{
	struct store *of = s;
	struct arena a;
	struct err e;
	bool is_own;

	arena_init(&a);
	is_own = space_of(&of, &a, &name, &e) == -1 || of == s;
	arena_done(&a);
	return is_own;
}

void
quota_open(struct store *s, const char *limits, uint32_t mailboxes_max)
{
	struct quota *q = mem_new(1, sizeof(*q));
	struct err e;

	s->quota = q;
	q->store = s;
	q->mailboxes_max = mailboxes_max;
	ev_timer_init(&q->background, on_background, 0, BACKGROUND_S);
	q->background.data = q;
	if (limits == NULL || str_trim(str_of(limits)).n == 0)
		return;
	if (quota_limits_parse(str_of(limits), &q->limits, &e) == 0)
		q->is_set = true;
	else
		store_warn(s, "maildir_quota: %s", e.text);
}

void
quota_close(struct store *s)
{
	if (s->quota == NULL)
		return;
	end_count(s->quota);
	end_listing(s->quota);
	MEM_FREE(s->quota);
}
