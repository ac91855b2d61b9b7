/* SPDX-License-Identifier: ISC */
/*
 * settings.h - what authd, the spawner and its children are told.
 *
 * From the configuration (restante.conf(5)), lists with one line per value:
 *	auth, auth_failure_delay, auth_mechanisms, auth_penalty,
 *	auth_username_chars, auth_username_lowercase, allow_plaintext_auth,
 *	pop3_folder_separator, first_valid_uid, last_valid_uid, first_valid_gid, last_valid_gid,
 *	pam_service, pam_session, passwd_file; those which may differ per
 *	service also as "imap:name" and "pop3:name".
 *
 * From master itself (ipc/child.h): role, self_uid, pass_uid, pass_gid,
 * salt_key. Where the uid is absent master is not root, and nobody changes uid.
 */
#ifndef AUTH_SETTINGS_H
#define AUTH_SETTINGS_H

#include <sys/types.h>

#include "base/err.h"
#include "base/str.h"
#include "ipc/chan_auth.h"
#include "ipc/chan_try.h"
#include "ipc/child.h"

#define AUTH_SOURCES_MAX 4

struct auth_settings {
	bool is_spawner, unprivileged;
	uid_t pass_sysuid; /* spawner: what passwd-file children become */
	gid_t pass_sysgid;

	enum chan_try_kind sources[AUTH_SOURCES_MAX]; /* in this order */
	size_t n_sources;
	unsigned mechs[3]; /* by service: bits, see auth_settings_has_mech */
	int64_t failure_delay_ms;
	bool penalties;
	bool keep_case;
	const char *name_chars; /* "": the default */
	const char *folder_separator; /* one character, or "" */
	bool allow_plaintext[3]; /* by enum chan_auth_service */
	const char *pam_service[3]; /* "": chosen by protocol */
	bool pam_session;
	const char *passwd_file;
	uint64_t salt_key[2]; /* spawner: for the salts of unknown users */
	uint32_t first_uid, last_uid, first_gid, last_gid; /* last 0: any */
};

/*
 * Texts are borrowed from `c` for the life of *out. ERR_UNSUPPORTED: nothing
 * in `auth` can work here, with words for the administrator.
 */
int auth_settings_read(
    const struct child_settings *c, struct auth_settings *out, struct err *e);
bool auth_settings_has_mech(const struct auth_settings *s,
    enum chan_auth_service service, struct str mech);
/* The name of a service as PAM and the log know it. */
const char *auth_settings_service(enum chan_auth_service service);

#endif
