/* SPDX-License-Identifier: ISC */
/*
 * pressure.c - has the machine enough to do already?
 *
 * Owns:    nothing.
 * Runs in: imapd.
 * Trusts:  the kernel; what it does not tell is no pressure.
 */
#include "os/pressure.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "base/num.h"
#include "base/str.h"

#define MEMINFO "/proc/meminfo"

bool
pressure_parse_meminfo(struct str text, uint64_t *bytes)
{
	struct str line, name, number;
	uint64_t kib;

	while (str_next(&text, '\n', &line)) {
		if (!str_cut(&line, ':', &name) ||
		    !str_eq(name, STR("MemAvailable")))
			continue;
		line = str_trim(line);
		(void)str_cut(&line, ' ', &number);
		if (!num_parse_u64(number, 0, UINT64_MAX / 1024, &kib))
			return false;
		*bytes = kib * 1024;
		return true;
	}
	return false;
}

static bool
memory_is_short(uint64_t least)
{
	char text[4096];
	uint64_t available;
	int fd = open(MEMINFO, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd == -1)
		return false;
	n = read(fd, text, sizeof(text));
	(void)close(fd);
	return n > 0 &&
	    pressure_parse_meminfo(str_make(text, (size_t)n), &available) &&
	    available < least;
}

static bool
load_is_high(uint32_t percent)
{
	struct sysinfo info;
	cpu_set_t cpus;
	int n = 1;

	if (sysinfo(&info) == -1)
		return false;
	if (sched_getaffinity(0, sizeof(cpus), &cpus) == 0)
		n = CPU_COUNT(&cpus);
	return (uint64_t)info.loads[0] * 100 >
	    ((uint64_t)percent * (uint64_t)n << SI_LOAD_SHIFT);
}

bool
pressure_is_high(uint32_t load_percent, uint64_t memory_bytes)
{
	return (load_percent > 0 && load_is_high(load_percent)) ||
	    (memory_bytes > 0 && memory_is_short(memory_bytes));
}
