/* SPDX-License-Identifier: ISC */
/*
 * base.h - what every file may use: attributes, small macros, the three
 * shapes in which functions answer (style: bool, int with struct err, step).
 */
#ifndef BASE_BASE_H
#define BASE_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))
#define NORETURN __attribute__((noreturn))
#define UNUSED __attribute__((unused))
/* A large scratch array that is always written before it is read. */
#define UNINITIALIZED __attribute__((uninitialized))
#define MUST_USE __attribute__((warn_unused_result))

/* The struct of type `type` whose member `member` is at `ptr`. */
#define CONTAINER_OF(ptr, type, member)                                        \
	((type *)(void *)((char *)(ptr)-offsetof(type, member)))

/*
 * What a function says that works in small steps, so that no connection
 * holds up another one of the same process.
 */
enum step {
	STEP_DONE, /* finished */
	STEP_MORE, /* call again: when there is input, room, or just later */
	STEP_FAIL, /* failed, the reason is in struct err */
};

#endif
