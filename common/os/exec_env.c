/* SPDX-License-Identifier: ISC */
/*
 * exec_env.c - what a program need not find out at each of its starts. libnettle
 * asks the processor what it is, and below a hypervisor each such question is a
 * trap of microseconds.
 *
 * Owns:    nothing.
 * Runs in: master.
 * Trusts:  the processor.
 */
#include <nettle/version.h>
#include <stdbool.h>
#include <stdio.h>

#include "os/exec_env.h"

#include "base/base.h"

#if defined(__x86_64__) && NETTLE_VERSION_MAJOR == 3 &&                        \
    NETTLE_VERSION_MINOR >= 7 && NETTLE_VERSION_MINOR <= 10
#include <cpuid.h>

#define AESNI (1U << 25)
#define PCLMUL (1U << 1)
#define SHA_NI (1U << 29)

bool
exec_env_nettle(char *out, size_t size)
{
	unsigned a, b, c, d, sha = 0;
	bool intel;
	int n;

	if (__get_cpuid(0, &a, &b, &c, &d) == 0)
		return false;
	intel = b == signature_INTEL_ebx && d == signature_INTEL_edx &&
	    c == signature_INTEL_ecx;
	if (__get_cpuid_count(7, 0, &a, &b, &c, &d) != 0)
		sha = b & SHA_NI;
	if (__get_cpuid(1, &a, &b, &c, &d) == 0)
		return false;
	n = snprintf(out, size, "NETTLE_FAT_OVERRIDE=vendor:%s%s%s%s",
	    intel ? "intel" : "amd", (c & AESNI) != 0 ? ",aesni" : "",
	    (c & PCLMUL) != 0 ? ",pclmul" : "", sha != 0 ? ",sha_ni" : "");
	return n > 0 && (size_t)n < size;
}

#else

bool
exec_env_nettle(UNUSED char *out, UNUSED size_t size)
{
	return false;
}

#endif
