/* SPDX-License-Identifier: ISC */
/*
 * pam.h - one attempt through PAM, and the session behind it.
 *
 *	pam_try_begin --OK--> pam_try_open_session --> pam_try_close_session
 *	              --any-----------------------------> pam_try_end
 */
#ifndef AUTH_PAM_H
#define AUTH_PAM_H

#include "base/bounds.h"
#include "base/err.h"
#include "ipc/chan_try.h"

struct pam_try;

struct pam_try_request {
	const char *service; /* file in /etc/pam.d */
	const char *name, *password, *rhost;
};

/*
 * Authenticates and asks whether the account may be used. Answers an outcome;
 * `text` says why for the log. *user is the canonical name when OK, borrowed
 * until pam_try_end(). *out is NULL when PAM could not even be started.
 */
enum chan_try_outcome pam_try_begin(const struct pam_try_request *r,
    struct pam_try **out, const char **user, char *text, size_t text_size);
void pam_try_end(struct pam_try **tp);

/* setcred and open_session, as root; the groups are set up by the caller. */
int pam_try_open_session(struct pam_try *t, struct err *e);
void pam_try_close_session(struct pam_try *t);

/*
 * The service file to use: `setting` if not empty, else the protocol's name,
 * or "restante" where `dir` has no file of that name (PAM by itself would take
 * "other"). False for a name that is no file name.
 */
bool pam_try_service(const char *dir, const char *setting, const char *service,
    char *out, size_t out_size);

#endif
