"""New SNP cases: a description of PKI and report, faults that change it, the writer."""
import random

from cryptography.hazmat.primitives import hashes

from der import integer, oid, seq, tlv
from make import AS_OF, DAY, Key, certificate, crl, extension, flip, name, rsa_key, stamp

AMD = "1.3.6.1.4.1.3704.1."
CPUS = {"Milan": [(0x19, 0), (0x19, 1), (0x19, 15)], "Genoa": [(0x19, 0x10), (0x19, 0x11),
        (0x19, 0x1F), (0x19, 0xA0), (0x19, 0xAF)], "Turin": [(0x1A, 0), (0x1A, 2), (0x1A, 0x11)]}
LAYOUT = {"Milan": (None, 0, 1, 6, 7), "Genoa": (None, 0, 1, 6, 7), "Turin": (0, 1, 2, 3, 7)}
FIELDS = ("current", "reported", "committed", "launch")
COMPONENTS = ("fmc", "bl", "tee", "snp", "ucode")


def amd(common):
    return name(OU="Engineering", C="US", L="Santa Clara", ST="CA", O="Advanced Micro Devices",
                CN=common)


def world(rng, keys):
    line = rng.choice(["Milan", "Genoa", "Turin"])
    is_vlek = rng.random() < 0.3
    common = dict(scheme="pss-384", not_before=AS_OF - 500 * DAY, not_after=AS_OF + 2000 * DAY)
    ark, ica = rsa_key(2048, "ark" + line), rsa_key(2048, ("asvk" if is_vlek else "ask") + line)
    tcb = [rng.randrange(1, 255) if line == "Turin" else 0] + [rng.randrange(1, 255)
                                                               for _ in range(4)]
    chip = rng.randbytes(64 if line != "Turin" else 8)
    signer = ("SEV-VLEK-" if is_vlek else "SEV-") + line
    return {
        "as_of": AS_OF + rng.randrange(0, 5 * DAY), "line": line, "is_vlek": is_vlek,
        "ark": dict(common, key=ark, signer=ark, issuer=amd("ARK-" + line),
                    subject=amd("ARK-" + line), ca=True, usage="ca", serial=0x10001),
        "ica": dict(common, key=ica, signer=ark, issuer=amd("ARK-" + line), subject=amd(signer),
                    ca=True, path_length=0, usage="cert", serial=rng.randrange(1 << 20, 1 << 40)),
        "vek": dict(common, key=keys["vek"], signer=ica, issuer=amd(signer),
                    subject=amd("SEV-VLEK" if is_vlek else "SEV-VCEK"), basic=False, serial=0),
        "crl": dict(scheme="pss-384", signer=ark, issuer=amd("ARK-" + line), revoked=[1234567],
                    this=AS_OF - 10 * DAY, next=AS_OF + 300 * DAY),
        "svns": list(tcb), "chip": chip, "csp": "CN=cc-test.example", "product": line,
        "ext": {}, "ext_drop": [], "ext_more": [],
        "roots": ["Milan", "Genoa", "Turin"], "drop": [], "edits": {}, "policy": {},
        "report": dict(
            version=rng.choice([2, 3, 4, 5]), svn=5, policy=0x3001F | rng.choice([0, 1 << 20]),
            vmpl=0, algorithm=1, platform=rng.choice([1, 3, 0x25, 0x41]),
            signer=4 if is_vlek else 0, data=rng.randbytes(64), measurement=rng.randbytes(48),
            host=rng.randbytes(32), id_key=rng.randbytes(48), author=rng.randbytes(48),
            cpu=rng.choice(CPUS[line]), stepping=rng.randrange(4), current=list(tcb),
            reported=list(tcb), committed=list(tcb), launch=list(tcb),
            chip=bytes(64) if is_vlek else chip.ljust(64, b"\0"), current_version=(5, 55, 1),
            committed_version=(5, 55, 1), mitigation=7, key=keys["vek"], edit=None, patch={}),
    }


def vek_extensions(w):
    ia5 = lambda text: tlv(0x16, text.encode())
    fmc, boot, tee, snp, microcode = w["svns"]
    values = {"1": integer(0), "2": ia5(w["product"] + ("-B0" if w["product"] == "Milan" else "")),
              "3.1": integer(boot), "3.2": integer(tee), "3.4": integer(0), "3.5": integer(0),
              "3.6": integer(0), "3.7": integer(0), "3.3": integer(snp),
              "3.8": integer(microcode)}
    if w["line"] == "Turin":
        values["3.9"] = integer(fmc)
    values["5" if w["is_vlek"] else "4"] = ia5(w["csp"]) if w["is_vlek"] else w["chip"]
    values.update(w["ext"])
    return [extension(AMD + k, v) for k, v in values.items() if k not in w["ext_drop"]] + \
        w["ext_more"]


def tcb_bytes(values, line):
    raw = bytearray(8)
    for value, at in zip(values, LAYOUT[line]):
        if at is not None:
            raw[at] = value
    return bytes(raw)


def report_bytes(w):
    r, data = w["report"], bytearray(1184)

    def put(at, value, size=None):
        value = value.to_bytes(size, "little") if size else value
        data[at:at + len(value)] = value
    for at, key, size in ((0, "version", 4), (4, "svn", 4), (8, "policy", 8), (0x30, "vmpl", 4),
                          (0x34, "algorithm", 4), (0x40, "platform", 8), (0x48, "signer", 4)):
        put(at, r[key], size)
    for at, key in ((0x50, "data"), (0x90, "measurement"), (0xC0, "host"), (0xE0, "id_key"),
                    (0x110, "author"), (0x1A0, "chip")):
        put(at, r[key])
    for at, key in zip((0x38, 0x180, 0x1E0, 0x1F0), FIELDS):
        put(at, tcb_bytes(r[key], w["line"]))
    put(0x140, bytes(range(32)))
    put(0x160, b"\xff" * 32)
    if r["version"] >= 3:
        put(0x188, bytes([*r["cpu"], r["stepping"]]))
    put(0x1E8, bytes(r["current_version"]))
    put(0x1EC, bytes(r["committed_version"]))
    if r["version"] >= 5:
        put(0x1F8, r["mitigation"], 8)
        put(0x200, r["mitigation"], 8)
    for at, value in r["patch"].items():
        put(at, value)
    raw = r["key"].sign_raw(bytes(data[:0x2A0]), hashes.SHA384())
    side = len(raw) // 2
    put(0x2A0, raw[side - 1::-1])
    put(0x2E8, raw[:side - 1:-1])
    return r["edit"](bytes(data)) if r["edit"] else bytes(data)


def files_of(w):
    vek = dict(w["vek"], extensions=w["vek"].get("extensions", []) + vek_extensions(w))
    files = {"report": report_bytes(w), "vek": certificate(vek), "ica": certificate(w["ica"]),
             "crl": crl(w["crl"]), "roots": []}
    for line in w["roots"]:
        ark = rsa_key(2048, "ark" + line)
        subject = amd("ARK-" + line)
        files["roots"].append(certificate(w["ark"]) if line == w["line"] else certificate(dict(
            w["ark"], key=ark, signer=ark, issuer=subject, subject=subject, scheme="pss-384")))
    for role, edit in w["edits"].items():
        files[role] = edit(files[role])
    for role in w["drop"]:
        files[role] = None
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
    def change(w, rng):
        w[part][member] = w["as_of"] + offset
    return change


other = lambda w, r: rsa_key(2048, "other")
for part in ("ark", "ica", "vek"):
    for member in ("not_before", "not_after"):
        for offset in (-1, 0, 1):
            FAULTS.append((f"{part}-{member}{offset:+}", boundary(part, member, offset)))
    table(part, {
        "flip": put(part, "flip", -1), "flip-first": put(part, "flip", 0),
        "pkcs1": put(part, "scheme", "rsa-384"), "pss-256": put(part, "scheme", "pss-256"),
        "inner-scheme": put(part, "inner_scheme", "rsa-384"),
        "signer": put(part, "signer", other), "v1": put(part, "version", 1),
        "v2": put(part, "version", 2), "tail": put(part, "tail", b"\0"),
        "name": put(part, "subject", amd("SEV-Rome")),
        "name-case": put(part, "subject", amd("sev-vcek")),
        "issuer": put(part, "issuer", amd("ARK-Rome")),
        "ca": lambda w, r, p=part: w[p].update(ca=True, basic=True),
        "not-ca": lambda w, r, p=part: w[p].update(ca=False, basic=True),
        "no-usage": put(part, "usage", None), "usage-sign": put(part, "usage", "sign"),
        "critical": put(part, "extensions", [extension("1.2.3.4", b"\5\0", True)]),
        "unknown-extension": put(part, "extensions", [extension("1.2.3.4", b"\5\0")]),
        "general-time": put(part, "form", "general"),
        "serial-padded": put(part, "serial", b"\0\1"),
    })
table("ica", {"pathlen-1": put("ica", "path_length", 1),
              "pathlen-none": put("ica", "path_length", None),
              "is-ark": lambda w, r: w.update(ica=dict(w["ark"])),
              "of-other-role": lambda w, r: swap_role(w),
              "of-other-line": lambda w, r: other_line(w)})
table("ark", {"pathlen-0": put("ark", "path_length", 0), "pathlen-1": put("ark", "path_length", 1)})


def swap_role(w):
    """A VCEK under the VLEK intermediate, or the other way round."""
    w["ica"]["subject"] = w["vek"]["issuer"] = amd(
        ("SEV-" if w["is_vlek"] else "SEV-VLEK-") + w["line"])


def other_line(w):
    """The whole chain is of another line than certificate extension and report."""
    line = {"Milan": "Genoa", "Genoa": "Milan", "Turin": "Genoa"}[w["line"]]
    key = rsa_key(2048, "ark" + line)
    signer = ("SEV-VLEK-" if w["is_vlek"] else "SEV-") + line
    w["ica"].update(issuer=amd("ARK-" + line), signer=key, subject=amd(signer))
    w["vek"]["issuer"] = amd(signer)
    w["crl"].update(issuer=amd("ARK-" + line), signer=key)


def own_root(w, rng):
    """The chain ends in a root of the right name that is not among the anchors."""
    key = rsa_key(2048, "other")
    w["ica"]["signer"] = w["crl"]["signer"] = key


table("root", {
    "own": own_root,
    "absent": lambda w, r: w["roots"].remove(w["line"]),
    "only-right": lambda w, r: w.update(roots=[w["line"]]),
    "reversed": lambda w, r: w["roots"].reverse(),
})
for member in ("this", "next"):
    for offset in (-1, 0, 1):
        FAULTS.append((f"crl-{member}{offset:+}", boundary("crl", member, offset)))
table("crl", {
    "flip": put("crl", "flip", -1), "signer": put("crl", "signer", other),
    "by-ica": put("crl", "signer", lambda w, r: w["ica"]["key"]),
    "issuer": put("crl", "issuer", amd("SEV-Milan")), "no-next": put("crl", "next", None),
    "other-line": put("crl", "issuer", lambda w, r: amd(
        "ARK-" + ("Milan" if w["line"] != "Milan" else "Genoa"))),
    "pkcs1": put("crl", "scheme", "rsa-384"), "v1": put("crl", "version", 1),
    "none-revoked": put("crl", "revoked", []),
    "ica": lambda w, r: w["crl"]["revoked"].insert(r.randrange(2), w["ica"]["serial"]),
    "ica-near": lambda w, r: w["crl"]["revoked"].append(w["ica"]["serial"] + 1),
    "missing": lambda w, r: w["drop"].append("crl"),
    "optional": lambda w, r: (w["drop"].append("crl"), w["policy"].update(crl="optional")),
    "optional-bad": lambda w, r: (w["crl"].update(flip=-1), w["policy"].update(crl="optional")),
    "optional-expired": lambda w, r: (w["crl"].update(next=w["as_of"] - 1),
                                      w["policy"].update(crl="optional")),
})
table("vek", {
    "p256": lambda w, r: (w["vek"].update(key=w["keys"]["p256"])),
    "rsa": put("vek", "key", other),
    "other-key": lambda w, r: w["vek"].update(key=w["keys"]["other"]),
    "is-ica": lambda w, r: w.update(vek=dict(w["ica"])),
    "name-other-kind": put("vek", "subject", lambda w, r: amd(
        "SEV-VCEK" if w["is_vlek"] else "SEV-VLEK")),
    "kind-in-report": put("report", "signer", lambda w, r: 0 if w["is_vlek"] else 4),
    "both-ids": lambda w, r: w["ext"].update({"4": bytes(64), "5": tlv(0x16, b"x")}),
    "neither-id": top("ext_drop", ["4", "5"]),
    "hwid-wrapped": lambda w, r: None if w["is_vlek"] else w["ext"].update(
        {"4": tlv(0x04, w["chip"])}),
    "hwid-short": lambda w, r: None if w["is_vlek"] else w["ext"].update({"4": w["chip"][:-1]}),
    "hwid-other": lambda w, r: None if w["is_vlek"] else w["ext"].update(
        {"4": flip(w["chip"], -1)}),
    "hwid-long": lambda w, r: None if w["is_vlek"] else w["ext"].update({"4": w["chip"] + b"\0"}),
    "hwid-8": lambda w, r: None if w["is_vlek"] else w["ext"].update({"4": w["chip"][:8]}),
    "product-other": top("product", lambda w, r: {"Milan": "Genoa", "Genoa": "Turin",
                                                   "Turin": "Milan"}[w["line"]]),
    "product-unknown": top("product", "Rome"), "product-empty": top("product", ""),
    "product-prefix": lambda w, r: w["ext"].update({"2": tlv(0x16, w["line"].encode() + b"X")}),
    "product-stepping": lambda w, r: w["ext"].update({"2": tlv(0x16, w["line"].encode() + b"-C1")}),
    "product-utf8": lambda w, r: w["ext"].update({"2": tlv(0x0C, w["line"].encode())}),
    "version-1": lambda w, r: w["ext"].update({"1": integer(1)}),
    "fmc-toggled": lambda w, r: (w["ext_drop"].append("3.9") if w["line"] == "Turin"
                                 else w["ext"].update({"3.9": integer(0)})),
    "csp-in": lambda w, r: w["policy"].update(csp_ids=["CN=x", "CN=cc-test.example"]),
    "csp-out": lambda w, r: w["policy"].update(csp_ids=["CN=cc-test.exampl"]),
    "csp-empty": top("csp", ""),
})
for arc in ("1", "2", "3.1", "3.2", "3.3", "3.4", "3.8", "3.9", "4", "5"):
    FAULTS.append(("vek-drop-" + arc, lambda w, r, a=arc: w["ext_drop"].append(a)))
    FAULTS.append(("vek-twice-" + arc, lambda w, r, a=arc: w["ext_more"].append(
        extension(AMD + a, integer(0)))))
for arc, at in (("3.9", 0), ("3.1", 1), ("3.2", 2), ("3.3", 3), ("3.8", 4)):
    def step(by, arc=arc, at=at):
        def change(w, rng):
            w["svns"][at] = min(max(w["svns"][at] + by, 0), 255)
        return change
    table("vek-svn-" + arc, {
        "above": step(1), "below": step(-1),
        "padded": lambda w, r, a=arc, i=at: w["ext"].update(
            {a: tlv(0x02, b"\0" + integer(w["svns"][i])[2:])}) if a != "3.9" or w["line"] ==
        "Turin" else None,
        "negative": lambda w, r, a=arc, i=at: set_tcb(w, i, 0x90) or w["ext"].update(
            {a: b"\x02\x01\x90"}) if a != "3.9" or w["line"] == "Turin" else None,
        "255": lambda w, r, i=at: set_tcb(w, i, 255), "128": lambda w, r, i=at: set_tcb(w, i, 128),
        "0": lambda w, r, i=at: set_tcb(w, i, 0), "127": lambda w, r, i=at: set_tcb(w, i, 127),
        "256": lambda w, r, a=arc: w["ext"].update({a: integer(256)}),
        "tail": lambda w, r, a=arc, i=at: w["ext"].update({a: integer(w["svns"][i]) + b"\0"}),
        "octets": lambda w, r, a=arc, i=at: w["ext"].update({a: tlv(0x04, bytes([w["svns"][i]]))}),
    })


def set_tcb(w, at, value):
    """One component everywhere, certificate and report."""
    if at == 0 and w["line"] != "Turin":
        return
    w["svns"][at] = value
    for field in FIELDS:
        w["report"][field][at] = value


def components(w):
    return [i for i in range(5) if i or w["line"] == "Turin"]


for field in FIELDS:
    for by in (-1, 1):
        def change(w, rng, field=field, by=by):
            at = rng.choice(components(w))
            set_tcb(w, at, max(1, min(w["svns"][at], 254)))
            w["report"][field][at] += by
        FAULTS.append((f"tcb-{field}{by:+}", change))

        def change_with_certificate(w, rng, by=by):
            at = rng.choice(components(w))
            set_tcb(w, at, max(1, min(w["svns"][at], 254)))
            w["svns"][at] += by
            w["report"]["reported"][at] += by
        FAULTS.append((f"tcb-reported-certified{by:+}", change_with_certificate))


def tcb_policy(key, by):
    def change(w, rng):
        at = rng.choice(components(w))
        values = [max(v - rng.randrange(2), 0) for v in w["svns"]]
        values[at] = w["svns"][at] + by
        if values[at] > 255:
            return
        w["policy"][key] = {n: v for n, v in zip(COMPONENTS, values) if n != "fmc" or v}
    return change


for key in ("min_tcb", "min_launch_tcb"):
    for by in (-1, 0, 1):
        FAULTS.append((f"{key}{by:+}", tcb_policy(key, max(by, -1) if by >= 0 else 0)))


def patch(at, value):
    return lambda w, r: w["report"]["patch"].update({at: value})


for at in (0x4C, 0x4F, 0x18B, 0x19F, 0x1EB, 0x1EF, 0x208, 0x29F):
    FAULTS.append((f"reserved-{at:x}", patch(at, b"\1")))
for at in (0x188, 0x189, 0x18A, 0x1F8, 0x200, 0x207, 0x140, 0x15F, 0x160, 0x17F, 0x10, 0x20, 0x2F):
    FAULTS.append((f"field-{at:x}", patch(at, b"\1")))
for at in (0x330, 0x49F, 0x400, 0x2A0 + 48, 0x2E8 + 48, 0x2E8 + 71, 0x2A0 + 71):
    FAULTS.append((f"behind-{at:x}", put("report", "edit", lambda w, r, a=at: lambda d: d[:a] +
                   b"\1" + d[a + 1:])))


def edit(function):
    return put("report", "edit", lambda w, r: lambda d: function(d, r))


P384_ORDER = int("FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC7634D81F4372DDF581A0DB248B0A77A"
                 "ECEC196ACCC52973", 16)


def malleate(data):
    s = int.from_bytes(data[0x2E8:0x318], "little")
    return data[:0x2E8] + (P384_ORDER - s).to_bytes(48, "little") + data[0x318:]


table("report", {
    "version-0": put("report", "version", 0), "version-1": put("report", "version", 1),
    "version-6": put("report", "version", 6), "version-256": put("report", "version", 258),
    "algorithm-0": put("report", "algorithm", 0), "algorithm-2": put("report", "algorithm", 2),
    "signer-7": put("report", "signer", 7 << 2), "signer-2": put("report", "signer", 2 << 2),
    "signer-author": put("report", "signer", lambda w, r: w["report"]["signer"] | 1),
    "signer-mask": put("report", "signer", lambda w, r: w["report"]["signer"] | 2),
    "signer-mask-zero-chip": lambda w, r: w["report"].update(
        signer=w["report"]["signer"] | 2, chip=bytes(64)),
    "signer-bit-5": put("report", "signer", lambda w, r: w["report"]["signer"] | 32),
    "signer-bit-31": put("report", "signer", lambda w, r: w["report"]["signer"] | 1 << 31),
    "chip-zero": put("report", "chip", bytes(64)),
    "chip-last": put("report", "chip", lambda w, r: flip(w["report"]["chip"], 63)),
    "chip-first": put("report", "chip", lambda w, r: flip(w["report"]["chip"], 0)),
    "cut": edit(lambda d, r: d[:r.randrange(1184)]), "long": edit(lambda d, r: d + b"\0"),
    "long-many": edit(lambda d, r: d + bytes(2912)), "empty": edit(lambda d, r: b""),
    "flip-body": edit(lambda d, r: flip(d, r.randrange(0x50, 0x188), r.randrange(8))),
    "flip-signature": edit(lambda d, r: flip(d, r.choice([0x2A0, 0x2E8]) + r.randrange(72),
                                             r.randrange(8))),
    "flip-any": edit(lambda d, r: flip(d, r.randrange(1184), r.randrange(8))),
    "r-zero": edit(lambda d, r: d[:0x2A0] + bytes(72) + d[0x2E8:]),
    "s-zero": edit(lambda d, r: d[:0x2E8] + bytes(72) + d[0x330:]),
    "both-ones": edit(lambda d, r: d[:0x2A0] + b"\xff" * 144 + d[0x330:]),
    "big-endian": edit(lambda d, r: d[:0x2A0] + d[0x2CF:0x29F:-1] + d[0x2D0:]),
    "malleable": edit(lambda d, r: malleate(d)),
    "key": lambda w, r: w["report"].update(key=w["keys"]["other"]),
    "vmpl-1": put("report", "vmpl", 1), "vmpl-3": put("report", "vmpl", 3),
    "vmpl-4": put("report", "vmpl", 4), "vmpl-host": put("report", "vmpl", 0xFFFFFFFF),
    "vmpl-256": put("report", "vmpl", 256),
    "vmpl-1-allowed": lambda w, r: (w["report"].update(vmpl=1), w["policy"].update(vmpl=[1, 2])),
    "vmpl-0-not": lambda w, r: w["policy"].update(vmpl=[1]),
    "vmpl-all": lambda w, r: (w["report"].update(vmpl=r.randrange(6)),
                              w["policy"].update(vmpl=[0, 1, 2, 3])),
    "committed-version": put("report", "committed_version", (6, 55, 1)),
    "committed-minor": put("report", "committed_version", (5, 56, 1)),
    "committed-lower": put("report", "committed_version", (9, 54, 1)),
    "committed-major": put("report", "committed_version", (0, 0, 2)),
    "launch-low": lambda w, r: [w["report"]["launch"].__setitem__(i, 0) for i in range(5)],
})
for bit in list(range(16, 30)) + [40, 63]:
    FAULTS.append((f"policy-bit-{bit}", put("report", "policy", lambda w, r, b=bit:
                   w["report"]["policy"] ^ 1 << b)))
for bit in list(range(0, 10)) + [31, 63]:
    FAULTS.append((f"platform-bit-{bit}", put("report", "platform", lambda w, r, b=bit:
                   w["report"]["platform"] ^ 1 << b)))
    FAULTS.append((f"platform-required-{bit}", lambda w, r, b=bit: w["policy"].update(
        platform_required=1 << b) if b < 63 else None))
    FAULTS.append((f"platform-forbidden-{bit}", lambda w, r, b=bit: w["policy"].update(
        platform_forbidden=1 << b) if b < 63 else None))
for abi in ("0.31", "0.30", "0.32", "1.0", "0.0", "1.51"):
    FAULTS.append(("abi-" + abi, lambda w, r, a=abi: w["policy"].update(min_abi=a)))
FAULTS.append(("abi-major", lambda w, r: (w["report"].update(policy=0x30100),
                                          w["policy"].update(min_abi="0.31"))))
for svn in (4, 5, 6):
    FAULTS.append((f"guest-svn-{svn}", lambda w, r, s=svn: w["policy"].update(min_guest_svn=s)))
for vector in (0, 1, 7, 8, 15):
    FAULTS.append((f"mitigation-{vector}", lambda w, r, v=vector: w["policy"].update(
        min_launch_mitigation=v)))
table("policy", {
    "smt": lambda w, r: w["policy"].update(forbid_smt=True),
    "smt-clear": lambda w, r: (w["policy"].update(forbid_smt=True),
                               w["report"].update(policy=0x20000)),
    "socket": lambda w, r: w["policy"].update(require_single_socket=True),
})
for key, field in (("report_data", "data"), ("host_data", "host")):
    FAULTS.append((key + "-right", lambda w, r, k=key, f=field: w["policy"].update(
        {k: w["report"][f].hex()})))
    FAULTS.append((key + "-wrong", lambda w, r, k=key, f=field: w["policy"].update(
        {k: flip(w["report"][f], r.randrange(32), r.randrange(8)).hex()})))
for key, field in (("measurement", "measurement"), ("id_key_digests", "id_key"),
                   ("author_key_digests", "author")):
    FAULTS.append((key + "-second", lambda w, r, k=key, f=field: w["policy"].update(
        {k: [bytes(48).hex(), w["report"][f].hex()]})))
    FAULTS.append((key + "-wrong", lambda w, r, k=key, f=field: w["policy"].update(
        {k: [flip(w["report"][f], r.randrange(48)).hex()]})))
for line, cpus in CPUS.items():
    for cpu in cpus:
        FAULTS.append((f"cpu-{cpu[0]:x}-{cpu[1]:x}", lambda w, r, c=cpu: w["report"].update(cpu=c)))
for cpu in ((0x19, 0x20), (0x19, 0x9F), (0x19, 0xB0), (0x1A, 0x12), (0x17, 1), (0, 0), (0x1A, 0x50)):
    FAULTS.append((f"cpu-{cpu[0]:x}-{cpu[1]:x}", lambda w, r, c=cpu: w["report"].update(cpu=c)))
for role in ("vek", "ica", "crl"):
    FAULTS.append((f"{role}-file-flip", lambda w, r, role=role: w["edits"].update(
        {role: lambda d: flip(d, r.randrange(len(d)), r.randrange(8))})))
    FAULTS.append((f"{role}-file-cut", lambda w, r, role=role: w["edits"].update(
        {role: lambda d: d[:r.randrange(1, len(d))]})))
for years in (-20, -2, 7, 40):
    FAULTS.append((f"as-of-years-{years}", lambda w, r, y=years: w.update(
        as_of=AS_OF + y * 365 * DAY)))


def generate(suite, seed, rounds=1, pairs=300):
    rng = random.Random(seed)
    keys = {"vek": Key("P-384", rng), "other": Key("P-384", rng), "p256": Key("P-256", rng)}
    picked = [[f] for _ in range(rounds) for f in [("nothing", lambda w, r: None)] * 12 + FAULTS]
    picked += [rng.sample(FAULTS, rng.choice([2, 2, 3])) for _ in range(pairs)]
    for number, faults in enumerate(picked):
        w = world(rng, keys)
        w["keys"] = keys
        try:
            for _, change in faults:
                change(w, rng)
            files = files_of(w)
        except (KeyError, AttributeError, IndexError, TypeError, ValueError, OverflowError):
            if len(faults) > 1:
                continue  # two faults that exclude each other
            raise
        suite.cases.append({
            "id": f"{number}:" + "+".join(n for n, _ in faults),
            "report": suite.write(files["report"]),
            "collateral": {"vek": suite.write(files["vek"]), "ica": suite.write(files["ica"]),
                           "crl": suite.write(files["crl"]),
                           "roots": [suite.write(d) for d in files["roots"]]},
            "as_of": stamp(w["as_of"]), "policy": w["policy"], "expect": "?"})
