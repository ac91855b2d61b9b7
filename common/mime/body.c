/* SPDX-License-Identifier: ISC */
/*
 * body.c - the text of one part as it is meant.
 *
 * Owns:    struct body_decoder.
 * Runs in: imapd sessions (SEARCH, BINARY, PREVIEW).
 * Trusts:  nothing; every byte sequence decodes to something.
 * Spec:    RFC 2045 section 6, RFC 2046 section 4.1.2.
 */
#include "mime/body.h"

#include "base/mem.h"
#include "mime/param.h"
#include "text/base64.h"
#include "text/charset.h"
#include "text/qp.h"

#define PIECE 4096

struct body_decoder {
	enum body_encoding encoding;
	struct charset *charset; /* NULL: bytes are wanted */
	struct base64_decoder base64;
	struct qp_decoder qp;
};

enum body_encoding
body_encoding_of(const struct part *part)
{
	static const struct {
		struct str name;
		enum body_encoding encoding;
	} names[] = {
	    {STR_LIT("7bit"), BODY_IDENTITY},
	    {STR_LIT("8bit"), BODY_IDENTITY},
	    {STR_LIT("binary"), BODY_IDENTITY},
	    {STR_LIT("quoted-printable"), BODY_QUOTED_PRINTABLE},
	    {STR_LIT("base64"), BODY_BASE64},
	};
	size_t i;

	for (i = 0; i < ARRAY_LEN(names); i++)
		if (str_eq_nocase(part->encoding, names[i].name))
			return names[i].encoding;
	return BODY_UNKNOWN;
}

struct body_decoder *
body_decoder_new(const struct part *part, enum body_form form)
{
	struct body_decoder *d = mem_new(1, sizeof(*d));
	struct str charset = STR("utf-8");

	d->encoding = body_encoding_of(part);
	if (form != BODY_TEXT)
		return d;
	(void)param_find(part->params, "charset", &charset);
	d->charset = charset_open(charset);
	if (d->charset == NULL)
		d->charset = charset_open(STR("utf-8"));
	return d;
}

void
body_decoder_free(struct body_decoder **d)
{
	if (*d == NULL)
		return;
	charset_close(&(*d)->charset);
	MEM_FREE(*d);
}

static bool
give_out(struct body_decoder *d, struct str bytes, struct buf *out)
{
	if (d->charset != NULL)
		return charset_feed(d->charset, bytes, out);
	return buf_add_str(out, bytes);
}

bool
body_decoder_feed(struct body_decoder *d, struct str stored, struct buf *out)
{
	char decoded[QP_DECODED_MAX(PIECE)];
	struct str piece;
	size_t n;

	if (d->encoding == BODY_IDENTITY || d->encoding == BODY_UNKNOWN)
		return give_out(d, stored, out);
	while (stored.n > 0) {
		piece = str_head(stored, PIECE);
		stored = str_skip(stored, PIECE);
		if (d->encoding == BODY_BASE64)
			n = base64_feed(&d->base64, piece, decoded);
		else
			n = qp_feed(&d->qp, piece, decoded);
		if (!give_out(d, str_make(decoded, n), out))
			return false;
	}
	return true;
}

bool
body_decoder_finish(struct body_decoder *d, struct buf *out)
{
	char decoded[3];
	size_t n = 0;

	if (d->encoding == BODY_BASE64)
		n = base64_finish(&d->base64, decoded);
	else if (d->encoding == BODY_QUOTED_PRINTABLE)
		n = qp_finish(&d->qp, decoded);
	if (!give_out(d, str_make(decoded, n), out))
		return false;
	return d->charset == NULL || charset_finish(d->charset, out);
}

bool
body_decoder_is_bad(const struct body_decoder *d)
{
	return d->base64.is_bad || d->qp.is_bad;
}
