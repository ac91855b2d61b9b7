/* SPDX-License-Identifier: ISC */
/*
 * floor.c - what the system alone takes for a row of the bench: the same number
 * of the same system calls and nothing else.
 *
 * Owns:    what it makes below PATH; it removes none of it.
 * Runs in: tests/bench, as the owner of PATH.
 * Trusts:  its command line.
 *
 *	floor [-s] OPERATION PATH COUNT
 *
 * -s: in imapd's sandbox. Prints how many were done and the microseconds of CPU
 * (user and kernel, with children) that they took; preparing them is not in it.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/num.h"
#include "os/sandbox.h"

#define BLOCK 65536
#define MESSAGE 4096

struct job {
	const char *path;
	int dir; /* the folder; -1: PATH is a file */
	size_t count;
	char **names;
	size_t n_names;
};

static char block[BLOCK];

static void
die(const char *what)
{
	perror(what);
	exit(1);
}

/* ---- what is there, what is made ---------------------------------------------- */

static DIR *
open_dir(const struct job *j)
{
	int fd = openat(j->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);

	if (d == NULL)
		die(j->path);
	return d;
}

static void
find_names(struct job *j)
{
	DIR *d = open_dir(j);
	const struct dirent *entry;

	j->names = mem_new(j->count, sizeof(j->names[0]));
	while (j->n_names < j->count && (entry = readdir(d)) != NULL)
		if (entry->d_name[0] != '.')
			j->names[j->n_names++] = mem_strdup(entry->d_name);
	closedir(d);
}

/* Names as long as those of mail. */
static void
make_files(struct job *j)
{
	char name[80];

	for (size_t i = 0; i < j->count; i++) {
		snprintf(name, sizeof(name), "%zu.M%zuP1Q%zu.bench:2,S",
		    1700000000 + i, i * 7919 % 1000000, i);
		int fd = openat(j->dir, name,
		    O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		if (fd < 0 || write(fd, block, MESSAGE) != MESSAGE)
			die(name);
		close(fd);
	}
	find_names(j);
}

static void
make_folder(struct job *j)
{
	make_files(j);
	if (mkdirat(j->dir, ".to", 0700) != 0)
		die(j->path);
}

static void link_files(struct job *j);

/* As after COPY: each has another name, and its removal frees no block. */
static void
make_links(struct job *j)
{
	make_folder(j);
	link_files(j);
}

/* ---- the operations ------------------------------------------------------------ */

static void
list(struct job *j)
{
	DIR *d = open_dir(j);
	size_t n = 0;

	while (readdir(d) != NULL)
		n++;
	closedir(d);
	j->count = n;
}

static void
read_files(struct job *j)
{
	struct stat st;

	for (size_t i = 0; i < j->n_names; i++) {
		int fd = openat(j->dir, j->names[i], O_RDONLY | O_CLOEXEC);
		if (fd < 0 || fstat(fd, &st) != 0)
			die(j->names[i]);
		while (read(fd, block, sizeof(block)) == (ssize_t)sizeof(block))
			continue;
		close(fd);
	}
	j->count = j->n_names;
}

static void
read_blocks(struct job *j)
{
	int fd = open(j->path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		die(j->path);
	for (j->count = 0; read(fd, block, sizeof(block)) > 0; j->count++)
		continue;
	close(fd);
}

static void
rename_files(struct job *j)
{
	char name[300];

	for (size_t i = 0; i < j->n_names; i++) {
		snprintf(name, sizeof(name), "%.250sT", j->names[i]);
		if (renameat(j->dir, j->names[i], j->dir, name) != 0)
			die(name);
	}
}

static void
move_files(struct job *j)
{
	char name[300];

	for (size_t i = 0; i < j->n_names; i++) {
		snprintf(name, sizeof(name), ".to/%.250s", j->names[i]);
		if (renameat(j->dir, j->names[i], j->dir, name) != 0)
			die(name);
	}
}

static void
link_files(struct job *j)
{
	char name[300];

	for (size_t i = 0; i < j->n_names; i++) {
		snprintf(name, sizeof(name), ".to/%.250s", j->names[i]);
		if (linkat(j->dir, j->names[i], j->dir, name, 0) != 0)
			die(name);
	}
}

static void
unlink_files(struct job *j)
{
	for (size_t i = 0; i < j->n_names; i++)
		if (unlinkat(j->dir, j->names[i], 0) != 0)
			die(j->names[i]);
}

static void
deliver(struct job *j)
{
	char name[60];

	for (size_t i = 0; i < j->count; i++) {
		snprintf(name, sizeof(name), "%zu.bench", i);
		int fd = openat(j->dir, ".tmp",
		    O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		if (fd < 0 || write(fd, block, MESSAGE) != MESSAGE ||
		    fdatasync(fd) != 0 ||
		    renameat(j->dir, ".tmp", j->dir, name) != 0)
			die(name);
		close(fd);
	}
}

static void
append(struct job *j)
{
	int fd = openat(
	    j->dir, "mbox", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

	for (size_t i = 0; i < j->count; i++)
		if (fd < 0 || write(fd, block, MESSAGE) != MESSAGE ||
		    fdatasync(fd) != 0)
			die(j->path);
	close(fd);
}

static void
execute(struct job *j)
{
	for (size_t i = 0; i < j->count; i++) {
		pid_t pid = fork();
		if (pid == 0) {
			execl("/proc/self/exe", "floor", (char *)NULL);
			_exit(127);
		}
		if (pid < 0 || waitpid(pid, NULL, 0) != pid)
			die("fork");
	}
}

static const struct operation {
	const char *name;
	void (*prepare)(struct job *j);
	void (*run)(struct job *j);
} operations[] = {
    {"list", NULL, list},
    {"read", find_names, read_files},
    {"scan", NULL, read_blocks},
    {"rename", make_files, rename_files},
    {"move", make_folder, move_files},
    {"link", make_folder, link_files},
    {"unlink", make_links, unlink_files},
    {"deliver", NULL, deliver},
    {"append", NULL, append},
    {"exec", NULL, execute},
};

/* ---- measuring ----------------------------------------------------------------- */

static uint64_t
used_us(void)
{
	struct timespec own;
	struct rusage children;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &own);
	getrusage(RUSAGE_CHILDREN, &children);
	return (uint64_t)own.tv_sec * 1000000 + (uint64_t)own.tv_nsec / 1000 +
	    (uint64_t)(children.ru_utime.tv_sec + children.ru_stime.tv_sec) *
	    1000000 +
	    (uint64_t)(children.ru_utime.tv_usec + children.ru_stime.tv_usec);
}

/* The mail user: what root may is no floor for what he may. */
static void
become_owner(struct job *j)
{
	struct stat st;

	if (stat(j->path, &st) != 0 ||
	    (getuid() == 0 &&
		(setgid(st.st_gid) != 0 || setuid(st.st_uid) != 0)))
		die(j->path);
	j->dir = S_ISDIR(st.st_mode)
	    ? open(j->path, O_PATH | O_DIRECTORY | O_CLOEXEC)
	    : -1;
}

static void
confine(const char *path)
{
	struct sandbox_path allowed = {path, SANDBOX_MAIL, -1};
	struct sandbox s = {
	    .profile = SANDBOX_IMAP, .paths = &allowed, .n_paths = 1};
	struct sandbox_report report = {0};
	struct err e = {0};

	if (sandbox_enter(&s, &report, &e) != 0) {
		fprintf(stderr, "no sandbox: %s\n", e.text);
		exit(1);
	}
}

static int
run(const struct operation *op, struct job *j, bool confined)
{
	become_owner(j);
	if (op->prepare != NULL)
		op->prepare(j);
	if (confined)
		confine(j->path);
	uint64_t before = used_us();
	op->run(j);
	uint64_t after = used_us();
	printf("%zu %llu\n", j->count, (unsigned long long)(after - before));
	return 0;
}

int
main(int argc, char **argv)
{
	bool confined = argc > 1 && strcmp(argv[1], "-s") == 0;
	struct job j = {.dir = -1};
	uint64_t count;

	if (argc == 1)
		return 0; /* as `exec` calls it */
	argv += confined;
	if (argc - confined != 4 ||
	    !num_parse_u64(str_of(argv[3]), 1, 10000000, &count)) {
		fprintf(stderr, "usage: floor [-s] OPERATION PATH COUNT\n");
		return 2;
	}
	j.path = argv[2];
	j.count = (size_t)count;
	for (size_t i = 0; i < sizeof(operations) / sizeof(operations[0]); i++)
		if (strcmp(operations[i].name, argv[1]) == 0)
			return run(&operations[i], &j, confined);
	fprintf(stderr, "floor: no operation %s\n", argv[1]);
	return 2;
}
