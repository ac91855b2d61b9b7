/* SPDX-License-Identifier: ISC */
/* param.h - a value with parameters: Content-Type, Content-Disposition. */
#ifndef MIME_PARAM_H
#define MIME_PARAM_H

#include "mime/part.h"

/*
 * Parses RFC 2045: content, without its type: `value` is what stands before
 * the first ";", without comments, and `params` what follows. `s` is unfolded.
 * Continuations (RFC 2231 section 3) are joined, as section 6 asks of IMAP
 * servers: name*0, name*1 become name; when one is extended (name*0*) all
 * become name* in its percent form. At most *max parameters are taken, which
 * is then less by as many.
 */
void param_parse(struct arena *a, struct str s, uint32_t *max,
    struct str *value, struct mime_param **params);
/* Splits "text/plain" at its slash; false when it is not of that form. */
bool param_split_type(struct str value, struct str *type, struct str *subtype);
/* The first parameter of that name; false when there is none. */
bool param_find(
    const struct mime_param *params, const char *name, struct str *value);
/*
 * A parameter's text as UTF-8: name* in its charset (RFC 2231 section 4),
 * or name with encoded words. False when there is neither.
 */
bool param_decode(struct arena *a, const struct mime_param *params,
    const char *name, struct str *text);

#endif
