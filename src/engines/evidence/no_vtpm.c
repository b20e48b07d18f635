/*
 * For programs that do not carry tpm2-tss: the agent starts once per computation and must not load
 * four libraries for a platform it is not on. Asking for a vTPM there is an error that says so.
 */
#include "engines/evidence/internal.h"

int evidence_vtpm(const struct evidence_source *source UNUSED,
	const struct evidence_request *request UNUSED, struct buf *quote UNUSED, struct err *err)
{
	return err_set(err, E_UNSUPPORTED, "this program is built without tpm2-tss");
}
