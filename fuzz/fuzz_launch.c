/* rules/appraise: IGVM, OVMF and PE files; the first byte chooses. */
#include "fuzz.h"

#include "rules/appraise/launch.h"

FUZZ_INITIALIZE

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t digest[LAUNCH_DIGEST_SIZE];
	if (size == 0)
		return 0;
	struct view bytes = view_of(data + 1, size - 1);
	const struct launch_igvm igvm = { .file = bytes, .is_tdx = data[0] & 4 };
	const struct launch_snp snp = { .firmware = bytes, .has_kernel = data[0] & 4, .vcpus = 2 };
	if ((data[0] & 3) == 0)
		(void)launch_igvm(&igvm, digest);
	if ((data[0] & 3) == 1)
		(void)launch_pe(bytes, data[0] & 4, digest);
	if ((data[0] & 3) == 2)
		(void)launch_snp(&snp, digest);
	if ((data[0] & 3) == 3)
		(void)launch_mrtd(bytes, data[0] & 4, digest);
	return 0;
}
