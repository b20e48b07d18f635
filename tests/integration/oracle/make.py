"""Certificates, CRLs and keys for the generators: everything that can be wrong is an argument."""
import base64
import functools

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from der import integer, oid, seq, tlv
from x509 import HASHES, PSS

DAY = 86400
AS_OF = 1781481600  # 2026-06-15T00:00:00Z
CURVES = {"P-256": ec.SECP256R1(), "P-384": ec.SECP384R1()}
USAGE = {"ca": b"\x01\x06", "sign": b"\x06\xc0", "digital": b"\x07\x80", "cert": b"\x02\x04",
         "none": b"\x05\x20"}


def stamp(seconds):
    """RFC 3339 of a time."""
    import time
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def der_time(seconds, form=None):
    text = stamp(seconds).translate({ord(c): None for c in "-T:"})
    if form == "general" or form is None and not 1950 <= int(text[:4]) < 2050:
        return tlv(0x18, text.encode())
    return tlv(0x17, text[2:].encode())


class Key:
    """A private key and what a certificate says of it."""

    def __init__(self, kind, rng=None):
        self.kind = kind
        if kind in CURVES:
            size = CURVES[kind].key_size
            secret = rng.getrandbits(size - 2) + 1 if rng else None
            self.private = (ec.derive_private_key(secret, CURVES[kind]) if rng
                            else ec.generate_private_key(CURVES[kind]))
        else:
            self.private = rsa.generate_private_key(65537, int(kind))
        self.public = self.private.public_key()
        self.spki = self.public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    def point(self):
        n, side = self.public.public_numbers(), self.public.curve.key_size // 8
        return n.x.to_bytes(side, "big") + n.y.to_bytes(side, "big")

    def sign(self, scheme, message):
        kind, size = scheme.split("-")
        digest = HASHES[size]()
        if kind == "ecdsa":
            return self.private.sign(message, ec.ECDSA(digest))
        if kind == "rsa":
            return self.private.sign(message, padding.PKCS1v15(), digest)
        salt = int(size) // 8 if kind == "pss" else 32
        return self.private.sign(message, padding.PSS(padding.MGF1(digest), salt), digest)

    def sign_raw(self, message, digest=None):
        r, s = utils.decode_dss_signature(self.private.sign(message, ec.ECDSA(
            digest or hashes.SHA256())))
        side = self.public.curve.key_size // 8
        return r.to_bytes(side, "big") + s.to_bytes(side, "big")


@functools.lru_cache(None)
def rsa_key(bits, name):
    """One key per role; RSA keys are slow to make."""
    return Key(str(bits))


ALGORITHMS = {
    "ecdsa-256": seq(oid("1.2.840.10045.4.3.2")),
    "ecdsa-384": seq(oid("1.2.840.10045.4.3.3")),
    "rsa-256": seq(oid("1.2.840.113549.1.1.11"), b"\x05\x00"),
    "rsa-384": seq(oid("1.2.840.113549.1.1.12"), b"\x05\x00"),
    "rsa-1": seq(oid("1.2.840.113549.1.1.5"), b"\x05\x00"),
    "pss-384": seq(oid("1.2.840.113549.1.1.10"), seq(PSS)),
    "pss-256": seq(oid("1.2.840.113549.1.1.10"), seq(
        tlv(0xA0, seq(oid("2.16.840.1.101.3.4.2.1"), b"\x05\x00")),
        tlv(0xA1, seq(oid("1.2.840.113549.1.1.8"),
                      seq(oid("2.16.840.1.101.3.4.2.1"), b"\x05\x00"))),
        tlv(0xA2, integer(32)))),
}
KINDS = {"CN": "2.5.4.3", "O": "2.5.4.10", "L": "2.5.4.7", "ST": "2.5.4.8", "C": "2.5.4.6",
         "OU": "2.5.4.11"}


def name(**parts):
    return seq(*(tlv(0x31, seq(oid(KINDS[k]), tlv(0x0C, v.encode()))) for k, v in parts.items()))


def extension(kind, value, critical=False):
    return seq(oid(kind), b"\x01\x01\xff" if critical else b"", tlv(0x04, value))


def constraints(ca, path_length=None):
    return extension("2.5.29.19", seq(
        b"\x01\x01\xff" if ca else b"", b"" if path_length is None else integer(path_length)), True)


def certificate(c):
    """A certificate from its description; see the worlds of the generators for the members."""
    extensions = []
    if c.get("basic", True):
        extensions.append(constraints(c.get("ca", False), c.get("path_length")))
    if c.get("usage"):
        extensions.append(extension("2.5.29.15", tlv(0x03, USAGE[c["usage"]]), True))
    if c.get("eku"):
        extensions.append(extension("2.5.29.37", seq(*(oid(o) for o in c["eku"]))))
    extensions += c.get("extensions", [])
    algorithm = ALGORITHMS[c["scheme"]]
    tbs = seq(
        b"" if c.get("version") == 1 else tlv(0xA0, integer(c.get("version", 3) - 1)),
        tlv(0x02, c["serial"]) if isinstance(c["serial"], bytes) else integer(c["serial"]),
        ALGORITHMS[c.get("inner_scheme", c["scheme"])], c["issuer"],
        seq(der_time(c["not_before"], c.get("form")), der_time(c["not_after"], c.get("form"))),
        c["subject"], c.get("spki") or c["key"].spki,
        tlv(0xA3, seq(*extensions)) if extensions else b"")
    signature = c["signer"].sign(c["scheme"], tbs)
    if c.get("flip"):
        signature = flip(signature, c["flip"])
    return seq(tbs, algorithm, tlv(0x03, b"\0" + signature)) + c.get("tail", b"")


def crl(c):
    revoked = seq(*(seq(tlv(0x02, s) if isinstance(s, bytes) else integer(s),
                        der_time(AS_OF - 30 * DAY)) for s in c["revoked"])) if c["revoked"] else b""
    algorithm = ALGORITHMS[c["scheme"]]
    tbs = seq(integer(1) if c.get("version", 2) == 2 else b"", algorithm, c["issuer"],
              der_time(c["this"]), b"" if c["next"] is None else der_time(c["next"]), revoked,
              tlv(0xA0, seq(extension("2.5.29.20", integer(c.get("number", 1))))))
    signature = c["signer"].sign(c["scheme"], tbs)
    if c.get("flip"):
        signature = flip(signature, c["flip"])
    return seq(tbs, algorithm, tlv(0x03, b"\0" + signature)) + c.get("tail", b"")


def flip(data, at, bit=0):
    """One bit changed; at counts from either end."""
    if not data:
        return b"\1"
    at %= len(data)
    return data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1:]


def pem(*ders, end="\n"):
    text = ""
    for der in ders:
        body = base64.b64encode(der).decode()
        lines = "\n".join(body[i:i + 64] for i in range(0, len(body), 64))
        text += f"-----BEGIN CERTIFICATE-----\n{lines}\n-----END CERTIFICATE-----" + end
    return text.encode()


class Suite:
    """Cases written in the form of the shared vectors; equal files are written once."""

    def __init__(self, folder):
        self.folder, self.cases, self.names = folder, [], {}

    def write(self, data):
        if data is None:
            return None
        if data not in self.names:
            self.names[data] = f"f{len(self.names):05}.bin"
            (self.folder / self.names[data]).write_bytes(data)
        return self.names[data]

    def close(self):
        import json
        (self.folder / "cases.json").write_text(json.dumps(self.cases))
