/* SPDX-License-Identifier: ISC */
/* lean_test.c - which segments of a library hold its tables alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "login/lean.h"

#include "base/base.h"

/* As GNU ld has it: tables, code, constants, data. */
static const ElfW(Phdr) gnu[] = {
    {.p_type = PT_LOAD, .p_flags = PF_R, .p_memsz = 0x1800},
    {.p_type = PT_LOAD,
	.p_flags = PF_R | PF_X,
	.p_offset = 0x2000,
	.p_vaddr = 0x2000,
	.p_memsz = 0x5000},
    {.p_type = PT_LOAD,
	.p_flags = PF_R,
	.p_offset = 0x7000,
	.p_vaddr = 0x7000,
	.p_memsz = 0x2000},
    {.p_type = PT_LOAD,
	.p_flags = PF_R | PF_W,
	.p_offset = 0x9000,
	.p_vaddr = 0xa000,
	.p_memsz = 0x800},
    {.p_type = PT_GNU_EH_FRAME,
	.p_flags = PF_R,
	.p_offset = 0x7100,
	.p_vaddr = 0x7100,
	.p_memsz = 0x40},
};

/* As lld has it: tables and constants, code, data. */
static const ElfW(Phdr) lld[] = {
    {.p_type = PT_LOAD, .p_flags = PF_R, .p_memsz = 0x1800},
    {.p_type = PT_LOAD,
	.p_flags = PF_R | PF_X,
	.p_offset = 0x1800,
	.p_vaddr = 0x2800,
	.p_memsz = 0x5000},
    {.p_type = PT_LOAD,
	.p_flags = PF_R | PF_W,
	.p_offset = 0x6800,
	.p_vaddr = 0x8800,
	.p_memsz = 0x800},
    {.p_type = PT_GNU_EH_FRAME,
	.p_flags = PF_R,
	.p_offset = 0x1700,
	.p_vaddr = 0x1700,
	.p_memsz = 0x40},
};

/* As old ones have it: all that is not written to lies together. */
static const ElfW(Phdr) old[] = {
    {.p_type = PT_LOAD, .p_flags = PF_R | PF_X, .p_memsz = 0x5000},
    {.p_type = PT_LOAD,
	.p_flags = PF_R | PF_W,
	.p_offset = 0x5000,
	.p_vaddr = 0x6000,
	.p_memsz = 0x800},
    {.p_type = PT_GNU_EH_FRAME, .p_vaddr = 0x4000, .p_memsz = 0x40},
};

/* Code beside the tables; constants and the unwinder's table elsewhere. */
static const ElfW(Phdr) mixed[] = {
    {.p_type = PT_LOAD, .p_flags = PF_R | PF_X, .p_memsz = 0x5000},
    {.p_type = PT_LOAD,
	.p_flags = PF_R,
	.p_offset = 0x5000,
	.p_vaddr = 0x5000,
	.p_memsz = 0x2000},
    {.p_type = PT_GNU_EH_FRAME, .p_vaddr = 0x5100, .p_memsz = 0x40},
};

static void
test_tables(UNUSED void **state)
{
	assert_true(lean_is_tables(gnu, ARRAY_LEN(gnu), 0));
	for (size_t i = 1; i < ARRAY_LEN(gnu); i++)
		assert_false(lean_is_tables(gnu, ARRAY_LEN(gnu), i));
	for (size_t i = 0; i < ARRAY_LEN(lld); i++)
		assert_false(lean_is_tables(lld, ARRAY_LEN(lld), i));
	for (size_t i = 0; i < ARRAY_LEN(old); i++)
		assert_false(lean_is_tables(old, ARRAY_LEN(old), i));
	for (size_t i = 0; i < ARRAY_LEN(mixed); i++)
		assert_false(lean_is_tables(mixed, ARRAY_LEN(mixed), i));
	/* Without the unwinder's table nobody knows. */
	assert_false(lean_is_tables(gnu, ARRAY_LEN(gnu) - 1, 0));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_tables)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
