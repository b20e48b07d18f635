"""Certificates with SEV-SNP reports of tee-sim, right ones and forged ones, before the two verifiers
of test_verifier.py. Real reports of the shared vectors go through the independent one."""
import base64
import datetime
import hashlib
import json
import subprocess

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

import test_golden
import verifier
from service import Service, program
from test_service import get_certificate, script
from test_verifier import ROOT, Maker, changed

VECTORS = ROOT.parent / "shared" / "vectors" / "snp"


class SnpMaker(Maker):
    FORMAT = "snp-report"


@pytest.fixture(scope="module")
def maker(tmp_path_factory):
    return SnpMaker(tmp_path_factory.mktemp("sim") / "platform", "snp")


@pytest.fixture(scope="module")
def statement(maker):
    return maker.statement()


@pytest.fixture(scope="module")
def report(statement):
    return base64.b64decode(statement["predicate"]["evidence"]["tee"]["quote"])


def with_report(maker, statement, report):
    return maker.sign(changed(statement, ["predicate", "evidence", "tee", "quote"],
                              base64.b64encode(report).decode()))


def ask(maker, envelope, **given):
    given = {"roots": [maker.root], "issuer": None, "as_of": datetime.datetime.utcnow()} | given
    ours = maker.ask_c(envelope, given)
    return {check["name"]: check["result"] for check in ours["checks"]}, ours["verdict"]


def test_right_certificate(maker, statement):
    checks, verdict = maker.verify(
        maker.sign(statement), result=test_golden.MEASURED["result"].encode(),
        measurement=bytes(48))
    assert verdict == "simulated"
    assert {name for name, result in checks.items() if result == "not-checked"} == {
        "files", "tcb", "trace", "transparency"}
    assert "fail" not in checks.values()
    assert maker.verify(maker.sign(statement), measurement=bytes(47) + b"\1")[1] == "failed"


def test_collateral_in_c(maker, statement):
    envelope = maker.sign(statement)
    checks, verdict = ask(maker, envelope, collateral=True)
    assert (checks["tcb"], verdict) == ("pass", "simulated")
    late = datetime.datetime.utcnow() + datetime.timedelta(days=3650 * 3)
    assert ask(maker, envelope, collateral=True, as_of=late)[1] == "failed"
    crl = maker.directory / "collateral" / "crl.der"
    kept = crl.read_bytes()
    try:
        for bad in (kept[:-1], kept[:-1] + bytes([kept[-1] ^ 1])):
            crl.write_bytes(bad)
            checks, verdict = ask(maker, envelope, collateral=True)
            assert (checks["quote"], checks["tcb"], verdict) == ("pass", "fail", "failed")
        crl.write_bytes(b"")
        checks, verdict = ask(maker, envelope, collateral=True)
        assert (checks["tcb"], verdict) == ("not-checked", "simulated")
    finally:
        crl.write_bytes(kept)


def test_hardware_verdict_needs_everything(maker, statement):
    hardware = changed(statement, ["predicateType"], "https://cupel.dev/execution/v1")
    hardware["predicate"]["evidence"]["tee"].update(mode="sev-snp", assurance="hardware")
    envelope = maker.sign(hardware)
    assert ask(maker, envelope, hardware=True, collateral=True)[1] == "hardware"
    assert ask(maker, envelope, hardware=True)[1] == "simulated"
    assert ask(maker, envelope, collateral=True)[1] == "failed"
    assert ask(maker, maker.sign(statement), hardware=True, collateral=True)[1] == "failed"
    hardware["predicate"]["evidence"]["tee"].update(mode="tdx")
    assert ask(maker, maker.sign(hardware), hardware=True)[0]["statement"] == "fail"


def test_report_without_certificates(maker, statement, report):
    """Then the verifier's own collateral has to have them; our Python verifier reads none."""
    bare = with_report(maker, statement, report[:1184])
    assert maker.verify(bare)[1] == "failed"
    checks, verdict = ask(maker, bare, collateral=True)
    assert (checks["quote"], checks["tcb"], verdict) == ("pass", "pass", "simulated")


def test_every_byte_of_the_report_counts(maker, statement, report):
    """Every field's first byte before both verifiers, all bytes before the C one's parser."""
    for offset in (0, 4, 8, 0x10, 0x20, 0x30, 0x34, 0x38, 0x40, 0x48, 0x4c, 0x50, 0x90, 0xc0, 0xe0,
                   0x110, 0x140, 0x160, 0x180, 0x188, 0x18b, 0x1a0, 0x1e0, 0x1e8, 0x1eb, 0x1ec,
                   0x1f0, 0x1f8, 0x29f, 0x2a0, 0x2a0 + 48, 0x2e8, 0x2e8 + 71, 0x330, 1183):
        bad = bytearray(report)
        bad[offset] ^= 1
        checks, verdict = maker.verify(with_report(maker, statement, bytes(bad)))
        assert (checks["quote"], verdict) == ("fail", "failed"), hex(offset)
    for size in (0, 1, 1183, 1185, 1184 + 23, 1184 + 100, 1184 + 2000, len(report) - 1):
        checks, _ = maker.verify(with_report(maker, statement, report[:size]))
        assert checks["quote"] == "fail", size


def test_report_of_another_statement(maker, statement):
    checks, verdict = maker.verify(with_report(maker, statement, maker.quote(bytes(64))))
    assert (checks["quote"], verdict) == ("fail", "failed")


def test_other_root_and_other_time_fail(maker, statement, tmp_path_factory):
    envelope = maker.sign(statement)
    for given in ({"roots": [bytes(32)]}, {"as_of": datetime.datetime(2001, 1, 1)},
                  {"as_of": datetime.datetime(2200, 1, 1)}, {"hardware": True}):
        checks, verdict = maker.verify(envelope, **given)
        assert (checks["quote"], verdict) == ("fail", "failed"), given
    other = SnpMaker(tmp_path_factory.mktemp("sim") / "other", "snp")
    other.agent, other.issuer = maker.agent, maker.issuer
    checks, verdict = maker.verify(other.sign(other.statement()))
    assert (checks["quote"], verdict) == ("fail", "failed")


class Forger:
    """ARK, ASK and VEK of our own: what a certificate may not say even under a trusted root."""

    def __init__(self):
        self.ark, self.ask = (rsa.generate_private_key(65537, 2048) for _ in range(2))
        self.vek = ec.generate_private_key(ec.SECP384R1())

    @staticmethod
    def table(rows):
        head, body = b"", b""
        for name, der in rows:
            guid = next(guid for guid, kind in verifier.Report.GUIDS.items() if kind == name)
            head += (bytes.fromhex(guid.replace("-", ""))
                     + (24 * (len(rows) + 1) + len(body)).to_bytes(4, "little")
                     + len(der).to_bytes(4, "little"))
            body += der
        return head + bytes(24) + body

    def resign(self, report, fields):
        data = bytearray(report[:0x2a0])
        for offset, value in fields.items():
            data[offset:offset + len(value)] = value
        r, s = decode_dss_signature(self.vek.sign(bytes(data), ec.ECDSA(hashes.SHA384())))
        return (bytes(data) + r.to_bytes(72, "little") + s.to_bytes(72, "little") + bytes(368))


def parse(maker):
    return {name: (maker.directory / "collateral" / f"{name}.der").read_bytes()
            for name in ("vek", "ask", "ark")}


def test_certificate_table_is_strict(maker, statement, report):
    files, bare, table = parse(maker), report[:1184], Forger.table
    rows = list(files.items())
    assert maker.verify(with_report(maker, statement, bare + table(rows)))[1] == "simulated"
    assert maker.verify(with_report(maker, statement, bare + table(rows[::-1])))[1] == "simulated"
    for bad in (rows[:2], rows[1:], [*rows, rows[0]], [("vek", files["ask"]), *rows[1:]],
                [("vek", files["vek"][:-1]), *rows[1:]], [rows[0], ("ask", files["ark"]), rows[2]]):
        checks, verdict = maker.verify(with_report(maker, statement, bare + table(bad)))
        assert (checks["quote"], verdict) == ("fail", "failed"), [name for name, _ in bad]
    good = bytearray(table(rows))
    for offset, value in ((16, 0xffffffff), (20, 0xffffffff), (20, 0), (16, len(good))):
        bad = bytes(good[:offset]) + value.to_bytes(4, "little") + bytes(good[offset + 4:])
        assert maker.verify(with_report(maker, statement, bare + bad))[1] == "failed"


class TestForgedUnderTrustedRoot:
    """Everything signed anew, so that only the named rule is left to refuse it."""

    @pytest.fixture(scope="class")
    def forger(self):
        return Forger()

    def certificates(self, forger, names=("SEV-VCEK", "SEV-Genoa", "ARK-Genoa"), chip=None,
                     svns=(10, 0, 23, 84), extra=(), vek_is_ca=False, product=b"Genoa-B1"):
        def name(text):
            return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])
        keys = (forger.vek, forger.ask, forger.ark)
        issuers = ((names[1], forger.ask), (names[2], forger.ark), (names[2], forger.ark))
        now = datetime.datetime.utcnow()
        built = []
        for n in range(3):
            is_ca = n > 0 or vek_is_ca
            builder = (x509.CertificateBuilder().subject_name(name(names[n]))
                       .issuer_name(name(issuers[n][0])).public_key(keys[n].public_key())
                       .serial_number(n + 1).not_valid_before(now - datetime.timedelta(days=1))
                       .not_valid_after(now + datetime.timedelta(days=30))
                       .add_extension(x509.BasicConstraints(is_ca, None), True)
                       .add_extension(x509.KeyUsage(not is_ca, False, False, False, False, is_ca,
                                                    is_ca, False, False), True))
            rows = [("2", b"\x16" + bytes([len(product)]) + product),
                    *((arc, b"\x02\x01" + bytes([svn])) for arc, svn in
                      zip(("3.1", "3.2", "3.3", "3.8"), svns)), ("4", chip), *extra]
            for arc, value in rows if n == 0 else ():
                if value is not None:
                    builder = builder.add_extension(x509.UnrecognizedExtension(
                        x509.ObjectIdentifier("1.3.6.1.4.1.3704.1." + arc), value), False)
            built.append(builder)
        return built, issuers

    def sign(self, forger, **given):
        """cryptography 38 cannot sign certificates with PSS: take the bytes and do it by hand."""
        built, issuers = self.certificates(forger, **given)
        plain = bytes.fromhex("300d06092a864886f70d01010c0500")  # sha384WithRSAEncryption
        pss = bytes.fromhex(
            "304106092a864886f70d01010a3034a00f300d06096086480165030402020500a11c301a06092a864886f7"
            "0d010108300d06096086480165030402020500a203020130")
        done = []
        for builder, (_, key) in zip(built, issuers):
            tbs = builder.sign(key, hashes.SHA384()).tbs_certificate_bytes.replace(plain, pss, 1)
            size = 4 + int.from_bytes(tbs[2:4], "big") + len(pss) - len(plain)
            tbs = tbs[:2] + (size - 4).to_bytes(2, "big") + tbs[4:]
            signature = b"\0" + key.sign(
                tbs, padding.PSS(padding.MGF1(hashes.SHA384()), 48), hashes.SHA384())
            body = tbs + pss + b"\x03\x82" + len(signature).to_bytes(2, "big") + signature
            done.append(b"\x30\x82" + len(body).to_bytes(2, "big") + body)
        return done

    def verify(self, maker, forger, statement, report, fields=None, **given):
        given.setdefault("chip", report[0x1a0:0x1e0])
        ders = self.sign(forger, **given)
        forged = forger.resign(report, fields or {}) + Forger.table(
            list(zip(("vek", "ask", "ark"), ders)))
        root, kept = maker.directory / "root.der", (maker.directory / "root.der").read_bytes()
        root.write_bytes(ders[2])
        own, maker.root = maker.root, hashlib.sha256(ders[2]).digest()
        try:
            return maker.verify(with_report(maker, statement, forged))
        finally:
            root.write_bytes(kept)
            maker.root = own

    def test_the_forger_can_make_a_right_one(self, maker, forger, statement, report):
        assert self.verify(maker, forger, statement, report)[1] == "simulated"

    @pytest.mark.parametrize("given", [
        {"names": ("SEV-VLEK", "SEV-VLEK-Genoa", "ARK-Genoa")},  # the report says VCEK
        {"names": ("SEV-VCEK", "SEV-VLEK-Genoa", "ARK-Genoa")},
        {"names": ("SEV-VCEK", "SEV-Milan", "ARK-Milan")}, {"names": ("x", "SEV-Genoa", "ARK-Genoa")},
        {"names": ("SEV-VCEK", "SEV-Genoa", "Cupel Root")}, {"product": b"Milan-B0"},
        {"chip": bytes(64)}, {"chip": None}, {"svns": (10, 0, 23, 83)}, {"svns": (11, 0, 23, 84)},
        {"extra": [("5", b"\x16\x03AWS")]}, {"extra": [("3.9", b"\x02\x01\x00")]},
        {"vek_is_ca": True},
        {"fields": {0x0a: b"\x0b"}},  # debug
        {"fields": {0x0a: b"\x07"}},  # migration agent
        {"fields": {0x0a: b"\x01"}},  # bit 17 is clear
        {"fields": {0x30: b"\x01"}},  # VMPL
        {"fields": {0x48: b"\x04"}},  # says VLEK
        {"fields": {0x188: b"\x1a\x02"}},  # a Turin
        {"fields": {0x1a0: bytes(64)}},
        {"fields": {0x50: bytes(64)}},
    ])
    def test_wrong_ones_are_refused(self, maker, forger, statement, report, given):
        checks, verdict = self.verify(maker, forger, statement, report, **given)
        assert (checks["quote"], verdict) == ("fail", "failed")


@pytest.mark.skipif(not VECTORS.exists(), reason="shared vectors are not here")
def test_real_reports_hold_up_to_amds_roots():
    """Structure, chain, VEK and signature as the vectors' verdicts say, without a certificate."""
    read, seen = lambda name: (VECTORS / name).read_bytes(), {True: 0, False: 0}
    guest = {"tcb.provisional", "tcb.order"}  # the check tcb, which this verifier leaves out
    for case in json.loads(read("real.json")):
        files = case["collateral"]
        roots = {hashlib.sha256(read(name)).digest(): read(name) for name in files["roots"]}
        ask = read(files["ica"]) if files["ica"] else b""
        issuer = x509.load_der_x509_certificate(ask).issuer if ask else None
        ark = next((der for der in roots.values()
                    if x509.load_der_x509_certificate(der).subject == issuer), b"")
        certificate = verifier.Certificate(
            b"", roots, as_of=datetime.datetime.strptime(case["as_of"], "%Y-%m-%dT%H:%M:%SZ"))
        certificate.quote_bytes = read(case["report"]) + Forger.table(
            [("vek", read(files["vek"])), ("ask", ask), ("ark", ark)])
        vmpl = int.from_bytes(certificate.quote_bytes[0x30:0x34], "little")
        certificate.report_data = certificate.quote_bytes[0x50:0x90]
        certificate.tee = {"format": "snp-report"}
        certificate.predicate_type = verifier.SIMULATED_TYPE
        is_right = set(case["all"]) <= guest and vmpl == 0
        try:
            certificate.quote()
            assert is_right, case
        except verifier.Fault as fault:
            assert not is_right, (case, fault)
        seen[is_right] += 1
    assert seen[True] >= 5 and seen[False] >= 2, seen


def test_service_on_a_simulated_snp_platform(tmp_path):
    """POST /execute to certificate; the service, `cupel verify` and verifier.py say the same."""
    cupel = Service("--platform", "simulated-snp")
    try:
        status, reply = cupel.execute(script("print('snp')", data=b"x"))
        assert status == 200, reply
        body = get_certificate(cupel, reply["certificate_id"])  # asks the independent one as well
        assert body["verdict"] == "simulated"
        tee = body["statement"]["predicate"]["evidence"]["tee"]
        assert (tee["mode"], tee["assurance"], tee["format"]) == ("simulated", "none", "snp-report")
        checks = cupel.json("GET", f"/certificate/{reply['certificate_id']}/verify", token=False)[1]
        results = {row["name"]: row["result"] for row in checks["checks"]}
        assert all(results[name] == "pass" for name in ("quote", "tcb", "measurement", "issuer"))
        path = tmp_path / "c.json"
        path.write_bytes(cupel.call(
            "GET", f"/certificate/{reply['certificate_id']}/envelope", token=False)[2])
        base = [program("cupel"), "verify", path, "--json", "--state-dir", cupel.state]
        done = subprocess.run(base, capture_output=True, text=True)
        assert done.returncode == 3, done.stdout + done.stderr
        said = {row["name"]: row["result"] for row in json.loads(done.stdout)["checks"]}
        assert said["quote"] == said["tcb"] == said["measurement"] == "pass"
        root = cupel.state / "tee-sim-snp" / "root.der"
        done = subprocess.run([*base, "--anchor", root, "--collateral", root.parent / "collateral"],
                              capture_output=True, text=True)
        assert done.returncode == 3, done.stdout + done.stderr
        done = subprocess.run([*base, "--measurement", "00" * 48], capture_output=True, text=True)
        assert done.returncode == 1
    finally:
        cupel.close()
