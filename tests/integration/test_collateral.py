"""`cupel attest collateral` against TLS servers shaped like Intel's PCS and AMD's KDS, right and
faulty ones: what is fetched, when it is refreshed, and that nothing ever goes worse."""
import base64
import contextlib
import datetime
import http.server
import ipaddress
import json
import shutil
import socket
import ssl
import struct
import threading
import time
import urllib.parse

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from test_attest import REFUSED, SIMULATED, VECTORS, attest, needs_vectors, tee_sim

COLLATERAL = VECTORS / "tdx/collateral"
OLD, NEW = COLLATERAL / "90c06f-2026-02-g", COLLATERAL / "90c06f-2026-03"


def authority(folder, *, late=False):
    """A certificate of our own for 127.0.0.1, and its key, as one PEM file and one for clients."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "collateral test")])
    end = datetime.datetime.utcnow() + datetime.timedelta(days=-1 if late else 1)
    certificate = (x509.CertificateBuilder().subject_name(name).issuer_name(name)
                   .public_key(key.public_key()).serial_number(1)
                   .not_valid_before(end - datetime.timedelta(days=5)).not_valid_after(end)
                   .add_extension(x509.SubjectAlternativeName(
                       [x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
                   .add_extension(x509.BasicConstraints(True, None), True)
                   .sign(key, hashes.SHA256()))
    public = certificate.public_bytes(serialization.Encoding.PEM)
    (folder / "ca.pem").write_bytes(public)
    (folder / "server.pem").write_bytes(public + key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption()))


@contextlib.contextmanager
def serve(folder, answer):
    """answer(path) gives status, headers, body, or does to the connection what it wants."""
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            with contextlib.suppress(OSError):
                given = answer(self.path)
                if callable(given):
                    given(self)
                    return
                status, headers, body = given
                self.send_response(status)
                for each in {"Content-Length": str(len(body)), **headers}.items():
                    self.send_header(*each)
                self.end_headers()
                self.wfile.write(body)

        def log_message(self, *args):
            pass

    class Server(http.server.ThreadingHTTPServer):
        def handle_error(self, *args):
            pass  # clients that refuse us are the point

    if not (folder / "ca.pem").exists():
        authority(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem")
    server = Server(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"https://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()


def pcs(source):
    rows = {"tcb": ("tcb_info.json", "TCB-Info-Issuer-Chain", "tcb_chain.pem"),
            "identity": ("qe_identity.json", "SGX-Enclave-Identity-Issuer-Chain", "qe_chain.pem"),
            "pckcrl": ("pck_crl.der", None, None), "rootcacrl": ("root_crl.der", None, None)}

    def answer(path):
        body, header, chain = rows[path.split("?")[0].rsplit("/", 1)[1]]
        headers = {header: urllib.parse.quote((source / chain).read_text())} if header else {}
        return 200, headers, (source / body).read_bytes()
    return answer


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def span(folder):
    """The earliest end of the documents, as the C code has to find it."""
    ends = [json.loads((folder / name).read_text())[member]["nextUpdate"] for name, member in
            (("tcb_info.json", "tcbInfo"), ("qe_identity.json", "enclaveIdentity"))]
    ends = [datetime.datetime.strptime(end, "%Y-%m-%dT%H:%M:%SZ") for end in ends]
    for name in ("root_crl.der", "pck_crl.der"):
        ends.append(x509.load_der_x509_crl((folder / name).read_bytes()).next_update)
    return min(ends)


def text(when):
    return when.strftime("%Y-%m-%dT%H:%M:%SZ")


QUOTE = next(iter(sorted((VECTORS / "tdx/quotes").glob("v*90c06f*"))), None)
pytestmark = [needs_vectors, pytest.mark.skipif(QUOTE is None, reason="no quote of that platform")]


@pytest.fixture
def cache(tmp_path):
    shutil.copytree(OLD, tmp_path / "cache")
    return tmp_path / "cache"


def refresh(url, tmp_path, cache, when, *more):
    return attest("collateral", "refresh", "--pcs", url, "--ca", tmp_path / "ca.pem", "--as-of",
                  text(when), *more, QUOTE, cache)


DAY = datetime.timedelta(days=1)


def test_fetched_over_tls_only_from_a_known_authority(tmp_path):
    with serve(tmp_path, pcs(NEW)) as (url, asked):
        status, _, error = attest("collateral", "fetch", "--pcs", url, QUOTE, tmp_path / "c")
        assert status == REFUSED and not asked and not (tmp_path / "c").exists(), error
        status, _, error = attest("collateral", "fetch", "--ca", tmp_path / "ca.pem", "--pcs", url,
                                  QUOTE, tmp_path / "c")
        assert (status, len(asked)) == (0, 4), error
    ours = contents(tmp_path / "c")
    assert ours == {name: data for name, data in contents(NEW).items() if name in ours}
    assert len(ours) == 6


def test_an_expired_server_is_refused(tmp_path):
    authority(tmp_path, late=True)
    with serve(tmp_path, pcs(NEW)) as (url, asked):
        status, _, error = attest("collateral", "fetch", "--ca", tmp_path / "ca.pem", "--pcs", url,
                                  QUOTE, tmp_path / "c")
    assert status == REFUSED and not asked, error


def test_refreshed_in_time_and_not_before(tmp_path, cache):
    end = span(OLD)
    (cache / "quote.bin").write_bytes(b"other files stay")
    with serve(tmp_path, pcs(NEW)) as (url, asked):
        status, out, _ = refresh(url, tmp_path, cache, end - 8 * DAY)
        assert (status, asked) == (0, []) and out.startswith("fresh until " + text(end)[:19])
        assert contents(cache)["tcb_info.json"] == (OLD / "tcb_info.json").read_bytes()
        status, out, error = refresh(url, tmp_path, cache, end - 8 * DAY, "--margin-hours", "1000")
        assert (status, len(asked)) == (0, 4), error
        assert "not valid now; kept" in error
        status, out, error = refresh(url, tmp_path, cache, end + 14 * DAY)
        assert (status, out.strip()) == (0, "refreshed"), error
    for name in ("tcb_info.json", "qe_identity.json", "pck_crl.der", "root_crl.der"):
        assert (cache / name).read_bytes() == (NEW / name).read_bytes(), name
    assert (cache / "quote.bin").read_bytes() == b"other files stay"
    assert [path.name for path in tmp_path.iterdir() if ".new" in path.name] == []


def break_off(handler):
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\nshort")
    handler.wfile.flush()
    handler.connection.shutdown(socket.SHUT_RDWR)


def reset(handler):
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.connection.close()


def older(name, member):
    """A right-looking document of long ago."""
    def answer(path):
        status, headers, body = pcs(NEW)(path)
        if path.endswith(name) or name + "?" in path:
            document = json.loads(body)
            document[member]["nextUpdate"] = "2023-01-01T00:00:00Z"
            body = json.dumps(document).encode()
        return status, headers, body
    return answer


FAULTS = {
    "500": lambda path: (500, {}, b"no"),
    "404": lambda path: (404, {}, b"no"),
    "204": lambda path: (204, {}, b""),
    "reset": lambda path: reset,
    "truncated": lambda path: break_off,
    "redirect": lambda path: (302, {"Location": "https://127.0.0.1:1/"}, b""),
    "wrong content": lambda path: (200, pcs(NEW)(path)[1], b"<html>hello</html>"),
    "empty": lambda path: (200, pcs(NEW)(path)[1], b""),
    "expired": older("/tcb", "tcbInfo"),
    "expired identity": older("/identity", "enclaveIdentity"),
    "last one fails": lambda path: (500, {}, b"") if "rootcacrl" in path else pcs(NEW)(path),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_service_changes_nothing(tmp_path, cache, fault):
    before, end = contents(cache), span(OLD)
    with serve(tmp_path, FAULTS[fault]) as (url, asked):
        status, _, error = refresh(url, tmp_path, cache, end - DAY)
        assert status == 0 and "kept, valid until" in error, error  # offline use goes on
        assert contents(cache) == before and asked
        status, _, error = refresh(url, tmp_path, cache, end + DAY)
        assert status == REFUSED and "kept" not in error  # but never beyond its dates
        assert contents(cache) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ca.pem", "cache", "server.pem"]


def test_a_service_cannot_take_us_back(tmp_path, cache):
    shutil.rmtree(cache)
    shutil.copytree(NEW, cache)
    before = contents(cache)
    with serve(tmp_path, pcs(OLD)) as (url, _):
        status, _, error = refresh(url, tmp_path, cache, span(OLD) - DAY, "--margin-hours", "9999")
    assert contents(cache) == before, error
    assert "kept" in error or status == REFUSED


def test_a_slow_service_ends(tmp_path, cache):
    def drip(handler):
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\n")
        for _ in range(60):
            handler.wfile.write(b"x")
            handler.wfile.flush()
            time.sleep(0.5)
    begin = time.monotonic()
    with serve(tmp_path, lambda path: drip) as (url, _):
        status, _, error = refresh(url, tmp_path, cache, span(OLD) - DAY)
    assert status == 0 and "kept" in error and time.monotonic() - begin < 29


def pem(der):
    return f"-----BEGIN CERTIFICATE-----\n{base64.b64encode(der).decode()}\n-----END CERTIFICATE-----\n"


def kds(files, kind, product, asked_for=None):
    def answer(path):
        if path == f"/{kind}/v1/{product}/cert_chain":
            return 200, {}, (pem(files["ask"]) + pem(files["ark"])).encode()
        if path == f"/{kind}/v1/{product}/crl":
            return 200, {}, files["crl"]
        if asked_for and path == f"/vcek/v1/{product}/{asked_for}":
            return 200, {}, files["vek"]
        return 404, {}, path.encode()
    return answer


def test_amd_collateral_by_chip_and_tcb(tmp_path):
    tee_sim("init", tmp_path / "sim", "snp")
    report = tmp_path / "report.bin"
    report.write_bytes(tee_sim("quote", "--dir", tmp_path / "sim", "--report-data", "00" * 64)[:1184])
    files = {path.stem: path.read_bytes() for path in (tmp_path / "sim/collateral").iterdir()}
    chip = (tmp_path / "sim/chip_id").read_bytes().hex()
    answer = kds(files, "vcek", "Genoa", chip + "?blSPL=10&teeSPL=0&snpSPL=23&ucodeSPL=84")
    with serve(tmp_path, answer) as (url, asked):
        command = ["collateral", "refresh", "--ca", tmp_path / "ca.pem", "--kds", url, report,
                   tmp_path / "c"]
        status, out, error = attest(*command)
        assert (status, out.strip(), len(asked)) == (0, "refreshed", 3), (error, asked)
        assert contents(tmp_path / "c") == {name + ".der": data for name, data in files.items()}
        assert attest(*command)[1].startswith("fresh until") and len(asked) == 3
    assert attest("verify", report, "--collateral", tmp_path / "c", "--simulated-root",
                  tmp_path / "sim/root.der")[0] == SIMULATED


def test_vlek_chain_is_fetched_and_the_vlek_is_not(tmp_path):
    from test_verifier_snp import Forger
    snp = VECTORS / "snp"
    bare, vlek = ((snp / f"reports/snp3-aws-vlek.{kind}").read_bytes()
                  for kind in ("report.bin", "vek.der"))
    line = next(line for line in ("Milan", "Genoa", "Turin")
                if f"VLEK-{line}" in x509.load_der_x509_certificate(vlek).issuer.rfc4514_string())
    files = {"ask": (snp / f"ca/asvk_{line.lower()}.der").read_bytes(),
             "ark": (snp / f"ca/ark_{line.lower()}.der").read_bytes(), "crl": b"no real one here"}
    extended = tmp_path / "extended.bin"
    extended.write_bytes(bare + Forger.table([("vek", vlek)]))
    with serve(tmp_path, kds(files, "vlek", line)) as (url, asked):
        command = ["collateral", "fetch", "--ca", tmp_path / "ca.pem", "--kds", url]
        status, _, error = attest(*command, snp / "reports/snp3-aws-vlek.report.bin", tmp_path / "c")
        assert status == REFUSED and "certificate table" in error and not asked
        status, _, error = attest(*command, extended, tmp_path / "c")
        assert status == 0, error
    assert contents(tmp_path / "c")["ask.der"] == files["ask"]
    assert all(path.startswith("/vlek/") for path in asked)


def test_export_import_replaces_as_a_whole(tmp_path, cache):
    assert attest("collateral", "export", NEW, tmp_path / "bundle")[0] == 0
    assert attest("collateral", "import", tmp_path / "bundle", cache)[0] == 0
    assert (cache / "tcb_info.json").read_bytes() == (NEW / "tcb_info.json").read_bytes()
    (tmp_path / "cut").write_bytes((tmp_path / "bundle").read_bytes()[:-1])
    before = contents(cache)
    assert attest("collateral", "import", tmp_path / "cut", cache)[0] != 0
    assert contents(cache) == before
