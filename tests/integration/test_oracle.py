"""Our appraisal core against an oracle written from the note and the vectors' manifest (folder
oracle/): first the shared vectors, then a thousand new cases of the same kinds."""
import importlib
import pathlib
import random
import sys

import pytest

from service import BUILD, ROOT

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "oracle"))
import compare  # noqa: E402
import make  # noqa: E402
import suite as suites  # noqa: E402
import sweep  # noqa: E402
import tpm  # noqa: E402

CHECKER = BUILD / "tests" / "tools" / "appraise_check"
VECTORS = ROOT.parent / "shared" / "vectors"
SHARED = [("tdx", "tdx/real.json", 15), ("tdx", "tdx/sim/cases.json", 99),
          ("snp", "snp/real.json", 10), ("snp", "snp/sim/cases.json", 61),
          ("tpm", "tpm/real.json", 5), ("tpm", "tpm/sim/cases.json", 31)]
KINDS = ("tdx", "snp", "tpm")

# Reasons of the manifest that no shared case shows; ours must.
ONLY_IN_MANIFEST = {
    "crl.expired", "crl.not_yet_valid", "eventlog.unquoted", "parse.algo", "parse.signer",
    "pck.cpusvn", "pck_chain.signature", "pck_chain.untrusted_root", "qe.attributes",
    "qe.debug", "qe.miscselect", "qe.svn_unsupported", "qe_identity.chain.revoked",
    "qe_identity.chain.signature", "qe_identity.chain.untrusted_root", "snp.author_key",
    "snp.guest_svn", "snp.mitigation", "tcb.launch", "td.xfam_fixed1", "td.mrtd",
    "tcb.status:OutOfDateConfigurationNeeded", "tcb.status:TDRelaunchAdvised",
    "tcb_info.chain.revoked", "tcb_info.pceid", "tdx_module.attributes", "tpm.type"
}

needs_vectors = pytest.mark.skipif(not VECTORS.is_dir(), reason="no shared vectors beside us")


@needs_vectors
@pytest.mark.parametrize("kind,name,count", SHARED)
def test_oracle_judges_the_shared_vectors_right(kind, name, count):
    folder, cases = suites.load(VECTORS / name)
    assert len(cases) == count
    for case in cases:
        reasons = suites.judge(kind, folder, case)
        accepted = set((case.get("all") or []) + (case.get("expect_any") or []) + [case["expect"]])
        assert reasons & accepted if case["expect"] != "valid" else not reasons, case["id"]


@needs_vectors
def test_oracle_replays_the_shared_event_logs():
    folder, cases = suites.load(VECTORS / "tpm" / "eventlogs.json")
    for case in cases:
        registers, _, is_wrong, count = tpm.replay((folder / case["log"]).read_bytes(),
                                                   case["bank"], "registers_are" in case)
        assert count == case["events"] and not is_wrong
        for index, value in case["registers"].items():
            assert registers[int(index)].hex() == value, (case["id"], index)


def run(kind, folder, seed, rounds, pairs):
    suite = make.Suite(folder)
    importlib.import_module("gen_" + kind).generate(suite, seed, rounds, pairs)
    suite.close()
    count, accepted, wrong, seen = compare.disagreements(CHECKER, kind, folder)
    assert not wrong, wrong[:10]
    assert accepted > count // 10  # not refusing everything
    return count, seen


def derive(place, kind, name, step):
    """Cases made by step from the valid ones of a shared suite; (cases, accepted)."""
    folder, cases = suites.load(VECTORS / name)
    place.mkdir()
    suite = make.Suite(place)
    for case in cases:
        if case["expect"] == "valid":
            step(suite, folder, case)
    suite.close()
    count, accepted, wrong, _ = compare.disagreements(CHECKER, kind, place)
    assert not wrong, wrong[:10]
    return count, accepted


@needs_vectors
def test_agreement_at_every_boundary_of_time(tmp_path):
    total = 0
    for number, (kind, name, _) in enumerate(SHARED):
        count, accepted = derive(tmp_path / str(number), kind, name, sweep.boundaries)
        assert 0 < accepted < count, name
        total += count
    print(total, "moments")
    assert total > 500


@needs_vectors
def test_agreement_on_damaged_files(tmp_path, rounds=2, seed=20261121):
    rng, total = random.Random(seed), 0
    for number, (kind, name, _) in enumerate(SHARED):
        count, accepted = derive(tmp_path / str(number), kind, name, lambda s, f, c:
                                 sweep.scatter(s, f, c, rng, rounds))
        assert accepted < count // 2, name
        total += count
    print(total, "damaged cases")
    assert total > 500


def test_core_and_oracle_agree_on_new_cases(tmp_path):
    total, missing = 0, set(ONLY_IN_MANIFEST)
    for kind in KINDS:
        folder = tmp_path / kind
        folder.mkdir()
        count, seen = run(kind, folder, seed=20260615, rounds=1, pairs=20)
        total += count
        missing -= seen
    assert total > 1000
    assert not missing
