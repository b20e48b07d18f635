/*
 * Launch measurement: what a correct platform reports for given firmware, kernel and command line.
 * Pure functions from bytes to digests. A measurement that would be incomplete is an error, never a
 * silent digest: a kernel that the firmware cannot hash, a section outside the file, a header that
 * is not understood.
 *
 * Every function returns NULL and writes its digest, or returns a code (launch.*, igvm.*, pe.*).
 * Sources: SEV-SNP firmware ABI (LAUNCH_UPDATE, page_info), AMD APM 2 (VMSA), OVMF metadata, TDVF
 * design guide, IGVM specification, Microsoft's Authenticode document; the facts that no document
 * gives are in docs/reference/attestation.md.
 */
#ifndef RULES_APPRAISE_LAUNCH_H
#define RULES_APPRAISE_LAUNCH_H

#include "kit/base/buf.h"

#define LAUNCH_DIGEST_SIZE 48
#define LAUNCH_SEV_ES_DIGEST_SIZE 32
#define LAUNCH_FIRMWARE_MAX (64 << 20)
#define LAUNCH_VCPUS_MAX 1024

/* What the VMM puts into the reset state of a vCPU. */
enum launch_vmm { LAUNCH_VMM_QEMU, LAUNCH_VMM_EC2, LAUNCH_VMM_COUNT };

struct launch_snp {
	struct view firmware;      /* OVMF image, mapped to end at 4 GiB */
	struct view firmware_hash; /* 48 bytes: digest over its pages already made; or empty */
	bool has_kernel;           /* direct boot: the three below are measured */
	struct view kernel, initrd;
	struct view cmdline; /* without NUL */
	unsigned vcpus;
	uint32_t vcpu_signature; /* CPUID 1 EAX of the model, e.g. 0xa00f11 for EPYC-Milan */
	uint64_t guest_features; /* SEV_FEATURES, e.g. 1 */
	enum launch_vmm vmm;
};

/* SEV-SNP launch digest, 48 bytes. */
const char *launch_snp(const struct launch_snp *input, uint8_t ret_digest[LAUNCH_DIGEST_SIZE]);

/* SEV-ES launch digest, 32 bytes, same input; guest_features are not part of it. */
const char *launch_sev_es(
	const struct launch_snp *input, uint8_t ret_digest[LAUNCH_SEV_ES_DIGEST_SIZE]);

/* Family, model and stepping as CPUID 1 EAX for QEMU's model names; 0 for an unknown name. */
uint32_t launch_vcpu_signature(const char *model);

/*
 * MRTD of a TDVF. is_two_pass: all pages of a section are added before they are extended (QEMU
 * before the merged series); else page by page.
 */
const char *launch_mrtd(
	struct view firmware, bool is_two_pass, uint8_t ret_digest[LAUNCH_DIGEST_SIZE]);

/* RTMR1 of a direct boot from the Authenticode SHA-384 of the kernel as QEMU patched it. */
void launch_rtmr1(const uint8_t kernel_hash[LAUNCH_DIGEST_SIZE], uint8_t ret[LAUNCH_DIGEST_SIZE]);

/* RTMR2 of a direct boot. The command line is printable ASCII (launch.cmdline otherwise). */
const char *launch_rtmr2(
	struct view cmdline, struct view initrd, uint8_t ret_digest[LAUNCH_DIGEST_SIZE]);

/* Authenticode digest of a PE file: 32 or 48 bytes. */
const char *launch_pe(struct view file, bool is_sha384, uint8_t *ret_digest);

struct launch_igvm {
	struct view file;
	bool is_tdx;            /* MRTD; else the SNP launch digest */
	bool is_kvm;            /* refuse what KVM cannot launch as written: one VMSA, last */
	bool native_zero;       /* pages without data are hardware zero pages */
	uint32_t platform_mask; /* compatibility mask to measure; 0: that of the file's platform */
};

/* Launch digest of an IGVM file. */
const char *launch_igvm(const struct launch_igvm *input, uint8_t ret_digest[LAUNCH_DIGEST_SIZE]);

#endif
