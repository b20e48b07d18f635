"""New TDX cases: a description of a whole world (PKI, collateral, quote), faults that change it,
and the writer of what it describes."""
import hashlib
import json
import random

from der import integer, oid, seq, tlv
from make import AS_OF, DAY, Key, certificate, crl, extension, flip, name, pem, stamp

INTEL = dict(O="Intel Corporation", L="Santa Clara", ST="CA", C="US")
SGX = "1.2.840.113741.1.13.1"
STATUSES = ["SWHardeningNeeded", "ConfigurationNeeded", "ConfigurationAndSWHardeningNeeded",
            "OutOfDate", "OutOfDateConfigurationNeeded", "Revoked"]


def intel(common):
    return name(CN=common, **INTEL)


ROOT, PLATFORM, PROCESSOR = (intel("Intel SGX " + n) for n in (
    "Root CA", "PCK Platform CA", "PCK Processor CA"))
LEAF, SIGNER = intel("Intel SGX PCK Certificate"), intel("Intel SGX TCB Signing")


def component_list(values):
    return [{"svn": v} for v in values]


def level(sgx, pcesvn, tdx, status):
    return {"tcb": {"sgxtcbcomponents": component_list(sgx), "pcesvn": pcesvn,
                    "tdxtcbcomponents": component_list(tdx)},
            "tcbDate": "2025-11-12T00:00:00Z", "tcbStatus": status}


def isv_level(svn, status):
    return {"tcb": {"isvsvn": svn}, "tcbDate": "2025-11-12T00:00:00Z", "tcbStatus": status}


def module(identity, levels):
    return {"id": identity, "mrsigner": "00" * 48, "attributes": "00" * 8,
            "attributesMask": "FF" * 8, "tcbLevels": levels}


def world(rng, keys):
    """Everything right."""
    fmspc, pceid = rng.randbytes(6), rng.randbytes(2)
    components = [rng.randrange(2, 12) for _ in range(8)] + [0] * 8
    tee = [rng.randrange(3, 9), 1, rng.randrange(3, 9)] + [0] * 13
    begin, end = AS_OF - 400 * DAY, AS_OF + 3000 * DAY
    common = dict(scheme="ecdsa-256", not_before=begin, not_after=end)
    top = [tee[0], 0, tee[2]] + [0] * 13
    low = [max(c - 1, 0) for c in components]
    lower = [max(c - 1, 0) for c in low]
    w = {
        "as_of": AS_OF + rng.randrange(0, 5 * DAY),
        "keys": keys,
        "root": dict(common, key=keys["root"], signer=keys["root"], issuer=ROOT, subject=ROOT,
                     ca=True, usage="ca", serial=rng.getrandbits(150)),
        "ca": dict(common, key=keys["ca"], signer=keys["root"], issuer=ROOT, subject=PLATFORM,
                   ca=True, path_length=0, usage="ca", serial=rng.getrandbits(150)),
        "leaf": dict(common, key=keys["leaf"], signer=keys["ca"], issuer=PLATFORM, subject=LEAF,
                     usage="sign", serial=rng.getrandbits(150)),
        "ts": dict(common, key=keys["ts"], signer=keys["root"], issuer=ROOT, subject=SIGNER,
                   usage="sign", serial=rng.getrandbits(150)),
        "sgx": dict(ppid=rng.randbytes(16), components=components, pcesvn=13, cpusvn=None,
                    pceid=pceid, fmspc=fmspc, type=0, more=[], drop=[], tcb_more=[], raw={}),
        "root_crl": dict(scheme="ecdsa-256", signer=keys["root"], issuer=ROOT, revoked=[77],
                         this=AS_OF - 10 * DAY, next=AS_OF + 300 * DAY),
        "pck_crl": dict(scheme="ecdsa-256", signer=keys["ca"], issuer=PLATFORM, revoked=[99, 98],
                        this=AS_OF - 10 * DAY, next=AS_OF + 20 * DAY),
        "tcb": {"id": "TDX", "version": 3, "issueDate": stamp(AS_OF - 10 * DAY),
                "nextUpdate": stamp(AS_OF + 20 * DAY), "fmspc": fmspc.hex(), "pceId": pceid.hex(),
                "tcbType": 0, "tcbEvaluationDataNumber": 20,
                "tdxModule": {"mrsigner": "00" * 48, "attributes": "00" * 8,
                              "attributesMask": "FF" * 8},
                "tdxModuleIdentities": [
                    module("TDX_03", [isv_level(3, "UpToDate"), isv_level(1, "OutOfDate")]),
                    module("TDX_01", [isv_level(tee[0], "UpToDate"),
                                      isv_level(tee[0] - 1, "OutOfDate"),
                                      isv_level(tee[0] - 2, "Revoked")])],
                "tcbLevels": [level(components, 13, top, "UpToDate"),
                              level(low, 13, top, "SWHardeningNeeded"),
                              level(low, 11, top, "ConfigurationNeeded"),
                              level(lower, 11, top, "OutOfDate"),
                              level(lower, 5, [0] * 16, "OutOfDateConfigurationNeeded")]},
        "qe": {"id": "TD_QE", "version": 2, "issueDate": stamp(AS_OF - 10 * DAY),
               "nextUpdate": stamp(AS_OF + 20 * DAY), "tcbEvaluationDataNumber": 20,
               "miscselect": "00000000", "miscselectMask": "FFFFFFFF",
               "attributes": "11000000000000000000000000000000",
               "attributesMask": "FBFFFFFFFFFFFFFF0000000000000000",
               "mrsigner": rng.randbytes(32).hex(), "isvprodid": 2,
               "tcbLevels": [isv_level(6, "UpToDate"), isv_level(4, "OutOfDate"),
                             isv_level(2, "Revoked")]},
        "tcb_signer": keys["ts"], "qe_signer": keys["ts"],
        "tcb_edit": None, "qe_edit": None, "tcb_extra": "", "qe_extra": "",
        "tcb_chain": ["ts", "root"], "qe_chain": ["ts", "root"], "drop": [],
        "quote": dict(
            version=rng.choice([4, 5]), body_type=rng.choice([2, 3]), key_type=2, tee_type=0x81,
            reserved=bytes(4), vendor=bytes.fromhex("939a7233f79c4ca9940a0db3957f0607"),
            user=rng.randbytes(20), tee=tee, seam=rng.randbytes(48), signer_seam=bytes(48),
            seam_attributes=0, attributes=1 << 28, xfam=0xE7, mrtd=rng.randbytes(48),
            config=rng.randbytes(48), report_data=rng.randbytes(64), rtmr=rng.randbytes(192),
            tee2=tee, service=bytes(48), chain=["leaf", "ca", "root"], chain_end="\n",
            chain_raw=None, auth=rng.randbytes(rng.choice([0, 32, 64, 1000])), outer=6, inner=5,
            inner_slack=b"", outer_slack=b"", tail=bytes(rng.choice([0, 0, 1, 300])), edit=None,
            size_more=0, body_size=None, signer=keys["ak"], qe_signer=keys["leaf"]),
        "report": dict(misc=0, flags=0x11, product=2, svn=6, data=None, attributes_high=0),
        "policy": {},
    }
    return w


# ---- writing ---------------------------------------------------------------------------------

def sgx_extension(s):
    def pair(kind, value):
        return seq(oid(kind), value)
    tcb = [pair(f"{SGX}.2.{i + 1}", s["raw"].get(i + 1, integer(v)))
           for i, v in enumerate(s["components"])]
    tcb.append(pair(SGX + ".2.17", s["raw"].get(17, integer(s["pcesvn"]))))
    tcb.append(pair(SGX + ".2.18", tlv(0x04, s["cpusvn"] if s["cpusvn"] is not None
                                       else bytes(s["components"]))))
    members = {1: tlv(0x04, s["ppid"]), 2: seq(*tcb, *s["tcb_more"]), 3: tlv(0x04, s["pceid"]),
               4: tlv(0x04, s["fmspc"]), 5: tlv(0x0A, bytes([s["type"]]))}
    return extension(SGX, seq(*(pair(f"{SGX}.{k}", v) for k, v in members.items()
                                if k not in s["drop"]), *s["more"]))


def document(member, body, signer, edit, extra):
    text = json.dumps(body, separators=(",", ":"))
    signature = signer.sign_raw(text.encode()).hex()
    whole = f'{{"{member}":{text},"signature":"{signature}"{extra}}}'
    return (edit(whole) if edit else whole).encode()


def quote_bytes(w, certificates):
    q, r = w["quote"], w["report"]
    le = lambda value, size: value.to_bytes(size, "little")
    header = (le(q["version"], 2) + le(q["key_type"], 2) + le(q["tee_type"], 4) + q["reserved"]
              + q["vendor"] + q["user"])
    body = (bytes(q["tee"]) + q["seam"] + q["signer_seam"] + le(q["seam_attributes"], 8)
            + le(q["attributes"], 8) + le(q["xfam"], 8) + q["mrtd"] + q["config"] + bytes(96)
            + q["rtmr"] + q["report_data"])
    if q["version"] == 5:
        if q["body_type"] == 3:
            body += bytes(q["tee2"]) + q["service"]
        size = len(body) if q["body_size"] is None else q["body_size"]
        body = le(q["body_type"], 2) + le(size, 4) + body
    point = q["signer"].point()
    binding = hashlib.sha256(point + q["auth"]).digest() + bytes(32)
    mrsigner = bytes.fromhex(w["qe"]["mrsigner"]) if "mrsigner" not in r else r["mrsigner"]
    report = (bytes(16) + le(r["misc"], 4) + bytes(28) + le(r["flags"], 8)
              + le(r["attributes_high"], 8) + bytes(32) + bytes(32) + mrsigner + bytes(96)
              + le(r["product"], 2) + le(r["svn"], 2) + bytes(60)
              + (binding if r["data"] is None else r["data"](binding)))
    chain = q["chain_raw"]
    if chain is None:
        chain = pem(*(certificates[n] for n in q["chain"])) + q["chain_end"].encode()
    inner = le(q["inner"], 2) + le(len(chain), 4) + chain + q["inner_slack"]
    qe = (report + q["qe_signer"].sign_raw(report) + le(len(q["auth"]), 2) + q["auth"] + inner)
    signed = header + body
    signature = q["signer"].sign_raw(signed)
    auth = signature + point + le(q["outer"], 2) + le(len(qe), 4) + qe + q["outer_slack"]
    data = signed + le(len(auth) + q["size_more"], 4) + auth + q["tail"]
    return q["edit"](data) if q["edit"] else data


def files_of(w):
    w["leaf"]["extensions"] = w["leaf"].get("extensions", []) + (
        [] if w["sgx"] is None else [sgx_extension(w["sgx"])])
    certificates = {n: certificate(w[n]) for n in ("root", "ca", "leaf", "ts", "other")
                    if n in w}
    files = {
        "quote": quote_bytes(w, certificates),
        "root": certificates["root"] if "anchor" not in w else w["anchor"],
        "root_crl": crl(w["root_crl"]), "pck_crl": crl(w["pck_crl"]),
        "tcb_info": document("tcbInfo", w["tcb"], w["tcb_signer"], w["tcb_edit"], w["tcb_extra"]),
        "tcb_chain": pem(*(certificates[n] for n in w["tcb_chain"])),
        "qe_identity": document("enclaveIdentity", w["qe"], w["qe_signer"], w["qe_edit"],
                                w["qe_extra"]),
        "qe_chain": pem(*(certificates[n] for n in w["qe_chain"])),
    }
    for role, edit in w.get("edits", {}).items():
        files[role] = edit(files[role])
    for role in w["drop"]:
        files[role] = None
    return files


# ---- faults: each changes the world; some leave it right on purpose ----------------------------

FAULTS = []


def fault(function):
    FAULTS.append((function.__name__, function))
    return function


def fault_table(prefix, rows):
    for label, change in rows.items():
        FAULTS.append((f"{prefix}-{label}", change))


def put(*path):
    """A change of one member: put('leaf', 'usage', value)."""
    *where, last, value = path

    def change(w, rng):
        at = w
        for step in where:
            at = at[step]
        at[last] = value(w, rng) if callable(value) else value
    return change


def boundary(part, member, offset):
    """A date exactly at, one second inside, one second outside."""
    def change(w, rng):
        w[part][member] = (stamp if part in ("tcb", "qe") else int)(w["as_of"] + offset)
    return change


NAMES = {"root": "Intel SGX Root CA", "ca": "Intel SGX PCK Platform CA",
         "leaf": "Intel SGX PCK Certificate", "ts": "Intel SGX TCB Signing"}


def two_names(common):
    """A name with two common names, the right one last."""
    return seq(*(tlv(0x31, seq(oid("2.5.4.3"), tlv(0x0C, n.encode()))) for n in ("x", common)))


for part in ("root", "ca", "leaf", "ts"):
    for member in ("not_before", "not_after"):
        for offset in (-1, 0, 1):
            FAULTS.append((f"{part}-{member}{offset:+}", boundary(part, member, offset)))
    FAULTS.append((part + "-flip", put(part, "flip", -1)))
    FAULTS.append((part + "-scheme", put(part, "scheme", "ecdsa-384")))
    FAULTS.append((part + "-inner-scheme", put(part, "inner_scheme", "ecdsa-384")))
    FAULTS.append((part + "-general-time", put(part, "form", "general")))
    FAULTS.append((part + "-v1", put(part, "version", 1)))
    FAULTS.append((part + "-v2", put(part, "version", 2)))
    FAULTS.append((part + "-tail", put(part, "tail", b"\0")))
    FAULTS.append((part + "-serial-negative", put(part, "serial", b"\x81\x01")))
    FAULTS.append((part + "-serial-padded", put(part, "serial", b"\x00\x01")))
    FAULTS.append((part + "-serial-high", put(part, "serial", b"\x00\x81")))
    FAULTS.append((part + "-unknown-critical", put(part, "extensions", lambda w, r: [
        extension("1.2.3.4", b"\x05\x00", True)])))
    FAULTS.append((part + "-unknown-extension", put(part, "extensions", lambda w, r: [
        extension("1.2.3.4", b"\x05\x00")])))
    FAULTS.append((part + "-extension-twice", put(part, "extensions", lambda w, r: [
        extension("1.2.3.4", b"\x05\x00"), extension("1.2.3.4", b"\x05\x00")])))
    FAULTS.append((part + "-no-usage", put(part, "usage", None)))
    FAULTS.append((part + "-usage-sign", put(part, "usage", "sign")))
    FAULTS.append((part + "-usage-cert-only", put(part, "usage", "cert")))
    FAULTS.append((part + "-ca", put(part, "ca", True)))
    FAULTS.append((part + "-not-ca", put(part, "ca", False)))
    FAULTS.append((part + "-no-basic", put(part, "basic", False)))
    FAULTS.append((part + "-signer", put(part, "signer", lambda w, r: w["keys"]["other"])))
    FAULTS.append((part + "-p384", put(part, "key", lambda w, r: w["keys"]["p384"])))
    FAULTS.append((part + "-name", put(part, "subject", intel("Intel SGX Something"))))
    FAULTS.append((part + "-name-space", put(part, "subject", intel(NAMES[part] + " "))))
    FAULTS.append((part + "-name-case", put(part, "subject", intel(NAMES[part].lower()))))
    FAULTS.append((part + "-two-names", put(part, "subject", two_names(NAMES[part]))))
    FAULTS.append((part + "-issuer", put(part, "issuer", intel("Intel SGX Root CA 2"))))


for at in (0, 1):
    FAULTS.append((f"root-pathlen-{at}", put("root", "path_length", at)))
FAULTS.append(("ca-pathlen-none", put("ca", "path_length", None)))
FAULTS.append(("ca-pathlen-3", put("ca", "path_length", 3)))

for part, signer in (("root_crl", "root"), ("pck_crl", "ca")):
    for member in ("this", "next"):
        for offset in (-1, 0, 1):
            FAULTS.append((f"{part}-{member}{offset:+}", boundary(part, member, offset)))
    FAULTS += [(f"{part}-{label}", change) for label, change in {
        "flip": put(part, "flip", -1),
        "signer": put(part, "signer", lambda w, r: w["keys"]["other"]),
        "no-next": put(part, "next", None),
        "none-revoked": put(part, "revoked", []),
        "issuer": put(part, "issuer", LEAF),
        "tail": put(part, "tail", b"\0"),
        "v1": put(part, "version", 1),
        "scheme": put(part, "scheme", "ecdsa-384"),
        "revoked-twice": put(part, "revoked", [5, 5]),
        "missing": lambda w, r, part=part: w["drop"].append(part),
    }.items()]
    for target in ("root", "ca", "leaf", "ts"):
        FAULTS.append((f"{part}-revokes-{target}", lambda w, r, part=part, target=target:
                       w[part]["revoked"].insert(r.randrange(2), w[target]["serial"])))
        FAULTS.append((f"{part}-near-{target}", lambda w, r, part=part, target=target:
                       w[part]["revoked"].append(w[target]["serial"] + 1)))
fault_table("crl", {
    "swapped": put("edits", lambda w, r: {"pck_crl": lambda d: crl(w["root_crl"])}),
    "root-is-pck": put("edits", lambda w, r: {"root_crl": lambda d: crl(w["pck_crl"])}),
    "empty-file": put("edits", {"pck_crl": lambda d: b""}),
    "garbage": put("edits", {"pck_crl": lambda d: b"\x30\x80\0\0"}),
    "optional": lambda w, r: (w["drop"].extend(["root_crl", "pck_crl"]),
                              w["policy"].update(crl="optional")),
    "optional-but-bad": lambda w, r: (w["pck_crl"].update(flip=-1),
                                      w["policy"].update(crl="optional")),
})


@fault
def processor_ca(w, rng):
    for part, member in (("ca", "subject"), ("leaf", "issuer"), ("pck_crl", "issuer")):
        w[part][member] = PROCESSOR


@fault
def leaf_under_root(w, rng):
    w["leaf"].update(issuer=ROOT, signer=w["keys"]["root"])
    w["quote"]["chain"] = ["leaf", "root"]


@fault
def chain_of_four(w, rng):
    w["quote"]["chain"] = ["leaf", "ca", "root", "root"]


@fault
def chain_reversed(w, rng):
    w["quote"]["chain"] = ["root", "ca", "leaf"]


@fault
def other_root(w, rng):
    """The quote brings a root of the same name that nobody pinned."""
    w["anchor"] = certificate(w["root"])
    w["keys"] = dict(w["keys"])
    for part in ("root", "ca", "ts"):
        w[part]["signer"] = w["keys"]["other"]
    w["root"]["key"] = w["keys"]["other"]
    w["root_crl"]["signer"] = w["keys"]["other"]


@fault
def root_reissued(w, rng):
    """Same key and name, another certificate: not byte for byte the anchor."""
    w["anchor"] = certificate(dict(w["root"], serial=4711))


@fault
def documents_of_other_root(w, rng):
    other = dict(w["root"], key=w["keys"]["other"], signer=w["keys"]["other"])
    w["other"] = other
    w["ts"]["signer"] = w["keys"]["other"]
    w["tcb_chain"] = w["qe_chain"] = ["ts", "other"]


fault_table("sgx", {
    "cpusvn": put("sgx", "cpusvn", lambda w, r: bytes(16)),
    "cpusvn-short": put("sgx", "cpusvn", bytes(15)),
    "cpusvn-one-off": put("sgx", "cpusvn", lambda w, r: flip(bytes(w["sgx"]["components"]), 15)),
    "none": put("sgx", None),
    "pceid": put("sgx", "pceid", lambda w, r: flip(w["sgx"]["pceid"], 0)),
    "pceid-long": put("sgx", "pceid", bytes(3)),
    "fmspc": put("sgx", "fmspc", lambda w, r: flip(w["sgx"]["fmspc"], 5)),
    "fmspc-short": put("sgx", "fmspc", bytes(5)),
    "ppid-short": put("sgx", "ppid", bytes(15)),
    "type-1": put("sgx", "type", 1),
    "type-2": put("sgx", "type", 2),
    "instance": put("sgx", "more", [seq(oid(SGX + ".6"), tlv(0x04, bytes(16)))]),
    "instance-short": put("sgx", "more", [seq(oid(SGX + ".6"), tlv(0x04, bytes(15)))]),
    "configuration": put("sgx", "more", [seq(oid(SGX + ".7"), seq(
        seq(oid(SGX + ".7.1"), b"\x01\x01\xff"), seq(oid(SGX + ".7.2"), b"\x01\x01\0")))]),
    "unknown-member": put("sgx", "more", [seq(oid(SGX + ".8"), b"\x05\x00")]),
    "fmspc-twice": put("sgx", "more", lambda w, r: [seq(oid(SGX + ".4"),
                                                         tlv(0x04, w["sgx"]["fmspc"]))]),
    "component-twice": put("sgx", "tcb_more", [seq(oid(SGX + ".2.1"), integer(9))]),
    "component-19": put("sgx", "tcb_more", [seq(oid(SGX + ".2.19"), integer(9))]),
    "component-padded": lambda w, r: w["sgx"]["raw"].update(
        {1: tlv(0x02, b"\0" + bytes([w["sgx"]["components"][0]]))}),
    "component-negative": lambda w, r: w["sgx"]["raw"].update({1: tlv(0x02, b"\x85")}),
    "component-empty": lambda w, r: w["sgx"]["raw"].update({9: tlv(0x02, b"")}),
    "component-256": lambda w, r: w["sgx"]["raw"].update({1: integer(256)}),
    "component-255": lambda w, r: w["sgx"]["components"].__setitem__(0, 255),
    "component-128": lambda w, r: w["sgx"]["components"].__setitem__(0, 128),
    "pcesvn-65535": put("sgx", "pcesvn", 65535),
    "pcesvn-65536": put("sgx", "pcesvn", 65536),
    "pcesvn-wrong-tag": lambda w, r: w["sgx"]["raw"].update({17: tlv(0x0A, b"\x0d")}),
    "pcesvn-10": put("sgx", "pcesvn", 10),
    "pcesvn-11": put("sgx", "pcesvn", 11),
    "pcesvn-12": put("sgx", "pcesvn", 12),
    "pcesvn-4": put("sgx", "pcesvn", 4),
})
for arc in range(1, 6):
    FAULTS.append((f"sgx-drop-{arc}", put("sgx", "drop", [arc])))
for at in range(16):
    def lower(w, rng, at=at):
        value = w["sgx"]["components"][at]
        w["sgx"]["components"][at] = value - 1 if value else 3
    FAULTS.append((f"sgx-component-{at}", lower))


@fault
def sgx_all_low(w, rng):
    w["sgx"]["components"] = [max(c - rng.choice([1, 2]), 0) for c in w["sgx"]["components"]]


for at in (0, 1, 2, 3, 15):
    for step in (-1, 1):
        def change(w, rng, at=at, step=step):
            w["quote"]["tee"] = list(w["quote"]["tee"])
            w["quote"]["tee"][at] = max(w["quote"]["tee"][at] + step, 0)
        FAULTS.append((f"tee-{at}{step:+}", change))


@fault
def tee_3_wanted(w, rng):
    """Each TDX component one above what the TD has."""
    at = rng.randrange(16)
    w["tcb"]["tcbLevels"][0]["tcb"]["tdxtcbcomponents"][at]["svn"] = w["quote"]["tee"][at] + 1


@fault
def module_zero(w, rng):
    w["quote"]["tee"] = [w["quote"]["tee"][0], 0] + list(w["quote"]["tee"][2:])


@fault
def module_zero_high(w, rng):
    """Without a module version component 0 counts."""
    module_zero(w, rng)
    w["tcb"]["tcbLevels"][0]["tcb"]["tdxtcbcomponents"][0]["svn"] += 1


@fault
def module_three(w, rng):
    w["quote"]["tee"] = [rng.choice([0, 1, 2, 3, 4]), 3] + list(w["quote"]["tee"][2:])


@fault
def module_ten(w, rng):
    """Hexadecimal with a letter: TDX_0A, or only its lower-case twin."""
    w["quote"]["tee"] = [5, 10] + list(w["quote"]["tee"][2:])
    w["tcb"]["tdxModuleIdentities"].append(module("TDX_0A", [isv_level(5, "UpToDate")]))


fault_table("module", {
    "levels-unsorted": lambda w, r: w["tcb"]["tdxModuleIdentities"][1]["tcbLevels"].reverse(),
    "levels-none": lambda w, r: w["tcb"]["tdxModuleIdentities"][1].update(tcbLevels=[]),
    "identities-none": lambda w, r: w["tcb"].update(tdxModuleIdentities=[]),
    "identities-absent": lambda w, r: w["tcb"].pop("tdxModuleIdentities"),
    "base-absent": lambda w, r: w["tcb"].pop("tdxModule"),
    "signer": put("quote", "signer_seam", b"\1" + bytes(47)),
    "attributes": put("quote", "seam_attributes", 1),
    "attributes-masked": lambda w, r: (w["quote"].update(seam_attributes=1),
                                       w["tcb"]["tdxModuleIdentities"][1].update(
                                           attributesMask="FE" + "FF" * 7)),
    "signer-identity-differs": lambda w, r: w["tcb"]["tdxModuleIdentities"][1].update(
        mrsigner="01" + "00" * 47),
    "signer-base-differs": lambda w, r: w["tcb"]["tdxModule"].update(mrsigner="01" + "00" * 47),
    "signer-hex": lambda w, r: w["tcb"]["tdxModuleIdentities"][1].update(mrsigner="0g" * 48),
})
for status in STATUSES:
    def change(w, rng, status=status):
        w["tcb"]["tdxModuleIdentities"][1]["tcbLevels"][0]["tcbStatus"] = status
    FAULTS.append(("module-status-" + status, change))

    def change(w, rng, status=status):
        w["tcb"]["tcbLevels"][0]["tcbStatus"] = status
    FAULTS.append(("level-status-" + status, change))

    def change(w, rng, status=status):
        w["qe"]["tcbLevels"][0]["tcbStatus"] = status
    FAULTS.append(("qe-status-" + status, change))
    for other in ("OutOfDate", "Revoked"):
        def change(w, rng, status=status, other=other):
            w["tcb"]["tcbLevels"][0]["tcbStatus"] = status
            w["tcb"]["tdxModuleIdentities"][1]["tcbLevels"][0]["tcbStatus"] = other
        FAULTS.append((f"converge-{status}-module-{other}", change))

        def change(w, rng, status=status, other=other):
            w["tcb"]["tcbLevels"][0]["tcbStatus"] = status
            w["qe"]["tcbLevels"][0]["tcbStatus"] = other
        FAULTS.append((f"converge-{status}-qe-{other}", change))

for platform in ["UpToDate"] + STATUSES:
    for second in ((0, 1, 0), (0, 1, -1), (-1, 1, 0), (0, 0, 0), (-1, 0, 0), (3, 3, 0), (0, 9, 0),
                   (0, 3, 0)):
        def change(w, rng, platform=platform, second=second):
            """Launched under an old module; SVN2 says what runs now."""
            tee = w["quote"]["tee"]
            w["quote"].update(version=5, body_type=3, tee2=[
                max(tee[0] + second[0], 0), second[1], tee[2] + second[2]] + [0] * 13)
            w["quote"]["tee"] = [tee[0] - 1] + list(tee[1:])
            w["tcb"]["tcbLevels"][0]["tcbStatus"] = platform
        FAULTS.append((f"relaunch-{platform}-{'.'.join(map(str, second))}", change))

fault_table("levels", {
    "reversed": lambda w, r: w["tcb"]["tcbLevels"].reverse(),
    "shuffled": lambda w, r: r.shuffle(w["tcb"]["tcbLevels"]),
    "none": put("tcb", "tcbLevels", []),
    "absent": lambda w, r: w["tcb"].pop("tcbLevels"),
    "object": put("tcb", "tcbLevels", {}),
    "short": lambda w, r: w["tcb"]["tcbLevels"][-1]["tcb"]["sgxtcbcomponents"].pop(),
    "long": lambda w, r: w["tcb"]["tcbLevels"][-1]["tcb"]["tdxtcbcomponents"].append({"svn": 0}),
    "svn-256": lambda w, r: w["tcb"]["tcbLevels"][-1]["tcb"]["sgxtcbcomponents"].__setitem__(
        0, {"svn": 256}),
    "svn-negative": lambda w, r: w["tcb"]["tcbLevels"][-1]["tcb"]["sgxtcbcomponents"].__setitem__(
        0, {"svn": -1}),
    "svn-text": lambda w, r: w["tcb"]["tcbLevels"][-1]["tcb"]["sgxtcbcomponents"].__setitem__(
        0, {"svn": "1"}),
    "svn-float": lambda w, r: w["tcb"]["tcbLevels"][-1]["tcb"]["sgxtcbcomponents"].__setitem__(
        0, {"svn": 1.5}),
    "status-unknown": lambda w, r: w["tcb"]["tcbLevels"][-1].update(tcbStatus="Fine"),
    "status-relaunch": lambda w, r: w["tcb"]["tcbLevels"][-1].update(tcbStatus="TDRelaunchAdvised"),
    "status-case": lambda w, r: w["tcb"]["tcbLevels"][-1].update(tcbStatus="uptodate"),
    "status-absent": lambda w, r: w["tcb"]["tcbLevels"][-1].pop("tcbStatus"),
    "date-absent": lambda w, r: w["tcb"]["tcbLevels"][-1].pop("tcbDate"),
    "date-wrong": lambda w, r: w["tcb"]["tcbLevels"][-1].update(tcbDate="yesterday"),
    "advisories": lambda w, r: w["tcb"]["tcbLevels"][0].update(advisoryIDs=["INTEL-SA-1"]),
    "pcesvn-absent": lambda w, r: w["tcb"]["tcbLevels"][-1]["tcb"].pop("pcesvn"),
    "two-equal": lambda w, r: w["tcb"]["tcbLevels"].append(w["tcb"]["tcbLevels"][0]),
    "component-members": lambda w, r: w["tcb"]["tcbLevels"][0]["tcb"]["sgxtcbcomponents"][0].update(
        category="BIOS", type="x"),
})

for doc, kind in (("tcb", "tcb_info"), ("qe", "qe_identity")):
    for member in ("issueDate", "nextUpdate"):
        for offset in (-1, 0, 1):
            FAULTS.append((f"{doc}-{member}{offset:+}", boundary(doc, member, offset)))
        FAULTS.append((f"{doc}-{member}-absent", lambda w, r, doc=doc, m=member: w[doc].pop(m)))
        FAULTS.append((f"{doc}-{member}-wrong", put(doc, member, "2026-02-30T00:00:00Z")))
        FAULTS.append((f"{doc}-{member}-zone", put(doc, member, "2026-02-20T00:00:00+01:00")))


def nested(depth):
    value = 0
    for _ in range(depth):
        value = [value]
    return value


def signature_first(text):
    body, signature = text[1:-1].rsplit(',"signature":', 1)
    return '{"signature":' + signature + "," + body + "}"


def document_faults(doc, kind):
    def wrap(function):
        return put(doc + "_edit", lambda w, r: function)
    chain = doc + "_chain"
    return {
        "id-sgx": put(doc, "id", {"tcb": "SGX", "qe": "QE"}[doc]),
        "id-case": put(doc, "id", {"tcb": "tdx", "qe": "td_qe"}[doc]),
        "id-qve": put(doc, "id", "QVE"),
        "id-absent": lambda w, r: w[doc].pop("id"),
        "version-2": put(doc, "version", 2),
        "version-3": put(doc, "version", 3),
        "version-4": put(doc, "version", 4),
        "version-text": put(doc, "version", "3"),
        "version-absent": lambda w, r: w[doc].pop("version"),
        "number-absent": lambda w, r: w[doc].pop("tcbEvaluationDataNumber"),
        "number-text": put(doc, "tcbEvaluationDataNumber", "20"),
        "number-negative": put(doc, "tcbEvaluationDataNumber", -1),
        "number-min-equal": put("policy", {"min_tcb_eval": 20}),
        "number-min-above": put("policy", {"min_tcb_eval": 21}),
        "number-low": lambda w, r: (w[doc].update(tcbEvaluationDataNumber=19),
                                    w["policy"].update(min_tcb_eval=20)),
        "unknown-member": put(doc, "somethingNew", [1, {"a": None}]),
        "signer-other": put(doc + "_signer", lambda w, r: w["keys"]["other"]),
        "signer-leaf-key": put(doc + "_signer", lambda w, r: w["keys"]["leaf"]),
        "chain-leaf": lambda w, r: w.update({
            chain: ["leaf", "ca", "root"], doc + "_signer": w["keys"]["leaf"]}),
        "chain-leaf-root": lambda w, r: w.update({
            chain: ["leaf", "root"], doc + "_signer": w["keys"]["leaf"]}),
        "chain-root": lambda w, r: w.update({
            chain: ["root"], doc + "_signer": w["keys"]["root"]}),
        "chain-root-root": lambda w, r: w.update({
            chain: ["root", "root"], doc + "_signer": w["keys"]["root"]}),
        "chain-swapped": put(chain, ["root", "ts"]),
        "chain-signer-only": put(chain, ["ts"]),
        "chain-empty": put("edits", {chain: lambda d: b""}),
        "chain-garbage": put("edits", {chain: lambda d: d + b"x"}),
        "missing": lambda w, r: w["drop"].append(kind),
        "empty-file": put("edits", {kind: lambda d: b""}),
        "extra-member": put(doc + "_extra", ',"more":1'),
        "twice-member": put(doc + "_extra", ',"signature":"00"'),
        "twice-body": put(doc + "_extra", {"tcb": ',"tcbInfo":{}',
                                           "qe": ',"enclaveIdentity":{}'}[doc]),
        "twice-escaped": put(doc + "_extra", ',"signatur\\u0065":"00"'),
        "twice-inside": wrap(lambda t: t.replace('"version":', '"version":3,"version":', 1)),
        "spaces-outside": wrap(lambda t: " \n" + t.replace(',"signature":', ' ,\t"signature" : ')
                               + "\r\n "),
        "spaces-inside": wrap(lambda t: t.replace('"version":', '"version": ')),
        "signature-first": wrap(signature_first),
        "signature-upper": wrap(lambda t: t[:-130] + t[-130:].upper()),
        "signature-short": wrap(lambda t: t[:-4] + '"}'),
        "signature-zero": wrap(lambda t: t[:-130] + "0" * 128 + '"}'),
        "signature-empty": wrap(lambda t: t[:-130] + '"}'),
        "trailing": wrap(lambda t: t + "{}"),
        "trailing-nul": wrap(lambda t: t + "\0"),
        "bom": wrap(lambda t: "\ufeff" + t),
        "array": wrap(lambda t: "[" + t + "]"),
        "bare": wrap(lambda t: t.split(":", 1)[1].rsplit(',"signature"', 1)[0]),
        "cut": put(doc + "_edit", lambda w, r: lambda t: t[:r.randrange(len(t))]),
        "deep-6": put(doc, "deep", nested(6)),
        "deep-14": put(doc, "deep", nested(14)),
        "deep-15": put(doc, "deep", nested(15)),
        "deep-40": put(doc, "deep", nested(40)),
        "non-ascii": put(doc, "text", "\u00e9\u4e2d\U0001f600"),
    }


for doc, kind in (("tcb", "tcb_info"), ("qe", "qe_identity")):
    fault_table(doc, document_faults(doc, kind))

fault_table("tcb", {
    "fmspc-upper": lambda w, r: w["tcb"].update(fmspc=w["tcb"]["fmspc"].upper()),
    "fmspc-mixed": lambda w, r: w["tcb"].update(fmspc="".join(
        r.choice([c, c.upper()]) for c in w["tcb"]["fmspc"])),
    "fmspc-short": lambda w, r: w["tcb"].update(fmspc=w["tcb"]["fmspc"][2:]),
    "fmspc-absent": lambda w, r: w["tcb"].pop("fmspc"),
    "pceid-upper": lambda w, r: w["tcb"].update(pceId=w["tcb"]["pceId"].upper()),
    "pceid-other": put("tcb", "pceId", "abcd"),
    "pceid-absent": lambda w, r: w["tcb"].pop("pceId"),
    "type-1": put("tcb", "tcbType", 1),
    "type-text": put("tcb", "tcbType", "0"),
    "type-absent": lambda w, r: w["tcb"].pop("tcbType"),
})
fault_table("qe", {
    "mrsigner": lambda w, r: w["report"].update(mrsigner=r.randbytes(32)),
    "mrsigner-upper": lambda w, r: w["qe"].update(mrsigner=w["qe"]["mrsigner"].upper()),
    "mrsigner-absent": lambda w, r: (w["report"].update(mrsigner=bytes(32)),
                                     w["qe"].pop("mrsigner")),
    "product": put("report", "product", 1),
    "product-wide": put("report", "product", 0x0102),
    "product-text": put("qe", "isvprodid", "2"),
    "misc": put("report", "misc", 1),
    "misc-order": lambda w, r: (w["report"].update(misc=1), w["qe"].update(miscselect="00000001")),
    "misc-order-wrong": lambda w, r: (w["report"].update(misc=1),
                                      w["qe"].update(miscselect="01000000")),
    "misc-masked": lambda w, r: (w["report"].update(misc=1),
                                 w["qe"].update(miscselectMask="FFFFFFFE")),
    "flags-debug": put("report", "flags", 0x13),
    "flags-debug-masked": lambda w, r: (w["report"].update(flags=0x13),
                                        w["qe"].update(attributesMask="F9" + "FF" * 7 + "00" * 8)),
    "flags-masked-bit": put("report", "flags", 0x15),
    "flags-other": put("report", "flags", 0x31),
    "flags-high": put("report", "attributes_high", 7),
    "data-high": put("report", "data", lambda w, r: lambda b: b[:63] + b"\1"),
    "data-low": put("report", "data", lambda w, r: lambda b: flip(b, 31)),
    "data-zero": put("report", "data", lambda w, r: lambda b: bytes(64)),
    "levels-reversed": lambda w, r: w["qe"]["tcbLevels"].reverse(),
    "levels-none": put("qe", "tcbLevels", []),
    "report-signer": put("quote", "qe_signer", lambda w, r: w["keys"]["other"]),
    "report-signer-ca": put("quote", "qe_signer", lambda w, r: w["keys"]["ca"]),
})
for svn in range(0, 9):
    FAULTS.append((f"qe-svn-{svn}", put("report", "svn", svn)))

fault_table("td", {
    "report-data-right": lambda w, r: w["policy"].update(report_data=w["quote"]["report_data"].hex()),
    "report-data-wrong": lambda w, r: w["policy"].update(report_data=flip(
        w["quote"]["report_data"], r.randrange(64)).hex()),
    "mrtd-right": lambda w, r: w["policy"].update(mrtd=w["quote"]["mrtd"].hex()),
    "mrtd-wrong": lambda w, r: w["policy"].update(mrtd=flip(w["quote"]["mrtd"], 47).hex()),
    "service": lambda w, r: w["quote"].update(version=5, body_type=3, service=bytes(47) + b"\1"),
    "no-sept": put("quote", "attributes", 0),
})
for bit in range(64):
    FAULTS.append((f"td-attribute-{bit}", put("quote", "attributes", 1 << 28 | 1 << bit)))
for value in (0, 1, 2, 3, 0xFFFFFFFFFFFFFFFF, 0xE4):
    FAULTS.append((f"td-xfam-{value:x}", put("quote", "xfam", value)))


def edit(function):
    return put("quote", "edit", lambda w, r: lambda d: function(d, w, r))


def auth_at(w):
    return 48 + 584 + ((6 + (64 if w["quote"]["body_type"] == 3 else 0))
                       if w["quote"]["version"] == 5 else 0)


fault_table("quote", {
    "version-3": put("quote", "version", 3), "version-6": edit(lambda d, w, r: b"\6" + d[1:]),
    "version-0": edit(lambda d, w, r: b"\0" + d[1:]),
    "sgx": edit(lambda d, w, r: b"\3\0\2\0\0\0\0\0" + d[8:]),
    "version-swap": edit(lambda d, w, r: bytes([9 - d[0]]) + d[1:]),
    "version-high": edit(lambda d, w, r: d[:1] + b"\1" + d[2:]),
    "key-type": put("quote", "key_type", 3), "tee-0": put("quote", "tee_type", 0),
    "tee-high": put("quote", "tee_type", 0x10081),
    "vendor": put("quote", "vendor", bytes(16)),
    "reserved": put("quote", "reserved", b"\1\2\3\4"),
    "outer-5": put("quote", "outer", 5), "outer-0": put("quote", "outer", 0),
    "inner-1": put("quote", "inner", 1), "inner-4": put("quote", "inner", 4),
    "inner-6": put("quote", "inner", 6),
    "inner-slack": put("quote", "inner_slack", b"\0"),
    "outer-slack": put("quote", "outer_slack", b"\0"),
    "size-more": put("quote", "size_more", 1), "size-less": put("quote", "size_more", -1),
    "size-huge": edit(lambda d, w, r: d[:auth_at(w)] + b"\xff" * 4 + d[auth_at(w) + 4:]),
    "size-padded": lambda w, r: w["quote"].update(size_more=4, tail=bytes(4)),
    "tail-0": put("quote", "tail", b""), "tail-1000": put("quote", "tail", bytes(1000)),
    "tail-last": put("quote", "tail", bytes(1000) + b"\1"),
    "tail-first": put("quote", "tail", b"\1" + bytes(9)),
    "tail-max": edit(lambda d, w, r: d + bytes(65536 - len(d))),
    "signer": edit(lambda d, w, r: d[:auth_at(w) + 4] + w["keys"]["other"].sign_raw(
        d[:auth_at(w)]) + d[auth_at(w) + 68:]),
    "user-changed": edit(lambda d, w, r: flip(d, 40)),
    "r-zero": edit(lambda d, w, r: d[:auth_at(w) + 4] + bytes(32) + d[auth_at(w) + 36:]),
    "s-zero": edit(lambda d, w, r: d[:auth_at(w) + 36] + bytes(32) + d[auth_at(w) + 68:]),
    "s-other-half": edit(lambda d, w, r: malleate(d, auth_at(w) + 36)),
    "r-plus-order": edit(lambda d, w, r: d[:auth_at(w) + 4] + b"\xff" * 32 + d[auth_at(w) + 36:]),
    "chain-empty": put("quote", "chain_raw", b""),
    "chain-garbage": put("quote", "chain_raw", b"hello"),
    "chain-zero": put("quote", "chain_raw", bytes(100)),
    "chain-bad-der": put("quote", "chain_raw", pem(b"\x30\x03\x02\x01\x01")),
    "chain-nul": put("quote", "chain_end", "\0"),
    "chain-many-nul": put("quote", "chain_end", "\0" * 20),
    "chain-crlf": lambda w, r: w["quote"].update(chain_raw=pem(*(
        certificate(dict(w[n], extensions=w[n].get("extensions", []) + (
            [sgx_extension(w["sgx"])] if n == "leaf" else []))) for n in ("leaf", "ca", "root"))
    ).replace(b"\n", b"\r\n")),
    "chain-comment": put("quote", "chain_end", "# behind\n"),
    "body-size": put("quote", "body_size", 600),
    "body-type-1": edit(lambda d, w, r: d[:48] + b"\1\0" + d[50:]),
    "body-type-swap": lambda w, r: w["quote"].update(version=5, edit=lambda d: d[:48] + bytes(
        [5 - d[48]]) + d[49:]),
    "body-type-2-size-648": lambda w, r: w["quote"].update(version=5, body_type=2, body_size=648),
    "body-type-3-size-584": lambda w, r: w["quote"].update(version=5, body_type=3, body_size=584),
    "cut": edit(lambda d, w, r: d[:r.randrange(len(d) - len(w["quote"]["tail"]))]),
    "cut-early": edit(lambda d, w, r: d[:r.randrange(700)]),
    "empty": edit(lambda d, w, r: b""),
    "flip": edit(lambda d, w, r: flip(d, r.randrange(len(d) - len(w["quote"]["tail"])),
                                      r.randrange(8))),
    "flip-body": edit(lambda d, w, r: flip(d, r.randrange(48, 632), r.randrange(8))),
    "flip-auth": edit(lambda d, w, r: flip(d, auth_at(w) + r.randrange(600), r.randrange(8))),
})
for size in (0, 1, 31, 32, 33, 64, 1000, 4096):
    FAULTS.append((f"auth-{size}", put("quote", "auth", bytes(range(256)) * 16
                                       if size == 4096 else b"\xa5" * size)))
for offset in (-20, -10, -1, 0, 20, 300):
    FAULTS.append((f"as-of-{offset}", lambda w, r, o=offset: w.update(as_of=AS_OF + o * DAY)))
for years in (-30, -3, 12, 40):
    FAULTS.append((f"as-of-years-{years}", lambda w, r, y=years: w.update(
        as_of=AS_OF + y * 365 * DAY)))
for role in ("root_crl", "pck_crl", "tcb_info", "qe_identity", "tcb_chain", "qe_chain"):
    FAULTS.append((f"flip-{role}", put("edits", lambda w, r, role=role: {
        role: lambda d: flip(d, r.randrange(len(d)), r.randrange(8))})))
    FAULTS.append((f"cut-{role}", put("edits", lambda w, r, role=role: {
        role: lambda d: d[:r.randrange(1, len(d))]})))

P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def malleate(data, at):
    """n - s is as good as s: the same signature in its other form, still valid."""
    s = int.from_bytes(data[at:at + 32], "big")
    return data[:at] + (P256_ORDER - s).to_bytes(32, "big") + data[at + 32:]


def generate(suite, seed, rounds=1, pairs=300):
    """Every fault `rounds` times, then worlds with two or three faults."""
    rng = random.Random(seed)
    keys = {n: Key("P-384" if n == "p384" else "P-256", rng)
            for n in ("root", "ca", "leaf", "ts", "ak", "other", "p384")}
    picked = [[f] for _ in range(rounds) for f in [("nothing", lambda w, r: None)] * 5 + FAULTS]
    picked += [rng.sample(FAULTS, rng.choice([2, 2, 3])) for _ in range(pairs)]
    for number, faults in enumerate(picked):
        w = world(rng, keys)
        try:
            for _, change in faults:
                change(w, rng)
            files = files_of(clone_shallow(w))
        except (KeyError, AttributeError, IndexError, TypeError, ValueError):
            if len(faults) > 1:
                continue  # two faults that exclude each other
            raise
        suite.cases.append({
            "id": f"{number}:" + "+".join(n for n, _ in faults),
            "quote": suite.write(files.pop("quote")),
            "collateral": {role: suite.write(data) for role, data in files.items()},
            "as_of": stamp(w["as_of"]), "policy": w["policy"], "expect": "?"})


def clone_shallow(w):
    return {k: dict(v) if isinstance(v, dict) else v for k, v in w.items()}
