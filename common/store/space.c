/* SPDX-License-Identifier: ISC */
/*
 * space.c - namespaces: which store a mailbox name belongs to.
 *
 * Owns:    the stores beside the user's own.
 * Runs in: imapd, pop3d, as the mail user: what he may read or change there is
 *          what the permissions of files let him.
 * Trusts:  the settings; of a name given as owner only that it is one level of
 *          a path, which the sandbox keeps to the folders named there.
 * Spec:    RFC 2342, RFC 3501 section 5.1.2.
 */
#include <dirent.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bounds.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/num.h"
#include "store/location.h"
#include "store/space.h"

#define PUBLIC_PREFIX "#public/"
#define OTHERS_PREFIX "#user/"
#define OUTER '/' /* delimiter of names in other stores than the head */
#define OTHERS_FRESH_MS 2000
#define OTHERS_MAX 1000 /* looked at */
#define SPACES_MAX 64 /* open: each has a descriptor */

static bool
is_set(const char *s)
{
	return s != NULL && s[0] != '\0';
}

/* ---- opening ------------------------------------------------------------- */

static struct store *
add_space(struct store *head, enum space_kind kind, const char *location,
    const char *owner, struct str prefix, struct err *e)
{
	const struct store_settings set = {
	    .user = owner,
	    .home = head->home,
	    .mail_location = location,
	    .host = head->host,
	    .state_dir = head->state,
	    .poll_only = head->poll_only,
	    .poll_ms = head->poll_ms,
	};
	struct store *s;

	if (store_open_part(head, &set, head->loop, &s, e) == -1)
		return NULL;
	s->kind = kind;
	s->prefix = str_to_heap(prefix);
	list_append(&head->spaces, &s->link);
	return s;
}

/* "INBOX", "INBOX." or "INBOX/": with the delimiter that there is. */
static char *
prefix_of(const struct store *head, const char *wanted)
{
	struct str prefix = str_of(is_set(wanted) ? wanted : "");
	struct arena a;
	char *out;

	if (str_ends(prefix, STR(".")) || str_ends(prefix, STR("/")))
		prefix.n--;
	if (prefix.n == 0)
		return mem_strdup("");
	arena_init(&a);
	out = str_to_heap(
	    arena_printf(&a, "%.*s%c", STR_ARG(prefix), head->delimiter));
	arena_done(&a);
	return out;
}

void
spaces_open(struct store *head, const struct store_settings *set)
{
	struct err e;

	head->prefix = prefix_of(head, set->namespace_prefix);
	if (is_set(set->inbox_alias) &&
	    strcasecmp(set->inbox_alias, "auto") != 0)
		head->has_alias = strcasecmp(set->inbox_alias, "yes") == 0;
	else
		head->has_alias = head->is_courier;
	/* Where "/" is the delimiter nobody has ever had such names. */
	head->has_alias = head->has_alias && head->prefix[0] == '\0' &&
	    head->delimiter == '.';
	if (is_set(set->public_location) &&
	    add_space(head, SPACE_SHARED, set->public_location, head->user,
		STR(PUBLIC_PREFIX), &e) == NULL)
		store_warn(head, "no public mailboxes: %s", e.text);
	if (is_set(set->others_location))
		head->others_location = mem_strdup(set->others_location);
	if (is_set(set->shares))
		head->shares = mem_strdup(set->shares);
}

static bool
has_others(const struct store *head)
{
	return head->others_location != NULL || head->shares != NULL;
}

static void
end_search(struct store *head)
{
	if (head->others_dir != NULL)
		closedir(head->others_dir);
	head->others_dir = NULL;
	head->others_n = 0;
	head->shares_left = STR("");
	head->is_searching = false;
}

void
spaces_close(struct store *head)
{
	end_search(head);
	while (!list_is_empty(&head->spaces)) {
		struct store *s =
		    LIST_OF(head->spaces.next, struct store, link);

		list_remove(&s->link);
		store_close(&s);
	}
}

/* ---- other users' mail --------------------------------------------------- */

static struct store *
find_space(struct store *head, struct str prefix)
{
	LIST_EACH(&head->spaces, l) {
		struct store *s = LIST_OF(l, struct store, link);

		if (str_eq(str_of(s->prefix), prefix))
			return s;
	}
	return NULL;
}

bool
store_share_next(struct str *rest, struct store_share *out)
{
	struct str uid;

	return str_cut(rest, '\t', &uid) &&
	    num_parse_u32(uid, 0, UINT32_MAX, &out->owner_uid) &&
	    str_cut(rest, '\t', &out->owner) &&
	    str_cut(rest, '\t', &out->location) &&
	    (str_cut(rest, '\t', &out->folder) || out->folder.n > 0);
}

/* Can it be read, and is it the mail of `uid`, unless that is NULL? */
static bool
may_read(const struct store *head, struct arena *a, const char *owner,
    const char *location, const uint32_t *uid)
{
	const struct store_settings set = {
	    .user = owner,
	    .home = head->home,
	    .mail_location = location,
	};
	struct location loc;
	struct stat st;
	struct err e;

	return location_get(a, &set, &loc, &e) == 0 &&
	    access(arena_c(a, loc.root), R_OK | X_OK) == 0 &&
	    (uid == NULL ||
		(stat(arena_c(a, loc.root), &st) == 0 && st.st_uid == *uid));
}

/* Where this owner's mail is; NULL: no such name, or not to be read. */
static const char *
location_of(const struct store *head, struct arena *a, const char *owner)
{
	struct str rest = str_of(head->shares != NULL ? head->shares : "");
	struct store_share sh;

	if (head->others_location != NULL &&
	    may_read(head, a, owner, head->others_location, NULL))
		return head->others_location;
	while (store_share_next(&rest, &sh)) {
		const char *location = arena_c(a, sh.location);

		if (str_eq(sh.owner, str_of(owner)) &&
		    may_read(head, a, owner, location, &sh.owner_uid))
			return location;
	}
	return NULL;
}

static size_t
count_spaces(const struct store *head)
{
	size_t n = 0;

	for (const struct list *l = head->spaces.next; l != &head->spaces;
	     l = l->next)
		n++;
	return n;
}

static struct store *
open_other(struct store *head, struct str owner, struct err *e)
{
	const char *location = NULL;
	struct store *s;
	struct str prefix;
	struct arena a;

	arena_init(&a);
	prefix = arena_printf(&a, OTHERS_PREFIX "%.*s/", STR_ARG(owner));
	s = find_space(head, prefix);
	if (s == NULL && count_spaces(head) >= SPACES_MAX)
		(void)err_set(e, ERR_LIMIT, "too many users' mail is open");
	else if (s == NULL && memchr(owner.p, '\0', owner.n) == NULL &&
	    !str_eq(owner, str_of(head->user)) &&
	    (location = location_of(head, &a, arena_c(&a, owner))) != NULL)
		s = add_space(head, SPACE_OTHERS, location, arena_c(&a, owner),
		    prefix, e);
	else if (s == NULL)
		(void)err_set(e, ERR_NOT_FOUND, "no such mailbox");
	arena_done(&a);
	return s;
}

/* The folder that has one for each owner: "/home" of "maildir:/home/%u/x". */
static bool
folder_of_owners(const char *location, struct arena *a, struct str *out)
{
	struct str path = str_of(location), driver;

	if (!str_cut(&path, ':', &driver))
		return false;
	path = str_head(path, str_find(path, '%'));
	path = str_head(path, str_rfind(path, '/'));
	if (path.n == 0 || *path.p != '/')
		return false;
	*out = arena_str(a, path);
	return true;
}

static DIR *
begin_search(const struct store *head)
{
	struct arena a;
	struct str folder;
	DIR *dir = NULL;

	arena_init(&a);
	if (head->others_location != NULL &&
	    folder_of_owners(head->others_location, &a, &folder))
		dir = opendir(arena_c(&a, folder));
	arena_done(&a);
	return dir;
}

enum step
spaces_find_others(struct store *head)
{
	int64_t now = clock_mono_ms(), until = now + STEP_SLICE_MS;
	struct store_share sh;
	const struct dirent *d;
	struct err e;

	if (!has_others(head) ||
	    (!head->is_searching && head->others_seen_ms > 0 &&
		now - head->others_seen_ms < OTHERS_FRESH_MS))
		return STEP_DONE;
	if (!head->is_searching) {
		head->is_searching = true;
		head->others_dir = begin_search(head);
		if (head->shares != NULL)
			head->shares_left = str_of(head->shares);
	}
	while (store_share_next(&head->shares_left, &sh)) {
		(void)open_other(head, sh.owner, &e);
		if (clock_mono_ms() >= until)
			return STEP_MORE;
	}
	while (head->others_dir != NULL && head->others_n < OTHERS_MAX &&
	    (d = readdir(head->others_dir)) != NULL) {
		if (d->d_name[0] == '.')
			continue;
		head->others_n++;
		(void)open_other(head, str_of(d->d_name), &e);
		if (clock_mono_ms() >= until)
			return STEP_MORE;
	}
	end_search(head);
	head->others_seen_ms = clock_mono_ms();
	return STEP_DONE;
}

/* ---- names --------------------------------------------------------------- */

/* INBOX in any case is INBOX, also as a level above; one trailing delimiter
 * goes. */
static struct str
canonical(const struct store *s, struct arena *a, struct str name)
{
	char *copy;

	if (name.n > 1 && name.p[name.n - 1] == s->delimiter)
		name.n--;
	if (!str_starts_nocase(name, STR("INBOX")) ||
	    (name.n > 5 && name.p[5] != s->delimiter))
		return name;
	copy = arena_c(a, name);
	memcpy(copy, "INBOX", 5);
	return str_make(copy, name.n);
}

/* The name with every `from` as `to`. */
static struct str
exchange(struct arena *a, struct str name, char from, char to)
{
	char *copy = arena_c(a, name);

	for (size_t i = 0; i < name.n; i++)
		if (copy[i] == from)
			copy[i] = to;
	return str_make(copy, name.n);
}

/* A name behind the prefix of another store. */
static int
foreign_name(
    const struct store *s, struct arena *a, struct str *name, struct err *e)
{
	struct str n = *name;

	if (n.n > 1 && n.p[n.n - 1] == OUTER)
		n.n--;
	if (n.n == 0)
		return err_set(e, ERR_NOT_FOUND, "not a mailbox");
	if (s->delimiter != OUTER) {
		if (str_find(n, s->delimiter) < n.n)
			return err_set(e, ERR_BAD_NAME,
			    "a name here can not hold \"%c\"", s->delimiter);
		n = exchange(a, n, OUTER, s->delimiter);
	}
	*name = canonical(s, a, n);
	if (s->kind == SPACE_SHARED && str_eq(*name, STR("INBOX")))
		return err_set(e, ERR_NOT_FOUND, "no such mailbox");
	return 0;
}

static int
own_name(struct store *head, struct arena *a, struct str *name, struct err *e)
{
	struct str prefix = str_of(head->prefix), n = canonical(head, a, *name);

	if (prefix.n > 0 && !str_eq(n, STR("INBOX"))) {
		if (!str_starts(n, prefix) || n.n == prefix.n ||
		    str_eq(str_skip(n, prefix.n), STR("INBOX")))
			return err_set(e, ERR_NOT_FOUND,
			    "names of mailboxes begin with %s", head->prefix);
		n = str_skip(n, prefix.n);
	} else if (head->has_alias && n.n > 6 && str_starts(n, STR("INBOX.")) &&
	    !head->ops->exists(head, n)) {
		n = canonical(head, a, str_skip(n, 6));
	}
	*name = n;
	return 0;
}

int
space_of(struct store **sp, struct arena *a, struct str *name, struct err *e)
{
	struct store *head = store_head(*sp);
	struct str rest = *name, owner;

	LIST_EACH(&head->spaces, l) {
		struct store *s = LIST_OF(l, struct store, link);

		if (!str_starts(*name, str_of(s->prefix)))
			continue;
		*sp = s;
		*name = str_skip(*name, strlen(s->prefix));
		return foreign_name(s, a, name, e);
	}
	if (has_others(head) && str_starts(rest, STR(OTHERS_PREFIX))) {
		rest = str_skip(rest, strlen(OTHERS_PREFIX));
		if (!str_cut(&rest, OUTER, &owner) || owner.n == 0)
			return err_set(e, ERR_NOT_FOUND, "no such mailbox");
		*sp = open_other(head, owner, e);
		if (*sp == NULL) {
			*sp = head;
			return -1;
		}
		*name = rest;
		return foreign_name(*sp, a, name, e);
	}
	*sp = head;
	return own_name(head, a, name, e);
}

bool
space_name(const struct store *s, struct arena *a, struct str *name)
{
	bool is_inbox = str_eq(*name, STR("INBOX"));
	struct str n = *name;

	if (s->head == NULL && (is_inbox || s->prefix[0] == '\0'))
		return true;
	if (s->kind == SPACE_SHARED && is_inbox)
		return false;
	if (s->head != NULL && s->delimiter != OUTER)
		n = exchange(a, n, s->delimiter, OUTER);
	*name = arena_printf(a, "%s%.*s", s->prefix, STR_ARG(n));
	return true;
}

bool
space_is_foreign(const struct store *head, struct str name)
{
	for (const struct list *l = head->spaces.next; l != &head->spaces;
	     l = l->next)
		if (str_starts(name,
			str_of(LIST_OF(l, const struct store, link)->prefix)))
			return true;
	return has_others(head) && str_starts(name, STR(OTHERS_PREFIX));
}

/* ---- what callers hear of ------------------------------------------------ */

char
store_delimiter_of(const struct store *s, struct str name)
{
	return space_is_foreign(s, name) ? OUTER : s->delimiter;
}

bool
store_space(const struct store *s, size_t i, struct space *out)
{
	bool has_public = false;

	for (const struct list *l = s->spaces.next; l != &s->spaces;
	     l = l->next)
		has_public = has_public ||
		    LIST_OF(l, const struct store, link)->kind == SPACE_SHARED;
	if (i == 0)
		*out = (struct space){
		    SPACE_PERSONAL, str_of(s->prefix), s->delimiter};
	else if (i == 1 && has_others(s))
		*out = (struct space){SPACE_OTHERS, STR(OTHERS_PREFIX), OUTER};
	else if (i == (has_others(s) ? 2 : 1) && has_public)
		*out = (struct space){SPACE_SHARED, STR(PUBLIC_PREFIX), OUTER};
	else
		return false;
	return true;
}

struct str
store_alias(const struct store *s)
{
	return s->has_alias ? STR("INBOX.") : STR("");
}

/* ---- sandbox ------------------------------------------------------------- */

int
spaces_places(const struct store_settings *set,
    int (*fn)(const char *path, void *arg, struct err *e), void *arg,
    struct err *e)
{
	struct store_settings other = *set;
	struct location loc;
	struct arena a;
	struct str folder;
	int rc = 0;

	arena_init(&a);
	other.mail_location = set->public_location;
	if (is_set(set->public_location) &&
	    location_get(&a, &other, &loc, e) == 0 &&
	    access(arena_c(&a, loc.root), F_OK) == 0)
		rc = fn(arena_c(&a, loc.root), arg, e);
	if (rc == 0 && is_set(set->others_location) &&
	    folder_of_owners(set->others_location, &a, &folder) &&
	    access(arena_c(&a, folder), F_OK) == 0)
		rc = fn(arena_c(&a, folder), arg, e);
	arena_done(&a);
	return rc;
}
