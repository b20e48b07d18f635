"""TPM quotes and event logs, judged by the note's checklist P1..P8."""
import hashlib

from cryptography.hazmat.primitives.asymmetric import ec, rsa

from der import Bad
from x509 import HASHES, check, check_raw, open_crl, read_certificate, read_crl, seconds

ALGORITHMS = {0x0004: "sha1", 0x000B: "sha256", 0x000C: "sha384", 0x000D: "sha512"}
SIZES = {"sha1": 20, "sha256": 32, "sha384": 48, "sha512": 64}
KINDS = {0x0014: "rsa", 0x0016: "psany", 0x0018: "ecdsa"}
ALWAYS_HASHED = {0x04, 0x11, 0x80000001, 0x80000006, 0x80000007}
NO_ACTION = 3


class Reader:
    def __init__(self, data, order):
        self.data, self.order = data, order

    def take(self, size):
        if size > len(self.data):
            raise Bad("cut")
        got, self.data = self.data[:size], self.data[size:]
        return got

    def number(self, size):
        return int.from_bytes(self.take(size), self.order)

    def sized(self):
        return self.take(self.number(2))

    def end(self):
        if self.data:
            raise Bad("trailing")


def attest_of(data):
    r = Reader(data, "big")
    got = {"magic": r.number(4), "type": r.number(2)}
    if got["magic"] != 0xFF544347 or got["type"] != 0x8018:
        return got
    r.sized()
    got["nonce"] = r.sized()
    r.take(8)
    got["resets"] = r.number(4)
    r.take(4)
    got["safe"] = r.number(1)
    r.take(8)
    if got["safe"] > 1:
        raise Bad("safe")
    got["selections"] = []
    for _ in range(r.number(4)):
        bank, select = r.number(2), r.take(r.number(1))
        if len(got["selections"]) == 16 or len(select) > 4:
            raise Bad("selections")
        got["selections"].append((bank, {8 * i + b for i, byte in enumerate(select)
                                         for b in range(8) if byte >> b & 1}))
    got["digest"] = r.sized()
    r.end()
    return got


def signature_of(data):
    r = Reader(data, "big")
    kind, digest = r.number(2), r.number(2)
    parts = [r.sized(), r.sized()] if kind == 0x0018 else [r.sized()]
    r.end()
    return kind, digest, parts


class Public:
    """TPMT_PUBLIC of an RSA or ECC signing key."""

    def __init__(self, data):
        r = Reader(data, "big")
        kind, self.name_hash, self.attributes = r.number(2), r.number(2), r.number(4)
        r.sized()
        if r.number(2) != 0x10:
            raise Bad("symmetric")
        if r.number(2) != 0x10:
            r.number(2)
        if kind == 0x0001:
            r.number(2)
            e = r.number(4) or 65537
            self.key = rsa.RSAPublicNumbers(e, int.from_bytes(r.sized(), "big")).public_key()
        elif kind == 0x0023:
            curve = {3: ec.SECP256R1(), 4: ec.SECP384R1()}.get(r.number(2))
            if r.number(2) != 0x10:
                r.number(2)
            x, y = (int.from_bytes(r.sized(), "big") for _ in "xy")
            if curve is None:
                raise Bad("curve")
            self.key = ec.EllipticCurvePublicNumbers(x, y, curve).public_key()
        else:
            raise Bad("key type")
        r.end()
        self.name = None
        if self.name_hash in (0x000B, 0x000C):
            self.name = (self.name_hash.to_bytes(2, "big")
                         + hashlib.new(ALGORITHMS[self.name_hash], data).digest()).hex()


# ---- event logs ------------------------------------------------------------------------------

def sha1_event(r):
    return r.number(4), r.number(4), {"sha1": r.take(20)}, r.take(r.number(4))


def events_of(log):
    """(index, type, {bank: digest}, data) of each event behind the header."""
    r = Reader(log, "little")
    index, kind, digests, data = sha1_event(r)
    algorithms = None
    if kind == NO_ACTION:
        algorithms = spec_of(data)
    else:
        yield index, kind, digests, data
    while r.data and r.data.strip(r.data[:1]) + b"" != b"" or r.data and r.data[0] not in (0, 255):
        if algorithms is None:
            yield sha1_event(r)
            continue
        index, kind, count = r.number(4), r.number(4), r.number(4)
        if count != len(algorithms):
            raise Bad("digest count")
        digests = {}
        for _ in range(count):
            algorithm = r.number(2)
            if algorithm not in algorithms or algorithm in digests:
                raise Bad("digest algorithm")
            digests[algorithm] = r.take(algorithms[algorithm])
        yield (index, kind, {ALGORITHMS.get(a, a): d for a, d in digests.items()},
               r.take(r.number(4)))


def spec_of(data):
    r = Reader(data, "little")
    if r.take(16) != b"Spec ID Event03\0":
        raise Bad("spec")
    r.take(8)
    count = r.number(4)
    if not 1 <= count <= 16:
        raise Bad("spec count")
    found = {}
    for _ in range(count):
        algorithm, size = r.number(2), r.number(2)
        if algorithm in found or algorithm in ALGORITHMS and SIZES[ALGORITHMS[algorithm]] != size:
            raise Bad("spec algorithm")
        found[algorithm] = size
    r.take(r.number(1))
    r.end()
    return found


def replay(log, bank, is_cc=False):
    """(registers, indices touched, is some data not what its digest says, events)."""
    size, count, touched, is_wrong = SIZES[bank], 0, set(), False
    registers = [bytes(size) for _ in range(24)]
    for index, kind, digests, data in events_of(log):
        count += 1
        if kind == NO_ACTION:
            if (index == 0 and not is_cc and len(data) == 17 and 0 not in touched
                    and data[:16] == b"StartupLocality\0" and data[16] <= 4):
                registers[0] = bytes(size - 1) + data[16:]
            continue
        if index >= (5 if is_cc else 24) or is_cc and index == 0 or bank not in digests:
            raise Bad("register or bank")
        if kind in ALWAYS_HASHED and hashlib.new(bank, data).digest() != digests[bank]:
            is_wrong = True
        registers[index] = hashlib.new(bank, registers[index] + digests[bank]).digest()
        touched.add(index)
    return registers, touched, is_wrong, count


# ---- the quote -------------------------------------------------------------------------------

class Judge:
    def __init__(self, case, files):
        self.files, self.policy, self.case = files, case.get("policy") or {}, case
        self.as_of, self.reasons = seconds(case["as_of"]), set()

    def run(self):
        try:
            self.trust()
        except (Bad, ValueError, IndexError, TypeError):
            self.reasons.add("ak.parse")
            return self.reasons
        self.quote()
        return self.reasons

    def trust(self):
        add, public = self.reasons.add, None
        self.key = None
        if self.files.get("ak_public"):
            public = Public(self.files["ak_public"])
            self.key = public.key
            wanted = 1 << 1 | 1 << 4 | 1 << 5 | 1 << 16 | 1 << 18
            if public.attributes & wanted != wanted or public.attributes & 1 << 17:
                add("ak.attributes")
        if self.files.get("ak"):
            self.chain(public)
        elif public is None or public.name not in self.policy.get("trusted_ak_names", []):
            add("ak.untrusted_root")
            self.key = None

    def chain(self, public):
        add = self.reasons.add
        path = [read_certificate(d) for d in [self.files["ak"]] + self.files["chain"]]
        if self.files.get("root"):
            path.append(read_certificate(self.files["root"]))
        ak, self.key = path[0], path[0].key
        if public and public.key.public_numbers() != ak.key.public_numbers():
            add("ak.key")
        is_linked = bool(self.files.get("root")) and not ak.is_ca
        for below, (subject, issuer) in enumerate(zip(path, path[1:])):
            if not issuer.is_issuer(below) or not issuer.issued(subject):
                is_linked = False
        if not is_linked:
            add("ak.untrusted_root")
            return
        for certificate in path:
            if not certificate.not_before <= self.as_of <= certificate.not_after:
                add("ak.expired")
        wanted = self.policy.get("ak_eku") or ["2.23.133.8.3"]
        if not set(ak.extended) & set(wanted) or not (ak.usage or 0) & 0x8000:
            add("ak.eku")
        for subject, issuer in zip(path, path[1:]):
            self.revocation(subject, issuer)

    def revocation(self, subject, issuer):
        der = None
        for candidate in self.files["crls"]:
            try:
                if read_crl(candidate).issuer == issuer.subject:
                    der = der or candidate
            except (Bad, ValueError, IndexError):
                pass
        crl = open_crl(self.reasons, der, issuer, "crl", self.as_of,
                       self.policy.get("crl") == "optional")
        if crl and subject.serial in crl.revoked:
            self.reasons.add("ak.revoked")

    def quote(self):
        add = self.reasons.add
        try:
            attest = attest_of(self.files["attest"])
        except Bad:
            add("tpm.format")
            self.signature()
            return
        if attest["magic"] != 0xFF544347:
            add("tpm.magic")
        elif attest["type"] != 0x8018:
            add("tpm.type")
        digest = self.signature()
        if "selections" not in attest:
            return
        nonce = bytes.fromhex(self.policy.get("nonce", ""))
        if attest["nonce"] != nonce or len(nonce) < self.policy.get("min_nonce", 16):
            add("tpm.nonce")
        if self.policy.get("require_safe_clock") and attest["safe"] != 1:
            add("tpm.clock")
        if self.policy.get("expect_reset_count", attest["resets"]) != attest["resets"]:
            add("tpm.clock")
        self.registers(attest, digest)

    def signature(self):
        """The hash the quote was signed with."""
        add = self.reasons.add
        if self.key is None:
            return None
        try:
            kind, digest, parts = signature_of(self.files["sig"])
        except Bad:
            # read by the scheme of another kind of key, it is malformed for that reason
            head = self.files["sig"][:2]
            is_ecdsa = head == b"\0\x18"
            add("tpm.sig_alg" if is_ecdsa == isinstance(self.key, rsa.RSAPublicKey)
                else "tpm.format")
            return None
        name = ALGORITHMS.get(digest)
        if name not in ("sha256", "sha384") or kind not in KINDS:
            add("tpm.sig_alg")
            return name
        if (kind == 0x0018) == isinstance(self.key, rsa.RSAPublicKey):
            add("tpm.sig_alg")
            return name
        message = self.files["attest"]
        if kind == 0x0018:
            side = (self.key.curve.key_size + 7) // 8 if self.key else 32
            good = (len(parts[0]) <= side and len(parts[1]) <= side and self.key is not None
                    and check_raw(self.key, None, HASHES[name[3:]](), message,
                                  parts[0].rjust(side, b"\0") + parts[1].rjust(side, b"\0")))
        else:
            good = (isinstance(self.key, rsa.RSAPublicKey) and self.key.key_size >= 2048
                    and check(self.key, KINDS[kind] + "-" + name[3:], message, parts[0]))
        if not good:
            add("tpm.signature")
        return name

    def registers(self, attest, digest):
        add, bank = self.reasons.add, self.policy.get("bank", "sha256")
        if bank not in ("sha256", "sha384"):
            add("tpm.pcr_bank")
            return
        values = {int(i): bytes.fromhex(v) for i, v in
                  (self.case["pcrs"].get(bank) or {}).items()}
        required = set(self.policy.get("required_pcrs", []))
        selections = attest["selections"]
        if len(selections) != 1:
            add("tpm.pcr_selection")
            return
        if ALGORITHMS.get(selections[0][0]) != bank:
            add("tpm.pcr_bank")
            return
        selected = selections[0][1]
        if max(selected, default=0) > 23 or not required <= selected or set(values) != selected:
            add("tpm.pcr_selection")
        else:
            joined = b"".join(values[i] for i in sorted(selected))
            if digest and (any(len(v) != SIZES[bank] for v in values.values())
                           or hashlib.new(digest, joined).digest() != attest["digest"]):
                add("tpm.pcr_digest")
        self.log(values, bank, required, selected)

    def log(self, values, bank, required, selected):
        add, log = self.reasons.add, self.files.get("log")
        if not log:
            if self.policy.get("event_log_required"):
                add("eventlog.missing")
            return
        try:
            registers, touched, is_wrong, _ = replay(log, bank)
        except Bad:
            add("eventlog.format")
            return
        if self.policy.get("strict_log") and touched - selected:
            add("eventlog.unquoted")
        if any(values.get(i) != registers[i] for i in required):
            add("eventlog.replay")
        if is_wrong:
            add("eventlog.data_digest")


def judge(case, files):
    return Judge(case, files).run()
