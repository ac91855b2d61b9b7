/* SPDX-License-Identifier: ISC */
/* shed_test.c - children see what the parent says, and can not say it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "login/shed.h"

static struct addr
ip4(uint8_t last)
{
	return (struct addr){.n = 4, .ip = {192, 0, 2, last}};
}

static struct addr
ip6(uint8_t net, uint8_t last)
{
	struct addr a = {.n = 16, .ip = {0x20, 1, 0xd, 0xb8}};

	a.ip[7] = net;
	a.ip[15] = last;
	return a;
}

/* What a child that is there already says of it. */
static bool
child_has(const struct shed *s, struct addr a)
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0)
		_exit(shed_has(s, &a) ? 1 : 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status) == 1;
}

static void
test_block(UNUSED void **state)
{
	struct addr block = ip4(7), six = ip6(1, 1), six_block;
	static struct shed *s; /* as in the parent, until the end */
	struct err e;

	assert_int_equal(shed_new(&s, &e), 0);
	assert_false(child_has(s, ip4(7)));
	assert_false(shed_has(NULL, &block));
	shed_set(s, &block);
	assert_true(child_has(s, ip4(7)));
	assert_false(child_has(s, ip4(8)));
	assert_false(child_has(s, ip6(1, 1)));
	addr_block(&six, &six_block);
	shed_set(s, &six_block);
	assert_true(child_has(s, ip6(1, 99)));
	assert_false(child_has(s, ip6(2, 1)));
	assert_false(child_has(s, ip4(7)));
	shed_set(s, NULL);
	assert_false(child_has(s, ip6(1, 1)));
}

/* Both mappings are the only ones of the file's name in a child's list. */
static void
test_children_can_not_write(UNUSED void **state)
{
	static struct shed *s; /* as in the parent, until the end */
	struct err e;
	pid_t pid;
	int status;

	assert_int_equal(shed_new(&s, &e), 0);
	pid = fork();
	if (pid == 0) {
		char line[512], perms[8];
		unsigned long from, to;
		int n = 0;
		FILE *f = fopen("/proc/self/maps", "re");

		while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
			if (strstr(line, "memfd:shed") == NULL ||
			    sscanf(line, "%lx-%lx %7s", &from, &to, perms) != 3)
				continue;
			n++;
			if (perms[1] != '-' ||
			    mprotect((void *)from, to - from,
				PROT_READ | PROT_WRITE) != -1)
				_exit(2);
		}
		_exit(n == 1 || n == 2 ? 0 : 3);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_block),
	    cmocka_unit_test(test_children_can_not_write),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
