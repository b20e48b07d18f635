/*
 * Open files, for the sake of what the kernel hangs on them and charges to nobody: with flock()
 * each can have a lock, of 200 bytes. The list of locks (locks.c) does not show those whose taker
 * is dead, and several of one process on one file look the same there. But each needs an open file,
 * which some process holds by a descriptor or a mapping (in messages between sockets there are no
 * more at a time than one process may have descriptors). So these are counted, as an upper bound:
 * most have no lock, and processes share them.
 */
#include "engines/sandbox/open_files.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engines/sandbox/slot.h"
#include "kit/base/fd.h"
#include "kit/base/mem.h"
#include "kit/base/str.h"

enum {
	PAGE_BYTES = 4096,
	STATUS_BYTES = 1024,
	PATH_BYTES = 32,
	PROCESSES_MAX = 2 * 4096, /* as many as a plan can allow, and zombies */
};

/* The kernel calls it the size of that directory since Linux 6.2; before, the table's size. */
static size_t count_descriptors(int task)
{
	struct stat status;
	char text[STATUS_BYTES];
	if (fstatat(task, "fd", &status, 0) == 0 && status.st_size > 0)
		return (size_t)status.st_size;
	auto_close fd = openat(task, "status", O_RDONLY | O_CLOEXEC);
	ssize_t got = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);
	text[MAX(got, 0)] = 0;
	return slot_find_line(text, "\nFDSize:\t");
}

static DIR *open_list(int parent, const char *name)
{
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *list = fd < 0 ? NULL : fdopendir(fd);
	if (!list)
		fd_close(&fd);
	return list;
}

/* The next process of a proc, or thread of a process; NULL after the last. */
static const char *next_task(DIR *list)
{
	const struct dirent *entry = readdir(list);
	while (entry && (entry->d_name[0] < '1' || entry->d_name[0] > '9'))
		entry = readdir(list);
	return entry ? entry->d_name : NULL;
}

/* All there are now: who forks without end is not looked at without end. */
static void list_processes(struct open_files_look *look, int proc)
{
	DIR *list = open_list(proc, ".");
	look->pids = mem_alloc(PROCESSES_MAX, sizeof(*look->pids));
	for (const char *name; list && (name = next_task(list)) && look->rest < PROCESSES_MAX;)
		look->pids[look->rest++] = (pid_t)strtol(name, NULL, 10);
	if (list)
		(void)closedir(list);
}

/* A dead first thread shows nothing of the others. */
static void begin_process(struct open_files_look *look, int proc, pid_t pid)
{
	char path[PATH_BYTES];
	struct err ignored;
	size_t most = 0;
	DIR *threads = str_format(path, sizeof(path), &ignored, "%d/task", pid) < 0
			       ? NULL
			       : open_list(proc, path);
	for (const char *name; threads && (name = next_task(threads));) {
		auto_close task = openat(dirfd(threads), name, O_DIRECTORY | O_CLOEXEC);
		size_t count = task < 0 ? 0 : count_descriptors(task);
		if (count && !most)
			look->maps = openat(task, "maps", O_RDONLY | O_CLOEXEC);
		most = MAX(most, count);
	}
	if (threads)
		(void)closedir(threads);
	look->count += most;
}

/*
 * ADDRESSES RIGHTS OFFSET MAJOR:MINOR INODE NAME. Without an inode there is no file; half a line,
 * as the kernel gives of names longer than a page, counts as one.
 */
static bool is_of_file(const char *line, const char *end)
{
	for (int words = 0; words < 4 && line; words++) {
		line = memchr(line, ' ', (size_t)(end - line));
		line += line != NULL;
	}
	return !line || end - line < 2 || line[0] != '0' || line[1] != ' ';
}

static void count_page(struct open_files_look *look)
{
	char page[PAGE_BYTES];
	ssize_t got = read(look->maps, page, sizeof(page));
	const char *end = page + MAX(got, 0);
	const char *stop;
	for (const char *line = page; line < end; line = stop + 1) {
		stop = memchr(line, '\n', (size_t)(end - line));
		stop = stop ? stop : end;
		look->count += is_of_file(line, stop);
	}
	if (got <= 0)
		fd_close(&look->maps);
}

bool open_files_look_on(struct open_files_look *look, int proc)
{
	if (!look->pids)
		list_processes(look, proc);
	else if (look->maps >= 0)
		count_page(look);
	else if (look->rest > 0)
		begin_process(look, proc, look->pids[--look->rest]);
	return look->maps >= 0 || look->rest > 0;
}

void open_files_look_end(struct open_files_look *look)
{
	fd_close(&look->maps);
	mem_free(look->pids);
	*look = OPEN_FILES_LOOK;
}
