"""New TPM cases: AK chain, quote, register values and event log; faults; the writer."""
import hashlib
import random

from cryptography.hazmat.primitives.asymmetric import utils

from make import (AS_OF, DAY, Key, certificate, crl, extension, flip, name, rsa_key, stamp)

BANKS = {"sha1": 0x0004, "sha256": 0x000B, "sha384": 0x000C, "sha512": 0x000D}
SIZES = {"sha1": 20, "sha256": 32, "sha384": 48, "sha512": 64}
SCHEMES = {"rsa": 0x0014, "psany": 0x0016, "ecdsa": 0x0018}
EKU_AK, EKU_EK = "2.23.133.8.3", "2.23.133.8.1"
ATTRIBUTES = 1 << 1 | 1 << 4 | 1 << 5 | 1 << 6 | 1 << 16 | 1 << 18
SEPARATOR, HASHED, PLAIN, NO_ACTION = 0x04, [0x11, 0x80000001, 0x80000006, 0x80000007], \
    [0x0D, 0x80000002, 0x800000E0, 0x08, 0x05], 0x03


def event(index, kind, data, digest=None):
    """digest: None for the hash of the data, bytes to be hashed instead of it."""
    return {"index": index, "kind": kind, "data": data, "hashed": data if digest is None else digest}


def world(rng, keys):
    common = dict(not_before=AS_OF - 500 * DAY, not_after=AS_OF + 2000 * DAY, scheme="rsa-256")
    kind = rng.choice(["rsa", "psany", "ecdsa", "ecdsa-384"])
    ak = keys["ak"] if kind in ("rsa", "psany") else keys["ak" + ("384" if "-" in kind else "256")]
    bank = rng.choice(["sha256", "sha256", "sha384"])
    root, ica = rsa_key(2048, "tpm-root"), rsa_key(2048, "tpm-ica")
    r, i = name(CN="Sim TPM Root CA"), name(CN="Sim AK CA")
    selected = sorted(rng.sample(range(24), rng.choice([1, 8, 12, 24])) + [0, 7])
    selected = sorted(set(selected))
    events = [event(p, SEPARATOR, bytes(4)) for p in range(8)]
    for _ in range(rng.randrange(4, 14)):
        data = rng.randbytes(rng.randrange(1, 60))
        if rng.random() < 0.5:
            events.append(event(rng.choice(selected), rng.choice(HASHED), data))
        else:
            events.append(event(rng.choice(selected), rng.choice(PLAIN), data, rng.randbytes(8)))
    rng.shuffle(events)
    nonce = rng.randbytes(rng.choice([16, 20, 32, 64]))
    logged = {e["index"] for e in events}
    required = sorted(rng.sample(sorted(set(selected)), rng.randrange(1, len(selected) + 1)))
    return {
        "as_of": AS_OF + rng.randrange(0, 5 * DAY), "keys": keys,
        "root": dict(common, key=root, signer=root, issuer=r, subject=r, ca=True, usage="ca",
                     serial=501),
        "ica": dict(common, key=ica, signer=root, issuer=r, subject=i, ca=True, usage="ca",
                    serial=rng.getrandbits(70)),
        "ak": dict(common, key=ak, signer=ica, issuer=i, subject=name(CN="sim-ak"),
                   usage="digital", eku=[EKU_AK], serial=rng.getrandbits(80)),
        "crl_root": dict(scheme="rsa-256", signer=root, issuer=r, revoked=[9], this=AS_OF - DAY,
                         next=AS_OF + 20 * DAY),
        "crl_ica": dict(scheme="rsa-256", signer=ica, issuer=i, revoked=[9], this=AS_OF - DAY,
                        next=AS_OF + 20 * DAY),
        "chain": ["ica"], "crls": ["crl_root", "crl_ica"], "use": "certificate", "with_root": True,
        "public": dict(attributes=ATTRIBUTES, name_hash="sha256", symmetric=0x10, tail=b"",
                       policy=b"", exponent=0),
        "events": events, "banks": rng.choice([["sha1", "sha256", "sha384"], ["sha256", "sha384"],
                                               [bank], ["sha384", "sha512", "sha256"]]),
        "header": True, "log_tail": rng.choice([b"", bytes(40), b"\xff" * 64]), "log_edit": None,
        "pcr0": 0, "values": {}, "value_more": {}, "value_less": [],
        "quote": dict(magic=0xFF544347, type=0x8018, signer=rng.randbytes(34), nonce=nonce,
                      clock=rng.getrandbits(63), resets=rng.randrange(1000), restarts=3, safe=1,
                      firmware=rng.randbytes(8), selections=None, bank=bank, selected=selected,
                      select_size=3, tail=b"", digest=None, edit=None),
        "sig": dict(kind=kind.split("-")[0], hash=rng.choice(["sha256", "sha384"]), tail=b"",
                    edit=None, label=None, label_hash=None, key=None),
        "policy": {"nonce": nonce.hex(), "bank": bank, "required_pcrs": required,
                   "event_log_required": True},
        "extra_required": logged,
    }


def public_bytes(w, key):
    p, out = w["public"], b""
    be = lambda v, n: v.to_bytes(n, "big")
    sized = lambda b: be(len(b), 2) + b
    is_ec = key.kind in ("P-256", "P-384")
    out = be(0x0023 if is_ec else 0x0001, 2) + be(BANKS[p["name_hash"]], 2)
    out += be(p["attributes"], 4) + sized(p["policy"]) + be(p["symmetric"], 2)
    if is_ec:
        point = key.point()
        half = len(point) // 2
        out += be(0x0018, 2) + be(0x000B, 2) + be(3 if half == 32 else 4, 2) + be(0x10, 2)
        out += sized(point[:half]) + sized(point[half:])
    else:
        n = key.public.public_numbers()
        out += be(0x0014, 2) + be(0x000B, 2) + be(key.public.key_size, 2) + be(p["exponent"], 4)
        out += sized(n.n.to_bytes(key.public.key_size // 8, "big"))
    return out + p["tail"]


def log_bytes(w):
    le = lambda v, n: v.to_bytes(n, "little")
    out = b""
    if w["header"]:
        spec = b"Spec ID Event03\0" + le(0, 4) + bytes([0, 2, 0, 2]) + le(len(w["banks"]), 4)
        spec += b"".join(le(BANKS[b], 2) + le(SIZES[b], 2) for b in w["banks"]) + b"\0"
        out = le(0, 4) + le(NO_ACTION, 4) + bytes(20) + le(len(spec), 4) + spec
    for e in w["events"]:
        if not w["header"]:
            out += le(e["index"], 4) + le(e["kind"], 4) + hashlib.sha1(e["hashed"]).digest()
            out += le(len(e["data"]), 4) + e["data"]
            continue
        out += le(e["index"], 4) + le(e["kind"], 4) + le(len(w["banks"]), 4)
        for b in w["banks"]:
            digest = (bytes(SIZES[b]) if e["kind"] == NO_ACTION
                      else hashlib.new(b, e["hashed"]).digest())
            out += le(BANKS[b], 2) + e.get("digests", {}).get(b, digest)
        out += le(len(e["data"]), 4) + e["data"]
    out += w["log_tail"]
    return w["log_edit"](out) if w["log_edit"] else out


def registers(w):
    bank = w["quote"]["bank"]
    values = {i: bytes(SIZES[bank]) for i in range(24)}
    values[0] = bytes(SIZES[bank] - 1) + bytes([w["pcr0"]])
    for e in w["events"]:
        if e["kind"] != NO_ACTION and e["index"] < 24:
            values[e["index"]] = hashlib.new(bank, values[e["index"]] + hashlib.new(
                bank, e["hashed"]).digest()).digest()
    return values


def attest_bytes(w, values):
    q = w["quote"]
    be = lambda v, n: v.to_bytes(n, "big")
    sized = lambda b: be(len(b), 2) + b
    bits = bytearray(q["select_size"])
    for p in q["selected"]:
        if p // 8 < len(bits):
            bits[p // 8] |= 1 << p % 8
    selections = q["selections"]
    if selections is None:
        selections = [(BANKS[q["bank"]], bytes(bits))]
    joined = b"".join(values[i] for i in q["selected"])
    digest = hashlib.new(w["sig"]["hash"], joined).digest() if q["digest"] is None else q["digest"]
    out = be(q["magic"], 4) + be(q["type"], 2) + sized(q["signer"]) + sized(q["nonce"])
    out += be(q["clock"], 8) + be(q["resets"], 4) + be(q["restarts"], 4) + be(q["safe"], 1)
    out += q["firmware"] + be(len(selections), 4)
    out += b"".join(be(a, 2) + be(len(s), 1) + s for a, s in selections)
    out += sized(digest) + q["tail"]
    return q["edit"](out) if q["edit"] else out


def signature_bytes(w, attest):
    s, key = w["sig"], w["sig"]["key"] or w["ak"]["key"]
    be = lambda v, n: v.to_bytes(n, "big")
    scheme = s["kind"] + "-" + s["hash"][3:]
    raw = key.sign(scheme, attest)
    head = be(SCHEMES[s["label"] or s["kind"]], 2) + be(BANKS[s["label_hash"] or s["hash"]], 2)
    if s["kind"] == "ecdsa":
        r, t = utils.decode_dss_signature(raw)
        side = key.public.curve.key_size // 8
        if s.get("short"):
            parts = [v.to_bytes((v.bit_length() + 7) // 8, "big") for v in (r, t)]
        else:
            parts = [v.to_bytes(side + s.get("long", 0), "big") for v in (r, t)]
    else:
        parts = [raw]
    out = head + b"".join(be(len(p), 2) + p for p in parts) + s["tail"]
    return s["edit"](out) if s["edit"] else out


def files_of(w):
    values = registers(w)
    attest = attest_bytes(w, values)
    certificates = {n: certificate(w[n]) for n in ("root", "ica", "ak", "ica2") if n in w}
    q = w["quote"]
    reported = {i: v for i, v in values.items() if i in q["selected"]}
    reported.update(w["value_more"])
    reported = {i: v for i, v in reported.items() if i not in w["value_less"]}
    key = w["ak"]["key"]
    public = public_bytes(w, w["public"].get("key") or key)
    files = {
        "attest": attest, "sig": signature_bytes(w, attest),
        "ak": certificates["ak"] if w["use"] in ("certificate", "both") else None,
        "ak_public": public if w["use"] in ("public", "both") else None,
        "chain": [certificates[n] for n in w["chain"]],
        "root": certificates["root"] if w["with_root"] else None,
        "crls": [crl(w[n]) for n in w["crls"]], "log": log_bytes(w) if w["log_tail"] is not None
        else None, "pcrs": {q["bank"] if "values_bank" not in w else w["values_bank"]:
                            {str(i): v.hex() for i, v in reported.items()}}}
    if w["use"] == "public" and "names" not in w:
        w["policy"].setdefault("trusted_ak_names", [
            BANKS[w["public"]["name_hash"]].to_bytes(2, "big").hex() + hashlib.new(
                w["public"]["name_hash"], public).hexdigest()])
    for role, edit in w.get("edits", {}).items():
        files[role] = edit(files[role])
    return files


FAULTS = []


def table(prefix, rows):
    for label, change in rows.items():
        FAULTS.append((f"{prefix}-{label}", change))


def put(part, member, value):
    def change(w, rng):
        w[part][member] = value(w, rng) if callable(value) else value
    return change


def top(member, value):
    def change(w, rng):
        w[member] = value(w, rng) if callable(value) else value
    return change


def boundary(part, member, offset):
    return put(part, member, lambda w, r: w["as_of"] + offset)


other = lambda w, r: rsa_key(2048, "tpm-other")
for part in ("root", "ica", "ak"):
    for member in ("not_before", "not_after"):
        for offset in (-1, 0, 1):
            FAULTS.append((f"{part}-{member}{offset:+}", boundary(part, member, offset)))
    table(part, {
        "flip": put(part, "flip", -1), "signer": put(part, "signer", other),
        "sha1": put(part, "scheme", "rsa-1"), "sha384": put(part, "scheme", "rsa-384"),
        "pss": put(part, "scheme", "pss-384"), "tail": put(part, "tail", b"\0"),
        "issuer": put(part, "issuer", name(CN="Nobody")),
        "v1": put(part, "version", 1), "ca": put(part, "ca", True), "not-ca": put(part, "ca", False),
        "no-basic": put(part, "basic", False), "no-usage": put(part, "usage", None),
        "usage-encipher": put(part, "usage", "none"), "usage-cert": put(part, "usage", "cert"),
        "critical": put(part, "extensions", [extension("1.2.3.4", b"\5\0", True)]),
        "extension": put(part, "extensions", [extension("1.3.6.1.4.1.11129.2.1.21", b"\5\0")]),
        "general-time": put(part, "form", "general"),
    })
for eku in ([], [EKU_EK], [EKU_AK, EKU_EK], ["1.3.6.1.5.5.7.3.1"], ["2.23.133.8.2"],
            ["2.5.29.37.0"], ["1.3.6.1.5.5.7.3.1", EKU_AK], [EKU_AK + ".1"], ["2.23.133.8"]):
    label = "+".join(eku) or "none"
    FAULTS.append(("eku-" + label, put("ak", "eku", eku)))
    FAULTS.append(("eku-gce-" + label, lambda w, r, e=eku: (
        w["ak"].update(eku=e), w["policy"].update(ak_eku=[EKU_EK, EKU_AK]))))
table("ak", {
    "empty-subject": put("ak", "subject", name()),
    "long-issuer": lambda w, r: [w[p].update({m: name(CN="x" * 79)}) for p, m in (
        ("ica", "subject"), ("ak", "issuer"), ("crl_ica", "issuer"))],
    "year-2120": lambda w, r: [w[p].update(not_after=AS_OF + 95 * 365 * DAY)
                               for p in ("root", "ica", "ak")],
    "direct": lambda w, r: (w.update(chain=[]), w["ak"].update(
        signer=w["root"]["key"], issuer=w["root"]["subject"])),
    "chain-missing": top("chain", []), "root-missing": top("with_root", False),
    "chain-twice": top("chain", ["ica", "ica"]),
    "chain-and-root": top("chain", ["ica", "root"]),
    "chain-reversed": lambda w, r: longer(w, r, ["ica2", "ica"]),
    "chain-longer": lambda w, r: longer(w, r, ["ica", "ica2"]),
    "chain-pathlen-0": lambda w, r: (longer(w, r, ["ica", "ica2"]),
                                     w["ica2"].update(path_length=0)),
    "chain-pathlen-1": lambda w, r: (longer(w, r, ["ica", "ica2"]),
                                     w["ica2"].update(path_length=1)),
    "root-pathlen-0": put("root", "path_length", 0),
    "ica-pathlen-0": put("ica", "path_length", 0),
    "root-pathlen-1": put("root", "path_length", 1),
    "other-root": lambda w, r: w.update(edits={"root": lambda d: certificate(dict(
        w["root"], key=other(w, r), signer=other(w, r)))}),
    "root-reissued": lambda w, r: w.update(edits={"root": lambda d: certificate(dict(
        w["root"], serial=77))}),
    "other-key": lambda w, r: w["sig"].update(key=rsa_key(2048, "tpm-other"), kind="rsa"),
    "1024": lambda w, r: (w["ak"].update(key=rsa_key(1024, "small")), w["sig"].update(kind="rsa")),
    "public-too": top("use", "both"),
    "public-other": lambda w, r: (w.update(use="both"), w["public"].update(
        key=rsa_key(2048, "tpm-other"))),
    "public-only": top("use", "public"), "none": top("use", "nothing"),
    "name-sha384": lambda w, r: (w.update(use="public"), w["public"].update(name_hash="sha384")),
    "name-sha1": lambda w, r: (w.update(use="public"), w["public"].update(name_hash="sha1")),
    "name-wrong": lambda w, r: (w.update(use="public"), w["policy"].update(
        trusted_ak_names=["000b" + "00" * 32])),
    "name-none": lambda w, r: (w.update(use="public"), w["policy"].update(trusted_ak_names=[])),
    "name-with-certificate-bad": lambda w, r: (w.update(use="both"), w["ak"].update(flip=-1)),
    "public-tail": lambda w, r: (w.update(use="public"), w["public"].update(tail=b"\0")),
    "public-symmetric": lambda w, r: (w.update(use="public"), w["public"].update(symmetric=6)),
    "public-exponent": lambda w, r: (w.update(use="public"), w["public"].update(exponent=65537)),
    "public-exponent-3": lambda w, r: (w.update(use="public"), w["public"].update(exponent=3)),
    "public-policy": lambda w, r: (w.update(use="public"), w["public"].update(policy=bytes(32))),
})
for bit in (1, 2, 4, 5, 6, 10, 16, 17, 18):
    for use in ("public", "both"):
        FAULTS.append((f"attribute-{bit}-{use}", lambda w, r, b=bit, u=use: (
            w.update(use=u), w["public"].update(attributes=ATTRIBUTES ^ 1 << b))))


def longer(w, rng, order):
    key = rsa_key(2048, "tpm-ica2")
    w["ica2"] = dict(w["ica"], key=key, subject=name(CN="Sim Middle CA"), serial=600)
    w["ica"].update(issuer=name(CN="Sim Middle CA"), signer=key)
    w["crl_middle"] = dict(w["crl_ica"], signer=key, issuer=name(CN="Sim Middle CA"))
    w["crls"].append("crl_middle")
    w["chain"] = order


for part, signer in (("crl_root", "root"), ("crl_ica", "ica")):
    for member in ("this", "next"):
        for offset in (-1, 0, 1):
            FAULTS.append((f"{part}-{member}{offset:+}", boundary(part, member, offset)))
    table(part, {
        "flip": put(part, "flip", -1), "signer": put(part, "signer", other),
        "no-next": put(part, "next", None), "none": put(part, "revoked", []),
        "missing": lambda w, r, p=part: w["crls"].remove(p),
        "optional": lambda w, r, p=part: (w["crls"].remove(p), w["policy"].update(crl="optional")),
        "revokes-ak": lambda w, r, p=part: w[p]["revoked"].append(w["ak"]["serial"]),
        "revokes-ica": lambda w, r, p=part: w[p]["revoked"].append(w["ica"]["serial"]),
        "sha1": put(part, "scheme", "rsa-1"),
    })
table("crls", {"reversed": lambda w, r: w["crls"].reverse(),
               "twice": lambda w, r: w["crls"].append("crl_ica"), "none": top("crls", [])})


def edit(part, function):
    return put(part, "edit", lambda w, r: lambda d: function(d, r))


table("quote", {
    "magic": put("quote", "magic", 0xFF544348), "magic-0": put("quote", "magic", 0),
    "type-certify": put("quote", "type", 0x8017), "type-0": put("quote", "type", 0),
    "tail": put("quote", "tail", b"\0"), "cut": edit("quote", lambda d, r: d[:r.randrange(len(d))]),
    "empty": edit("quote", lambda d, r: b""),
    "nonce-other": put("quote", "nonce", lambda w, r: flip(w["quote"]["nonce"], -1)),
    "nonce-prefix": put("quote", "nonce", lambda w, r: w["quote"]["nonce"][:-1]),
    "nonce-longer": put("quote", "nonce", lambda w, r: w["quote"]["nonce"] + b"\0"),
    "nonce-empty": put("quote", "nonce", b""),
    "safe-0": put("quote", "safe", 0), "safe-2": put("quote", "safe", 2),
    "safe-0-required": lambda w, r: (w["quote"].update(safe=0),
                                     w["policy"].update(require_safe_clock=True)),
    "safe-1-required": lambda w, r: w["policy"].update(require_safe_clock=True),
    "resets-right": lambda w, r: w["policy"].update(expect_reset_count=w["quote"]["resets"]),
    "resets-wrong": lambda w, r: w["policy"].update(expect_reset_count=w["quote"]["resets"] + 1),
    "digest-empty": put("quote", "digest", b""),
    "digest-other": put("quote", "digest", bytes(32)),
    "select-4": put("quote", "select_size", 4), "select-5": put("quote", "select_size", 5),
    "select-2": lambda w, r: w["quote"].update(select_size=2),
    "select-none": put("quote", "selections", []),
    "select-twice": put("quote", "selections", lambda w, r: [(BANKS[w["quote"]["bank"]],
                                                              bits(w))] * 2),
    "select-two-banks": put("quote", "selections", lambda w, r: [
        (BANKS[w["quote"]["bank"]], bits(w)), (0x0004, bytes(3))]),
    "select-other-first": put("quote", "selections", lambda w, r: [
        (0x0004, bytes(3)), (BANKS[w["quote"]["bank"]], bits(w))]),
    "select-empty-bits": put("quote", "selections", lambda w, r: [(BANKS[w["quote"]["bank"]],
                                                                   bytes(3))]),
    "select-bit-24": put("quote", "selections", lambda w, r: [(BANKS[w["quote"]["bank"]],
                                                               bits(w) + b"\1")]),
    "select-sha1": put("quote", "selections", lambda w, r: [(0x0004, bits(w))]),
    "select-sha512": put("quote", "selections", lambda w, r: [(0x000D, bits(w))]),
    "select-17": put("quote", "selections", lambda w, r: [(BANKS[w["quote"]["bank"]], bits(w))]
                     * 17),
    "bank-sha1": lambda w, r: (w["quote"].update(bank="sha1"), w["policy"].update(bank="sha1")),
    "bank-other": lambda w, r: w["policy"].update(bank="sha384" if w["quote"]["bank"] == "sha256"
                                                  else "sha256"),
    "values-other-bank": top("values_bank", "sha1"),
    "flip": edit("quote", lambda d, r: flip(d, r.randrange(len(d)), r.randrange(8))),
})


def bits(w):
    out = bytearray(3)
    for p in w["quote"]["selected"]:
        out[p // 8] |= 1 << p % 8
    return bytes(out)


def unselected(w, rng):
    rest = [p for p in range(24) if p not in w["quote"]["selected"]]
    return rng.choice(rest) if rest else None


def more_value(w, rng):
    p = unselected(w, rng)
    if p is not None:
        w["value_more"][p] = bytes(SIZES[w["quote"]["bank"]])


def require_more(w, rng):
    p = unselected(w, rng)
    if p is not None:
        w["policy"]["required_pcrs"].append(p)


table("values", {
    "more": more_value, "required-more": require_more,
    "less": lambda w, r: w["value_less"].append(r.choice(w["quote"]["selected"])),
    "changed": lambda w, r: w["value_more"].update({r.choice(w["quote"]["selected"]): bytes(
        SIZES[w["quote"]["bank"]])}),
    "short": lambda w, r: w["value_more"].update({r.choice(w["quote"]["selected"]): bytes(31)}),
    "required-none": lambda w, r: w["policy"].update(required_pcrs=[]),
    "required-all": lambda w, r: w["policy"].update(required_pcrs=list(w["quote"]["selected"])),
    "selected-all": lambda w, r: w["quote"].update(selected=list(range(24))),
    "selected-one": lambda w, r: (w["quote"].update(selected=[7]),
                                  w["policy"].update(required_pcrs=[7])),
})
for size in (0, 15, 16, 17, 64):
    def change(w, rng, size=size):
        w["quote"]["nonce"] = rng.randbytes(size)
        w["policy"]["nonce"] = w["quote"]["nonce"].hex()
    FAULTS.append((f"nonce-size-{size}", change))

    def change_free(w, rng, size=size):
        w["quote"]["nonce"] = rng.randbytes(size)
        w["policy"].update(nonce=w["quote"]["nonce"].hex(), min_nonce=0)
    FAULTS.append((f"nonce-free-{size}", change_free))

    def change_32(w, rng, size=size):
        w["quote"]["nonce"] = rng.randbytes(size)
        w["policy"].update(nonce=w["quote"]["nonce"].hex(), min_nonce=17)
    FAULTS.append((f"nonce-17-{size}", change_32))
table("sig", {
    "flip": edit("sig", lambda d, r: flip(d, -1 - r.randrange(30), r.randrange(8))),
    "flip-any": edit("sig", lambda d, r: flip(d, r.randrange(len(d)), r.randrange(8))),
    "tail": put("sig", "tail", b"\0"), "cut": edit("sig", lambda d, r: d[:r.randrange(len(d))]),
    "sha1": put("sig", "hash", "sha1"), "sha512": put("sig", "hash", "sha512"),
    "label-rsa": put("sig", "label", "rsa"), "label-pss": put("sig", "label", "psany"),
    "label-ecdsa": put("sig", "label", "ecdsa"),
    "label-sha1": put("sig", "label_hash", "sha1"),
    "label-sha256": put("sig", "label_hash", "sha256"),
    "label-sha384": put("sig", "label_hash", "sha384"),
    "ecdsa-short": put("sig", "short", True), "ecdsa-long": put("sig", "long", 1),
    "zero": edit("sig", lambda d, r: d[:6] + bytes(len(d) - 6)),
    "hmac": edit("sig", lambda d, r: b"\0\5" + d[2:]),
    "null": edit("sig", lambda d, r: b"\0\x10" + d[2:]), "empty": edit("sig", lambda d, r: b""),
})


def log_edit(function):
    return top("log_edit", lambda w, r: lambda d: function(d, r))


def locality(value, index=0, more=b"", at=0):
    def change(w, rng):
        w["events"].insert(at if at <= len(w["events"]) else 0, event(
            index, NO_ACTION, b"StartupLocality\0" + bytes([value]) + more))
        if index == 0 and not more and at == 0:
            w["pcr0"] = value
    return change


def change_event(**members):
    def change(w, rng):
        e = rng.choice(w["events"])
        for key, value in members.items():
            e[key] = value(w, rng, e) if callable(value) else value
    return change


table("log", {
    "missing": top("log_tail", None),
    "missing-free": lambda w, r: (w.update(log_tail=None),
                                  w["policy"].update(event_log_required=False)),
    "locality-0": locality(0), "locality-3": locality(3), "locality-4": locality(4),
    "locality-5": locality(5), "locality-other": locality(3, 1), "locality-long": locality(
        3, more=b"\0"), "locality-late": locality(3, at=99),
    "locality-ignored": lambda w, r: (locality(3)(w, r), w.update(pcr0=0)),
    "digest-flip": change_event(digests=lambda w, r, e: {b: flip(hashlib.new(
        b, e["hashed"]).digest(), 0) for b in w["banks"]}),
    "digest-flip-one-bank": change_event(digests=lambda w, r, e: {w["banks"][0]: flip(hashlib.new(
        w["banks"][0], e["hashed"]).digest(), 0)}),
    "data-changed": change_event(data=lambda w, r, e: e["data"] + b"x"),
    "dropped": lambda w, r: w.update(log_edit=lambda d: drop_event(w, r)),
    "swapped": lambda w, r: w.update(log_edit=lambda d: swap_events(w, r)),
    "no-header": top("header", False),
    "no-header-sha1": lambda w, r: (w.update(header=False), w["quote"].update(bank="sha1"),
                                    w["policy"].update(bank="sha1")),
    "bank-absent": lambda w, r: w.update(banks=["sha1"]),
    "bank-twice": lambda w, r: w.update(banks=["sha256", "sha256"]),
    "index-24": lambda w, r: w["events"].append(event(24, HASHED[0], b"x")),
    "index-huge": lambda w, r: w["events"].append(event(0xFFFFFFFF, HASHED[0], b"x")),
    "no-action-huge": lambda w, r: w["events"].append(event(0xFFFFFFFF, NO_ACTION, b"x")),
    "unquoted": lambda w, r: unquoted(w, r, False),
    "unquoted-strict": lambda w, r: unquoted(w, r, True),
    "strict": lambda w, r: (w["policy"].update(strict_log=True),
                            w["quote"].update(selected=list(range(24)))),
    "extra-required": lambda w, r: w["events"].append(event(
        w["policy"]["required_pcrs"][0], HASHED[0], b"x")),
    "extra-behind": lambda w, r: w.update(log_edit=lambda d: extra_behind(w)),
    "cut": log_edit(lambda d, r: d[:r.randrange(len(d))]),
    "cut-header": log_edit(lambda d, r: d[:r.randrange(60)]),
    "empty": log_edit(lambda d, r: b""), "zeros": log_edit(lambda d, r: bytes(100)),
    "tail-mixed": lambda w, r: w.update(log_tail=bytes(10) + b"\xff" * 10),
    "tail-one": lambda w, r: w.update(log_tail=b"\1"),
    "tail-ff": lambda w, r: w.update(log_tail=b"\xff"),
    "tail-0": lambda w, r: w.update(log_tail=b"\0"),
    "flip": log_edit(lambda d, r: flip(d, r.randrange(len(d)), r.randrange(8))),
    "count": log_edit(lambda d, r: set_count(d, b"\xff\xff\xff\x7f")),
    "count-0": log_edit(lambda d, r: set_count(d, bytes(4))),
})


def set_count(data, value):
    """The digest count of the first event behind the header."""
    at = 32 + int.from_bytes(data[28:32], "little")
    return data[:at + 8] + value + data[at + 12:]


def without(w, events):
    return log_bytes(dict(w, events=events, log_edit=None))


def drop_event(w, rng):
    events = list(w["events"])
    events.pop(rng.randrange(len(events)))
    return without(w, events)


def swap_events(w, rng):
    events = list(w["events"])
    i, j = rng.sample(range(len(events)), 2)
    events[i], events[j] = events[j], events[i]
    return without(w, events)


def extra_behind(w):
    return without(w, w["events"] + [event(w["policy"]["required_pcrs"][-1], HASHED[0], b"x")])


def unquoted(w, rng, is_strict):
    w["policy"]["strict_log"] = is_strict
    w["quote"]["selected"] = [0, 1, 2, 3, 4, 5, 6, 7, 14]
    w["policy"]["required_pcrs"] = [0, 7]
    w["events"].append(event(9, HASHED[0], b"x"))


for years in (-20, -2, 7, 40):
    FAULTS.append((f"as-of-years-{years}", lambda w, r, y=years: w.update(
        as_of=AS_OF + y * 365 * DAY)))


def generate(suite, seed, rounds=1, pairs=300):
    rng = random.Random(seed)
    keys = {"ak": rsa_key(2048, "ak"), "ak256": Key("P-256", rng), "ak384": Key("P-384", rng)}
    picked = [[f] for _ in range(rounds) for f in [("nothing", lambda w, r: None)] * 20 + FAULTS]
    picked += [rng.sample(FAULTS, rng.choice([2, 2, 3])) for _ in range(pairs)]
    for number, faults in enumerate(picked):
        w = world(rng, keys)
        if w["quote"]["bank"] not in w["banks"]:
            w["banks"] = w["banks"] + [w["quote"]["bank"]]
        try:
            for _, change in faults:
                change(w, rng)
            files = files_of(w)
        except (KeyError, AttributeError, IndexError, TypeError, ValueError, OverflowError):
            if len(faults) > 1:
                continue  # two faults that exclude each other
            raise
        names = {role: suite.write(files[role]) for role in ("ak", "ak_public", "root", "log")}
        suite.cases.append({
            "id": f"{number}:" + "+".join(n for n, _ in faults),
            "attest": suite.write(files["attest"]), "sig": suite.write(files["sig"]),
            "pcrs": files["pcrs"],
            "collateral": {**names, "chain": [suite.write(d) for d in files["chain"]],
                           "crls": [suite.write(d) for d in files["crls"]]},
            "as_of": stamp(w["as_of"]), "policy": w["policy"], "expect": "?"})
