/* AMD's extensions of VCEK and VLEK certificates (1.3.6.1.4.1.3704.1). */
#ifndef RULES_APPRAISE_SNP_VEK_H
#define RULES_APPRAISE_SNP_VEK_H

#include "kit/crypto/x509.h"
#include "rules/appraise/snp.h"

struct snp_vek {
	enum snp_product product; /* of the product name; NONE when unknown */
	struct snp_tcb tcb;
	bool has_fmc;
	struct view hardware_id; /* VCEK: 64 bytes, Turin 8 */
	struct view csp_id;      /* VLEK: text */
};

/* False when an extension is missing, malformed or does not belong to this kind. */
bool snp_vek_parse(const struct x509 *certificate, bool is_vlek, struct snp_vek *ret_vek);

#endif
