/* SPDX-License-Identifier: ISC */
/*
 * store.h - one user's mail: its place, its mailboxes' names and states.
 *
 * Names in this library are UTF-8 with store_delimiter() between levels;
 * INBOX is always spelt so. The wire form (modified UTF-7) belongs to imapd,
 * the disk form to the backend.
 */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include <sys/types.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

#include "base/list.h"

struct ev_loop;
struct store;

/*
 * Functions that return enum step work for a few milliseconds. STEP_MORE: call
 * again with the same arguments, until STEP_DONE or STEP_FAIL; to give up, end
 * what the call keeps its state in (view_close, append_free, ...). When
 * store_must_wait() says so after a STEP_MORE, somebody has a lock, and there is
 * no sense in calling again at once: store_wait() tells when there is.
 */
struct store_waiter {
	struct list link;
	void (*fn)(void *arg);
	void *arg;
	bool is_waiting;
};

/* Has the last STEP_MORE come because somebody else has a lock? */
bool store_must_wait(const struct store *s);
/*
 * False: call again at once. Else fn will be called from the loop, once. The
 * waiter stays where it is until then or until store_wait_end().
 */
bool store_wait(struct store *s, struct store_waiter *w);
void store_wait_end(struct store_waiter *w);
/* Whoever found the lock taken is not going to wait for it. */
void store_forget_wait(struct store *s);
/* For those without a loop: sleeps as long as store_wait() would wait. */
void store_pause(struct store *s);

struct store_settings {
	const char *user; /* login name, for %u */
	const char *home; /* absolute, for ~ and %h */
	const char *mail_location; /* Dovecot's syntax or "auto" */
	const char *host; /* for file names; NULL: the kernel's */
	const char *state_dir; /* NULL or "": below the home folder */
	const char *folder_names; /* "auto", "mutf7", "utf8" */
	const char *courier_compat; /* "auto", "yes", "no" */
	/* "fcntl dotlock", in Dovecot's words; NULL: Debian's order. */
	const char *mbox_read_locks, *mbox_write_locks;
	uint32_t mbox_lock_timeout_s; /* 0: 60 */
	uint32_t mbox_dotlock_stale_s; /* 0: 300 */
	const char *maildir_quota; /* "10000000S,1000C"; NULL, "": the file's */
	uint32_t mailboxes_max; /* of the user's own; 0: any number */
	/* Namespaces; NULL or "" each: none. */
	const char *namespace_prefix; /* of the user's own, "INBOX." */
	const char *inbox_alias; /* "auto", "yes", "no" */
	const char *public_location; /* as mail_location */
	const char *others_location; /* the same, with %u for the owner */
	/* The setting that master makes of its list of shares (shares.h):
	 * UID, OWNER, LOCATION and FOLDER, tabs between; NULL or "": none. */
	const char *shares;
	bool poll_only; /* no inotify */
	uint32_t poll_ms; /* interval of the polling fallback */
	/* For what is derived from the mail; NULL, "none": in memory only. */
	const char *index_dir;
};

/* Finds or makes the user's mail place. The settings are copied. */
int store_open(const struct store_settings *set, struct ev_loop *loop,
    struct store **out, struct err *e);
void store_close(struct store **s);
char store_delimiter(const struct store *s);
/* Of the namespace that a name belongs to. */
char store_delimiter_of(const struct store *s, struct str name);
/* "maildir" or "mbox". */
const char *store_driver(const struct store *s);
/* Places for the sandbox: calls fn once per folder that must be writable. */
int store_places(const struct store_settings *set,
    int (*fn)(const char *path, void *arg, struct err *e), void *arg,
    struct err *e);

/* ---- sharing without a setting ------------------------------------------ */

/* A mailbox that its owner has let this user at. */
struct store_share {
	uint32_t owner_uid;
	struct str owner, location, folder; /* borrowed */
};
/* The next one of the setting; false: no more. *rest begins as the whole. */
bool store_share_next(struct str *rest, struct store_share *out);

/* What SETACL has changed, as ipc/share_record.h has it. */
struct store_shared {
	char kind; /* 'u', 'g', 'a'; '*': nobody has it any more */
	uint32_t number; /* uid or gid */
	bool gives;
	const char *location, *folder;
};
/* From now on fn is called for each of the user's own mailboxes. */
void store_on_share(struct store *s,
    void (*fn)(void *arg, const struct store_shared *), void *arg);

/* ---- namespaces (RFC 2342) ----------------------------------------------- */

/* The three of NAMESPACE (RFC 2342). */
enum space_kind { SPACE_PERSONAL, SPACE_OTHERS, SPACE_SHARED };

struct space {
	enum space_kind kind;
	struct str prefix; /* with its delimiter, or empty; borrowed */
	char delimiter;
};

/* Number `i` of the namespaces that clients hear of; false: no more. */
bool store_space(const struct store *s, size_t i, struct space *out);
/*
 * The level above which names mean the same once more, hidden from LIST unless
 * it is asked for: "INBOX." for those who come from Courier. Empty: none.
 */
struct str store_alias(const struct store *s);

/* ---- names --------------------------------------------------------------- */

enum mbox_attr {
	MBOX_NOSELECT = 1 << 0,
	MBOX_NONEXISTENT = 1 << 1, /* only a level above existing ones */
	MBOX_HAS_CHILDREN = 1 << 2,
	MBOX_NO_INFERIORS = 1 << 3,
	MBOX_SUBSCRIBED = 1 << 4,
	MBOX_MARKED = 1 << 5,
	MBOX_UNMARKED = 1 << 6,
	MBOX_ON_FIRST_USE = 1 << 7, /* not there yet, made when it is opened */
	MBOX_USE_GIVEN = 1 << 8, /* its uses do not follow from its name */
};

enum special_use { /* RFC 6154 */
	USE_NONE,
	USE_DRAFTS,
	USE_SENT,
	USE_TRASH,
	USE_JUNK,
	USE_ARCHIVE,
	/* Only where it was given: RFC 8457. */
	USE_IMPORTANT,
};

struct mbox_entry {
	struct str name; /* UTF-8, in the caller's arena */
	unsigned attrs; /* enum mbox_attr */
	unsigned uses; /* bits 1 << enum special_use */
	char delimiter; /* of its namespace */
	struct mbox_entry *next;
};

struct list_job;

enum list_what {
	LIST_EXISTING, /* all mailboxes and the levels above them */
	/* Those in the subscriptions file, whether they exist or not (they
	 * carry MBOX_NONEXISTENT then). */
	LIST_SUBSCRIBED,
	LIST_BOTH, /* with the levels above the subscribed ones */
};

/*
 * Sorted, INBOX first, children behind their parent. Reads the disk at each call. *job begins as NULL;
 * list_job_free() after the end or to give up, before the arena is emptied.
 */
enum step store_list(struct store *s, enum list_what what, struct arena *a,
    struct list_job **job, struct mbox_entry **first, struct err *e);
/*
 * The same for what LIST_EXISTING knows of one name: without marks, which would
 * mean a look into each mailbox, and without what is others' if it is not.
 */
enum step store_list_for(struct store *s, struct str name, struct arena *a,
    struct list_job **job, struct mbox_entry **first, struct err *e);
void list_job_free(struct list_job **job);
/* Is there a mailbox spelt just so? */
bool store_exists(struct store *s, struct str name);
/* ERR_EXISTS, ERR_BAD_NAME, ERR_PERM, ERR_NO_SPACE. A trailing delimiter is dropped. */
int store_create(struct store *s, struct str name, struct err *e);
/*
 * What store_create() has to count where the number of mailboxes is limited, in
 * steps; it is to be called at once when this has come to STEP_DONE, and counts
 * by itself otherwise.
 */
enum step store_count_mailboxes(struct store *s);
/*
 * ERR_NOT_FOUND; ERR_PERM for INBOX; with children: see RFC 3501 6.3.4. *phase
 * begins as 0. Given up on, the mailbox is gone or as it was.
 */
enum step store_delete(
    struct store *s, struct str name, unsigned *phase, struct err *e);
/*
 * With children; from INBOX: moves its messages (RFC 3501 6.3.5), then *job,
 * NULL at first, keeps the state; rename_job_free() at the end or to give up.
 */
struct rename_job;
enum step store_rename(struct store *s, struct str from, struct str to,
    struct rename_job **job, struct err *e);
void rename_job_free(struct rename_job **job);
enum step store_subscribe(
    struct store *s, struct str name, bool on, struct err *e);

struct mailbox_status {
	uint32_t messages, recent, unseen, deleted, uidnext, uidvalidity;
	uint64_t
	    size; /* wire bytes of all messages; costs opening unknown ones */
	uint64_t deleted_size; /* of those with \\Deleted; as size */
	uint64_t highest_modseq;
	char mailbox_id[48]; /* MAILBOXID (object.h) */
};

/* Nothing happens for a while: memory that is of no use now goes. */
void store_rest(struct store *s);
/*
 * Before a command that looks at mailboxes which are not open: what has happened
 * there before the client sent it is to be known. `input`: a number that changes
 * when bytes of a client are read (conn_reads()); with the same one as before
 * nothing is done. Without this each look is for itself.
 */
void store_hear(struct store *s, uint64_t input);

/*
 * Changes nothing on disk but the UID map. `with_size` also fills size. *job
 * begins as NULL; status_job_free() at the end or to give up.
 */
struct status_job;
enum step store_status(struct store *s, struct str name, bool with_size,
    struct status_job **job, struct mailbox_status *out, struct err *e);
void status_job_free(struct status_job **job);
/* The same, if it is known without opening the mailbox. */
bool store_status_known(
    struct store *s, struct str name, struct mailbox_status *out);
/*
 * An annotation of the mailbox was changed: its highest mod-sequence rises
 * (RFC 7162 section 3.2). *job as for store_status().
 */
enum step store_note_annotation(
    struct store *s, struct str name, struct status_job **job, struct err *e);

#endif
