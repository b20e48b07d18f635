"""Certificates, CRLs and signatures for the oracle: RFC 5280 read strictly, cryptography's
primitives, no chain building of anybody's."""
import base64
import calendar
import functools
import re

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils
from cryptography.hazmat.primitives.serialization import load_der_public_key

from der import Bad, elements, oid_text, only, take, unsigned

PSS = bytes.fromhex("a00f300d06096086480165030402020500a11c301a06092a864886f70d010108300d0609608648"
                    "0165030402020500a203020130")
PSS_AMD = PSS + bytes.fromhex("a303020101")  # AMD writes the default trailer field
KNOWN_CRITICAL = {"2.5.29.19", "2.5.29.15", "2.5.29.37", "2.5.29.14", "2.5.29.35", "2.5.29.31",
                  "2.5.29.32", "2.5.29.17"}


def seconds(text):
    """A time of RFC 3339 with Z, or None."""
    match = re.fullmatch(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d+))?Z", text)
    if not match:
        return None
    year, month, day, hour, minute, second = (int(g) for g in match.groups()[:6])
    if not (1 <= month <= 12 and 1 <= day <= calendar.monthrange(year, month)[1] and hour < 24
            and minute < 60 and second < 60):
        return None
    return calendar.timegm((year, month, day, hour, minute, second))


def parse_time(tag, content):
    text = content.decode("ascii")
    if tag == 0x17 and re.fullmatch(r"\d{12}Z", text):
        text = ("19" if text[:2] >= "50" else "20") + text
    elif not (tag == 0x18 and re.fullmatch(r"\d{14}Z", text)):
        raise Bad("time")
    got = seconds(f"{text[:4]}-{text[4:6]}-{text[6:8]}T{text[8:10]}:{text[10:12]}:{text[12:14]}Z")
    if got is None:
        raise Bad("time")
    return got


def common_names(name):
    names = []
    for tag, rdn, _ in elements(only(name, 0x30)):
        if tag != 0x31:
            raise Bad("rdn")
        for _, pair, _ in elements(rdn):
            (_, kind, _), (_, value, _) = elements(pair)
            if oid_text(kind) == "2.5.4.3":
                names.append(value.decode("utf-8"))
    return names


def algorithm(whole):
    """Name of a signature AlgorithmIdentifier, or None for what nobody here signs with."""
    items = elements(only(whole, 0x30))
    kind = oid_text(items[0][1])
    rest = b"".join(w for _, _, w in items[1:])
    if kind in ("1.2.840.10045.4.3.2", "1.2.840.10045.4.3.3") and rest == b"":
        return "ecdsa-256" if kind.endswith("2") else "ecdsa-384"
    if kind in ("1.2.840.113549.1.1.11", "1.2.840.113549.1.1.12") and rest == b"\x05\x00":
        return "rsa-256" if kind.endswith("1") else "rsa-384"
    if kind == "1.2.840.113549.1.1.10" and len(items) == 2 and items[1][1] in (PSS, PSS_AMD):
        return "pss-384"
    return None


HASHES = {"256": hashes.SHA256, "384": hashes.SHA384, "1": hashes.SHA1, "512": hashes.SHA512}


def check(key, scheme, message, signature):
    """Does the signature hold? Never raises."""
    if scheme is None or key is None:
        return False
    kind, size = scheme.split("-")
    digest = HASHES[size]()
    try:
        if kind == "ecdsa":
            if not isinstance(key, ec.EllipticCurvePublicKey):
                return False
            key.verify(signature, message, ec.ECDSA(digest))
        elif not isinstance(key, rsa.RSAPublicKey):
            return False
        elif kind == "rsa":
            key.verify(signature, message, padding.PKCS1v15(), digest)
        else:
            salt = 48 if kind == "pss" else padding.PSS.AUTO
            key.verify(signature, message, padding.PSS(padding.MGF1(digest), salt), digest)
        return True
    except (InvalidSignature, ValueError):
        return False


def check_raw(point, curve, digest, message, raw):
    """ECDSA with a bare point x, y and bare r, s (big endian)."""
    half = len(raw) // 2
    r, s = int.from_bytes(raw[:half], "big"), int.from_bytes(raw[half:], "big")
    try:
        if isinstance(point, bytes):
            side = len(point) // 2
            numbers = ec.EllipticCurvePublicNumbers(int.from_bytes(point[:side], "big"),
                                                    int.from_bytes(point[side:], "big"), curve)
            point = numbers.public_key()
        if r == 0 or s == 0:
            return False
        point.verify(utils.encode_dss_signature(r, s), message, ec.ECDSA(digest))
        return True
    except (InvalidSignature, ValueError):
        return False


def minimal(element):
    """Content of an INTEGER, negative or not, in the shortest form."""
    tag, content, _ = element
    if tag != 0x02 or not content or len(content) > 1 and (
            content[0] == 0 and content[1] < 0x80 or content[0] == 0xFF and content[1] >= 0x80):
        raise Bad("integer")
    return content


class Certificate:
    def __init__(self, der):
        self.der = der
        top = elements(only(der, 0x30))
        if len(top) != 3 or top[0][0] != 0x30 or top[2][0] != 0x03:
            raise Bad("certificate")
        self.tbs, self.signature = top[0][2], top[2][1][1:]
        if top[2][1][:1] != b"\0":
            raise Bad("unused bits")
        body = elements(top[0][1])
        if len(body) != 8 or body[0][0] != 0xA0 or unsigned(only(body[0][1], 0x02)) != 2:
            raise Bad("version or members")
        if body[2][2] != top[1][2]:
            raise Bad("algorithms differ")
        self.serial = minimal(body[1])
        self.scheme = algorithm(top[1][2])
        self.issuer, self.subject = body[3][2], body[5][2]
        self.names = common_names(self.subject)
        (t1, v1, _), (t2, v2, _) = elements(body[4][1])
        self.not_before, self.not_after = parse_time(t1, v1), parse_time(t2, v2)
        self.spki = body[6][2]
        try:
            self.key = load_der_public_key(self.spki)
        except Exception:  # an algorithm or point of another world
            self.key = None
        self.extensions, self.critical = {}, set()
        if body[7][0] != 0xA3:
            raise Bad("extensions")
        for _, item, _ in elements(only(body[7][1], 0x30)):
            parts = elements(item)
            name = oid_text(parts[0][1])
            if name in self.extensions:
                raise Bad("extension twice")
            if len(parts) == 3:
                if parts[1][0] != 0x01 or parts[1][1] != b"\xff":
                    raise Bad("critical")
                self.critical.add(name)
            if parts[-1][0] != 0x04 or len(parts) not in (2, 3):
                raise Bad("extension")
            self.extensions[name] = parts[-1][1]
        if self.critical - KNOWN_CRITICAL:
            raise Bad("unknown critical extension")
        self.read_roles()

    def read_roles(self):
        self.is_ca, self.path_length = False, None
        if "2.5.29.19" in self.extensions:
            parts = elements(only(self.extensions["2.5.29.19"], 0x30))
            if parts and parts[0][0] == 0x01:
                if parts[0][1] != b"\xff":
                    raise Bad("cA")
                self.is_ca = True
                parts = parts[1:]
            if parts:
                self.path_length = unsigned(parts[0][1])
        self.usage = None
        if "2.5.29.15" in self.extensions:
            bits = only(self.extensions["2.5.29.15"], 0x03)
            self.usage = int.from_bytes(bits[1:3].ljust(2, b"\0"), "big")
        self.extended = []
        if "2.5.29.37" in self.extensions:
            self.extended = [oid_text(v) for _, v, _ in elements(only(self.extensions["2.5.29.37"],
                                                                      0x30))]

    def is_issuer(self, below):
        return (self.is_ca and self.usage is not None and bool(self.usage & 0x0400)
                and (self.path_length is None or self.path_length >= below))

    def issued(self, other):
        return (other.issuer == self.subject
                and is_signed(self.key, other.scheme, other.tbs, other.signature))


@functools.lru_cache(4096)
def read_certificate(der):
    return Certificate(der)


@functools.lru_cache(4096)
def is_signed(key, scheme, message, signature):
    return check(key, scheme, message, signature)


@functools.lru_cache(4096)
def read_crl(der):
    return Crl(der)


class Crl:
    def __init__(self, der):
        top = elements(only(der, 0x30))
        if len(top) != 3 or top[2][0] != 0x03 or top[2][1][:1] != b"\0":
            raise Bad("crl")
        self.tbs, self.signature = top[0][2], top[2][1][1:]
        body = elements(top[0][1])
        if body[0][0] != 0x02 or unsigned(body[0][1]) != 1 or body[1][2] != top[1][2]:
            raise Bad("crl version or algorithm")
        self.scheme = algorithm(top[1][2])
        self.issuer = body[2][2]
        self.this_update = parse_time(*body[3][:2])
        at, self.next_update = 4, None
        if at < len(body) and body[at][0] in (0x17, 0x18):
            self.next_update = parse_time(*body[at][:2])
            at += 1
        self.revoked = set()
        if at < len(body) and body[at][0] == 0x30:
            for _, item, _ in elements(body[at][1]):
                self.revoked.add(minimal(elements(item)[0]))
            at += 1
        if at < len(body) and body[at][0] == 0xA0:
            at += 1
        if at != len(body):
            raise Bad("crl members")


def pem(data):
    """Certificates of a PEM text; Bad for anything that is not exactly that."""
    text = data.rstrip(b"\0").decode("ascii", "strict")
    found = []
    pattern = r"[\r\n]*-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\r\n]*)-----END CERTIFICATE-----[\r\n]*"
    at = 0
    while at < len(text):
        match = re.compile(pattern).match(text, at)
        if not match:
            if text[at:].strip("\r\n") == "":
                break
            raise Bad("pem")
        found.append(base64.b64decode("".join(match.group(1).split()), validate=True))
        at = match.end()
    return found


def parse_all(ders):
    return [read_certificate(d) for d in ders]


def check_dates(reasons, certificate, as_of, early, late):
    if as_of < certificate.not_before:
        reasons.add(early)
    if as_of > certificate.not_after:
        reasons.add(late)


def open_crl(reasons, der, issuer, prefix, as_of, is_optional):
    """A CRL whose word counts, or None."""
    if not der:
        if not is_optional:
            reasons.add(prefix + ".missing")
        return None
    try:
        crl = read_crl(der)
    except (Bad, ValueError, IndexError):
        reasons.add(prefix + ".parse")
        return None
    if crl.issuer != issuer.subject:
        reasons.add(prefix + ".issuer_name")
        return None
    may_sign = issuer.is_ca and (issuer.usage or 0) & 0x0200
    if not may_sign or not is_signed(issuer.key, crl.scheme, crl.tbs, crl.signature):
        reasons.add(prefix + ".signature")
        return None
    if as_of < crl.this_update:
        reasons.add(prefix + ".not_yet_valid")
    if crl.next_update is None or as_of > crl.next_update:
        reasons.add(prefix + ".expired")
    return crl
