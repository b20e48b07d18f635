"""`cupel attest` from outside: verdicts, exit codes, hostile input, the isolated verifier."""
import json
import os
import pathlib
import random
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("CUPEL_BUILD", ROOT / "build/release"))
PROGRAMS = BUILD / "src/programs"
VECTORS = ROOT.parent / "shared" / "vectors"
AFFIRMING, REFUSED, USAGE, SIMULATED = 0, 1, 2, 3

needs_vectors = pytest.mark.skipif(not VECTORS.is_dir(), reason="the shared vectors are not here")


def attest(*args):
    run = subprocess.run([PROGRAMS / "cupel-attest/cupel-attest", *map(str, args)],
                         capture_output=True, text=True, timeout=30)
    return run.returncode, run.stdout, run.stderr


def tee_sim(*args):
    return subprocess.run([PROGRAMS / "tee-sim/tee-sim", *map(str, args)],
                          capture_output=True, check=True, timeout=30).stdout


@pytest.fixture(scope="module")
def platform(tmp_path_factory):
    directory = tmp_path_factory.mktemp("platform")
    tee_sim("init", directory)
    (directory / "quote.bin").write_bytes(
        tee_sim("quote", "--dir", directory, "--report-data", "5a" * 64))
    return directory


def verify(platform, *args):
    return attest("verify", platform / "quote.bin", "--collateral", platform / "collateral",
                  "--json", *args)


def test_simulated_quote_is_accepted_only_when_its_root_is_named(platform):
    root = platform / "root.der"
    status, out, _ = verify(platform, "--simulated-root", root)
    report = json.loads(out)
    assert (status, report["verdict"]) == (SIMULATED, "simulated")
    assert report["claims"]["reportData"] == "5a" * 64
    assert report["unchecked"] == []
    status, out, _ = verify(platform)
    assert (status, json.loads(out)["verdict"]) == (REFUSED, "refused")
    status, out, _ = verify(platform, "--simulated-root", root, "--report-data", "00" * 64)
    assert status == REFUSED
    assert [r["code"] for r in json.loads(out)["reasons"]] == ["td.report_data"]


def test_collateral_is_required_unless_the_policy_says_so(platform):
    policy = ROOT / "policies/attest/simulated-development.json"
    quote, root = platform / "quote.bin", platform / "root.der"
    assert attest("verify", quote, "--simulated-root", root)[0] == REFUSED
    status, out, _ = attest("verify", quote, "--simulated-root", root, "--policy", policy, "--json")
    assert status == SIMULATED
    assert "tcb_info" in json.loads(out)["unchecked"]
    assert json.loads(out)["policy"] == "simulated-development"


def test_collateral_bundle_goes_out_and_in(platform, tmp_path):
    assert attest("collateral", "export", platform / "collateral", tmp_path / "b")[0] == 0
    assert attest("collateral", "import", tmp_path / "b", tmp_path / "in")[0] == 0
    for path in (platform / "collateral").iterdir():
        assert (tmp_path / "in" / path.name).read_bytes() == path.read_bytes()


@needs_vectors
def test_real_quote_is_affirmed_in_its_time():
    quote = VECTORS / "tdx/quotes/v4-b0c06f.bin"
    collateral = VECTORS / "tdx/collateral/b0c06f-2025-06"
    status, out, _ = attest("verify", quote, "--collateral", collateral, "--json",
                            "--as-of", "2025-06-20T00:00:00Z")
    report = json.loads(out)
    assert (status, report["anchor"]) == (AFFIRMING, "intel-sgx-root")
    assert report["claims"]["fmspc"] == "b0c06f000000"
    status, out, _ = attest("verify", quote, "--collateral", collateral, "--json")
    assert status == REFUSED
    assert "tcb_info.expired" in [r["code"] for r in json.loads(out)["reasons"]]


def test_evidence_may_not_bring_its_own_policy(platform, tmp_path):
    (tmp_path / "quote.bin").write_bytes((platform / "quote.bin").read_bytes())
    (tmp_path / "policy.json").write_text('{"version":1,"name":"theirs","collateral_optional":true}')
    status, _, error = attest("verify", tmp_path)
    assert status == USAGE and "--policy" in error


def test_hostile_input_is_refused_by_exit_code(platform, tmp_path):
    good = (platform / "quote.bin").read_bytes()
    chance = random.Random(1)
    for number in range(60):
        bad = bytearray(good)
        for _ in range(1 + number % 5):
            bad[chance.randrange(len(bad))] ^= 1 << chance.randrange(8)
        path = tmp_path / "bad.bin"
        path.write_bytes(bad[:chance.randrange(len(bad))] if number % 3 == 0 else bad)
        status, _, error = attest("verify", path, "--simulated-root", platform / "root.der",
                                  "--collateral", platform / "collateral")
        assert status in (REFUSED, USAGE), error
        assert attest("inspect", path)[0] in (0, REFUSED, USAGE)


def test_verifier_refuses_what_is_no_bundle():
    program = PROGRAMS / "cced-verify/cced-verify"
    for text in (b"", b"cupelbd1", b"cupelbd1\x05", b"x" * 100000):
        run = subprocess.run([program, "--as-of", "2026-01-01T00:00:00Z"], input=text,
                             capture_output=True, timeout=30)
        assert run.returncode == USAGE and run.stderr
    assert subprocess.run([program], input=b"", capture_output=True, timeout=30).returncode == USAGE


@needs_vectors
def test_measure_and_replay():
    status, out, _ = attest("measure", "igvm", VECTORS / "igvm/sim/snp-basic.igvm")
    assert status == 0 and json.loads(out)["digest"].startswith("d609c03748992cb6")
    status, _, error = attest("measure", "snp", VECTORS / "launch/ovmf_OvmfX64_suffix.bin",
                              "--kernel", "/dev/null", "--initrd", "/dev/null")
    assert status == USAGE and "launch.no_kernel_hashes" in error
    status, out, _ = attest("replay", "--cc", VECTORS / "tpm/eventlogs/cos-113-ccel.bin")
    assert status == 0 and json.loads(out)["events"] == 43
