/* See secret.h. */
#include "kit/crypto/secret.h"

#include <sys/mman.h>
#include <unistd.h>

#include "kit/base/mem.h"

int secret_init(struct secret *secret, size_t size, struct err *err)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	if (size == 0 || size > SECRET_SIZE_MAX)
		return err_set(err, E_LIMIT, "a secret has 1 to %d bytes, asked for %zu",
			SECRET_SIZE_MAX, size);
	size_t mapped = (size + page - 1) / page * page;
	void *data = mmap(NULL, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (data == MAP_FAILED)
		return err_sys(err, E_UNAVAILABLE, "memory for a secret of %zu bytes", size);
	(void)madvise(data, mapped, MADV_DONTDUMP);
	(void)madvise(data, mapped, MADV_WIPEONFORK);
	*secret = (struct secret){
		.data = data,
		.size = size,
		.mapped = mapped,
		.is_locked = mlock(data, mapped) == 0,
	};
	return 0;
}

void secret_done(struct secret *secret)
{
	if (!secret->data)
		return;
	mem_wipe(secret->data, secret->mapped);
	(void)munmap(secret->data, secret->mapped);
	*secret = (struct secret){};
}
