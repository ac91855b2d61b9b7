/* SPDX-License-Identifier: ISC */
/*
 * lean.c - what of the libraries a login worker does without. Of its CPU a
 * third is the kernel's for copying and ending some seventy mappings, and two
 * in seven are of use to nobody after the start.
 *
 * Owns:    which of the parent's mappings its children get.
 * Runs in: login parent, before the first fork.
 * Trusts:  the loader.
 */
#include <link.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "login/lean.h"

#include "base/str.h"

/* Its reports look into all there is. */
#ifdef RESTANTE_SANITIZE
#define SANITIZED true
#else
#define SANITIZED false
#endif

/*
 * Names in other alphabets, of peers whose certificates we would check, and
 * modules of tokens: GnuTLS needs them, a server without either does not call
 * them. A worker that did would die, and the next ones would have them again.
 */
static const char *const unused[] = {
    "/libidn2.so.", "/libunistring.so.", "/libffi.so."};
/* Their tables serve dladdr() and what is found by name at run time. */
static const char *const kept[] = {
    "/libc.so.", "/ld-linux", "/ld64.so.", "/libgcc_s.so."};
/* What it names may look for others' names whenever it is called. */
#define PRELOAD_FILE "/etc/ld.so.preload"

static bool
is_one_of(struct str path, const char *const *names, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (str_find_str(path, str_of(names[i])) != path.n)
			return true;
	return false;
}

bool
lean_is_tables(const ElfW(Phdr) * ph, size_t n, size_t i)
{
	/* Neither code nor data. */
	if (ph[i].p_type != PT_LOAD || ph[i].p_offset != 0 ||
	    ph[i].p_flags != PF_R)
		return false;
	/* Constants stand beside the unwinder's table: lld, and GNU ld with
	 * --rosegment, put both into this very segment. */
	for (size_t j = 0; j < n; j++)
		if (ph[j].p_type == PT_GNU_EH_FRAME)
			return ph[j].p_vaddr < ph[i].p_vaddr ||
			    ph[j].p_vaddr - ph[i].p_vaddr >= ph[i].p_memsz;
	return false;
}

static unsigned n_left_out;

static unsigned
advise(const struct dl_phdr_info *info, const ElfW(Phdr) * ph, int advice)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	uintptr_t from = (info->dlpi_addr + ph->p_vaddr) & ~(page - 1);
	uintptr_t to =
	    (info->dlpi_addr + ph->p_vaddr + ph->p_memsz + page - 1) &
	    ~(page - 1);

	return madvise((void *)from, to - from, advice) == 0;
}

static int
look_at(struct dl_phdr_info *info, UNUSED size_t size, void *arg)
{
	struct str path = str_of(info->dlpi_name);
	int advice = *(const int *)arg;
	bool whole;

	/* Neither the program itself nor the kernel's page. */
	if (str_find(path, '/') == path.n ||
	    is_one_of(path, kept, ARRAY_LEN(kept)))
		return 0;
	whole = is_one_of(path, unused, ARRAY_LEN(unused));
	for (size_t i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *ph = &info->dlpi_phdr[i];

		if (ph->p_type == PT_LOAD &&
		    (whole ||
			lean_is_tables(info->dlpi_phdr, info->dlpi_phnum, i)))
			n_left_out += advise(info, ph, advice);
	}
	return 0;
}

unsigned
lean_forks(void)
{
	int advice = MADV_DONTFORK;

	if (!SANITIZED && getenv("LD_BIND_NOW") != NULL &&
	    access(PRELOAD_FILE, F_OK) == -1)
		(void)dl_iterate_phdr(look_at, &advice);
	return n_left_out;
}

unsigned
lean_undo(void)
{
	int advice = MADV_DOFORK;
	unsigned n;

	if (n_left_out == 0)
		return 0;
	n_left_out = 0;
	(void)dl_iterate_phdr(look_at, &advice);
	n = n_left_out;
	n_left_out = 0;
	return n;
}
