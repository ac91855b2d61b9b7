/* SPDX-License-Identifier: ISC */
/*
 * pam.c - one attempt through PAM, and the session behind it.
 *
 * Owns:    struct pam_try: the PAM handle, a copy of the password until the
 *          answer is known.
 * Runs in: an auth child, as root; nothing else happens in that process.
 * Trusts:  PAM's modules, which the administrator chose. Not that they ask only
 *          what we expect: what is not a name or a password is an error.
 */
#include <security/pam_appl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "auth/pam.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/secret.h"

#define PROMPTS_MAX 8
#define MESSAGES_MAX 32

struct pam_try {
	pam_handle_t *pam;
	int last; /* what PAM said last, for pam_end */
	struct secret password;
	const char *name;
	unsigned prompts, messages;
};

/* ---- the conversation ---- */

static char *
answer_to(struct pam_try *t, const struct pam_message *m)
{
	switch (m->msg_style) {
	case PAM_PROMPT_ECHO_OFF:
		/* Asked twice it would be a change of password or a token. */
		if (t->prompts++ > 0 || t->password.p == NULL)
			return NULL;
		return strdup(t->password.p);
	case PAM_PROMPT_ECHO_ON:
		return t->prompts < PROMPTS_MAX ? strdup(t->name) : NULL;
	case PAM_TEXT_INFO:
	case PAM_ERROR_MSG:
		if (t->messages++ < MESSAGES_MAX)
			log_info("pam says user=<%s> text=<%s>", t->name,
			    m->msg == NULL ? "" : m->msg);
		return strdup("");
	default:
		return NULL;
	}
}

static void
drop_answers(struct pam_response *r, int n)
{
	for (int i = 0; i < n; i++)
		if (r[i].resp != NULL) {
			secret_wipe(r[i].resp, strlen(r[i].resp));
			free(r[i].resp);
		}
	free(r);
}

static int
converse(
    int n, const struct pam_message **m, struct pam_response **out, void *arg)
{
	struct pam_try *t = arg;
	struct pam_response *r;

	if (n <= 0 || n > PAM_MAX_NUM_MSG)
		return PAM_CONV_ERR;
	r = calloc((size_t)n, sizeof(*r));
	if (r == NULL)
		return PAM_BUF_ERR;
	for (int i = 0; i < n; i++) {
		r[i].resp = answer_to(t, m[i]);
		if (r[i].resp == NULL) {
			drop_answers(r, n);
			return PAM_CONV_ERR;
		}
	}
	*out = r;
	return PAM_SUCCESS;
}

/* PAM would sleep here; the moment of the answer is authd's business. */
static void
do_not_sleep(UNUSED int status, UNUSED unsigned usec, UNUSED void *arg)
{
}

/* ---- what the answers mean ---- */

static const struct meaning {
	int pam;
	enum chan_try_outcome outcome;
} of_authenticate[] =
    {
	{PAM_SUCCESS, CHAN_TRY_OK},
	{PAM_USER_UNKNOWN, CHAN_TRY_UNKNOWN},
	{PAM_AUTH_ERR, CHAN_TRY_MISMATCH},
	{PAM_CRED_INSUFFICIENT, CHAN_TRY_MISMATCH},
	{PAM_MAXTRIES, CHAN_TRY_MISMATCH},
	{PAM_PERM_DENIED, CHAN_TRY_MISMATCH},
	/* Whether the password was right can not be known from these. */
	{PAM_ACCT_EXPIRED, CHAN_TRY_MISMATCH},
	{PAM_NEW_AUTHTOK_REQD, CHAN_TRY_MISMATCH},
	{PAM_AUTHTOK_EXPIRED, CHAN_TRY_MISMATCH},
},
  of_account[] = {
      {PAM_SUCCESS, CHAN_TRY_OK},
      /* From here on the password was right. */
      {PAM_NEW_AUTHTOK_REQD, CHAN_TRY_EXPIRED},
      {PAM_AUTHTOK_EXPIRED, CHAN_TRY_EXPIRED},
      {PAM_ACCT_EXPIRED, CHAN_TRY_LOCKED},
      {PAM_PERM_DENIED, CHAN_TRY_LOCKED},
      {PAM_AUTH_ERR, CHAN_TRY_LOCKED},
      {PAM_USER_UNKNOWN, CHAN_TRY_LOCKED},
};

static enum chan_try_outcome
meaning_of(const struct meaning *table, size_t n, int pam)
{
	for (size_t i = 0; i < n; i++)
		if (table[i].pam == pam)
			return table[i].outcome;
	return CHAN_TRY_UNAVAILABLE;
}

/* ---- the attempt ---- */

static int
set_items(struct pam_try *t, const struct pam_try_request *r)
{
	union {
		void (*fn)(int, unsigned, void *);
		const void *p;
	} delay = {.fn = do_not_sleep};

	t->last = pam_set_item(t->pam, PAM_RHOST, r->rhost);
	if (t->last == PAM_SUCCESS)
		t->last = pam_set_item(t->pam, PAM_TTY, "restante");
	if (t->last == PAM_SUCCESS)
		t->last = pam_set_item(t->pam, PAM_RUSER, r->name);
#ifdef PAM_FAIL_DELAY
	if (t->last == PAM_SUCCESS)
		t->last = pam_set_item(t->pam, PAM_FAIL_DELAY, delay.p);
#endif
	return t->last;
}

static const char *
canonical_name(struct pam_try *t)
{
	const void *name = NULL;

	t->last = pam_get_item(t->pam, PAM_USER, &name);
	return t->last == PAM_SUCCESS ? name : NULL;
}

static enum chan_try_outcome
run(struct pam_try *t, const char **user, char *text, size_t text_size)
{
	enum chan_try_outcome outcome;
	const char *step = "pam_authenticate";

	t->last =
	    pam_authenticate(t->pam, PAM_SILENT | PAM_DISALLOW_NULL_AUTHTOK);
	outcome =
	    meaning_of(of_authenticate, ARRAY_LEN(of_authenticate), t->last);
	if (outcome == CHAN_TRY_OK) {
		step = "pam_acct_mgmt";
		t->last = pam_acct_mgmt(
		    t->pam, PAM_SILENT | PAM_DISALLOW_NULL_AUTHTOK);
		outcome =
		    meaning_of(of_account, ARRAY_LEN(of_account), t->last);
	}
	if (outcome == CHAN_TRY_OK) {
		step = "PAM_USER";
		*user = canonical_name(t);
		if (*user == NULL || **user == '\0')
			outcome = CHAN_TRY_UNAVAILABLE;
	}
	if (outcome != CHAN_TRY_OK)
		(void)snprintf(text, text_size, "%s: %s", step,
		    pam_strerror(t->pam, t->last));
	return outcome;
}

enum chan_try_outcome
pam_try_begin(const struct pam_try_request *r, struct pam_try **out,
    const char **user, char *text, size_t text_size)
{
	struct pam_try *t = mem_new(1, sizeof(*t));
	struct pam_conv conv = {converse, t};
	enum chan_try_outcome outcome = CHAN_TRY_UNAVAILABLE;

	*out = NULL;
	t->name = r->name;
	t->last = pam_start(r->service, r->name, &conv, &t->pam);
	if (t->last != PAM_SUCCESS) {
		(void)snprintf(text, text_size, "pam_start(%s): error %d",
		    r->service, t->last);
		MEM_FREE(t);
		return outcome;
	}
	*out = t;
	secret_init(&t->password, str_of(r->password));
	if (set_items(t, r) == PAM_SUCCESS)
		outcome = run(t, user, text, text_size);
	else
		(void)snprintf(text, text_size, "pam_set_item: %s",
		    pam_strerror(t->pam, t->last));
	secret_done(&t->password);
	return outcome;
}

void
pam_try_end(struct pam_try **tp)
{
	struct pam_try *t = *tp;

	if (t == NULL)
		return;
	(void)pam_end(t->pam, t->last);
	MEM_FREE(*tp);
}

/* ---- the session ---- */

int
pam_try_open_session(struct pam_try *t, struct err *e)
{
	t->last = pam_setcred(t->pam, PAM_ESTABLISH_CRED | PAM_SILENT);
	if (t->last != PAM_SUCCESS)
		return err_set(e, ERR_OTHER, "pam_setcred: %s",
		    pam_strerror(t->pam, t->last));
	t->last = pam_open_session(t->pam, PAM_SILENT);
	if (t->last != PAM_SUCCESS) {
		err_set(e, ERR_OTHER, "pam_open_session: %s",
		    pam_strerror(t->pam, t->last));
		(void)pam_setcred(t->pam, PAM_DELETE_CRED | PAM_SILENT);
		return -1;
	}
	return 0;
}

void
pam_try_close_session(struct pam_try *t)
{
	t->last = pam_close_session(t->pam, PAM_SILENT);
	if (t->last != PAM_SUCCESS)
		log_warn(
		    "pam_close_session: %s", pam_strerror(t->pam, t->last));
	t->last = pam_setcred(t->pam, PAM_DELETE_CRED | PAM_SILENT);
}

bool
pam_try_service(const char *dir, const char *setting, const char *service,
    char *out, size_t out_size)
{
	char path[256];
	int n;

	if (setting[0] != '\0')
		n = snprintf(out, out_size, "%s", setting);
	else {
		n = snprintf(path, sizeof(path), "%s/%s", dir, service);
		if (n < 0 || (size_t)n >= sizeof(path))
			return false;
		n = snprintf(out, out_size, "%s",
		    access(path, F_OK) == 0 ? service : "restante");
	}
	return n > 0 && (size_t)n < out_size && strchr(out, '/') == NULL &&
	    out[0] != '.';
}
