/* SPDX-License-Identifier: ISC */
/*
 * search_arg.h - the arguments of SEARCH as a query (RFC 3501 section 6.4.4,
 * RFC 5032, RFC 4466: search-program).
 */
#ifndef IMAPD_SEARCH_ARG_H
#define IMAPD_SEARCH_ARG_H

#include "imapd/command.h"
#include "search/query.h"

enum search_arg_result {
	SEARCH_ARG_OK,
	SEARCH_ARG_SYNTAX, /* answer BAD */
	SEARCH_ARG_CHARSET, /* answer NO [BADCHARSET ...] */
	SEARCH_ARG_NUMBERS, /* answer BAD [UIDREQUIRED] */
};

/*
 * [CHARSET x] and the keys, from *a on, which is moved behind them. The query
 * lives in the command's arena; after SEARCH_ARG_OK call query_done on it. With
 * no mailbox selected it is good for nothing but to judge the grammar.
 */
enum search_arg_result search_arg_parse(
    struct cmd *c, const struct imap_arg **a, struct query **out);
/* The same where the charset must be given, without the word (RFC 5256). */
enum search_arg_result search_arg_parse_charset(
    struct cmd *c, const struct imap_arg **a, struct query **out);

#endif
