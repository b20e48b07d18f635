/*
 * Landlock: the second fence around paths, for the case that a mount flag or the overlay fails.
 *
 * Everything of the image may be read and executed, /app, /data and /proc read, the writable
 * directories written but not executed, devices opened. TCP is denied as a whole, abstract sockets
 * and signals stay inside. The ruleset is built by the supervisor and applied by the payload-to-be.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "engines/sandbox/slot.h"
#include "kit/base/fd.h"
#include "kit/base/str.h"

/* Newer than Debian 12's header. */
#define ACCESS_TRUNCATE (1ULL << 14)  /* ABI 3 */
#define ACCESS_IOCTL_DEV (1ULL << 15) /* ABI 5 */
#define NET_TCP_ALL 3ULL              /* ABI 4: bind and connect */
#define SCOPE_ALL 3ULL                /* ABI 6: abstract sockets, signals */

#define READ_RIGHTS (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define FILE_RIGHTS                                                  \
	(LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE | \
		LANDLOCK_ACCESS_FS_WRITE_FILE | ACCESS_TRUNCATE | ACCESS_IOCTL_DEV)
#define IMAGE_RIGHTS (READ_RIGHTS | LANDLOCK_ACCESS_FS_EXECUTE)
#define ALL_OF_ABI_1 0x1fffULL
#define WRITABLE_RIGHTS                                                       \
	((ALL_OF_ABI_1 | LANDLOCK_ACCESS_FS_REFER | ACCESS_TRUNCATE) &        \
		~(LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_MAKE_CHAR | \
			LANDLOCK_ACCESS_FS_MAKE_BLOCK))
#define DEVICE_RIGHTS \
	(READ_RIGHTS | LANDLOCK_ACCESS_FS_WRITE_FILE | ACCESS_TRUNCATE | ACCESS_IOCTL_DEV)

struct ruleset_attr {
	uint64_t handled_access_fs;
	uint64_t handled_access_net;
	uint64_t scoped;
};

struct path_rule {
	uint64_t allowed_access;
	int32_t parent_fd;
} __attribute__((packed));

static const struct {
	const char *name;
	uint64_t rights;
} special[] = {
	{ "app", READ_RIGHTS },
	{ "data", READ_RIGHTS },
	/* Not written: /proc/PID/mem of a sibling at its exec would forge what the trace says. */
	{ "proc", READ_RIGHTS },
	{ "dev", DEVICE_RIGHTS },
	{ "work", WRITABLE_RIGHTS },
	{ "tmp", WRITABLE_RIGHTS },
	{ "home", WRITABLE_RIGHTS },
	{ "run", WRITABLE_RIGHTS },
	{ "dev/shm", WRITABLE_RIGHTS },
};

int slot_landlock_abi(void)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	return abi > 0 ? (int)abi : 0;
}

/* What a kernel of this ABI knows of the file rights. */
static uint64_t known_rights(int abi)
{
	uint64_t rights = ALL_OF_ABI_1;
	rights |= abi >= 2 ? LANDLOCK_ACCESS_FS_REFER : 0;
	rights |= abi >= 3 ? ACCESS_TRUNCATE : 0;
	rights |= abi >= 5 ? ACCESS_IOCTL_DEV : 0;
	return rights;
}

static int add_rule(const struct slot *slot, int fd, uint64_t rights, struct err *err)
{
	struct path_rule rule = { rights & known_rights(slot->landlock_abi), fd };
	if (syscall(SYS_landlock_add_rule, slot->ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0)
		return err_sys(err, E_UNAVAILABLE, "Landlock rule");
	return 0;
}

static int open_path(int root, const char *name, int *ret_fd, struct err *err)
{
	*ret_fd = openat(root, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	return *ret_fd < 0 ? err_sys(err, E_UNAVAILABLE, "Landlock rule for /%s", name) : 0;
}

static bool is_special(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(special); i++)
		if (str_equal(special[i].name, name))
			return true;
	return false;
}

static int note_entry(struct slot *slot, int root, const struct dirent *entry, struct err *err)
{
	bool is_dir = entry->d_type == DT_DIR;
	if (str_equal(entry->d_name, ".") || str_equal(entry->d_name, "..") ||
		entry->d_type == DT_LNK || is_special(entry->d_name))
		return 0;
	if (slot->entry_count == SLOT_ENTRIES_MAX)
		return err_set(err, E_LIMIT,
			"the image has more than %d entries at its top: put some into a directory",
			SLOT_ENTRIES_MAX - 1);
	struct slot_entry *to = &slot->entries[slot->entry_count];
	TRY(open_path(root, entry->d_name, &to->fd, err));
	to->rights = is_dir ? IMAGE_RIGHTS : IMAGE_RIGHTS & FILE_RIGHTS;
	slot->entry_count++;
	return 0;
}

/* Each top-level entry of the image gets its rule: one for "/" would cover /work as well. */
int slot_landlock_scan(struct slot *slot, int root, struct err *err)
{
	slot->landlock_abi = slot_landlock_abi();
	if (slot->landlock_abi == 0)
		return 0;
	/*
	 * Everything may be read; the other rules grant no less anyway. It is needed for /app and
	 * /data of a sandbox built ahead: they are mounted when the rules stand already, and the
	 * walk from a file in them passes over their mount points to the root.
	 */
	struct slot_entry *top = &slot->entries[slot->entry_count++];
	*top = (struct slot_entry){ .rights = READ_RIGHTS };
	TRY(open_path(root, ".", &top->fd, err));
	int copy = openat(root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *list = copy < 0 ? NULL : fdopendir(copy);
	if (!list)
		return err_sys(err, E_UNAVAILABLE, "reading the sandbox root");
	int status = 0;
	for (struct dirent *entry = readdir(list); entry && status == 0; entry = readdir(list))
		status = note_entry(slot, root, entry, err);
	(void)closedir(list);
	return status;
}

int slot_landlock_begin(struct slot *slot, struct err *err)
{
	if (slot->landlock_abi == 0)
		return 0;
	struct ruleset_attr attr = {
		.handled_access_fs = known_rights(slot->landlock_abi),
		.handled_access_net = slot->landlock_abi >= 4 ? NET_TCP_ALL : 0,
		.scoped = slot->landlock_abi >= 6 ? SCOPE_ALL : 0,
	};
	size_t size = slot->landlock_abi >= 6 ? sizeof(attr) : slot->landlock_abi >= 4 ? 16 : 8;
	slot->ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, size, 0);
	if (slot->ruleset < 0)
		return err_sys(err, E_UNAVAILABLE, "landlock_create_ruleset");
	for (size_t i = 0; i < slot->entry_count; i++)
		TRY(add_rule(slot, slot->entries[i].fd, slot->entries[i].rights, err));
	return 0;
}

int slot_landlock_finish(struct slot *slot, struct err *err)
{
	auto_close root = -1;
	uint64_t extra = slot->config.allow_exec_in_work ? LANDLOCK_ACCESS_FS_EXECUTE : 0;
	if (slot->landlock_abi == 0)
		return 0;
	TRY(fd_open("/", O_PATH | O_DIRECTORY, 0, &root, err));
	for (size_t i = 0; i < ARRAY_SIZE(special); i++) {
		auto_close fd = -1;
		uint64_t rights = special[i].rights;
		TRY(open_path(root, special[i].name, &fd, err));
		TRY(add_rule(slot, fd, rights == WRITABLE_RIGHTS ? rights | extra : rights, err));
	}
	slot->enforced |= SANDBOX_LAYER_BIT(SANDBOX_LAYER_LANDLOCK);
	return 0;
}
