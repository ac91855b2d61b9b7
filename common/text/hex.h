/* SPDX-License-Identifier: ISC */
/* hex.h - bytes as pairs of hexadecimal digits. */
#ifndef TEXT_HEX_H
#define TEXT_HEX_H

#include "base/buf.h"

/* Appends two lower-case digits for each byte. */
bool hex_encode(struct buf *out, struct str in);
/* The same into `out`, which has room for 2 * in.n + 1; ends with NUL. */
void hex_write(struct str in, char *out);
/* Appends the bytes; false, with `out` as it was, when `in` is not hex. */
bool hex_decode(struct buf *out, struct str in);

#endif
