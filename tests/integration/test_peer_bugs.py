"""What public verifiers got wrong (docs/verifier-comparison.md): for each, a case that ours refuses
with the reason that names it. Cases are the shared vectors and those of the oracle's generators;
what is no case of either has a test elsewhere, named here."""
import importlib
import re

import pytest

from service import ROOT
from test_oracle import CHECKER, VECTORS, compare, make, needs_vectors

# (verifier, what it does, kind, case as in the suites, reason of ours; "valid": ours accepts what it
# wrongly refuses). "gen:" cases are made by the oracle.
ROWS = [
    ("Intel QVL", "no notBefore", "tdx", "pck-not-yet", "pck_chain.not_yet_valid"),
    ("Intel QVL", "root compared by signature only", "tdx", "gen:root_reissued",
     "pck_chain.untrusted_root"),
    ("Intel QVL, dcap-qvl", "bytes behind the quote", "tdx", "tail-nonzero", "parse.trailing_nonzero"),
    ("Intel QVL, dcap-qvl", "half of the QE's report data", "tdx", "ak-binding-high",
     "qe.ak_binding"),
    ("Intel QVL, dcap-qvl, Cocos", "report data left out", "tdx", "td-report-data",
     "td.report_data"),
    ("Intel MigTD", "no QE identity", "tdx", "qe-id-missing", "qe_identity.missing"),
    ("Open Enclave", "expired collateral", "tdx", "tcb-info-expired", "tcb_info.expired"),
    ("dcap-qvl", "QE identity not authenticated", "tdx", "qe-id-unsigned", "qe_identity.signature"),
    ("dcap-qvl", "QE identity not enforced", "tdx", "qe-mrsigner", "qe.mrsigner"),
    ("dcap-qvl", "module identity unknown", "tdx", "module-unknown", "tdx_module.unknown_version"),
    ("dcap-qvl", "module out of date", "tdx", "gen:module-status-OutOfDate",
     "tcb.status:TDRelaunchAdvised"),
    ("dcap-qvl", "QE vendor", "tdx", "hdr-vendor", "parse.qe_vendor"),
    ("dcap-qvl", "PCE id", "tdx", "gen:sgx-pceid", "tcb_info.pceid"),
    ("dcap-qvl", "TCB type", "tdx", "tcb-info-type-1", "tcb_info.tcb_type"),
    ("dcap-qvl", "certificate names: CA", "tdx", "pck-ca-name", "pck_chain.names"),
    ("dcap-qvl", "certificate names: leaf", "tdx", "gen:leaf-name", "pck_chain.names"),
    ("dcap-qvl", "relaunch rule", "tdx", "relaunch-config",
     "tcb.status:TDRelaunchAdvisedConfigurationNeeded"),
    ("dcap-qvl", "QE authentication data of 64 bytes refused", "tdx", "ok-qe-auth-64", "valid"),
    ("dcap-qvl", "components 0 and 1 beside a module", "tdx", "ok-module-svn-skips-index0", "valid"),
    ("dcap-qvl", "module version 3 refused", "tdx", "ok-module-v3", "valid"),
    ("dcap-qvl", "unsorted levels refused", "tdx", "ok-levels-unsorted", "valid"),
    ("dcap-qvl", "loses Configuration in a merge", "tdx",
     "gen:converge-ConfigurationNeeded-module-OutOfDate", "tcb.status:OutOfDateConfigurationNeeded"),
    ("dcap-qvl", "OutOfDate is success", "tdx", "tcb-outofdate", "tcb.status:OutOfDate"),
    ("dcap-qvl", "MRSIGNERSEAM", "tdx", "td-mrsignerseam", "tdx_module.mrsigner"),
    ("dcap-qvl", "SEAMATTRIBUTES", "tdx", "gen:module-attributes", "tdx_module.attributes"),
    ("dcap-qvl", "size of a version 5 body", "tdx", "v5-body-size", "parse.body_type"),
    ("dcap-qvl", "bytes behind the certification data", "tdx", "cert-data-tail", "parse.auth_trailing"),
    ("dcap-qvl", "PCK leaf acts as a CA", "tdx", "pck-leaf-as-ca", "pck_chain.names"),
    ("dcap-qvl", "intermediate without CA flag", "tdx", "pck-ca-not-ca", "pck_chain.not_ca"),
    ("dcap-qvl", "PCK under the root itself", "tdx", "gen:leaf_under_root", "pck_chain.names"),
    ("dcap-qvl", "TCB info signed by a PCK key", "tdx", "tcb-info-by-pck",
     "tcb_info.chain.signer_role"),
    ("dcap-qvl", "duplicate JSON member", "tdx", "tcb-info-duplicate-key", "tcb_info.format"),
    ("dcap-qvl", "CRL expired", "tdx", "root-crl-expired", "root_crl.expired"),
    ("dcap-qvl", "CRL of the future", "tdx", "pck-crl-future", "pck_crl.not_yet_valid"),
    ("dcap-qvl", "CRL forged", "tdx", "pck-crl-forged", "pck_crl.signature"),
    ("dcap-qvl", "CRL of another CA", "tdx", "pck-crl-other-ca", "pck_crl.issuer_name"),
    ("dcap-qvl, go-tdx-guest", "CRL missing", "tdx", "pck-crl-missing", "pck_crl.missing"),
    ("dcap-qvl, go-tdx-guest", "root CRL missing", "tdx", "root-crl-missing", "root_crl.missing"),
    ("dcap-qvl", "certification type", "tdx", "cert-type-5-outer", "parse.cert_type"),
    ("go-tdx-guest", "the module's level hides the platform's", "tdx", "gen:level-status-OutOfDate",
     "tcb.status:OutOfDate"),
    ("go-tdx-guest", "issue date of the future", "tdx", "tcb-info-future",
     "tcb_info.issued_in_future"),
    ("go-tdx-guest", "Processor CA refused", "tdx", "gen:processor_ca", "valid"),
    ("go-tdx-guest", "module id compared in lower case", "tdx", "gen:module_ten", "valid"),
    ("go-tdx-guest", "MRSIGNERSEAM against the base module", "tdx",
     "gen:module-signer-identity-differs", "tdx_module.mrsigner"),
    ("go-tdx-guest", "serialised again before verifying", "tdx", "tcb-info-reserialised",
     "tcb_info.signature"),
    ("go-tdx-guest", "header left out of what is signed", "tdx", "sig-header-userdata-flip",
     "quote.signature"),
    ("go-sev-guest", "chain of another product line", "snp", "wrong-product", "chain.product"),
    ("go-sev-guest", "certificate's TCB", "snp", "gen:vek-svn-3.8-above", "vek.tcb"),
    ("go-sev-guest", "security version above 255", "snp", "gen:vek-svn-3.8-256", "vek.extension"),
    ("go-sev-guest", "Turin's FMC", "snp", "tcb-ext-fmc", "vek.tcb"),
    ("go-sev-guest", "Turin's hardware id of 8 bytes refused", "snp", "ok-turin", "valid"),
    ("go-sev-guest", "new PLATFORM_INFO bits refused", "snp", "ok-unknown-platform-bit", "valid"),
    ("go-sev-guest, virtee/sev", "CRL missing", "snp", "crl-missing", "crl.missing"),
    ("virtee/sev, trustee", "dates", "snp", "vcek-expired", "chain.expired"),
    ("virtee/sev", "ASK is no CA", "snp", "ask-not-ca", "chain.not_ca"),
    ("virtee/sev", "names", "snp", "vcek-name", "chain.names"),
    ("virtee/sev", "ASK revoked", "snp", "ask-revoked", "chain.revoked"),
    ("snpguest, trustee", "hardware id never compared", "snp", "chip-zero-vcek", "vek.chip_id"),
    ("MS TEE-Attestation-Verification", "368 bytes not signed", "snp", "gen:behind-400",
     "parse.reserved"),
    ("MS TEE-Attestation-Verification", "SIGNING_KEY not read", "snp", "signer-says-vlek",
     "vek.kind"),
    ("MS TEE-Attestation-Verification", "VLEK in the VCEK's place", "snp", "vcek-by-asvk",
     "chain.role"),
    ("MS TEE-Attestation-Verification", "policy left to the caller", "snp", "policy-debug",
     "snp.debug"),
    ("MS TEE-Attestation-Verification", "VMPL left to the caller", "snp", "vmpl-1", "snp.vmpl"),
    ("CCF, steward", "measurement", "snp", "measurement", "snp.measurement"),
    ("Cocos", "report data", "snp", "report-data", "snp.report_data"),
    ("dstack sev-snp-qvl", "report version 5 refused", "snp", "ok-v5", "valid"),
    ("trustee", "report version 2 refused", "snp", "ok-v2", "valid"),
    ("attestation-rs", "register that was not selected", "tpm", "pcr-8-not-selected",
     "tpm.pcr_selection"),
    ("trustee", "registers under other numbers", "tpm", "gen:values-more", "tpm.pcr_selection"),
    ("trustee, tpm2_checkquote", "any AK", "tpm", "ak-no-cert", "ak.untrusted_root"),
    ("trustee", "AK of another root", "tpm", "ak-other-root", "ak.untrusted_root"),
    ("tpm2_checkquote", "magic (CVE-2024-29038)", "tpm", "magic", "tpm.magic"),
    ("tpm2_checkquote", "type ATTEST_CERTIFY", "tpm", "gen:quote-type-certify", "tpm.type"),
    ("tpm2_checkquote", "bytes behind TPMS_ATTEST", "tpm", "attest-trailing", "tpm.format"),
    ("tpm2_checkquote", "SHA-1", "tpm", "sig-sha1", "tpm.sig_alg"),
    ("tpm2_checkquote", "selection (CVE-2024-29039)", "tpm", "pcr-selection-twice",
     "tpm.pcr_selection"),
    ("go-attestation", "register outside the quote (CVE-2022-0317)", "tpm",
     "gen:quote-select-none", "tpm.pcr_selection"),
    ("kairos", "no nonce", "tpm", "nonce-empty", "tpm.nonce"),
    ("agentrust", "signature thrown away", "tpm", "sig-digest-flip", "tpm.signature"),
    ("tpm2_eventlog", "locality of PCR 0", "tpm", "gen:log-locality-5", "eventlog.replay"),
    ("trustee az-*", "user data not bound", "azure", "az-snp-v1-user-data", "hcl.user_data"),
    ("trustee az-*", "registers taken as they come", "azure", "az-snp-v1-pcr", "tpm.pcr_digest"),
    ("trustee az-*", "quote of another machine's TPM", "azure", "az-snp-v1-other-quote",
     "tpm.signature"),
    ("trustee az-*", "key of the TPM exchanged", "azure", "az-tdx-v1-ak-swapped",
     "hcl.runtime_hash"),
    ("trustee", "ear.status ignored", "jwt", "ear-status", "ear.status"),
    ("trustee", "one affirming submodule is enough", "jwt", "ear-two", "ear.status"),
    ("trustee", "no submodule is enough", "jwt", "ear-nosub", "ear.status"),
    ("trustee", "key of the token's own header", "jwt", "hdr-jwk", "jwt.kid"),
    ("trustee", "key of the token's own header, known name", "jwt", "hdr-jwk-kid",
     "jwt.signature"),
    ("trustee", "certificate of the token's own header", "jwt", "hdr-x5c", "jwt.signature"),
    ("JWT libraries", "unsigned", "jwt", "alg-none", "jwt.alg"),
]

# Rows of the note that are no appraisal of one file, or not against these anchors: which test fails
# when the fault is made again.
ELSEWHERE = [
    ("Intel SGX QVL users", "SGX quote taken for a TD's", "unit/test_appraise_tdx.c", "real_quotes"),
    ("go-sev-guest", "root out of the evidence, or of another product line",
     "unit/test_appraise_snp.c", "roots_of_the_evidence_are_not_trusted"),
    ("dstack", "digests of a log replayed as given", "unit/test_appraise_tdx.c",
     "dstack_names_are_recomputed"),
    ("dstack", "colons in names", "unit/test_appraise_tdx.c", "dstack_version_2_is_strict"),
    ("dstack", "endless wait for a generation", "unit/test_evidence_configfs.c",
     "waiting_for_a_generation_has_an_end"),
    ("dstack", "lengths without a limit", "unit/test_appraise_limits.c",
     "declared_lengths_reserve_nothing"),
    ("trustee, Cocos", "expected values cut or padded", "unit/test_policy.c",
     "expected_values_are_neither_cut_nor_padded"),
    ("Cocos", "peer chooses the platform, key not bound", "integration/test_verifier.py",
     "test_stolen_evidence_does_not_fit_another_key"),
]


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory):
    """{kind: {case: (is accepted, reasons)}} of shared and made cases."""
    found = {}
    for kind in ("tdx", "snp", "tpm"):
        folder = tmp_path_factory.mktemp(kind)
        suite = make.Suite(folder)
        importlib.import_module("gen_" + kind).generate(suite, 20260615, 1, 0)
        suite.close()
        made = compare.core(CHECKER, kind, folder)
        rows = {"gen:" + re.split(r"[/:]", name)[-1]: verdict for name, verdict in made.items()}
        shared = compare.core(CHECKER, kind, VECTORS / kind / "sim")
        rows |= {name.split("/")[-1]: verdict for name, verdict in shared.items()}
        found[kind] = rows
    for kind, folder in (("azure", "tpm/azure"), ("jwt", "jwt/sim")):
        judged = compare.core(CHECKER, kind, VECTORS / folder)
        found[kind] = {name.split("/")[-1]: verdict for name, verdict in judged.items()}
    return found


@needs_vectors
def test_what_peers_get_wrong_ours_gets_right(verdicts):
    wrong = []
    for peer, what, kind, case, expected in ROWS:
        is_accepted, reasons = verdicts[kind].get(case, (None, ["no such case"]))
        is_right = (is_accepted is True if expected == "valid" else
                    is_accepted is False and expected in reasons)
        if not is_right:
            wrong.append((peer, what, case, is_accepted, reasons))
    assert not wrong, wrong


@pytest.mark.parametrize("row", ELSEWHERE, ids=lambda row: row[1].replace(" ", "-"))
def test_the_rest_is_tested_where_it_says(row):
    text = (ROOT / "tests" / row[2]).read_text()
    assert re.search(r"(START_TEST\(|^def )" + row[3] + r"\b", text, re.M)
    if row[2].endswith(".c"):  # and run, not only written
        assert row[3] in text[text.index("UNIT_MAIN("):]
