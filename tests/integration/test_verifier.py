"""Certificates with quotes of tee-sim, right ones and forged ones, before two verifiers: the
independent one of verifier.py and cert_verify() of src/rules/cert (through cert_check). Both must
find the same, check by check.

Certificates are built here from spec/certificate.md, so this also tests the text."""
import base64
import copy
import datetime
import hashlib
import json
import os
import pathlib
import random as random_module
import re
import subprocess
import sys

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

import test_golden
import verifier

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("CUPEL_BUILD", ROOT / "build" / "release"))
CERT_CHECK = BUILD / "tests" / "tools" / "cert_check"
TEE_SIM = BUILD / "src" / "programs" / "tee-sim" / "tee-sim"
VECTORS = ROOT.parent / "shared" / "vectors" / "tdx"


def spki_of(key):
    return key.public_key().public_bytes(serialization.Encoding.DER,
                                         serialization.PublicFormat.SubjectPublicKeyInfo)


class Maker:
    """Makes certificates as tee-agent and cced-keys do."""

    FORMAT = "tdx-quote"

    def __init__(self, directory, *kind):
        self.directory = directory
        subprocess.run([TEE_SIM, "init", directory, *kind], check=True, capture_output=True)
        self.root = x509.load_der_x509_certificate(
            (directory / "root.der").read_bytes()).fingerprint(hashes.SHA256())
        self.agent = ed25519.Ed25519PrivateKey.generate()
        self.issuer = ed25519.Ed25519PrivateKey.generate()

    def quote(self, report_data):
        return subprocess.run([TEE_SIM, "quote", "--dir", self.directory, "--report-data",
                               report_data.hex()], check=True, capture_output=True).stdout

    def statement(self, spki=None):
        golden = test_golden.golden()
        inputs, outcome = json.loads(golden["inputs"]), json.loads(golden["outcome"])
        run = {"trace": {"root": golden["traceRoot"], "size": 5}}
        spki = spki or spki_of(self.agent)
        report_data = hashlib.sha512(
            b"cupel-execution-v1\0" + bytes.fromhex(golden["claimDigest"])
            + hashlib.sha256(test_golden.canonical(run)).digest()
            + hashlib.sha256(spki).digest()).digest()
        evidence = {
            "tee": {"mode": "simulated", "assurance": "none", "provider": "simulated",
                    "format": self.FORMAT, "eventLogDigest": None,
                    "quote": base64.b64encode(self.quote(report_data)).decode()},
            "binding": {"domain": "cupel-execution-v1", "reportData": report_data.hex(),
                        "spki": base64.b64encode(spki).decode()}}
        statement = json.loads(golden["statement"])
        statement["predicate"].update(run=run, evidence=evidence)
        assert statement["predicate"]["inputs"] == inputs
        assert statement["predicate"]["outcome"] == outcome
        return statement

    def sign(self, statement, keys=None, payload=None):
        payload = payload or test_golden.canonical(statement)
        pae = b"DSSEv1 28 application/vnd.in-toto+json %d " % len(payload) + payload
        return json.dumps({
            "payload": base64.b64encode(payload).decode(),
            "payloadType": "application/vnd.in-toto+json",
            "signatures": [{"keyid": hashlib.sha256(spki_of(key)).hexdigest(),
                            "sig": base64.b64encode(key.sign(pae)).decode()}
                           for key in keys or (self.agent, self.issuer)]}).encode()

    def sign_p256(self, statement, key, spki):
        envelope = json.loads(self.sign(statement))
        payload = base64.b64decode(envelope["payload"])
        pae = b"DSSEv1 28 application/vnd.in-toto+json %d " % len(payload) + payload
        envelope["signatures"] = [{
            "keyid": hashlib.sha256(spki).hexdigest(),
            "sig": base64.b64encode(key.sign(pae, ec.ECDSA(hashes.SHA256()))).decode()}]
        return json.dumps(envelope).encode()

    def verify(self, envelope, **given):
        given.setdefault("roots", [self.root])
        given.setdefault("issuer", spki_of(self.issuer))
        given.setdefault("as_of", datetime.datetime.utcnow())
        checks, verdict = verifier.Certificate(envelope, **given).verify()
        ours = self.ask_c(envelope, given)
        assert ours["verdict"] == verdict, [(c["name"], c["detail"]) for c in ours["checks"] if c["result"] == "fail"]
        assert [(c["name"], c["result"]) for c in ours["checks"]] == [
            (name, result) for name, result, _ in checks], (ours, checks)
        return {name: result for name, result, _ in checks}, verdict

    def ask_c(self, envelope, given):
        """cert_verify() of the C code, with the same things given."""
        def file(name, data):
            path = self.directory / name
            path.write_bytes(data)
            return path
        as_of = given["as_of"].replace(tzinfo=datetime.timezone.utc)
        options = [f"as_of_ms={int(as_of.timestamp() * 1000)}"]
        if given["roots"]:
            options.append(f"root={self.directory / 'root.der'}" if given["roots"] == [self.root]
                           else f"root={file('other.der', b'x')}")
        if given.get("hardware"):
            options.append("hardware=1")
        if given["issuer"] is not None:
            options.append(f"issuer={given['issuer'].hex()}")
        if given.get("result") is not None:
            options.append(f"result={file('result', given['result'])}")
        if given.get("files") is not None:
            options.append(f"files={file('files', json.dumps(given['files']).encode())}")
        if given.get("trace"):
            events, seed = given["trace"]
            options += [f"events={file('events', json.dumps(events).encode())}",
                        f"seed={seed.hex()}"]
        if given.get("measurement"):
            options.append(f"measurement={given['measurement'].hex()}")
        if given.get("collateral"):
            options.append(f"collateral={self.directory / 'collateral'}")
        done = subprocess.run([CERT_CHECK, file("envelope", envelope), *options],
                              capture_output=True, check=True)
        return json.loads(done.stdout)


@pytest.fixture(scope="module")
def maker(tmp_path_factory):
    return Maker(tmp_path_factory.mktemp("sim") / "platform")


@pytest.fixture(scope="module")
def statement(maker):
    return maker.statement()


def test_right_certificate(maker, statement):
    checks, verdict = maker.verify(
        maker.sign(statement), result=test_golden.MEASURED["result"].encode(),
        trace=(test_golden.TRACE_EVENTS, test_golden.TRACE_SEED))
    assert verdict == "simulated"
    assert {name for name, result in checks.items() if result == "not-checked"} == {
        "files", "tcb", "measurement", "transparency"}
    assert "fail" not in checks.values()


def with_files(maker, files):
    """A certificate of a run that left these files."""
    statement = maker.statement()
    outcome = statement["predicate"]["outcome"]
    rows = [{name: file[name] for name in ("path", "bytes", "sha256")} for file in files]
    outcome["files"] = {"count": len(rows), "bytes": sum(row["bytes"] for row in rows),
                        "sha256": hashlib.sha256(test_golden.canonical(rows)).hexdigest()}
    return resign(maker, statement)


def resign(maker, statement):
    predicate = statement["predicate"]
    inputs_digest = hashlib.sha256(test_golden.canonical(predicate["inputs"])).hexdigest()
    claim = hashlib.sha256(test_golden.canonical(
        {"v": 1, "inputsDigest": inputs_digest, "outcome": predicate["outcome"]})).digest()
    report_data = hashlib.sha512(
        b"cupel-execution-v1\0" + claim
        + hashlib.sha256(test_golden.canonical(predicate["run"])).digest()
        + hashlib.sha256(spki_of(maker.agent)).digest()).digest()
    statement["subject"][1]["digest"]["sha256"] = claim.hex()
    predicate["evidence"]["binding"]["reportData"] = report_data.hex()
    predicate["evidence"]["tee"]["quote"] = base64.b64encode(maker.quote(report_data)).decode()
    return statement


def a_file(path, data, encoding="utf-8"):
    return {"path": path, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest(),
            "encoding": encoding, "content": data.decode() if encoding == "utf-8"
            else base64.b64encode(data).decode()}


def test_files(maker, statement):
    files = [a_file("a/\u20ac.txt", b"hello"), a_file("b", b"\xff\0", "base64"), a_file("c", b"")]
    envelope = maker.sign(with_files(maker, files))
    assert maker.verify(envelope)[0]["files"] == "not-checked"
    checks, verdict = maker.verify(envelope, files=files)
    assert (checks["files"], verdict) == ("pass", "simulated")
    names_only = [{name: file[name] for name in ("path", "bytes", "sha256")} for file in files]
    assert maker.verify(envelope, files=names_only)[0]["files"] == "pass"
    assert maker.verify(maker.sign(with_files(maker, [])), files=[])[0]["files"] == "pass"
    assert maker.verify(maker.sign(statement), files=files)[0]["files"] == "fail"
    wrong = [files[:2], files[::-1], [], [*files, files[2]], [1, 2, 3], [{}, {}, {}]]
    for number, change in ((0, {"content": "hellp"}), (0, {"path": "a"}), (0, {"bytes": 6}),
                           (0, {"bytes": -5}), (0, {"encoding": "hex"}), (1, {"content": "/w=="}),
                           (1, {"content": "//"}), (1, {"sha256": "0" * 64}), (2, {"path": None}),
                           (0, {"sha256": files[0]["sha256"].upper()})):
        wrong.append([{**file, **(change if i == number else {})}
                      for i, file in enumerate(files)])
    for given in wrong:
        checks, verdict = maker.verify(envelope, files=given)
        assert (checks["files"], verdict) == ("fail", "failed"), given


def test_collateral_and_measurement_in_c(maker, statement):
    """What the independent verifier leaves out: TCB; the verdict stays simulated."""
    mrtd = verifier.Quote(base64.b64decode(
        statement["predicate"]["evidence"]["tee"]["quote"])).mrtd
    given = {"roots": [maker.root], "issuer": None, "as_of": datetime.datetime.utcnow(),
             "measurement": mrtd, "collateral": True}
    ours = maker.ask_c(maker.sign(statement), given)
    found = {check["name"]: check["result"] for check in ours["checks"]}
    assert (found["tcb"], found["measurement"], ours["verdict"]) == ("pass", "pass", "simulated")
    assert ours["anchor"] == "the given root"
    given["as_of"] += datetime.timedelta(days=3650 * 3)
    assert maker.ask_c(maker.sign(statement), given)["verdict"] == "failed"
    given["as_of"] -= datetime.timedelta(days=3650 * 3)
    crl = maker.directory / "collateral" / "pck_crl.der"
    kept = crl.read_bytes()
    crl.write_bytes(b"")
    ours = maker.ask_c(maker.sign(statement), given)
    crl.write_bytes(kept)
    found = {check["name"]: check["result"] for check in ours["checks"]}
    assert (found["quote"], found["tcb"], ours["verdict"]) == ("pass", "fail", "failed")


def test_hardware_verdict_needs_everything(maker, statement):
    """With the root taken for a maker's: hardware, but only with collateral."""
    hardware = changed(statement, ["predicateType"], "https://cupel.dev/execution/v1")
    hardware["predicate"]["evidence"]["tee"].update(mode="tdx", assurance="hardware")
    envelope = maker.sign(hardware)
    given = {"roots": [maker.root], "issuer": None, "as_of": datetime.datetime.utcnow(),
             "hardware": True, "collateral": True}
    assert maker.ask_c(envelope, given)["verdict"] == "hardware"
    assert maker.ask_c(envelope, given | {"collateral": False})["verdict"] == "simulated"
    assert maker.ask_c(envelope, given | {"hardware": False})["verdict"] == "failed"
    assert maker.ask_c(maker.sign(statement), given)["verdict"] == "failed"
    assert maker.ask_c(envelope, given | {"roots": []})["verdict"] == "failed"
    short = (test_golden.TRACE_EVENTS, b"short")
    assert maker.ask_c(envelope, given | {"trace": short})["checks"][11]["result"] == "fail"


def test_id_is_that_of_the_golden_example():
    golden = json.loads(test_golden.GOLDEN.read_text())
    assert verifier.certificate_id(golden["statement"].encode()) == golden["id"]


def test_what_is_not_given_is_not_checked(maker, statement):
    checks, verdict = maker.verify(maker.sign(statement), roots=[], issuer=None)
    assert verdict == "failed"  # an unchecked quote proves nothing
    assert checks["quote"] == checks["issuer"] == checks["result"] == "not-checked"


def test_other_result_trace_issuer_measurement_fail(maker, statement):
    envelope = maker.sign(statement)
    events, seed = test_golden.TRACE_EVENTS, test_golden.TRACE_SEED
    for name, given in (("result", {"result": b"other"}), ("trace", {"trace": (events[:-1], seed)}),
                        ("trace", {"trace": (events, bytes(32))}),
                        ("trace", {"trace": (list(reversed(events)), seed)}),
                        ("issuer", {"issuer": spki_of(maker.agent)[:-1] + b"\0"}),
                        ("measurement", {"measurement": bytes(range(48))})):
        checks, verdict = maker.verify(envelope, **given)
        assert (checks[name], verdict) == ("fail", "failed"), name


def test_other_root_and_other_time_fail(maker, statement):
    envelope = maker.sign(statement)
    for given in ({"roots": [bytes(32)]}, {"as_of": datetime.datetime(2001, 1, 1)},
                  {"as_of": datetime.datetime(2200, 1, 1)}, {"hardware": True}):
        checks, verdict = maker.verify(envelope, **given)
        assert (checks["quote"], verdict) == ("fail", "failed"), given


def changed(statement, path, value):
    statement = copy.deepcopy(statement)
    at = statement
    for part in path[:-1]:
        at = at[part]
    if value is KeyError:
        del at[path[-1]]
    else:
        at[path[-1]] = value
    return statement


FORGERIES = [
    ("statement", ["x"], 1), ("statement", ["predicate", "x"], 1),
    ("statement", ["predicate", "evidence", "x"], 1),
    ("statement", ["predicate", "evidence", "tee", "x"], 1),
    ("statement", ["predicate", "evidence", "binding", "x"], 1),
    ("statement", ["predicate", "evidence", "tee", "mode"], KeyError),
    ("statement", ["predicate", "run"], KeyError),
    ("statement", ["predicate", "run", "deep"], json.loads("[" * 30 + "]" * 30)),
    ("statement", ["predicate", "evidence", "binding", "reportData"], "AB" * 64),
    ("statement", ["predicate", "evidence", "binding", "reportData"], "ab" * 63),
    ("statement", ["predicate", "run", "trace", "size"], 2**53),
    ("statement", ["predicate", "run", "trace", "size"], 2**70),
    ("statement", ["predicate", "run", "trace", "size"], 1.0),
    ("statement", ["predicate", "run", "na\u00efve"], 1),
    ("statement", ["predicate", "run", "\u0000"], 1),
    ("statement", ["predicate", "run", "text"], "a\u0000b"),
    ("statement", ["predicateType"], "https://cupel.dev/execution/v2"),
    ("statement", ["_type"], "https://in-toto.io/Statement/v0.1"),
    ("statement", ["predicate", "evidence", "binding", "domain"], "cupel-execution-v0"),
    ("subjects", ["predicate", "inputs", "sandbox", "network"], "host"),
    ("subjects", ["predicate", "outcome", "status"], "nonzero"),
    ("subjects", ["subject", 0, "digest", "sha256"], "0" * 64),
    ("subjects", ["subject", 1, "name"], "Claim"),
    ("subjects", ["subject", 2, "digest", "sha512"], "0" * 128),
    ("subjects", ["subject"], []),
    ("binding", ["predicate", "run", "trace", "size"], 4),
    ("binding", ["predicate", "evidence", "binding", "reportData"], "0" * 128),
    ("binding", ["predicateType"], "https://cupel.dev/execution/v1"),
    ("statement", ["predicate", "evidence", "tee", "assurance"], "hardware"),
    ("statement", ["predicate", "evidence", "tee", "mode"], "tdx"),
    ("quote", ["predicate", "evidence", "tee", "format"], "snp-report"),
    ("statement", ["predicate", "evidence", "tee", "format"], "tpm-quote"),
    ("statement", ["predicate", "evidence", "tee", "provider"], ""),
    ("statement", ["predicate", "evidence", "tee", "provider"], "p" * 33),
    ("statement", ["predicate", "evidence", "tee", "provider"], "simulated\n"),
    ("statement", ["predicate", "evidence", "tee", "eventLogDigest"], "AB" * 32),
    ("statement", ["predicate", "evidence", "tee", "eventLogDigest"], 1),
]


@pytest.mark.parametrize("check, path, value", FORGERIES)
def test_signed_forgeries(maker, statement, check, path, value):
    """Whoever holds the agent key still cannot change what the quote speaks about."""
    checks, verdict = maker.verify(maker.sign(changed(statement, path, value)))
    assert (checks[check], verdict) == ("fail", "failed")


@pytest.mark.parametrize("digest", ["", "ab", "AB" * 32, "xy" * 32, 5, None])
def test_result_digest_has_one_form(maker, statement, digest):
    """Even when claim and subjects follow from it."""
    forged = changed(statement, ["predicate", "outcome", "result", "sha256"], digest)
    claim = {"v": 1, "inputsDigest": forged["subject"][2]["digest"]["sha256"],
             "outcome": forged["predicate"]["outcome"]}
    forged["subject"][0]["digest"]["sha256"] = digest
    forged["subject"][1]["digest"]["sha256"] = hashlib.sha256(
        test_golden.canonical(claim)).hexdigest()
    checks, verdict = maker.verify(maker.sign(forged))
    assert (checks["subjects"], verdict) == ("fail", "failed")


def test_deep_run_up_to_the_limit(maker, statement):
    """32 levels parse; what fails is only the binding."""
    deep = changed(statement, ["predicate", "run", "deep"], json.loads("[" * 29 + "]" * 29))
    assert maker.verify(maker.sign(deep))[0]["binding"] == "fail"


def test_hardware_claim_needs_a_hardware_anchor(maker, statement):
    forged = changed(statement, ["predicateType"], "https://cupel.dev/execution/v1")
    forged["predicate"]["evidence"]["tee"].update(mode="tdx", assurance="hardware")
    checks, verdict = maker.verify(maker.sign(forged))
    assert (checks["binding"], checks["quote"], verdict) == ("pass", "fail", "failed")


def test_stolen_evidence_does_not_fit_another_key(maker, statement):
    thief = ed25519.Ed25519PrivateKey.generate()
    forged = changed(statement, ["predicate", "evidence", "binding", "spki"],
                     base64.b64encode(spki_of(thief)).decode())
    checks, verdict = maker.verify(maker.sign(forged, (thief, maker.issuer)))
    assert (checks["signature"], checks["binding"], verdict) == ("pass", "fail", "failed")


def test_agent_key_may_be_p256_in_one_form(maker):
    """Statement and quote made anew for a P-256 key; a compressed point is another SPKI."""
    key = ec.generate_private_key(ec.SECP256R1())
    point = key.public_key().public_bytes(serialization.Encoding.X962,
                                          serialization.PublicFormat.CompressedPoint)
    compressed = bytes.fromhex("3039301306072a8648ce3d020106082a8648ce3d030107032200") + point
    for spki, expected in ((spki_of(key), "simulated"), (compressed, "failed")):
        envelope = maker.sign_p256(maker.statement(spki), key, spki)
        assert maker.verify(envelope, issuer=None)[1] == expected


def test_signatures(maker, statement):
    for keys in ((maker.issuer,), (maker.agent, maker.agent)):
        checks, verdict = maker.verify(maker.sign(statement, keys))
        assert (checks["signature"], verdict) == ("fail", "failed")
    checks, verdict = maker.verify(maker.sign(statement, (maker.agent,)))
    assert (checks["signature"], checks["issuer"], verdict) == ("pass", "fail", "failed")


def test_payload_must_be_canonical_and_unchanged(maker, statement):
    payload = test_golden.canonical(statement)
    for other in (payload + b" ", json.dumps(statement).encode(), payload.replace(b'"v', b'"\\u0076', 1),
                  b"[]", b"{", payload[:-1]):
        checks, verdict = maker.verify(maker.sign(statement, payload=other))
        assert (checks["statement"], verdict) == ("fail", "failed")
    envelope = json.loads(maker.sign(statement))
    envelope["payload"] = base64.b64encode(payload.replace(b"completed", b"completeD")).decode()
    checks, verdict = maker.verify(json.dumps(envelope).encode())
    assert (checks["signature"], verdict) == ("fail", "failed")


@pytest.mark.parametrize("edit", [
    lambda e: e.update(x=1), lambda e: e.pop("payloadType"), lambda e: e.update(signatures=[]),
    lambda e: e.update(signatures=5 * e["signatures"][:1]), lambda e: e.update(payloadType="x"),
    lambda e: e.update(payload=e["payload"] + "\n"), lambda e: e["signatures"][0].update(cert=""),
    lambda e: e["signatures"][1].update(keyid="k" * 65),
    lambda e: e["signatures"][1].update(sig=base64.b64encode(bytes(81)).decode()),
    lambda e: e.update(payload=None), lambda e: e["signatures"][0].update(sig="*"),
])
def test_envelope_is_strict(maker, statement, edit):
    envelope = json.loads(maker.sign(statement))
    edit(envelope)
    checks, verdict = maker.verify(json.dumps(envelope).encode())
    assert (checks["envelope"], verdict) == ("fail", "failed")


def with_quote(maker, statement, quote):
    return maker.sign(changed(statement, ["predicate", "evidence", "tee", "quote"],
                              base64.b64encode(quote).decode()))


def test_every_part_of_the_quote_is_checked(maker, statement):
    quote = base64.b64decode(statement["predicate"]["evidence"]["tee"]["quote"])
    places = {"version": 0, "key type": 2, "TEE": 4, "vendor": 12, "user data": 30, "MRTD": 184,
              "report data": 568, "signature size": 632, "signature": 640, "key": 710,
              "certification type": 764, "size": 767, "QE report": 780, "QE report data": 1100,
              "QE signature": 1160, "auth data": 1220}
    for name, offset in places.items():
        bad = bytearray(quote)
        bad[offset] ^= 1
        checks, verdict = maker.verify(with_quote(maker, statement, bytes(bad)))
        assert (checks["quote"], verdict) == ("fail", "failed"), name
    for size in (0, 1, 47, 631, 635, 700, 1000, 1300, len(quote) - 1):
        checks, _ = maker.verify(with_quote(maker, statement, quote[:size]))
        assert checks["quote"] == "fail", size
    assert maker.verify(with_quote(maker, statement, quote + bytes(8)))[1] == "simulated"
    assert maker.verify(with_quote(maker, statement, quote + b"\1"))[1] == "failed"


def test_quote_of_another_statement(maker, statement):
    checks, verdict = maker.verify(with_quote(maker, statement, maker.quote(bytes(64))))
    assert (checks["quote"], verdict) == ("fail", "failed")


@pytest.mark.skipif(not VECTORS.exists(), reason="shared vectors are not here")
def test_real_quotes_hold_up_to_intels_root():
    """Structure, chain, QE and signature of real version 4 quotes, without a certificate."""
    root = (VECTORS / "collateral" / "intel_root_ca.der").read_bytes()
    count = 0
    for path in sorted((VECTORS / "quotes").glob("v4-*.bin")):
        data = path.read_bytes()
        size = 636 + int.from_bytes(data[632:636], "little")
        quote = verifier.Quote(data[:size])
        chain = quote.chain()
        newest = max(certificate.not_valid_before for certificate in chain)
        certificate = verifier.Certificate(b"", [hashlib.sha256(root).digest()], as_of=newest)
        certificate.quote_bytes, certificate.report_data = data[:size], quote.report_data
        certificate.predicate_type = verifier.SIMULATED_TYPE
        certificate.tee = {"format": "tdx-quote"}
        if quote.debug:
            with pytest.raises(verifier.Fault, match="debug"):
                certificate.quote()
        else:
            certificate.quote()
        count += 1
    assert count >= 5


def test_command_line(maker, statement, tmp_path):
    (tmp_path / "c.json").write_bytes(maker.sign(statement))
    (tmp_path / "r.json").write_text(json.dumps({"execution_trace": {
        "events": test_golden.TRACE_EVENTS, "seed": test_golden.TRACE_SEED.hex()}}))
    (tmp_path / "i.pem").write_bytes(maker.issuer.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo))
    done = subprocess.run(
        [sys.executable, verifier.__file__, tmp_path / "c.json", "--root",
         maker.directory / "root.der", "--issuer", tmp_path / "i.pem", "--reply",
         tmp_path / "r.json"], capture_output=True, text=True)
    assert done.returncode == 3, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].endswith(" simulated")
    assert sum(" pass " in line for line in done.stdout.splitlines()) == 8


TOKENS = [b"0", b"-0", b"1e2", b"1.0", b"01", b"\\u0041", b"\\n", b"\\/", b"\x7f", b"\xc3\xa9", b"\xff",
          b"\xed\xa0\x80", b"\\ud800", b"\\u0000", b" ", b"\n", b",", b"null", b"true", b"NaN",
          b'"a":1,', b"[]", b"{}", b"9007199254740992", b"-9007199254740991", b'"', b"\\", b"\0"]


def mutate(random, data):
    data = bytearray(data)
    for _ in range(random.choice((1, 1, 1, 2, 4))):
        at = random.randrange(len(data) + 1)
        size = random.choice((0, 0, 1, 2, 8))
        data[at:at + size] = random.choice(
            (random.choice(TOKENS), random.randbytes(1), bytes(data[at:at + 40]), b""))
    return bytes(data)


def provider(payload):
    return (re.search(rb'"provider":"[^"]*"', payload) or [b"?"])[0]


def test_two_verifiers_agree_on_mutations(maker, statement):
    """Signed statements and envelopes with damage: maker.verify compares both, check by check."""
    random = random_module.Random(7)
    payload = test_golden.canonical(statement)
    envelope = maker.sign(statement)
    short = payload.index(b'"quote":"') + 9  # the quote has its own test; damage the rest
    quote = payload[short:payload.index(b'"', short)]
    for _ in range(150):
        damaged = mutate(random, payload.replace(quote, b"QUOTE")).replace(b"QUOTE", quote)
        verdict = maker.verify(maker.sign(statement, payload=damaged))[1]
        said = damaged.replace(provider(damaged), provider(payload), 1)
        assert verdict == "failed" or said == payload  # provider is what the agent says
        maker.verify(mutate(random, envelope))
