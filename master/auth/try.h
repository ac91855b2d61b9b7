/* SPDX-License-Identifier: ISC */
/*
 * try.h - the life of an auth child: one attempt or look-up, then the end.
 *
 * With a passwd-file a child that has found the password right waits for the
 * next attempt, while all of this is true: it has judged fewer than
 * TRY_ATTEMPTS_MAX and used less than TRY_CPU_MS; the hash was compared by what
 * is known to leave nothing behind; the file is still the one under its name.
 * So what somebody without a right password sends never reaches a process that
 * judges anybody after him.
 */
#ifndef AUTH_TRY_H
#define AUTH_TRY_H

#include "auth/passwd_hash.h"
#include "auth/settings.h"

#define TRY_ATTEMPTS_MAX 100
#define TRY_CPU_MS 100

struct try_child {
	enum chan_try_kind kind;
	const struct auth_settings *settings;
	int fd; /* channel to authd */
	int hold_fd; /* channel to master, or -1 */
	int passwd_fd; /* the passwd-file, or -1 */
};

/*
 * Confines itself, waits for TRY_WORK, judges, answers, ends; or becomes the
 * holder of a PAM session first. Called in a fresh fork.
 */
NORETURN void try_child_run(const struct try_child *c);

/* What a look into the passwd-file gave. Zeroed before, wiped after. */
struct try_answer {
	enum chan_try_outcome outcome;
	bool has_ids;
	uint32_t uid, gid;
	char text[240];
	char name[USER_NAME_MAX + 1];
	char home[CHAN_TRY_PATH_MAX + 1], mail[CHAN_TRY_PATH_MAX + 1];
	char extra[CHAN_TRY_EXTRA_MAX + 1];
	struct passwd_hash_keys keys; /* iter 0: none */
	bool is_clean; /* OK, and judging it has left no secret behind */
};

/* Judges `w` by the passwd-file open at `fd`; salts are made with the key. */
void try_passwd_file(int fd, const uint64_t salt_key[2],
    const struct chan_try_work *w, struct try_answer *a);
/* Asks the name service who the user is. */
void try_lookup(const char *name, struct try_answer *a);

#endif
