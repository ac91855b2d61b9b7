/* SPDX-License-Identifier: ISC */
/*
 * shed.c - one word from the parent to all its workers.
 *
 * Owns:    a page: the parent can write it through a mapping that no child
 *          gets; the one that children get is sealed against writing.
 * Runs in: login parent and workers.
 * Trusts:  workers believe their parent; it reads nothing back.
 */
#include <fcntl.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/mem.h"
#include "login/shed.h"
#include "os/fd.h"

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif

/* `version` is odd while the parent writes; 0 bytes of address: none. */
struct page {
	atomic_uint version;
	uint8_t n;
	uint8_t ip[16];
};

struct shed {
	struct page *to; /* in the parent alone */
	const struct page *from;
};

static int
map_both(struct shed *s, int fd, struct err *e)
{
	void *to, *from;

	if (ftruncate(fd, sizeof(struct page)) == -1)
		return err_sys(e, "ftruncate");
	to = mmap(NULL, sizeof(struct page), PROT_READ | PROT_WRITE, MAP_SHARED,
	    fd, 0);
	if (to == MAP_FAILED)
		return err_sys(e, "mmap");
	s->to = to;
	if (madvise(to, sizeof(struct page), MADV_DONTFORK) == -1)
		return err_sys(e, "madvise");
	if (fcntl(fd, F_ADD_SEALS,
		F_SEAL_FUTURE_WRITE | F_SEAL_SHRINK | F_SEAL_GROW |
		    F_SEAL_SEAL) == -1)
		return err_sys(e, "seal");
	from = mmap(NULL, sizeof(struct page), PROT_READ, MAP_SHARED, fd, 0);
	if (from == MAP_FAILED)
		return err_sys(e, "mmap");
	s->from = from;
	return 0;
}

int
shed_new(struct shed **out, struct err *e)
{
	struct shed *s;
	int fd = memfd_create("shed", MFD_CLOEXEC | MFD_ALLOW_SEALING), rc;

	if (fd == -1)
		return err_sys(e, "memfd_create");
	s = mem_new(1, sizeof(*s));
	rc = map_both(s, fd, e);
	fd_close(&fd);
	if (rc == 0) {
		*out = s;
		return 0;
	}
	if (s->to != NULL)
		(void)munmap(s->to, sizeof(struct page));
	MEM_FREE(s);
	return -1;
}

void
shed_set(struct shed *s, const struct addr *block)
{
	struct page *p = s->to;
	uint8_t n = block != NULL ? (uint8_t)block->n : 0;

	if (n == p->n && (n == 0 || memcmp(p->ip, block->ip, n) == 0))
		return;
	(void)atomic_fetch_add(&p->version, 1);
	p->n = n;
	if (n > 0)
		memcpy(p->ip, block->ip, n);
	(void)atomic_fetch_add(&p->version, 1);
}

bool
shed_has(const struct shed *s, const struct addr *peer)
{
	struct addr block = {0};
	unsigned version;
	bool is_it;

	if (s == NULL || s->from->n == 0)
		return false;
	addr_block(peer, &block);
	version = atomic_load(&s->from->version);
	is_it = s->from->n != 0 && s->from->n == block.n &&
	    memcmp(s->from->ip, block.ip, block.n) == 0;
	/* Changed meanwhile: whoever it is now, it is not this one's turn. */
	return is_it && version % 2 == 0 &&
	    atomic_load(&s->from->version) == version;
}
