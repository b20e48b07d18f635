"""SNP reports, judged by the note's checklist S1..S14 (strict profile)."""
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from der import Bad, only, unsigned
from x509 import check_dates, check_raw, open_crl, read_certificate, seconds

AMD = "1.3.6.1.4.1.3704.1."
LINES = ("Milan", "Genoa", "Turin")
NAMES = ("fmc", "bl", "tee", "snp", "ucode")
LAYOUT = {"Milan": (None, 0, 1, 6, 7), "Genoa": (None, 0, 1, 6, 7), "Turin": (0, 1, 2, 3, 7)}


def line_of_cpu(family, model):
    if family == 0x19:
        return "Milan" if model <= 0x0F else (
            "Genoa" if 0x10 <= model <= 0x1F or 0xA0 <= model <= 0xAF else None)
    return "Turin" if family == 0x1A and model <= 0x11 else None


def tcb_of(raw, line):
    return [0 if at is None else raw[at] for at in LAYOUT[line]]


def reaches(have, wanted):
    return all(h >= w for h, w in zip(have, wanted))


class Vek:
    def __init__(self, certificate, is_vlek):
        ext = certificate.extensions
        name = only(ext[AMD + "2"], 0x16).decode("ascii")
        self.line = next((l for l in LINES if name == l or name.startswith(l + "-")), None)
        svns = [unsigned(only(ext[AMD + "3." + arc], 0x02)) for arc in "1238"]
        has_fmc = AMD + "3.9" in ext
        if has_fmc != (self.line == "Turin"):
            raise Bad("fmc")
        fmc = unsigned(only(ext[AMD + "3.9"], 0x02)) if has_fmc else 0
        self.tcb = [fmc] + svns
        if max(self.tcb) > 255:
            raise Bad("svn")
        if (AMD + "4" in ext) == is_vlek or (AMD + "5" in ext) != is_vlek:
            raise Bad("hardware id or csp id")
        if is_vlek:
            self.csp = only(ext[AMD + "5"], 0x16).decode("ascii")
        else:
            self.hwid = ext[AMD + "4"]
            if len(self.hwid) not in (8, 64):
                self.hwid = only(self.hwid, 0x04)
            if len(self.hwid) not in (8, 64):
                raise Bad("hardware id")


def judge(case, files):
    policy, as_of = case.get("policy") or {}, seconds(case["as_of"])
    reasons, report = set(), files["report"]
    add = reasons.add
    if len(report) != 1184:
        return {"parse.length"}

    def number(at, size):
        return int.from_bytes(report[at:at + size], "little")
    version, signer = number(0, 4), number(0x48, 4)
    if not 2 <= version <= 5:
        add("parse.version")
    if number(0x34, 4) != 1:
        add("parse.algo")
    reserved = [(0x4C, 0x50), (0x18B if version >= 3 else 0x188, 0x1A0), (0x1EB, 0x1EC),
                (0x1EF, 0x1F0), (0x208 if version >= 5 else 0x1F8, 0x2A0), (0x330, 0x4A0)]
    if any(any(report[a:b]) for a, b in reserved) or signer & ~0x1F:
        add("parse.reserved")
    kind = signer >> 2 & 7
    if kind not in (0, 1):
        add("parse.signer")
    if reasons:
        return reasons
    guest(report, number, version, policy, reasons)
    try:
        vek, ica = read_certificate(files["vek"]), read_certificate(files["ica"])
    except (Bad, ValueError, IndexError, TypeError):
        add("chain.missing" if not files.get("vek") or not files.get("ica") else "chain.parse")
        return reasons
    is_vlek = vek.names == ["SEV-VLEK"]
    if not is_vlek and vek.names != ["SEV-VCEK"]:
        add("chain.names")
    line = next((l for l in LINES if ica.names in (["SEV-" + l], ["SEV-VLEK-" + l])), None)
    if line is None:
        if ica.names and ica.names[0].startswith("ARK-"):
            add("chain.role")
            line = ica.names[0][4:] if ica.names[0][4:] in LINES else None
        else:
            add("chain.names")
        if line is None:
            return reasons
    elif (ica.names == ["SEV-VLEK-" + line]) != is_vlek and not "chain.names" in reasons:
        add("chain.role")
    root = None
    for der in files["roots"]:
        try:
            candidate = read_certificate(der)
        except (Bad, ValueError, IndexError):
            continue
        if candidate.names == ["ARK-" + line]:
            root = candidate
    if root is None or root.der not in files["anchors"]:
        add("chain.untrusted_root")
        if root is None:
            return reasons
    chain(reasons, root, ica, vek, as_of)
    crl = open_crl(reasons, files.get("crl"), root, "crl", as_of, policy.get("crl") == "optional")
    if crl and ica.serial in crl.revoked:
        add("chain.revoked")
    if isinstance(vek.key, ec.EllipticCurvePublicKey) and vek.key.curve.name == "secp384r1":
        r, s = report[0x2A0:0x2E8], report[0x2E8:0x330]
        if any(r[48:]) or any(s[48:]) or not check_raw(vek.key, None, hashes.SHA384(),
                                                       report[:0x2A0], r[47::-1] + s[47::-1]):
            add("report.signature")
    else:
        add("vek.key")
    if is_vlek != (kind == 1):
        add("vek.kind")
    if version >= 3 and line_of_cpu(report[0x188], report[0x189]) != line:
        add("chain.product")
    reported = tcb_of(report[0x180:0x188], line)
    try:
        extension = Vek(vek, is_vlek)
        if extension.line != line:
            add("chain.product")
        if extension.tcb != reported:
            add("vek.tcb")
        if not is_vlek and report[0x1A0:0x1E0] != extension.hwid.ljust(64, b"\0"):
            add("vek.chip_id")
        # A policy that names operators asks for a VLEK: a VCEK names none.
        wanted = policy.get("csp_ids")
        if wanted and (not is_vlek or extension.csp not in wanted):
            add("vek.csp_id")
    except (Bad, KeyError, ValueError, IndexError):
        add("vek.extension")
    tcb(report, number, line, reported, policy, reasons)
    return reasons


def chain(reasons, root, ica, vek, as_of):
    add = reasons.add
    if any(c.scheme != "pss-384" for c in (root, ica, vek)):
        add("chain.algorithm")
    if not root.is_issuer(1) or not ica.is_issuer(0) or vek.is_ca:
        add("chain.not_ca")
    if not (root.issued(root) and root.issued(ica) and ica.issued(vek)):
        add("chain.signature")
    for certificate in (root, ica, vek):
        check_dates(reasons, certificate, as_of, "chain.not_yet_valid", "chain.expired")


def tcb(report, number, line, reported, policy, reasons):
    current = tcb_of(report[0x38:0x40], line)
    committed, launch = tcb_of(report[0x1E0:0x1E8], line), tcb_of(report[0x1F0:0x1F8], line)
    if (not reaches(current, reported) or not reaches(current, committed)
            or number(0x1E8, 3) < number(0x1EC, 3)):
        reasons.add("tcb.order")
    elif committed != current:
        reasons.add("tcb.provisional")
    for have, key, code in ((reported, "min_tcb", "tcb.minimum"),
                            (launch, "min_launch_tcb", "tcb.launch")):
        wanted = policy.get(key) or {}
        if not reaches(have, [wanted.get(n, 0) for n in NAMES]):
            reasons.add(code)


def guest(report, number, version, policy, reasons):
    add, bits, platform = reasons.add, number(8, 8), number(0x40, 8)
    for mask, code in ((1 << 19, "snp.debug"), (1 << 18, "snp.migrate_ma")):
        if bits & mask:
            add(code)
    if not bits & 1 << 17 or bits >> 26:
        add("snp.policy_reserved")
    if policy.get("forbid_smt") and bits & 1 << 16:
        add("snp.smt")
    if policy.get("require_single_socket") and not bits & 1 << 20:
        add("snp.single_socket")
    if policy.get("min_abi"):
        major, minor = (int(n) for n in policy["min_abi"].split("."))
        if (bits >> 8 & 0xFF, bits & 0xFF) < (major, minor):
            add("snp.abi")
    if number(0x30, 4) not in policy.get("vmpl", [0]):
        add("snp.vmpl")
    for key, at, size, code in (("measurement", 0x90, 48, "snp.measurement"),
                                ("id_key_digests", 0xE0, 48, "snp.id_key"),
                                ("author_key_digests", 0x110, 48, "snp.author_key")):
        if policy.get(key) and report[at:at + size].hex() not in policy[key]:
            add(code)
    if policy.get("host_data") and report[0xC0:0xE0].hex() != policy["host_data"]:
        add("snp.host_data")
    if policy.get("report_data") and report[0x50:0x90].hex() != policy["report_data"]:
        add("snp.report_data")
    if number(4, 4) < policy.get("min_guest_svn", 0):
        add("snp.guest_svn")
    wanted = policy.get("min_launch_mitigation", 0)
    if (number(0x1F8, 8) if version >= 5 else 0) & wanted != wanted:
        add("snp.mitigation")
    required, forbidden = policy.get("platform_required", 0), policy.get("platform_forbidden", 0)
    if platform & required != required or platform & forbidden:
        add("snp.platform_info")
