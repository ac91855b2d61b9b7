/* SPDX-License-Identifier: ISC */
/*
 * charset.h - text in any charset of mail to UTF-8.
 *
 * Bytes that mean nothing become U+FFFD. Names are those of the C library's
 * iconv plus what mail programs call them. The C library loads a small module
 * per charset from disk at first use: a confined process must be able to read
 * them (charset_module_dir).
 */
#ifndef TEXT_CHARSET_H
#define TEXT_CHARSET_H

#include "base/buf.h"

#define CHARSET_NAME_MAX 40

/* True when text in it can be converted. Any case. */
bool charset_is_known(struct str name);

struct charset;

/* NULL when the charset is unknown. */
struct charset *charset_open(struct str name);
void charset_close(struct charset **c);
/*
 * Converts `in` and appends to `out`. Characters may be torn between calls.
 * False when `out` is full; what did fit is there.
 */
bool charset_feed(struct charset *c, struct str in, struct buf *out);
/* The end of the text: a torn character becomes U+FFFD. */
bool charset_finish(struct charset *c, struct buf *out);

/*
 * A whole text at once. An unknown charset: ASCII and valid UTF-8 stay, the
 * rest becomes U+FFFD. False when the charset is unknown or `out` is full.
 */
bool charset_to_utf8(struct str name, struct str in, struct buf *out);

/* Where iconv keeps its modules on this system; NULL when there are none. */
const char *charset_module_dir(void);

#endif
