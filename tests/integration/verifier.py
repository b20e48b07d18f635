"""An independent verifier of execution certificates, written from spec/certificate.md.

Shares no code and no structure with src/rules/cert: only hashlib, json and Debian's
python3-cryptography. Tests check every certificate with it; people may too:

    verifier.py CERTIFICATE.json --root root.pem [--hardware] [--issuer issuer.pem]
                [--result FILE] [--reply REPLY.json] [--measurement HEX] [--as-of 2026-11-21T00:00:00Z]

CERTIFICATE.json is the DSSE envelope. Exit status: 0 hardware, 3 simulated, 1 failed, 2 usage.
"""
import argparse
import base64
import datetime
import hashlib
import hmac
import json
import pathlib
import re
import sys

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

CHECKS = ("envelope", "statement", "signature", "issuer", "subjects", "result", "files", "binding",
          "quote", "tcb", "measurement", "trace", "transparency")
ESSENTIAL = {"envelope", "statement", "signature", "subjects", "binding", "quote"}
PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
HARDWARE_TYPE = "https://cupel.dev/execution/v1"
SIMULATED_TYPE = "https://cupel.dev/execution-simulated/v1"
PLATFORMS = {("simulated", "none", "tdx-quote"), ("simulated", "none", "snp-report"),
             ("tdx", "hardware", "tdx-quote"), ("sev-snp", "hardware", "snp-report")}
QE_VENDOR = bytes.fromhex("939a7233f79c4ca9940a0db3957f0607")


class Fault(Exception):
    """A check does not pass; the text says why."""


def require(condition, why):
    if not condition:
        raise Fault(why)


# Section 1: JSON and base64, strictly.

def _members(pairs):
    names = [name for name, _ in pairs]
    require(len(set(names)) == len(names), "a member occurs twice")
    return dict(pairs)


def _no(what):
    def refuse(text):
        raise Fault(f"{what}: {text[:20]}")
    return refuse


def depth_of(data):
    """Deepest nesting of a text that parsed, outside of strings."""
    depth = deepest = 0
    for byte in re.sub(rb'"(\\.|[^"\\])*"', b"", data):
        depth += (byte in b"[{") - (byte in b"]}")
        deepest = max(deepest, depth)
    return deepest


def parse_json(data):
    require(depth_of(data) <= 32, "nested too deep")
    try:
        return json.loads(data.decode("utf-8"), object_pairs_hook=_members,
                          parse_float=_no("number with a fraction"),
                          parse_constant=_no("no JSON number"))
    except (ValueError, RecursionError) as fault:
        raise Fault(f"no JSON: {fault}") from None


def canonical(value):
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            require(all(re.fullmatch(r"[ -~]*", name) for name in item), "name is not ASCII")
            stack.extend(item.values())
        elif isinstance(item, list):
            stack.extend(item)
        elif isinstance(item, str):
            require("\0" not in item, "NUL in a string")
        elif isinstance(item, float):
            raise Fault("number with a fraction")
        elif isinstance(item, int) and not isinstance(item, bool):
            require(abs(item) <= 2**53 - 1, "integer beyond 2^53-1")
    try:
        return json.dumps(value, sort_keys=True, separators=(",", ":"),
                          ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        raise Fault("lone surrogate") from None


def exactly(value, where, **kinds):
    require(isinstance(value, dict), f"{where} is no object")
    require(set(value) == set(kinds), f"{where} has members {sorted(value)}")
    for name, kind in kinds.items():
        require(kind is None or type(value[name]) is kind, f"{where}.{name} has a wrong type")
    return [value[name] for name in kinds]


def from_base64(text, where):
    try:
        data = base64.b64decode(text.encode("ascii"), validate=True)
    except ValueError:
        raise Fault(f"{where} is no base64") from None
    require(base64.b64encode(data).decode() == text, f"{where} is not canonical base64")
    return data


def from_hex(text, size, where):
    require(isinstance(text, str) and re.fullmatch(f"[0-9a-f]{{{2 * size}}}", text),
            f"{where} is not {size} bytes in lower-case hexadecimal")
    return bytes.fromhex(text)


# Signatures.

def load_key(spki):
    try:
        key = serialization.load_der_public_key(spki)
    except (ValueError, TypeError):
        raise Fault("no public key") from None
    is_p256 = isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1)
    require(is_p256 or isinstance(key, ed25519.Ed25519PublicKey), "neither Ed25519 nor P-256")
    if is_p256:
        point = key.public_bytes(serialization.Encoding.X962,
                                 serialization.PublicFormat.UncompressedPoint)
        form = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d030107034200") + point
    else:
        form = bytes.fromhex("302a300506032b6570032100") + key.public_bytes(
            serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    require(spki == form, "not the one form of this key")
    return key


def verify(key, signature, message, why):
    try:
        if isinstance(key, ed25519.Ed25519PublicKey):
            key.verify(signature, message)
        else:
            key.verify(signature, message, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        raise Fault(why) from None


def verify_raw(key, signature, message, why):
    """r and s as two numbers of 32 bytes, big-endian."""
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    require(r and s, why)
    verify(key, encode_dss_signature(r, s), message, why)


class Bytes:
    """Fields one after the other."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, size):
        require(self.at + size <= len(self.data), "quote ends early")
        self.at += size
        return self.data[self.at - size:self.at]

    def number(self, size):
        return int.from_bytes(self.take(size), "little")

    def end(self, what):
        require(self.at == len(self.data), f"bytes left over behind {what}")


class Quote:
    """Section 6, structure only."""

    def __init__(self, data):
        whole = Bytes(data)
        self.version, key_type, tee = whole.number(2), whole.number(2), whole.number(4)
        require(self.version == 4, f"quote version {self.version}, this verifier reads 4")
        require(key_type == 2, "attestation key is not ECDSA P-256")
        require(tee == 0x81, "not a TDX quote")
        whole.take(4)
        require(whole.take(16) == QE_VENDOR, "QE vendor is not Intel's")
        whole.take(20)
        body = whole.take(584)
        self.mrtd, self.report_data = body[136:184], body[520:584]
        self.debug = body[120] & 1
        self.signed = data[:whole.at]
        rest = Bytes(whole.take(whole.number(4)))
        require(not any(data[whole.at:]), "non-zero bytes behind the quote")
        self.signature, self.key = rest.take(64), rest.take(64)
        require(rest.number(2) == 6, "certification type is not 6")
        qe = Bytes(rest.take(rest.number(4)))
        rest.end("the certification data")
        self.qe_report, self.qe_signature = qe.take(384), qe.take(64)
        self.qe_auth = qe.take(qe.number(2))
        require(qe.number(2) == 5, "inner certification type is not 5")
        self.pem = qe.take(qe.number(4))
        qe.end("the PEM chain")

    def chain(self):
        blocks = re.findall(rb"-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----",
                            self.pem)
        require(len(blocks) == 3, f"{len(blocks)} certificates, expected leaf, CA, root")
        try:
            return [x509.load_pem_x509_certificate(block) for block in blocks]
        except ValueError:
            raise Fault("a certificate does not parse") from None


def is_authority(certificate):
    try:
        extensions = certificate.extensions
        return (extensions.get_extension_for_class(x509.BasicConstraints).value.ca
                and extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign)
    except x509.ExtensionNotFound:
        return False


def check_chain(chain, roots, as_of):
    require(chain[-1].fingerprint(hashes.SHA256()) in roots, "root is not one of the anchors")
    for certificate, issuer in zip(chain, [*chain[1:], chain[-1]]):
        require(certificate.not_valid_before <= as_of <= certificate.not_valid_after,
                "a certificate is not valid at this time")
        require(certificate.issuer == issuer.subject, "names in the chain do not link")
        require(is_authority(issuer), "an issuer is no CA")
        require(isinstance(certificate.signature_hash_algorithm, hashes.SHA256),
                "a certificate is not signed with SHA-256")
        key = issuer.public_key()
        require(isinstance(key, ec.EllipticCurvePublicKey), "an issuer's key is not P-256")
        verify(key, certificate.signature, certificate.tbs_certificate_bytes,
               "a certificate's signature does not hold")
    try:
        leaf = chain[0].extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        leaf = False
    require(not leaf, "the leaf is a CA")


class Report:
    """Section 7: an SEV-SNP report and the certificates behind it."""

    GUIDS = {"63da758d-e664-4564-adc5-f4b93be8accd": "vek", "a8074bc2-a25a-483e-aae6-39c045a0b8a1":
             "vek", "4ab7b379-bbac-4fe4-a02f-05aef327c782": "ask",
             "c0b406a4-a803-4952-9743-3fb6014cd0ae": "ark"}
    RESERVED = {2: [(0x188, 0x1a0), (0x1f8, 0x2a0)], 3: [(0x18b, 0x1a0), (0x1f8, 0x2a0)],
                4: [(0x18b, 0x1a0), (0x1f8, 0x2a0)], 5: [(0x18b, 0x1a0), (0x208, 0x2a0)]}
    LINES = {"Milan": [(0x19, 0x00, 0x0f)], "Genoa": [(0x19, 0x10, 0x1f), (0x19, 0xa0, 0xaf)],
             "Turin": [(0x1a, 0x00, 0x11)]}

    def __init__(self, data):
        require(len(data) >= 1184, "report is too short")
        self.data, table = data[:1184], data[1184:]
        self.version = self.number(0, 4)
        require(self.version in self.RESERVED, f"report version {self.version}")
        require(self.number(0x34, 4) == 1, "not signed with ECDSA P-384")
        for begin, end in [*self.RESERVED[self.version], (0x4c, 0x50), (0x1eb, 0x1ec),
                           (0x1ef, 0x1f0), (0x330, 1184)]:
            require(not any(self.data[begin:end]), "a reserved byte is not zero")
        signer = self.number(0x48, 4)
        require(signer < 32 and signer >> 2 in (0, 1), "signed by neither VCEK nor VLEK")
        self.is_vlek = signer >> 2 == 1
        self.mrtd, self.report_data = self.data[0x90:0xc0], self.data[0x50:0x90]
        self.certificates = {}
        at = 0
        while table:
            entry = table[at:at + 24]
            require(len(entry) == 24, "certificate table is cut")
            if not any(entry[:16]):
                break
            guid = entry[:16].hex()
            guid = "-".join((guid[:8], guid[8:12], guid[12:16], guid[16:20], guid[20:]))
            begin, size = (int.from_bytes(entry[n:n + 4], "little") for n in (16, 20))
            require(size and begin + size <= len(table), "an entry points outside the table")
            name = self.GUIDS.get(guid)
            require(name not in self.certificates, "a certificate occurs twice")
            if name:
                self.certificates[name] = table[begin:begin + size]
            at += 24
            require(at < 24 * 32, "too many entries")

    def number(self, at, size):
        return int.from_bytes(self.data[at:at + size], "little")

    def chain(self):
        require(set(self.certificates) == {"vek", "ask", "ark"}, "VEK, ASK and ARK are expected")
        try:
            return [x509.load_der_x509_certificate(self.certificates[name])
                    for name in ("vek", "ask", "ark")]
        except ValueError:
            raise Fault("a certificate does not parse") from None

    def check_names(self, chain):
        """Product line and kind, by the common names."""
        names = [certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
                 for certificate in chain]
        require(all(len(name) == 1 for name in names), "a name has not one common name")
        vek, ask, ark = (name[0].value for name in names)
        line = ark.removeprefix("ARK-")
        require(line in self.LINES and ark == "ARK-" + line, "no known ARK")
        require((vek, ask) == (("SEV-VLEK", "SEV-VLEK-" + line) if self.is_vlek
                               else ("SEV-VCEK", "SEV-" + line)), "roles and report disagree")
        if self.version > 2:
            family, model = self.data[0x188], self.data[0x189]
            require(any(family == row[0] and row[1] <= model <= row[2]
                        for row in self.LINES[line]), "the report is of another product")
        return line

    def tcb(self, at, line):
        """boot loader, TEE, SNP, microcode, FMC"""
        places = (1, 2, 3, 7, 0) if line == "Turin" else (0, 1, 6, 7)
        return tuple(self.data[at + place] for place in places)

    def check_vek(self, vek, line):
        found = {extension.oid.dotted_string: extension.value.value for extension in vek.extensions
                 if isinstance(extension.value, x509.UnrecognizedExtension)}
        arc = "1.3.6.1.4.1.3704.1."

        def svn(name):
            value = found.get(arc + name, b"")
            require(re.fullmatch(b"\\x02\\x01[\0-\x7f]|\\x02\\x02\0[\x80-\xff]", value, re.S),
                    f"extension {name} is no security version")
            return value[-1]
        names = ["3.1", "3.2", "3.3", "3.8"] + (["3.9"] if line == "Turin" else [])
        require((arc + "3.9" in found) == (line == "Turin"), "FMC and product disagree")
        require(tuple(map(svn, names)) == self.tcb(0x180, line), "VEK is of another TCB")
        product = found.get(arc + "2", b"")
        require(product[:1] == b"\x16" and product[1] == len(product) - 2
                and product[2:].decode("ascii").split("-")[0] == line, "VEK of another product")
        require((arc + "4" in found) != self.is_vlek and (arc + "5" in found) == self.is_vlek,
                "VEK names not exactly one of chip and provider")
        chip = found.get(arc + "4")
        if chip is not None:
            chip = chip[2:] if len(chip) in (66, 10) and chip[:1] == b"\x04" else chip
            require(len(chip) in (64, 8) and self.data[0x1a0:0x1e0] == chip.ljust(64, b"\0"),
                    "VEK is of another chip")

    def check_guest(self, line):
        current, reported, committed = (self.tcb(at, line) for at in (0x38, 0x180, 0x1e0))
        require(not self.number(8, 8) & 0xc0000, "debuggable or migratable")
        require(self.number(8, 8) & 0x20000 and not self.number(8, 8) >> 26, "policy is malformed")
        require(self.number(0x30, 4) == 0, "VMPL is not 0")
        return all(map(lambda a, b, c: a >= b and a >= c, current, reported, committed))

    def check_signature(self, vek):
        require(isinstance(vek, ec.EllipticCurvePublicKey) and isinstance(vek.curve, ec.SECP384R1),
                "VEK's key is not P-384")
        r, s = self.number(0x2a0, 72), self.number(0x2e8, 72)
        require(0 < r < 1 << 384 and 0 < s < 1 << 384, "report signature does not hold")
        try:
            vek.verify(encode_dss_signature(r, s), self.data[:0x2a0], ec.ECDSA(hashes.SHA384()))
        except InvalidSignature:
            raise Fault("report signature does not hold") from None


def check_amd_chain(chain, roots, as_of):
    require(chain[-1].fingerprint(hashes.SHA256()) in roots, "root is not one of the anchors")
    pss = padding.PSS(padding.MGF1(hashes.SHA384()), 48)
    for certificate, issuer in zip(chain, [*chain[1:], chain[-1]]):
        require(certificate.not_valid_before <= as_of <= certificate.not_valid_after,
                "a certificate is not valid at this time")
        require(certificate.issuer == issuer.subject, "names in the chain do not link")
        require(is_authority(issuer), "an issuer is no CA")
        require(certificate.signature_algorithm_oid.dotted_string == "1.2.840.113549.1.1.10"
                and isinstance(issuer.public_key(), rsa.RSAPublicKey), "not signed with RSA-PSS")
        try:
            issuer.public_key().verify(certificate.signature, certificate.tbs_certificate_bytes,
                                       pss, hashes.SHA384())
        except InvalidSignature:
            raise Fault("a certificate's signature does not hold") from None
    require(not is_authority(chain[0]), "the VEK is a CA")


# Merkle trees, iteratively from below: pairs, an odd one climbs.

def merkle_root(leaves):
    level = list(leaves)
    if not level:
        return hashlib.sha256(b"").digest()
    while len(level) > 1:
        above = [hashlib.sha256(b"\1" + level[i] + level[i + 1]).digest()
                 for i in range(0, len(level) - 1, 2)]
        level = above + level[len(level) - len(level) % 2:]
    return level[0]


def trace_root(events, seed):
    leaves = []
    for index, event in enumerate(events):
        salt = hmac.new(seed, index.to_bytes(8, "big"), hashlib.sha256).digest()[:16]
        leaves.append(hashlib.sha256(b"\0" + salt + canonical(event)).digest())
    return merkle_root(leaves)


def certificate_id(payload):
    digest = hashlib.sha256(payload).digest()
    return "cert_" + base64.b32encode(digest).decode().lower()[:26]


class Certificate:
    """One verification; each method named after a check raises Fault or returns a detail."""

    def __init__(self, envelope, roots=(), hardware=False, issuer=None, result=None, trace=None,
                 measurement=None, as_of=None, files=None):
        self.envelope_bytes, self.issuer_spki, self.result_bytes = envelope, issuer, result
        self.roots, self.hardware, self.trace_given = set(roots), hardware, trace
        self.expected_mrtd, self.files_given = measurement, files
        self.as_of = as_of or datetime.datetime.utcnow()
        self.id = None
        self.report = {name: ("not-checked", "an earlier check failed") for name in CHECKS}

    def envelope(self):
        require(len(self.envelope_bytes) <= 98304, "envelope too large")
        payload, kind, signatures = exactly(parse_json(self.envelope_bytes), "envelope",
                                            payload=str, payloadType=str, signatures=list)
        require(kind == PAYLOAD_TYPE, "payload type is not in-toto")
        require(1 <= len(signatures) <= 4, "expected 1 to 4 signatures")
        self.payload = from_base64(payload, "payload")
        self.signatures = []
        for row in signatures:
            keyid, sig = exactly(row, "signature", keyid=str, sig=str)
            require(len(keyid) <= 64, "keyid too long")
            self.signatures.append((keyid, from_base64(sig, "sig")))
            require(len(self.signatures[-1][1]) <= 80, "sig too long")
        self.id = certificate_id(self.payload)
        return "DSSE"

    def statement(self):
        require(len(self.payload) <= 65536, "statement too large")
        statement = parse_json(self.payload)
        require(canonical(statement) == self.payload, "statement is not canonical")
        kind, self.subject, self.predicate_type, predicate = exactly(
            statement, "statement", _type=str, subject=list, predicateType=str, predicate=dict)
        require(kind == STATEMENT_TYPE, "no in-toto statement v1")
        require(self.predicate_type in (HARDWARE_TYPE, SIMULATED_TYPE), "unknown predicateType")
        self.inputs, self.outcome, self.run, evidence = exactly(
            predicate, "predicate", inputs=dict, outcome=dict, run=dict, evidence=dict)
        self.tee, binding = exactly(evidence, "evidence", tee=dict, binding=dict)
        exactly(self.tee, "tee", mode=str, assurance=str, provider=str, format=str, quote=str,
                eventLogDigest=None)
        require((self.tee["mode"], self.tee["assurance"], self.tee["format"]) in PLATFORMS,
                "no known platform")
        require(re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,31}", self.tee["provider"]),
                "provider is no name")
        if self.tee["eventLogDigest"] is not None:
            from_hex(self.tee["eventLogDigest"], 32, "eventLogDigest")
        domain, spki, report_data = exactly(binding, "binding", domain=str, spki=str,
                                            reportData=str)
        require(domain == "cupel-execution-v1", "unknown binding domain")
        self.spki = from_base64(spki, "spki")
        self.report_data = from_hex(report_data, 64, "reportData")
        self.quote_bytes = from_base64(self.tee["quote"], "quote")
        return "canonical, known members"

    def _signature_of(self, spki):
        kind = PAYLOAD_TYPE.encode()
        message = b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(self.payload), self.payload)
        keyid = hashlib.sha256(spki).hexdigest()
        mine = [sig for name, sig in self.signatures if name == keyid]
        require(len(mine) == 1, f"{len(mine)} signatures by key {keyid[:16]}")
        verify(load_key(spki), mine[0], message, "signature does not hold")
        return f"by {keyid[:16]}"

    def signature(self):
        return self._signature_of(self.spki)

    def issuer(self):
        return self._signature_of(self.issuer_spki)

    def subjects(self):
        inputs_digest = hashlib.sha256(canonical(self.inputs)).hexdigest()
        self.claim = hashlib.sha256(canonical(
            {"v": 1, "inputsDigest": inputs_digest, "outcome": self.outcome})).digest()
        result = self.outcome.get("result")
        require(isinstance(result, dict), "no outcome.result")
        from_hex(result.get("sha256"), 32, "outcome.result.sha256")
        expected = [("result", result["sha256"]), ("claim", self.claim.hex()),
                    ("inputs", inputs_digest)]
        require(self.subject == [{"name": name, "digest": {"sha256": digest}}
                                 for name, digest in expected], "subjects do not follow")
        return "recomputed"

    def result(self):
        have = hashlib.sha256(self.result_bytes).hexdigest()
        require(have == self.outcome["result"]["sha256"], f"result has SHA-256 {have}")
        return "the certified bytes"

    def files(self):
        certified = self.outcome.get("files")
        require(certified is not None, "the certificate speaks about no files")
        rows = []
        for file in self.files_given:
            require(isinstance(file, dict) and isinstance(file.get("path"), str)
                    and type(file.get("bytes")) is int and file["bytes"] >= 0, "no file")
            from_hex(file.get("sha256"), 32, "sha256 of a file")
            rows.append({name: file[name] for name in ("path", "bytes", "sha256")})
            if "content" in file:
                require(file.get("encoding") in ("utf-8", "base64"), "unknown encoding")
                data = (file["content"].encode() if file["encoding"] == "utf-8"
                        else from_base64(file["content"], "content"))
                require(hashlib.sha256(data).hexdigest() == file["sha256"]
                        and len(data) == file["bytes"], "content is another")
        require(certified == {"count": len(rows), "bytes": sum(row["bytes"] for row in rows),
                              "sha256": hashlib.sha256(canonical(rows)).hexdigest()},
                "other files are certified")
        return "all of them"

    def binding(self):
        expected = hashlib.sha512(
            b"cupel-execution-v1\0" + self.claim + hashlib.sha256(canonical(self.run)).digest()
            + hashlib.sha256(self.spki).digest()).digest()
        require(expected == self.report_data, "reportData does not follow")
        require((self.tee["assurance"] == "hardware") == (self.predicate_type == HARDWARE_TYPE),
                "assurance and predicateType disagree")
        return "recomputed"

    def quote(self):
        if self.tee["format"] == "snp-report":
            detail = self.snp_report()
        else:
            detail = self.tdx_quote()
        require(self.parsed.report_data == self.report_data, "quote carries other report data")
        require(self.hardware == (self.predicate_type == HARDWARE_TYPE),
                "the anchor does not fit the predicateType")
        return detail

    def snp_report(self):
        report = self.parsed = Report(self.quote_bytes)
        chain = report.chain()
        line = report.check_names(chain)
        check_amd_chain(chain, self.roots, self.as_of)
        report.check_signature(chain[0].public_key())
        report.check_vek(chain[0], line)
        report.check_guest(line)  # the order of TCBs is for the check tcb
        return "chain, VEK, signature, report data"

    def tdx_quote(self):
        quote = self.parsed = Quote(self.quote_bytes)
        chain = quote.chain()
        check_chain(chain, self.roots, self.as_of)
        leaf = chain[0].public_key()
        require(isinstance(leaf, ec.EllipticCurvePublicKey), "PCK key is not P-256")
        verify_raw(leaf, quote.qe_signature, quote.qe_report, "QE report is not signed by the PCK")
        bound = hashlib.sha256(quote.key + quote.qe_auth).digest() + bytes(32)
        require(quote.qe_report[320:384] == bound, "QE report does not name the attestation key")
        try:
            key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), b"\4" + quote.key)
        except ValueError:
            raise Fault("attestation key is no point of P-256") from None
        verify_raw(key, quote.signature, quote.signed, "quote signature does not hold")
        require(not quote.debug, "the TD is debuggable")
        return "chain, QE, signature, report data"

    def measurement(self):
        require(self.parsed.mrtd == self.expected_mrtd, f"MRTD is {self.parsed.mrtd.hex()}")
        return "as expected"

    def trace(self):
        events, seed = self.trace_given
        certified = self.run.get("trace")
        require(isinstance(certified, dict), "no run.trace")
        require(len(events) == certified.get("size"), f"{len(events)} events given, "
                f"{certified.get('size')} certified")
        require(trace_root(events, seed).hex() == certified.get("root"), "root differs")
        return "all recorded events"

    def skipped(self):
        reasons = {"tcb": "this verifier reads no collateral", "transparency": "no log"}
        if self.issuer_spki is None:
            reasons["issuer"] = "no key given"
        if self.result_bytes is None:
            reasons["result"] = "no result given"
        if self.files_given is None:
            reasons["files"] = "no files given"
        if self.trace_given is None:
            reasons["trace"] = "no trace given"
        if self.expected_mrtd is None:
            reasons["measurement"] = "no measurement given"
        if not self.roots:
            reasons["quote"] = "no anchor given"
        return reasons

    def verify(self):
        """[(name, result, detail)] and the verdict."""
        skipped = self.skipped()
        for name, why in skipped.items():
            self.report[name] = ("not-checked", why)
        for name in CHECKS:
            if name in skipped:
                continue
            try:
                self.report[name] = ("pass", getattr(self, name)())
            except Fault as fault:
                self.report[name] = ("fail", str(fault))
                if name in ESSENTIAL:
                    break
        bad = any(result == "fail" or (name in ESSENTIAL and result != "pass")
                  for name, (result, _) in self.report.items())
        verdict = "failed" if bad else "simulated"  # hardware needs tcb, which is never checked
        return [(name, *self.report[name]) for name in CHECKS], verdict


def read_root(path):
    data = pathlib.Path(path).read_bytes()
    load = (x509.load_pem_x509_certificate if data.startswith(b"-----")
            else x509.load_der_x509_certificate)
    return load(data).fingerprint(hashes.SHA256())


def read_issuer(path):
    key = serialization.load_pem_public_key(pathlib.Path(path).read_bytes())
    return key.public_bytes(serialization.Encoding.DER,
                            serialization.PublicFormat.SubjectPublicKeyInfo)


def read_reply(path):
    reply = json.loads(pathlib.Path(path).read_text())
    trace = reply["execution_trace"]
    return (trace["events"], bytes.fromhex(trace["seed"])), reply.get("files")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("certificate")
    parser.add_argument("--root", action="append", default=[])
    parser.add_argument("--hardware", action="store_true", help="the roots are hardware makers'")
    parser.add_argument("--issuer")
    parser.add_argument("--result")
    parser.add_argument("--reply", help="the reply of POST /execute, for its trace and files")
    parser.add_argument("--measurement")
    parser.add_argument("--as-of", help="RFC 3339, UTC")
    args = parser.parse_args()
    as_of = args.as_of and datetime.datetime.strptime(args.as_of, "%Y-%m-%dT%H:%M:%SZ")
    trace, files = read_reply(args.reply) if args.reply else (None, None)
    certificate = Certificate(
        pathlib.Path(args.certificate).read_bytes(), [read_root(path) for path in args.root],
        args.hardware, args.issuer and read_issuer(args.issuer),
        pathlib.Path(args.result).read_bytes() if args.result else None,
        trace, bytes.fromhex(args.measurement) if args.measurement else None, as_of, files)
    checks, verdict = certificate.verify()
    for name, result, detail in checks:
        print(f"{name:13} {result:12} {detail}")
    print(f"{certificate.id or '-'} {verdict}")
    return {"simulated": 3, "failed": 1}[verdict]


if __name__ == "__main__":
    sys.exit(main())
