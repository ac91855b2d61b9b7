/* SPDX-License-Identifier: ISC */
/*
 * replay.c - a main for fuzz targets in plain builds: feeds every file named,
 * or below a folder named, and some mutations of each, to the target.
 *
 * Owns:    nothing.
 * Runs in: make check.
 * Trusts:  the files of the tree.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned long inputs;

static void
feed(const uint8_t *bytes, size_t n)
{
	/* A block of exactly this size, so that a sanitizer sees overruns. */
	uint8_t *copy = malloc(n > 0 ? n : 1);

	if (copy == NULL)
		abort();
	if (n > 0)
		memcpy(copy, bytes, n);
	(void)LLVMFuzzerTestOneInput(copy, n);
	free(copy);
	inputs++;
}

/* Cut short at several places, and single bytes replaced by nasty ones. */
static void
feed_mutations(uint8_t *bytes, size_t n)
{
	static const uint8_t NASTY[] = {0, '\n', '(', '"', 0xff, '9'};
	size_t step = n / 16 + 1;

	for (size_t i = 0; i < n; i += step)
		feed(bytes, i);
	for (size_t i = 0; i < n; i += step) {
		uint8_t old = bytes[i];

		bytes[i] = NASTY[(i / step) % sizeof(NASTY)];
		feed(bytes, n);
		bytes[i] = old;
	}
}

static int
replay_file(const char *path)
{
	static uint8_t bytes[1024 * 1024];
	FILE *f = fopen(path, "rb");
	size_t n;

	if (f == NULL) {
		perror(path);
		return -1;
	}
	n = fread(bytes, 1, sizeof(bytes), f);
	(void)fclose(f);
	/* The name comes first: it is the last line of a log after a crash. */
	printf("%s\n", path);
	(void)fflush(stdout);
	feed(bytes, n);
	feed_mutations(bytes, n);
	return 0;
}

static int
replay(const char *path)
{
	struct stat st;
	struct dirent *entry;
	char inner[4096];
	DIR *dir;
	int rc = 0;

	if (stat(path, &st) == -1)
		return 0; /* a target without a corpus yet */
	if (!S_ISDIR(st.st_mode))
		return replay_file(path);
	dir = opendir(path);
	if (dir == NULL)
		return -1;
	while ((entry = readdir(dir)) != NULL) {
		if (entry->d_name[0] == '.')
			continue;
		(void)snprintf(
		    inner, sizeof(inner), "%s/%s", path, entry->d_name);
		if (replay(inner) == -1)
			rc = -1;
	}
	(void)closedir(dir);
	return rc;
}

int
main(int argc, char **argv)
{
	int rc = 0;

	feed((const uint8_t *)"", 0);
	for (int i = 1; i < argc; i++)
		if (replay(argv[i]) == -1)
			rc = 1;
	printf("(%lu inputs)\n", inputs);
	return rc;
}
