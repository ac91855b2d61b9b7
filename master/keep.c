/* SPDX-License-Identifier: ISC */
/*
 * keep.c - what outlives the service processes that use it.
 *
 * Owns:    struct keep, the file with the salt key.
 * Runs in: master.
 * Trusts:  a file of its own that nobody else can read or write; never what
 *          lies in the shared memory, which it does not map.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "keep.h"

#include "base/log.h"
#include "base/secret.h"
#include "os/fd.h"
#include "os/rng.h"

#define PATH_ROOM 4096

void
keep_init(struct keep *k)
{
	*k = (struct keep){.penalty_fd = -1};
}

void
keep_done(struct keep *k)
{
	fd_close(&k->penalty_fd);
	secret_wipe(k->salt, sizeof(k->salt));
	k->has_salt = false;
}

/* ---- the salt key ---- */

/* ERR_NOT_FOUND: there is none yet. */
static int
read_salt(const char *path, char salt[KEEP_SALT_BYTES], struct err *e)
{
	int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	struct stat st;
	int rc = -1;

	if (fd == -1 && errno == ENOENT)
		return err_set(e, ERR_NOT_FOUND, "%s: not there", path);
	if (fd == -1 || fstat(fd, &st) == -1)
		(void)err_sys(e, "open %s", path);
	else if (!S_ISREG(st.st_mode) || st.st_uid != geteuid() ||
	    (st.st_mode & 077) != 0 || st.st_size != KEEP_SALT_BYTES)
		(void)err_set(e, ERR_CORRUPT,
		    "%s must be a file of uid %u, mode 0600, %d bytes long: "
		    "remove it, and a new one is made",
		    path, (unsigned)geteuid(), KEEP_SALT_BYTES);
	else if (read(fd, salt, KEEP_SALT_BYTES) != KEEP_SALT_BYTES)
		(void)err_sys(e, "read %s", path);
	else
		rc = 0;
	fd_close(&fd);
	return rc;
}

static int
write_salt(const char *dir, const char *path, const char salt[KEEP_SALT_BYTES],
    struct err *e)
{
	char new[PATH_ROOM + 8];
	int fd, rc = -1;

	(void)snprintf(new, sizeof(new), "%s.new", path);
	if (mkdir(dir, 0755) == -1 && errno != EEXIST)
		return err_sys(e, "make the directory %s", dir);
	(void)unlink(new);
	fd = open(
	    new, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd == -1)
		return err_sys(e, "make %s", new);
	if (fd_write_all(fd, salt, KEEP_SALT_BYTES, e) == -1)
		(void)err_in(e, "%s", new);
	else if (fsync(fd) == -1)
		(void)err_sys(e, "write %s", new);
	else if (rename(new, path) == -1)
		(void)err_sys(e, "rename %s", new);
	else
		rc = 0;
	if (rc == -1)
		(void)unlink(new);
	fd_close(&fd);
	return rc;
}

struct str
keep_salt(struct keep *k, const char *state_dir)
{
	char path[PATH_ROOM];
	struct err e;
	int n, rc = 0;

	if (k->has_salt)
		return str_make(k->salt, sizeof(k->salt));
	n = snprintf(path, sizeof(path), "%s/" KEEP_SALT_FILE, state_dir);
	if (n < 0 || (size_t)n + 5 > sizeof(path))
		rc = err_set(&e, ERR_LIMIT, "state_dir is too long");
	else
		rc = read_salt(path, k->salt, &e);
	if (rc == -1) {
		rng_bytes(k->salt, sizeof(k->salt));
		if (e.code == ERR_NOT_FOUND)
			rc = write_salt(state_dir, path, k->salt, &e);
	}
	if (rc == -1)
		log_warn("SCRAM salts of unknown users will differ after the "
			 "next start, which tells them from known ones "
			 "reason=\"%s\"",
		    e.text);
	k->has_salt = true;
	return str_make(k->salt, sizeof(k->salt));
}

/* ---- failures ---- */

int
keep_penalty_fd(struct keep *k, struct err *e)
{
	int fd;

	if (k->penalty_fd != -1)
		return k->penalty_fd;
	fd = memfd_create("penalty", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd == -1)
		return err_sys(e, "memfd_create");
	if (ftruncate(fd, KEEP_PENALTY_BYTES) == -1 ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) ==
		-1) {
		(void)err_sys(e, "memory for what authd remembers");
		fd_close(&fd);
		return -1;
	}
	k->penalty_fd = fd;
	return fd;
}
