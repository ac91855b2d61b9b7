/* SPDX-License-Identifier: ISC */
/*
 * sanitize.c - linked into the programs of a sanitizer build alone. They are
 * confined, and LeakSanitizer needs to trace its own process when that ends;
 * leaks are looked for in the unit tests.
 *
 * Owns:    nothing.
 * Runs in: sanitizer builds.
 * Trusts:  nothing.
 */
const char *__asan_default_options(void);

const char *
__asan_default_options(void)
{
	return "detect_leaks=0";
}
