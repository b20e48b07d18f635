/*
 * The writable tmpfs between two runs of one tenant: emptied, not new.
 *
 * Theory. A tmpfs counts its inodes and blocks exactly. When these are as many as before the first
 * run, and the five directories have the mode, owner and extended attributes they had, then nothing
 * that a run can read by a name is left of the last one. So
 * the usual case, a run that left nothing, costs one statfs, ten looks and five settings of times.
 * A few things left are removed, many or strange ones are a reason to throw the sandbox away.
 *
 * The change time of a directory cannot be set, but its moment can be chosen: times are set after
 * each run, of all five, touched or not. Flags of a directory (chattr) are not looked at: the
 * filter lets nobody set any.
 *
 * Everything inside is dead and the root is read-only, so paths cannot be changed under us.
 */
#include "engines/sandbox/disk.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "kit/base/fd.h"

static const char *const places[DISK_PLACES] = { "/work", "/tmp", "/dev/shm", "/home", "/run" };

static bool look(struct disk_state *ret_state)
{
	struct statfs disk;
	struct stat place;
	if (statfs(places[0], &disk) < 0)
		return false;
	*ret_state = (struct disk_state){ .free_blocks = disk.f_bfree, .free_files = disk.f_ffree };
	for (size_t i = 0; i < DISK_PLACES; i++) {
		if (lstat(places[i], &place) < 0)
			return false;
		ret_state->places[i] = (struct disk_place){ place.st_mode, place.st_uid,
			place.st_gid, llistxattr(places[i], NULL, 0), place.st_atim,
			place.st_mtim };
	}
	return true;
}

int disk_note(struct disk_state *ret_state, struct err *err)
{
	return look(ret_state) ? 0 : err_sys(err, E_UNAVAILABLE, "looking at the empty disk");
}

/* At most *room entries, and so levels. What cannot be removed is found by look(). */
static void wipe(int parent, const char *name, unsigned *room)
{
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *list = fd < 0 ? NULL : fdopendir(fd);
	if (!list)
		return;
	for (struct dirent *entry = readdir(list); entry && *room; entry = readdir(list)) {
		const char *child = entry->d_name;
		if (child[0] == '.' && (!child[1] || (child[1] == '.' && !child[2])))
			continue;
		--*room;
		if (unlinkat(fd, child, 0) == 0)
			continue;
		wipe(fd, child, room);
		(void)unlinkat(fd, child, AT_REMOVEDIR);
	}
	(void)closedir(list);
}

static bool is_same_place(const struct disk_place *a, const struct disk_place *b)
{
	return a->mode == b->mode && a->uid == b->uid && a->gid == b->gid &&
	       a->attributes == b->attributes;
}

/* As they were, of all places, so that times cannot be a message to the next run. */
static bool restore_times(const struct disk_place *noted, const char *path)
{
	const struct timespec times[2] = { noted->accessed, noted->modified };
	return utimensat(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW) == 0;
}

bool disk_restore(const struct disk_state *state)
{
	unsigned room = DISK_WIPE_MAX;
	struct disk_state now;
	if (!look(&now))
		return false;
	if (now.free_files != state->free_files) {
		for (size_t i = 0; i < DISK_PLACES; i++)
			wipe(AT_FDCWD, places[i], &room);
		if (!look(&now))
			return false;
	}
	for (size_t i = 0; i < DISK_PLACES; i++)
		if (!is_same_place(&now.places[i], &state->places[i]) ||
			!restore_times(&state->places[i], places[i]))
			return false;
	return now.free_files == state->free_files && now.free_blocks == state->free_blocks;
}
