/* SPDX-License-Identifier: ISC */
/*
 * sandbox.h - one named profile per process: resource limits, empty root, other
 * ids, no_new_privs, Landlock, seccomp, in this order, before the first byte
 * from somebody else is read.
 *
 * What the kernel does not offer is left out and told in struct sandbox_report;
 * what it offers and refuses is an error.
 */
#ifndef OS_SANDBOX_H
#define OS_SANDBOX_H

#include <sys/types.h>

#include "base/buf.h"
#include "base/err.h"

enum sandbox_profile {
	SANDBOX_LOGIN, /* login parent: may fork, wait, signal its children */
	SANDBOX_WORKER, /* login worker: a second, narrower filter */
	SANDBOX_KEYD,
	SANDBOX_AUTHD,
	SANDBOX_PASS, /* auth child with a passwd-file: what it has open */
	SANDBOX_PAM, /* auth child with PAM: limits alone */
	SANDBOX_LOGD,
	SANDBOX_SPOOLD,
	SANDBOX_USER, /* pop3d: mail of a user */
	SANDBOX_IMAP, /* imapd, restantectl: the same, and who may see it */
};

enum sandbox_access {
	SANDBOX_READ, /* files and directories below */
	SANDBOX_LIST, /* names below, no file */
	SANDBOX_MAIL, /* all that a mail store needs below */
	SANDBOX_WRITE_FILE, /* this one file, or files directly in use below */
	SANDBOX_LOCK, /* make, write and remove files below, list none */
	SANDBOX_FILES, /* the same, and make them shorter */
};

struct sandbox_path {
	const char *path; /* NULL: `fd` is it, open already */
	enum sandbox_access access;
	int fd;
};

struct sandbox {
	enum sandbox_profile profile;
	const char
	    *root; /* chroot here; NULL: not (already there, or no right) */
	bool change_ids;
	uid_t sysuid;
	gid_t sysgid;
	uint64_t caps; /* kept beside the new ids: 1 << CAP_CHOWN */
	const struct sandbox_path *paths; /* missing ones are skipped */
	size_t n_paths;
	uint64_t descriptors; /* instead of the profile's limit; 0: that */
	const char *filter; /* of sandbox_filter_text, or NULL */
	bool trap; /* a forbidden call prints its number before the end */
};

struct sandbox_report {
	int landlock_abi; /* 0: none */
	bool landlock, seccomp; /* are in force */
	char text[200]; /* what is missing, empty: nothing */
};

/*
 * For this process, for ever. *r says what is in force. -1: a limit or a filter
 * could not be set, and the process is to end.
 */
int sandbox_enter(
    const struct sandbox *s, struct sandbox_report *r, struct err *e);

/*
 * Builds the filter of SANDBOX_WORKER once, in the login parent before its own
 * sandbox_enter(); sandbox_enter() for SANDBOX_WORKER then only loads it.
 */
int sandbox_prepare_worker(bool trap, struct err *e);
/*
 * The same for SANDBOX_PASS, in the spawner: building the filter costs more
 * than all the rest of an auth child.
 */
int sandbox_prepare_pass(bool trap, struct err *e);

/*
 * The profile's system call filter as text, for struct sandbox.filter of many
 * processes of the same version; others build their own.
 */
int sandbox_filter_text(
    enum sandbox_profile profile, struct buf *out, struct err *e);

/* The resource limits alone. */
int sandbox_limits(
    enum sandbox_profile profile, uint64_t descriptors, struct err *e);

/* 0: the kernel has no Landlock, or it is switched off. */
int sandbox_landlock_abi(void);

#endif
