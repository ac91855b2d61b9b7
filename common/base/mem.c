/* SPDX-License-Identifier: ISC */
/*
 * mem.c - allocation that never fails quietly.
 *
 * Owns:    nothing.
 * Runs in: every process.
 * Trusts:  callers to have limited sizes that others chose.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static NORETURN void
out_of_memory(void)
{
	static const char text[] = "fatal: out of memory\n";

	(void)!fwrite(text, 1, sizeof(text) - 1, stderr);
	_Exit(71);
}

void *
mem_new(size_t n, size_t size)
{
	void *p = calloc(n ? n : 1, size ? size : 1);

	if (p == NULL)
		out_of_memory();
	return p;
}

void *
mem_resize(void *p, size_t n, size_t size)
{
	if (n == 0 || size == 0)
		n = size = 1;
	p = reallocarray(p, n, size);
	if (p == NULL)
		out_of_memory();
	return p;
}

char *
mem_dup(const void *p, size_t n)
{
	char *copy = malloc(n + 1);

	if (copy == NULL)
		out_of_memory();
	if (n > 0)
		memcpy(copy, p, n);
	copy[n] = '\0';
	return copy;
}

char *
mem_strdup(const char *s)
{
	return mem_dup(s, strlen(s));
}

void
mem_free_at(void *pp)
{
	void *p;

	memcpy(&p, pp, sizeof(p));
	free(p);
	p = NULL;
	memcpy(pp, &p, sizeof(p));
}
