/* SPDX-License-Identifier: ISC */
/*
 * maildir_group.c - messages that several sessions append at the same time get
 * to disk together.
 *
 * Owns:    who commits for whom.
 * Runs in: imapd, as the mail user.
 * Trusts:  nothing; a group has messages of one mailbox and one process.
 * Spec:    formats.md 1.4, security.md 7.1.
 *
 * What an APPEND waits for is the disk: the file, its directory, the UID map.
 * Whoever has written his message to tmp/ lets the others have their turn once
 * (a->yields); the first who comes back takes along all who are as far as he is:
 * their files are synced one behind the other, then all share the lock, the sync
 * of the directory and the write of UIDs. Whoever has his turn meanwhile drives
 * the group on. Only messages without keywords, which nothing but the disk can
 * refuse, one from each, so that what fails is the fault of none of them.
 */
#include <fcntl.h>
#include <unistd.h>

#include "store/maildir/maildir_save.h"

static bool
may_share(const struct append *a)
{
	const struct save *s = save_of(a);

	return s->all.n == 1 && a->replaces == 0 && s->fd != -1 &&
	    s->all.v[0].tmp.p != NULL && s->all.v[0].n_names == 0;
}

static struct save *
save_in(struct list *l)
{
	return LIST_OF(l, struct save, ready);
}

static void
part(struct save *s)
{
	list_remove(&s->ready);
	list_init(&s->ready);
	s->leader = NULL;
}

bool
maildir_group_gather(struct append *a)
{
	struct save *s = save_of(a);
	struct maildir *md = maildir_of(a->m);

	if (s->has_gathered || md->n_appends < 2 || !may_share(a))
		return false;
	if (md->ready.next == NULL)
		list_init(&md->ready);
	list_append(&md->ready, &s->ready);
	s->has_gathered = a->yields = true;
	return true;
}

void
maildir_group_take(struct append *a)
{
	struct save *s = save_of(a);
	struct maildir *md = maildir_of(a->m);

	if (!s->has_gathered)
		return;
	part(s);
	LIST_EACH(&md->ready, l) {
		struct save *other = save_in(l);
		struct staged *st = VEC_ADD(&s->all);

		*st = other->all.v[0];
		st->of = other->append;
		other->leader = a;
		list_remove(l);
		list_append(&s->taken, l);
	}
}

/* Their names are in memory of theirs, which may go before the leader does. */
static void
forget_others(struct save *s)
{
	while (s->all.n > 0 && s->all.v[s->all.n - 1].of != NULL)
		s->all.n--;
}

/* They go on by themselves. */
static void
let_go(struct save *s)
{
	LIST_EACH(&s->taken, l)
		part(save_in(l));
	forget_others(s);
	s->at = 0;
}

static void
let_one_go(struct save *leader, struct save *s)
{
	for (size_t i = 1; i < leader->all.n; i++) {
		if (leader->all.v[i].of != s->append)
			continue;
		leader->all.v[i] = leader->all.v[--leader->all.n];
		break;
	}
	leader->at = 0;
	part(s);
}

/* Two passes over them before the first is waited for: one journal's write
 * then does for all. No more than a hint, which may fail. */
static void
begin_writing(struct save *s)
{
	if (list_is_empty(&s->taken))
		return;
	(void)sync_file_range(s->fd, 0, 0, SYNC_FILE_RANGE_WRITE);
	LIST_EACH(&s->taken, l)
		(void)sync_file_range(
		    save_in(l)->fd, 0, 0, SYNC_FILE_RANGE_WRITE);
	LIST_EACH(&s->taken, l)
		(void)sync_file_range(save_in(l)->fd, 0, 0,
		    SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE |
			SYNC_FILE_RANGE_WAIT_AFTER);
}

int
maildir_group_sync(struct append *a, struct err *e)
{
	struct save *s = save_of(a);

	begin_writing(s);
	if (maildir_save_sync(a, e) == -1) {
		let_go(s);
		return -1;
	}
	LIST_EACH(&s->taken, l) {
		struct save *other = save_in(l);

		if (maildir_save_sync(other->append, &other->why) == 0)
			continue;
		let_one_go(s, other);
		other->result = COMMIT_FAILED;
	}
	return 0;
}

void
maildir_group_end(struct append *a, enum step step, const struct err *why)
{
	struct save *s = save_of(a);

	forget_others(s);
	LIST_EACH(&s->taken, l) {
		struct save *other = save_in(l);

		part(other);
		other->result = step == STEP_DONE ? COMMIT_DONE : COMMIT_FAILED;
		if (step == STEP_FAIL)
			other->why = *why;
	}
}

bool
maildir_group_leave(struct append *a)
{
	struct save *s = save_of(a);
	struct append *leader = s->leader != NULL ? s->leader : a;

	if (leader == a && list_is_empty(&s->taken)) {
		part(s);
		return true;
	}
	if (save_of(leader)->phase >= PLACE)
		return false;
	if (leader == a)
		let_go(s);
	else
		let_one_go(save_of(leader), s);
	return true;
}
