/* SPDX-License-Identifier: ISC */
/* sandbox_impl.h - the parts of a sandbox, for sandbox.c alone. */
#ifndef OS_SANDBOX_IMPL_H
#define OS_SANDBOX_IMPL_H

#include "base/err.h"
#include "os/sandbox.h"

struct sock_filter;

/* A compiled system call filter. */
struct seccomp_program {
	struct sock_filter *code;
	unsigned short n;
};
int seccomp_build(enum sandbox_profile profile, bool trap,
    struct seccomp_program *out, struct err *e);
/* As seccomp_build, with this number in the place of the process's own. */
#define SECCOMP_ANY_PID 0x5ec0de1d
int seccomp_build_for_any(
    enum sandbox_profile profile, struct seccomp_program *out, struct err *e);
/* A hash of what the profile's filter is made from. */
uint64_t seccomp_tag(enum sandbox_profile profile);
/* A program that sandbox_filter_text has written; false: of other rules. */
bool sandbox_filter_parse(const char *text, enum sandbox_profile profile,
    struct seccomp_program *out);
int seccomp_enter(const struct seccomp_program *p, bool trap, struct err *e);

/* Denies everything but `paths`. *ok: false when the kernel can not. */
int landlock_enter(const struct sandbox_path *paths, size_t n_paths,
    bool scope_signals, int *abi, bool *ok, struct err *e);

#endif
