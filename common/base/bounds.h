/* SPDX-License-Identifier: ISC */
/*
 * bounds.h - every limit that protects a process, as a named number.
 * Settings may lower or raise some of them; these are the defaults.
 */
#ifndef BASE_BOUNDS_H
#define BASE_BOUNDS_H

/* Between processes */
#define MSG_MAX_BYTES (128 * 1024)
#define MSG_MAX_FDS 16
#define GRANT_LIFE_MS 15000
#define HANDOFF_WAIT_MS 10000

/* Before login */
#define PREAUTH_LINE_MAX 8192
#define PREAUTH_LITERAL_SUM_MAX 1024
#define PREAUTH_NESTING_MAX 8
#define PREAUTH_LOGIN_FAILURES_MAX 3
#define PREAUTH_TIME_S 60 /* login_timeout's default */
#define TLS_HANDSHAKE_TIME_MS 15000
#define SASL_BYTES_MAX 8192
#define USER_NAME_MAX 255
#define PASSWORD_MAX 1024

/* After login */
#define IMAP_LINE_MAX (64 * 1024)
#define IMAP_NESTING_MAX 32
#define IMAP_SET_RANGES_MAX 10000
#define IMAP_ARGS_MAX 100000
#define IMAP_LITERAL_MAX (1024 * 1024) /* in memory, not APPEND */
#define IMAP_APPEND_MAX (UINT64_C(100) * 1024 * 1024)
#define IMAP_IDLE_S (30 * 60)
#define PROGRESS_S 12 /* RFC 9585: every 10 to 15 seconds */
#define FETCH_CACHE_S 15. /* a message read in pieces stays open */
#define POP3_LINE_MAX 512
#define POP3_IDLE_S (10 * 60)
#define KEYWORD_MAX_BYTES 255
#define MAILBOX_NAME_MAX_BYTES 1000
#define ACL_ID_MAX_BYTES 300 /* a user's name, and what stands before it */
#define ACL_ENTRIES_MAX 1000
#define ACL_FILE_MAX (512 * 1024)

/* Messages */
#define MIME_DEPTH_MAX 100
#define MIME_PARTS_MAX 10000
#define UNPACKED_MAX (UINT64_C(256) * 1024 * 1024) /* one stored compressed */
#define MIME_HEADER_BLOCK_MAX (10 * 1024 * 1024)
#define MIME_HEADER_FIELD_MAX (64 * 1024)
#define MIME_ADDRESSES_MAX 10000
#define MIME_PARAMS_MAX 100

#endif
