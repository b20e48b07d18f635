#!/usr/bin/python3
"""Write the starting inputs of the fuzz targets below a directory: seeds.py build/fuzz/seeds."""
import argparse
import base64
import hashlib
import json
import pathlib
import struct

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

ROOT = pathlib.Path(__file__).resolve().parent.parent
GOLDEN = json.loads((ROOT / "tests/golden/inputs.json").read_text())


def bodies():
    for row in json.loads((ROOT / "tests/vectors/execute.json").read_text()):
        text = row["text"] if "text" in row else json.dumps(row["body"])
        if len(text) < 3000:
            yield ("m" if row.get("multipart") else "j") + text


def envelope(signatures):
    return json.dumps({
        "payload": base64.b64encode(GOLDEN["statement"].encode()).decode(),
        "payloadType": "application/vnd.in-toto+json",
        "signatures": [{"keyid": f"{i:064x}", "sig": base64.b64encode(bytes(64)).decode()}
                       for i in range(signatures)]})


def multipart(*parts):
    return "".join(f"--XX\r\n{head}\r\n\r\n{content}\r\n" for head, content in parts) + "--XX--\r\n"


FORM = 'Content-Disposition: form-data; name='
def statements():
    """Statements that name the key of fuzz_certificate.c (Ed25519, seed 07 00 00 ...)."""
    key = Ed25519PrivateKey.from_private_bytes(bytes([7]) + bytes(31)).public_key()
    spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    statement = json.loads(GOLDEN["statement"])
    predicate = statement["predicate"]
    report_data = hashlib.sha512(
        b"cupel-execution-v1\0" + bytes.fromhex(GOLDEN["claimDigest"])
        + hashlib.sha256(canonical(predicate["run"])).digest()
        + hashlib.sha256(spki).digest()).hexdigest()
    quotes = ROOT.parent / "shared" / "vectors" / "tdx" / "quotes"
    for quote in [b"", *(path.read_bytes() for path in sorted(quotes.glob("v4-*.bin")))]:
        predicate["evidence"] = {
            "tee": {"mode": "simulated", "assurance": "none", "provider": "simulated", "format": "tdx-quote",
                    "quote": base64.b64encode(quote).decode(), "eventLogDigest": None},
            "binding": {"domain": "cupel-execution-v1", "reportData": report_data,
                        "spki": base64.b64encode(spki).decode()}}
        yield "S" + canonical(statement).decode()


def canonical(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


SEEDS = {
    "http": ["GET /early HTTP/1.1\r\nHost: h\r\n\r\n" * 2,
             "POST /x?a=b HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabcGET /stream HTTP/1.1\r\nHost: h\r\n\r\n",
             "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3;e=1\r\nabc\r\n0\r\nT: x\r\n\r\n",
             "POST /early HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n",
             "HEAD /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "\r\nGET * HTTP/1.1\r\nHost:h\r\nX: a\r\n b\r\n\r\n"],
    "multipart": [multipart((FORM + '"a"', "1")),
                  multipart((FORM + '"request"', "{}"), (FORM + 'b; filename="c d"\r\nContent-Type: text/csv', "x\r\n--XY")),
                  "?" + "multipart/form-data; boundary=XX".ljust(39, "\0") + multipart((FORM + '"a"', "1"))],
    "execute": list(bodies()),
    "json": [body[1:] for body in bodies()] + [GOLDEN["inputs"], GOLDEN["statement"]],
    "collect_name": ["a", "a\\b", "\u00fc", "\u20ac.txt", "\U0001f4a9", "\u202egnp.exe", "a\nb", "\x1b[2J"],
    "text": ["", "Zg==", "Zm8=", "Zm9v", "-__-", "00aBFf", "+//+", "=", "Zh=="],
    "dsse": [envelope(n) for n in (0, 1, 2, 4, 5)],
    "trace": [json.dumps(GOLDEN["traceEvents"]), "[]", "{}", "[1,null]"],
    "certificate": [envelope(1), envelope(2), *statements()],
}


# Files of the shared attestation vectors, where they are at hand; a prefix goes before each.
VECTORS = ROOT.parent / "shared" / "vectors"
FILES = {
    "tdx": (b"", ["tdx/quotes/*.bin", "tdx/sim/ok-*.bin"]),
    "collateral": (b"", ["tdx/sim/*.json", "tdx/collateral/*/*.json"]),
    "jspan": (b"", ["tdx/sim/*.json", "tdx/collateral/*/*.json", "jwt/sim/*.json"]),
    "x509": (b"", ["tdx/sim/*.der", "tdx/sim/*.pem", "snp/sim/*.der", "tpm/sim/*.der"]),
    "snp": (b"", ["snp/reports/*.report.bin", "snp/sim/ok-*.bin"]),
    "tpm": (b"\x24", ["tpm/sim/*.attest", "tpm/sim/*.sig", "tpm/swtpm/*"]),
    "eventlog": (b"", ["tpm/eventlogs/*.bin", "tpm/sim/log*.bin"]),
    "hcl": (b"", ["tpm/azure/*.bin", "tpm/azure/*.hcl"]),
    "token": (b"", ["jwt/sim/*.jwt"]),
    "launch": (b"\x00", ["igvm/sim/*.igvm"]),
    "launch-pe": (b"\x01", ["launch/pe/*.efi"]),
    "launch-ovmf": (b"\x02", ["launch/*.bin"]),
}


def broker_messages():
    """Responses and keys of the key-broker vectors."""
    path = VECTORS / "kbs/kbs.json"
    for row in json.loads(path.read_text())["jwe"] if path.exists() else []:
        yield json.dumps(row["response"])
        yield json.dumps(row["private_jwk"])


def copy_files(top):
    for key, (prefix, patterns) in FILES.items():
        name = key.split("-")[0]
        (top / name).mkdir(parents=True, exist_ok=True)
        for pattern in patterns:
            for path in sorted(VECTORS.glob(pattern)):
                seed = path.relative_to(VECTORS).as_posix().replace("/", "-")
                (top / name / seed).write_bytes(prefix + path.read_bytes())


def sandbox_plan():
    """As engines/sandbox/wire.h lays it out."""
    text = b"python3\0main.py\0A=1\0/work\0sandbox\0"
    limits = struct.pack("<7Q2I", 300000, 600000, 512 << 20, 100 << 20, 8192, 10 << 20, 10 << 20,
                         10, 64)
    return struct.pack("<2I", 2, 2) + limits + struct.pack(
        "<10I", 1, 2, 0, 0, 0, 0, 0x41, 2, 1, len(text)) + text


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=pathlib.Path)
    top = parser.parse_args().directory
    copy_files(top)
    (top / "sandbox_wire").mkdir(parents=True, exist_ok=True)
    (top / "sandbox_wire/plan").write_bytes(sandbox_plan())
    SEEDS["jwe"] = list(broker_messages())
    for name, seeds in SEEDS.items():
        (top / name).mkdir(parents=True, exist_ok=True)
        for number, seed in enumerate(seeds):
            (top / name / f"{number:04}").write_bytes(seed.encode("utf-8", "surrogatepass"))


if __name__ == "__main__":
    main()
