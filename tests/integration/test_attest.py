"""`cupel attest` from outside: verdicts, exit codes, hostile input, the isolated verifier."""
import contextlib
import hashlib
import http.server
import json
import os
import pathlib
import random
import subprocess
import threading
import urllib.parse

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("CUPEL_BUILD", ROOT / "build/release"))
PROGRAMS = BUILD / "src/programs"
VECTORS = ROOT.parent / "shared" / "vectors"
AFFIRMING, REFUSED, USAGE, SIMULATED = 0, 1, 2, 3
README = (ROOT / "policies/attest/README.md").read_text()

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


@needs_vectors
def test_sgx_quote_is_refused_by_name():
    quote = VECTORS / "tdx/quotes/sgx-v3-00a06711.bin"
    status, out, _ = attest("verify", quote, "--json")
    assert status == REFUSED
    assert [r["code"] for r in json.loads(out)["reasons"]] == ["parse.version"]
    status, _, errors = attest("inspect", quote)
    assert status == 2 and "SGX quote (version 3)" in errors


@needs_vectors
def test_policies_by_name(tmp_path):
    """A name is found, is what the default is, and never a file beside us."""
    command = ["verify", QUOTE, "--collateral", FOLDER, "--as-of", "2025-06-20T00:00:00Z", "--json"]
    reports = [attest(*command, *more) for more in ([], ["--policy", "strict"])]
    assert [status for status, *_ in reports] == [AFFIRMING, AFFIRMING], reports
    assert json.loads(reports[0][1]) == json.loads(reports[1][1])
    names = sorted(path.stem for path in (ROOT / "policies/attest").glob("*.json"))
    said = {}
    for name in names:
        status, out, error = attest(*command, "--policy", name)
        report = json.loads(out)
        said[name] = status
        assert report["policy"] == name
        text = json.dumps(json.loads((ROOT / f"policies/attest/{name}.json").read_text()),
                          sort_keys=True, separators=(",", ":"))
        assert report["policySha256"] == hashlib.sha256(text.encode()).hexdigest()
        assert f"| `{name}`" in README or f", `{name}`" in README, name
    assert said == {name: AFFIRMING if name in ("strict", "gcp-tdx", "azure-tdx") else REFUSED
                    for name in names}
    for bad in ("Strict", "no-such", "", ".", "..", "strict\n", "a" * 65):
        status, _, error = attest(*command, "--policy", bad)
        assert status == REFUSED and "no policy named" in error, bad
    for vek, name in (("aws-snp", "snp5-ms-turin"), ("strict", "snp5-ms-turin")):
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        for kind, to in (("report.bin", "report.bin"), ("vek.der", "vek.der")):
            (folder / to).write_bytes((VECTORS / f"snp/reports/{name}.{kind}").read_bytes())
        for kind in ("ask", "ark"):
            (folder / f"{kind}.der").write_bytes((VECTORS / f"snp/ca/{kind}_turin.der").read_bytes())
        out = json.loads(attest("verify", folder, "--policy", vek, "--json",
                                "--as-of", "2026-06-01T00:00:00Z")[1])
        codes = {reason["code"] for reason in out["reasons"]}
        assert codes == {"crl.missing"} | ({"vek.csp_id"} if vek == "aws-snp" else set())


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
def test_a_tpm_quote_over_a_td_quote_is_refused_by_name(platform, tmp_path):
    (tmp_path / "quote.bin").write_bytes((platform / "quote.bin").read_bytes())
    (tmp_path / "attest.bin").write_bytes(b"\xffTCG")
    status, _, error = attest("verify", tmp_path)
    assert status != AFFIRMING and status != SIMULATED and "does not bind the TPM's key" in error


def test_google_launch_is_refused_by_name():
    status, out, error = attest("measure", "snp", "/dev/null", "--vmm", "gce")
    assert status == REFUSED and out == "" and "Google" in error


def test_measure_and_replay():
    status, out, _ = attest("measure", "igvm", VECTORS / "igvm/sim/snp-basic.igvm")
    assert status == 0 and json.loads(out)["digest"].startswith("d609c03748992cb6")
    status, _, error = attest("measure", "snp", VECTORS / "launch/ovmf_OvmfX64_suffix.bin",
                              "--kernel", "/dev/null", "--initrd", "/dev/null")
    assert status == USAGE and "launch.no_kernel_hashes" in error
    status, out, _ = attest("replay", "--cc", VECTORS / "tpm/eventlogs/cos-113-ccel.bin")
    assert status == 0 and json.loads(out)["events"] == 43
    quote = VECTORS / "tdx/quotes/v4-90c06f-dstack.bin"
    status, out, _ = attest("replay", quote.with_suffix(".eventlog.json"))
    _, fields, _ = attest("inspect", quote)
    assert status == 0 and json.loads(out)["composeHash"].startswith("3763bc34552cf3a2")
    for number, value in json.loads(out)["registers"].items():
        assert value == json.loads(fields)[f"rtmr{number}"]


FOLDER = VECTORS / "tdx/collateral/b0c06f-2025-06"
QUOTE = VECTORS / "tdx/quotes/v4-b0c06f.bin"


@contextlib.contextmanager
def pcs(change=lambda path, status, headers, body: (status, headers, body)):
    """A service shaped like Intel's; change() may spoil its answers. Yields URL and paths asked."""
    asked = []
    chain = {name: urllib.parse.quote((FOLDER / file).read_text()) for name, file in
             (("TCB-Info-Issuer-Chain", "tcb_chain.pem"),
              ("SGX-Enclave-Identity-Issuer-Chain", "qe_chain.pem"))}
    answers = {
        "/tdx/certification/v4/tcb?fmspc=b0c06f000000": ("TCB-Info-Issuer-Chain", "tcb_info.json"),
        "/tdx/certification/v4/qe/identity": ("SGX-Enclave-Identity-Issuer-Chain", "qe_identity.json"),
        "/sgx/certification/v4/pckcrl?ca=platform&encoding=der": (None, "pck_crl.der"),
        "/sgx/certification/v4/rootcacrl": (None, "root_crl.der"),
    }

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            name, file = answers.get(self.path, (None, None))
            body = (FOLDER / file).read_bytes() if file else b"no"
            if file == "root_crl.der":
                body = body.hex().encode()  # as a PCCS does
            headers = {name: chain[name]} if name else {}
            status, headers, body = change(self.path, 200 if file else 404, headers, body)
            self.send_response(status)
            for each in headers.items():
                self.send_header(*each)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            with contextlib.suppress(ConnectionError):
                self.wfile.write(body)

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()


@needs_vectors
def test_collateral_is_fetched_and_serves(tmp_path):
    with pcs() as (url, asked):
        status, _, error = attest("collateral", "fetch", "--pcs", url, QUOTE, tmp_path / "c")
    assert (status, len(asked)) == (0, 4), error
    for path in (tmp_path / "c").iterdir():
        assert path.read_bytes() == (FOLDER / path.name).read_bytes(), path
    assert attest("verify", QUOTE, "--collateral", tmp_path / "c",
                  "--as-of", "2025-06-20T00:00:00Z")[0] == AFFIRMING


SPOILED = {
    "missing": lambda path, status, headers, body: (404, headers, body),
    "server error": lambda path, status, headers, body: (503, headers, body),
    "redirect": lambda path, status, headers, body: (302, {"Location": "http://127.0.0.1:1/"}, b""),
    "no chain": lambda path, status, headers, body: (200, {}, body),
    "bad chain": lambda path, status, headers, body: (200, {k: "%zz" for k in headers}, body),
    "too long": lambda path, status, headers, body: (200, headers, b"x" * (5 << 20)),
}


@needs_vectors
@pytest.mark.parametrize("fault", SPOILED)
def test_a_faulty_service_leaves_nothing(tmp_path, fault):
    with pcs(SPOILED[fault]) as (url, _):
        status, _, error = attest("collateral", "fetch", "--pcs", url, QUOTE, tmp_path / "c")
    assert status == REFUSED and error
    assert not (tmp_path / "c").exists()


@needs_vectors
def test_a_lying_service_is_refused_at_verification(tmp_path):
    def lie(path, status, headers, body):
        if "/tcb?" in path:
            body = body.replace(b'"tcbEvaluationDataNumber":17', b'"tcbEvaluationDataNumber":99')
        return status, headers, body

    with pcs(lie) as (url, _):
        assert attest("collateral", "fetch", "--pcs", url, QUOTE, tmp_path / "c")[0] == 0
    status, out, _ = attest("verify", QUOTE, "--collateral", tmp_path / "c", "--json",
                            "--as-of", "2025-06-20T00:00:00Z")
    assert status == REFUSED
    assert [r["code"] for r in json.loads(out)["reasons"]] == ["tcb_info.signature"]


@needs_vectors
def test_amd_collateral_is_fetched(tmp_path):
    import base64

    def pem(name):
        text = base64.b64encode((VECTORS / "snp/ca" / name).read_bytes()).decode()
        return f"-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n"

    def kds(path, status, headers, body):
        if path == "/vcek/v1/Turin/cert_chain":
            return 200, {}, (pem("ask_turin.der") + pem("ark_turin.der")).encode()
        if path == "/vcek/v1/Turin/crl":
            return 200, {}, (VECTORS / "snp/sim/crl_turin.der").read_bytes()
        if path.startswith("/vcek/v1/Turin/59790fb1c39f35c1?fmcSPL=1&blSPL=1&teeSPL=1&snpSPL=4&"):
            return 200, {}, (VECTORS / "snp/reports/snp5-ms-turin.vek.der").read_bytes()
        return 404, {}, path.encode()

    report = VECTORS / "snp/reports/snp5-ms-turin.report.bin"
    with pcs(kds) as (url, asked):
        status, _, error = attest("collateral", "fetch", "--kds", url, report, tmp_path / "c")
    assert status == 0, (error, asked)
    assert (tmp_path / "c/ark.der").read_bytes() == (VECTORS / "snp/ca/ark_turin.der").read_bytes()
    (tmp_path / "c/crl.der").unlink()  # not AMD's: no real CRL is at hand
    policy = tmp_path / "policy.json"
    policy.write_text('{"version":1,"name":"p","crl_optional":true,"anchors":["amd-ark-turin"]}')
    status, out, _ = attest("verify", report, "--collateral", tmp_path / "c", "--policy", policy,
                            "--as-of", "2026-06-01T00:00:00Z", "--json")
    assert (status, json.loads(out)["claims"]["product"]) == (AFFIRMING, "turin")
    assert json.loads(out)["unchecked"] == ["revocation.crl"]


@needs_vectors
def test_only_https_or_this_machine(tmp_path):
    for url in ("http://example.test", "file:///etc", "ftp://127.0.0.1:1", "http://127.0.0.1.example.test:1"):
        status, _, error = attest("collateral", "fetch", "--pcs", url, QUOTE, tmp_path / "c")
        assert status == REFUSED and "https" in error, url
