/* SPDX-License-Identifier: ISC */
/*
 * confine.c - what the kernel lets this process reach: one user's mail, index
 * and state, and a few files that the C library reads late.
 *
 * Owns:    nothing that stays.
 * Runs in: imapd and pop3d, before the first byte of a client.
 * Trusts:  the settings; a place that does not exist is left out.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/num.h"
#include "base/vec.h"
#include "host/host_impl.h"
#include "ipc/share_record.h"
#include "os/file.h"
#include "os/sandbox.h"

#if defined(__x86_64__)
#define MULTIARCH "x86_64-linux-gnu"
#elif defined(__aarch64__)
#define MULTIARCH "aarch64-linux-gnu"
#elif defined(__i386__)
#define MULTIARCH "i386-linux-gnu"
#elif defined(__arm__)
#define MULTIARCH "arm-linux-gnueabihf"
#elif defined(__riscv)
#define MULTIARCH "riscv64-linux-gnu"
#elif defined(__powerpc64__)
#define MULTIARCH "powerpc64le-linux-gnu"
#elif defined(__s390x__)
#define MULTIARCH "s390x-linux-gnu"
#else
#define MULTIARCH "multiarch"
#endif

/* What a session needs beside its connection: its mailbox, a message, ... */
#define DESCRIPTORS_PER_SESSION 6
#define DESCRIPTORS_LEAST 256
#define DESCRIPTORS_MOST 8192

struct places {
	struct host *h;
	struct arena arena;
	VEC(struct sandbox_path) paths;
};

/* iconv loads its converters when they are first needed, the C library the
 * time zone. */
static const char *const read_only[] = {
    "/usr/lib/" MULTIARCH "/gconv", "/usr/lib64/gconv", "/usr/lib/gconv",
    "/etc/ld.so.cache", "/etc/localtime", "/usr/share/zoneinfo",
    "/etc/mailname", "/dev/null", "/etc/group", /* rights.c */
    "/proc/sys/kernel/random/boot_id", /* index_state.c */
    "/proc/meminfo", /* pressure.c */
};

static void
add_path(struct places *p, const char *path, enum sandbox_access access)
{
	*VEC_ADD(&p->paths) = (struct sandbox_path){
	    .path = arena_c(&p->arena, str_of(path)),
	    .access = access,
	};
}

/*
 * A mailbox that is one file: its folder, because a rule for the file would
 * die with its inode when a program replaces it. Where the user may make files,
 * he locks it himself; elsewhere spoold does, and only files that are there
 * are used.
 */
static void
add_file_place(struct places *p, const char *path)
{
	struct str dir = str_of(path);
	char at[4096];

	dir = str_head(dir, str_rfind(dir, '/'));
	if (dir.n == 0 || !str_to_c(dir, at, sizeof(at)))
		return;
	add_path(
	    p, at, access(at, W_OK) == 0 ? SANDBOX_FILES : SANDBOX_WRITE_FILE);
}

static int
add_mail_place(const char *path, void *arg, UNUSED struct err *e)
{
	struct places *p = arg;
	struct stat st;

	bool is_dir = stat(path, &st) == 0 && S_ISDIR(st.st_mode);

	/* In a spool that spoold locks, only the files that are there. */
	add_path(p, path,
	    spool_will_need(p->h, path) && is_dir && access(path, W_OK) == -1
		? SANDBOX_WRITE_FILE
		: SANDBOX_MAIL);
	if (!is_dir)
		add_file_place(p, path);
	return 0;
}

/*
 * A folder of the owner's, which a link that somebody puts in its place does not
 * lead away from: the rule is for what was looked at. -1: it is not his.
 */
static void
add_folder_of(struct places *p, struct str path, uint32_t owner,
    enum sandbox_access access)
{
	struct stat st;
	int fd = open(arena_c(&p->arena, path),
	    O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd == -1)
		return;
	if (fstat(fd, &st) == -1 || st.st_uid != owner) {
		close(fd);
		return;
	}
	*VEC_ADD(&p->paths) = (struct sandbox_path){.fd = fd, .access = access};
}

/*
 * What others share with this user, by master's list: of a Maildir the names in
 * its root and the shared folder, of mbox files what lies with them. The uid is
 * from master; the paths are whatever the owner's process has said.
 */
static void
add_shares(struct places *p, const char *shares)
{
	struct str rest = str_of(shares != NULL ? shares : ""), root;
	struct share_record r;
	struct store_share sh;

	while (store_share_next(&rest, &sh)) {
		r = (struct share_record){.owner = sh.owner,
		    .kind = SHARE_USER,
		    .gives = true,
		    .location = sh.location,
		    .folder = sh.folder};
		if (!share_record_is_sound(&r) || sh.owner_uid == 0)
			continue;
		root = share_record_root(&r);
		if (str_starts(sh.location, STR("mbox:"))) {
			add_folder_of(p, root, sh.owner_uid, SANDBOX_MAIL);
			continue;
		}
		/* In INBOX, which is the root, nobody else can be let write. */
		if (str_eq(root, sh.folder)) {
			add_folder_of(p, root, sh.owner_uid, SANDBOX_READ);
			continue;
		}
		add_folder_of(p, root, sh.owner_uid, SANDBOX_LIST);
		add_folder_of(p, sh.folder, sh.owner_uid, SANDBOX_MAIL);
	}
}

static uint64_t
descriptors(struct host *h)
{
	uint64_t n =
	    (uint64_t)host_setting_number(h, "max_sessions_per_user", 50) *
		DESCRIPTORS_PER_SESSION +
	    64;

	if (n < DESCRIPTORS_LEAST)
		return DESCRIPTORS_LEAST;
	return n > DESCRIPTORS_MOST ? DESCRIPTORS_MOST : n;
}

int
confine_enter(struct host *h, const struct store_settings *set, struct err *e)
{
	struct sandbox_report report;
	struct sandbox s = {.profile = strcmp(h->ops->service, "imap") == 0
		? SANDBOX_IMAP
		: SANDBOX_USER};
	struct places p = {.h = h};
	const char *dir;
	size_t i;
	int rc = -1;

	arena_init(&p.arena);
	if (store_places(set, add_mail_place, &p, e) == -1)
		goto out;
	h->mail_place = mem_strdup(p.paths.n > 0 ? p.paths.v[0].path : h->home);
	if ((dir = host_setting(h, "index_dir")) != NULL && dir[0] == '/') {
		/* Master's is there; where none can be made it is without. */
		if (access(dir, F_OK) == -1)
			(void)file_make_path(dir, e);
		add_path(&p, dir, SANDBOX_MAIL);
	}
	if ((dir = host_setting(h, "state_dir")) != NULL && dir[0] == '/')
		add_path(&p, dir, SANDBOX_MAIL);
	for (i = 0; i < ARRAY_LEN(read_only); i++)
		add_path(&p, read_only[i], SANDBOX_READ);
	add_shares(&p, set->shares);
	s.paths = p.paths.v;
	s.n_paths = p.paths.n;
	s.descriptors = descriptors(h);
	s.filter = h->filter;
	s.trap = host_setting_bool(h, "sandbox_trap", false);
	rc = sandbox_enter(&s, &report, e);
	if (rc == 0 && report.text[0] != '\0')
		log_debug("sandbox: %s", report.text);
out:
	MEM_FREE(h->filter);
	VEC_EACH(&p.paths, path)
		if (path->path == NULL)
			close(path->fd);
	VEC_DONE(&p.paths);
	arena_done(&p.arena);
	return rc;
}
