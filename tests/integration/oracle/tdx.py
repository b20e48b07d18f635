"""TDX quotes with collateral, judged by the note's checklist T1..T19 (strict profile)."""
import functools
import hashlib
import json
import re

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from der import Bad, elements, oid_text, only, unsigned
from x509 import check_dates, check_raw, open_crl, parse_all, pem, seconds

VENDOR = bytes.fromhex("939a7233f79c4ca9940a0db3957f0607")
SGX = "1.2.840.113741.1.13.1"
BODY = {2: 584, 3: 648}
STATUSES = {"UpToDate", "SWHardeningNeeded", "ConfigurationNeeded",
            "ConfigurationAndSWHardeningNeeded", "OutOfDate", "OutOfDateConfigurationNeeded",
            "Revoked"}


class Stop(Exception):
    """The quote cannot be read further for this reason."""


class Cursor:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, size):
        if self.at + size > len(self.data):
            raise Stop("parse.truncated")
        self.at += size
        return self.data[self.at - size:self.at]

    def number(self, size):
        return int.from_bytes(self.take(size), "little")


class Quote:
    def __init__(self, data, reasons):
        c = Cursor(data)
        header = Cursor(c.take(48))
        self.version, key_type, tee = header.number(2), header.number(2), header.number(4)
        header.take(4)
        if self.version == 3 and tee == 0x81:
            raise Stop("parse.version_tee")
        if self.version not in (4, 5):
            raise Stop("parse.version")
        if tee != 0x81:
            raise Stop("parse.version_tee")
        if key_type != 2:
            raise Stop("parse.att_key_type")
        if header.take(16) != VENDOR:
            raise Stop("parse.qe_vendor")
        size = 584
        if self.version == 5:
            kind, size = c.number(2), c.number(4)
            if BODY.get(kind) != size:
                raise Stop("parse.body_type")
        self.body = c.take(size)
        self.signed = data[:c.at]
        auth = Cursor(c.take(c.number(4)))
        self.signature, self.key = auth.take(64), auth.take(64)
        qe = Cursor(self.certification(auth, 6, "parse.cert_type"))
        self.qe_report, self.qe_signature = qe.take(384), qe.take(64)
        self.qe_auth = qe.take(qe.number(2))
        self.chain = self.certification(qe, 5, "parse.cert_type_inner")
        if any(data[c.at:]):
            reasons.add("parse.trailing_nonzero")

    @staticmethod
    def certification(cursor, kind, code):
        got = cursor.number(2)
        size = cursor.number(4)
        if got != kind:
            raise Stop(code)
        data = cursor.take(size)
        if cursor.at != len(cursor.data):
            raise Stop("parse.auth_trailing")
        return data


class Pck:
    """The SGX extension."""

    def __init__(self, leaf):
        if SGX not in leaf.extensions:
            raise Bad("no extension")
        top = self.pairs(only(leaf.extensions[SGX], 0x30), SGX)
        sizes = {1: 16, 3: 2, 4: 6}
        values = {}
        for arc, size in sizes.items():
            tag, value = top[arc]
            if tag != 0x04 or len(value) != size:
                raise Bad("member %d" % arc)
            values[arc] = value
        if top[5][0] != 0x0A or set(top) - {1, 2, 3, 4, 5, 6, 7}:
            raise Bad("members")
        if 6 in top and (top[6][0] != 0x04 or len(top[6][1]) != 16):
            raise Bad("instance id")
        if 7 in top and top[7][0] != 0x30:
            raise Bad("configuration")
        self.pceid, self.fmspc = values[3], values[4]
        if top[2][0] != 0x30:
            raise Bad("tcb")
        tcb = self.pairs(top[2][1], SGX + ".2")
        if set(tcb) != set(range(1, 19)):
            raise Bad("tcb members")
        self.components = [unsigned(tcb[i][1]) for i in range(1, 17)]
        self.pcesvn = unsigned(tcb[17][1])
        if (any(tcb[i][0] != 0x02 for i in range(1, 18)) or max(self.components) > 255
                or self.pcesvn > 65535 or tcb[18][0] != 0x04 or len(tcb[18][1]) != 16):
            raise Bad("tcb values")
        self.cpusvn = tcb[18][1]

    @staticmethod
    def pairs(content, prefix):
        found = {}
        for tag, item, _ in elements(content):
            parts = elements(item)
            if tag != 0x30 or len(parts) != 2 or parts[0][0] != 0x06:
                raise Bad("pair")
            name = oid_text(parts[0][1])
            head, _, last = name.rpartition(".")
            if head != prefix or int(last) in found:
                raise Bad("pair name")
            found[int(last)] = parts[1][:2]
        return found


def depth_of(text):
    """The deepest nesting of brackets outside strings."""
    depth = deepest = 0
    for mark in re.findall(r'"(?:[^"\\]|\\.)*"|[\[\]{}]', text):
        depth += (mark in "[{") - (mark in "]}")
        deepest = max(deepest, depth)
    return deepest


@functools.lru_cache(1024)
def strict_json(data):
    """Text and value; Bad for duplicates, depth, anything behind."""
    def once(pairs):
        names = [n for n, _ in pairs]
        if len(set(names)) != len(names):
            raise Bad("duplicate member")
        return dict(pairs)

    def refuse(_):
        raise Bad("number")
    try:
        text = data.decode("utf-8")
        if depth_of(text) > 16:
            raise Bad("depth")
        return text, json.loads(text, object_pairs_hook=once, parse_constant=refuse)
    except (ValueError, RecursionError):
        raise Bad("json") from None


@functools.lru_cache(1024)
def body_text(text, member):
    """The exact characters of a member of the outer object."""
    decoder = json.JSONDecoder()
    at = text.index("{") + 1
    space = " \t\r\n"
    while True:
        while text[at] in space + ",":
            at += 1
        name, at = decoder.raw_decode(text, at)
        while text[at] in space + ":":
            at += 1
        _, end = decoder.raw_decode(text, at)
        if name == member:
            return text[at:end].encode()
        at = end


def integer(value, low, high):
    if type(value) is not int or not low <= value <= high:
        raise Bad("integer")
    return value


def octets(value, size):
    if type(value) is not str or len(value) != 2 * size:
        raise Bad("hex")
    try:
        return bytes.fromhex(value)
    except ValueError:
        raise Bad("hex") from None


def level_of(value, is_platform):
    """(key for ordering, status, ...) of a TCB level."""
    status = value.get("tcbStatus")
    date = value.get("tcbDate")
    if status not in STATUSES or type(date) is not str or seconds(date) is None:
        raise Bad("level")
    if type(value.get("advisoryIDs", [])) is not list:
        raise Bad("level")
    tcb = value["tcb"]
    if not is_platform:
        return integer(tcb["isvsvn"], 0, 65535), status
    def components(name):
        got = [integer(c["svn"], 0, 255) for c in tcb[name]]
        if len(got) != 16:
            raise Bad("components")
        return got
    return (components("sgxtcbcomponents"), integer(tcb["pcesvn"], 0, 65535),
            components("tdxtcbcomponents")), status


def levels_of(value, is_platform):
    if type(value) is not list:
        raise Bad("levels")
    try:
        return sorted((level_of(v, is_platform) for v in value), key=lambda l: l[0], reverse=True)
    except (KeyError, TypeError, AttributeError):
        raise Bad("level") from None


def converge(platform, part):
    if "Revoked" in (platform, part):
        return "Revoked"
    if part == "OutOfDate":
        if platform in ("UpToDate", "SWHardeningNeeded"):
            return "OutOfDate"
        if platform in ("ConfigurationNeeded", "ConfigurationAndSWHardeningNeeded"):
            return "OutOfDateConfigurationNeeded"
    return platform


class Judge:
    def __init__(self, case, files):
        self.files, self.policy = files, case.get("policy") or {}
        self.as_of = seconds(case["as_of"])
        self.reasons = set()
        self.root = files["root"]
        if self.root.startswith(b"-----"):
            self.root = pem(self.root)[0]
        self.root_crl = self.leaf = self.pck = self.qe_status = self.tcb = None

    def run(self):
        try:
            self.quote = Quote(self.files["quote"], self.reasons)
        except Stop as stop:
            self.reasons.add(str(stop))
            return self.reasons
        self.td()
        self.chain()
        self.signatures()
        for name in ("qe_identity", "tcb_info"):
            self.document(name)
        self.merge()
        return self.reasons

    # -- PCK chain and CRLs
    def chain(self):
        add = self.reasons.add
        try:
            ders = pem(self.quote.chain)
            if not ders:
                add("pck_chain.missing")
                return
            certificates = parse_all(ders)
        except (Bad, ValueError, IndexError):
            add("pck_chain.parse")
            return
        self.leaf = certificates[0]
        try:
            self.pck = Pck(self.leaf)
            if self.pck.cpusvn != bytes(self.pck.components):
                add("pck.cpusvn")
        except (Bad, KeyError, IndexError):
            add("pck.sgx_ext")
        if len(certificates) != 3:
            add("pck_chain.names")
            return
        leaf, ca, root = certificates
        if (leaf.names != ["Intel SGX PCK Certificate"] or root.issuer != root.subject
                or ca.names not in (["Intel SGX PCK Platform CA"], ["Intel SGX PCK Processor CA"])
                or leaf.issuer != ca.subject or ca.issuer != root.subject):
            add("pck_chain.names")
        if root.der != self.root:
            add("pck_chain.untrusted_root")
        if not root.is_issuer(1) or not ca.is_issuer(0) or leaf.is_ca:
            add("pck_chain.not_ca")
        for issuer, subject in ((root, root), (root, ca), (ca, leaf)):
            if (subject.scheme != "ecdsa-256" or not issuer.issued(subject)
                    or not isinstance(subject.key, ec.EllipticCurvePublicKey)
                    or subject.key.curve.name != "secp256r1"):
                add("pck_chain.signature")
        for certificate in certificates:
            check_dates(self.reasons, certificate, self.as_of, "pck_chain.not_yet_valid",
                        "pck_chain.expired")
        optional = self.policy.get("crl") == "optional"
        self.root_crl = open_crl(self.reasons, self.files.get("root_crl"), root, "root_crl",
                                 self.as_of, optional)
        if self.root_crl and ca.serial in self.root_crl.revoked:
            add("pck_chain.ca_revoked")
        crl = open_crl(self.reasons, self.files.get("pck_crl"), ca, "pck_crl", self.as_of, optional)
        if crl and leaf.serial in crl.revoked:
            add("pck_chain.revoked")

    def signatures(self):
        q, add, sha256 = self.quote, self.reasons.add, hashes.SHA256()
        if self.leaf is not None and (
                not isinstance(self.leaf.key, ec.EllipticCurvePublicKey)
                or self.leaf.key.curve.name != "secp256r1"
                or not check_raw(self.leaf.key, None, sha256, q.qe_report, q.qe_signature)):
            add("qe.report_signature")
        expected = hashlib.sha256(q.key + q.qe_auth).digest() + bytes(32)
        if q.qe_report[320:] != expected:
            add("qe.ak_binding")
        if q.qe_report[48] & 2:
            add("qe.debug")
        if not check_raw(q.key, ec.SECP256R1(), sha256, q.signed, q.signature):
            add("quote.signature")

    # -- Intel's documents
    def document(self, name):
        member, kind, version = (("tcbInfo", "TDX", 3) if name == "tcb_info"
                                 else ("enclaveIdentity", "TD_QE", 2))
        add, data = self.reasons.add, self.files.get(name)
        if not data:
            add(name + ".missing")
            return
        try:
            text, outer = strict_json(data)
            if type(outer) is not dict or set(outer) != {member, "signature"}:
                raise Bad("members")
            body, signature = outer[member], outer["signature"]
            if type(body) is not dict or type(signature) is not str:
                raise Bad("types")
        except Bad:
            add(name + ".format")
            return
        signer = self.signer(name)
        if signer is None:
            return
        try:
            raw = octets(signature, 64)
        except Bad:
            raw = None
        if raw is None or not check_raw(signer.key, None, hashes.SHA256(), body_text(text, member),
                                        raw):
            add(name + ".signature")
            return
        if body.get("id") != kind or type(body.get("version")) is not int \
                or body["version"] != version:
            add(name + ".id")
            return
        try:
            issued, until = seconds(body["issueDate"]), seconds(body["nextUpdate"])
            if issued is None or until is None:
                raise Bad("dates")
            if self.as_of < issued:
                add(name + ".issued_in_future")
            if self.as_of > until:
                add(name + ".expired")
        except (Bad, KeyError, TypeError):
            add(name + ".format")
        try:
            number = integer(body["tcbEvaluationDataNumber"], 0, 1 << 20)
        except (Bad, KeyError):
            add(name + ".format")
            return
        if number < self.policy.get("min_tcb_eval", 0):
            add(name + ".eval_number")
        try:
            (self.qe if name == "qe_identity" else self.levels)(body)
        except (Bad, KeyError, TypeError, AttributeError):
            add(name + ".format")

    def signer(self, name):
        prefix, add = name + ".chain.", self.reasons.add
        chain = self.files.get("tcb_chain" if name == "tcb_info" else "qe_chain")
        try:
            certificates = parse_all(pem(chain or b""))
        except (Bad, ValueError, IndexError):
            add(prefix + "parse")
            return None
        if len(certificates) != 2:
            add(prefix + "signer_role")
            return None
        signer, root = certificates
        if root.der != self.root:
            add(prefix + "untrusted_root")
            if signer.names == ["Intel SGX TCB Signing"]:
                add(prefix + "signature")
            return None
        if signer.names != ["Intel SGX TCB Signing"] or signer.is_ca or not (
                signer.usage or 0) & 0x8000:
            add(prefix + "signer_role")
            return None
        if not root.is_issuer(0) or not root.issued(signer):
            add(prefix + "signature")
            return None
        for certificate in certificates:
            check_dates(self.reasons, certificate, self.as_of, prefix + "not_yet_valid",
                        prefix + "expired")
        if self.root_crl and signer.serial in self.root_crl.revoked:
            add(prefix + "revoked")
        return signer

    def qe(self, body):
        report, add = self.quote.qe_report, self.reasons.add
        signer = octets(body["mrsigner"], 32)
        product = integer(body["isvprodid"], 0, 65535)
        misc, misc_mask = octets(body["miscselect"], 4), octets(body["miscselectMask"], 4)
        attributes, mask = octets(body["attributes"], 16), octets(body["attributesMask"], 16)
        levels = levels_of(body["tcbLevels"], False)
        if report[128:160] != signer:
            add("qe.mrsigner")
        if int.from_bytes(report[256:258], "little") != product:
            add("qe.isvprodid")
        got = report[16:20][::-1]
        if bytes(g & m for g, m in zip(got, misc_mask)) != misc:
            add("qe.miscselect")
        if bytes(g & m for g, m in zip(report[48:64], mask)) != attributes:
            add("qe.attributes")
        svn = int.from_bytes(report[258:260], "little")
        self.qe_status = next((s for wanted, s in levels if svn >= wanted), None)
        if self.qe_status is None:
            add("qe.svn_unsupported")

    def levels(self, body):
        if self.pck is None:
            return
        add, svn = self.reasons.add, self.quote.body[:16]
        if octets(body["fmspc"], 6) != self.pck.fmspc:
            add("tcb_info.fmspc")
        if octets(body["pceId"], 2) != self.pck.pceid:
            add("tcb_info.pceid")
        if type(body.get("tcbType")) is not int or body["tcbType"] != 0:
            add("tcb_info.tcb_type")
        levels = levels_of(body["tcbLevels"], True)
        first = 2 if svn[1] else 0
        sgx = [l for l in levels if l[0][1] <= self.pck.pcesvn
               and all(h >= w for h, w in zip(self.pck.components, l[0][0]))]
        both = [l for l in sgx if all(h >= w for h, w in zip(svn[first:], l[0][2][first:]))]
        if not both:
            add("tcb.no_level")
        module = self.module(body, svn)
        if both:
            self.tcb = (levels, sgx[0][1], both[0][1], module, body)

    def identity(self, body, major):
        found = [i for i in body.get("tdxModuleIdentities", []) if i["id"] == "TDX_%02X" % major]
        return found[0] if found else None

    def module(self, body, svn):
        add = self.reasons.add
        identity = body["tdxModule"] if svn[1] == 0 else self.identity(body, svn[1])
        if identity is None:
            add("tdx_module.unknown_version")
            return None
        if self.quote.body[64:112] != octets(identity["mrsigner"], 48):
            add("tdx_module.mrsigner")
        masked = bytes(a & m for a, m in zip(self.quote.body[112:120],
                                             octets(identity["attributesMask"], 8)))
        if masked != octets(identity["attributes"], 8):
            add("tdx_module.attributes")
        if svn[1] == 0:
            return None
        status = next((s for wanted, s in levels_of(identity["tcbLevels"], False)
                       if svn[0] >= wanted), None)
        if status is None:
            add("tdx_module.svn_unsupported")
        return status

    def merge(self):
        """Convergence and the relaunch rule."""
        add = self.reasons.add
        status, module = self.qe_status, None
        if self.tcb:
            levels, sgx, platform, module, body = self.tcb
            status = converge(platform, module)
            status = self.relaunch(levels, sgx, status, module, body)
            status = converge(status, self.qe_status)
        for word in (status, module if status == "UpToDate" else None,
                     self.qe_status if status == "UpToDate" else None):
            if word == "Revoked":
                add("tcb.revoked")
            elif word not in (None, "UpToDate"):
                add("tcb.status:" + word)

    def relaunch(self, levels, sgx, status, module, body):
        if (len(self.quote.body) != 648 or self.qe_status in (None, "OutOfDate", "Revoked")
                or sgx not in ("UpToDate", "SWHardeningNeeded", "ConfigurationNeeded",
                               "ConfigurationAndSWHardeningNeeded")
                or status not in ("OutOfDate", "OutOfDateConfigurationNeeded")
                or module != "OutOfDate"):
            return status
        svn2, latest = self.quote.body[584:600], levels[0][0][2]
        wanted = latest[0]
        if svn2[1]:
            identity = self.identity(body, svn2[1])
            if identity is None:
                self.reasons.add("tdx_module.unknown_version")
                return status
            wanted = max((l[0] for l in levels_of(identity["tcbLevels"], False)), default=1 << 20)
        if svn2[0] < wanted or svn2[2] < latest[2]:
            return status
        is_configuration = "Configuration" in sgx or "Configuration" in status
        return "TDRelaunchAdvised" + ("ConfigurationNeeded" if is_configuration else "")

    # -- the TD
    def td(self):
        add, body = self.reasons.add, self.quote.body
        attributes = int.from_bytes(body[120:128], "little")
        known = 0xFF | 1 << 27 | 1 << 28 | 1 << 29 | 1 << 30 | 1 << 31 | 1 << 62 | 1 << 63
        if attributes & 0xFF:
            add("td.debug")
        if attributes & ~known:
            add("td.attr_reserved")
        if not attributes & 1 << 28:
            add("td.sept_ve_disable")
        if attributes & 1 << 29:
            add("td.migratable")
        if int.from_bytes(body[128:136], "little") & 3 != 3:
            add("td.xfam_fixed1")
        if any(body[600:648]):
            add("td.service_td")
        for key, part, code in (("report_data", body[520:584], "td.report_data"),
                                ("mrtd", body[136:184], "td.mrtd")):
            if key in self.policy and bytes.fromhex(self.policy[key]) != part:
                add(code)


def judge(case, files):
    """All reasons against a case; files by role."""
    return Judge(case, files).run()
