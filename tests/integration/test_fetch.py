"""tee-fetch against servers with faults; everything on loopback."""
import datetime
import http.server
import ipaddress
import json
import os
import pathlib
import socket
import ssl
import subprocess
import threading
import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = pathlib.Path(os.environ.get("CUPEL_BUILD", ROOT / "build" / "release"))
PROGRAM = BUILD / "src" / "programs" / "tee-fetch" / "tee-fetch"
CODES = {"invalid": 1, "denied": 2, "not-found": 3, "limit": 5, "unavailable": 6, "integrity": 7}

pytestmark = pytest.mark.skipif("asan" in BUILD.name, reason="RLIMIT_AS and ASan do not go together")


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def send(self, status, body=b"", **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        self.server.seen.append((self.path, dict(self.headers)))
        name, _, argument = self.path[1:].partition("/")
        getattr(self, "serve_" + name.partition("?")[0], self.serve_missing)(argument)

    def serve_missing(self, _):
        self.send(404, b"secret text of the error page")

    def serve_status(self, argument):
        self.send(int(argument), b"error page")

    def serve_data(self, argument):
        self.send(200, b"d" * int(argument))

    def serve_chunked(self, argument):
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        try:
            for _ in range(int(argument) // 1000):
                self.wfile.write(b"3e8\r\n" + b"c" * 1000 + b"\r\n")
            self.wfile.write(b"0\r\n\r\n")
        except OSError:
            self.close_connection = True

    def serve_to(self, argument):
        self.send(302, b"moved", Location=argument)

    def serve_loop(self, argument):
        self.send(302, b"", Location=f"/loop/{int(argument) + 1}")

    def serve_hops(self, argument):
        left = int(argument)
        self.send(302, b"", Location=f"/hops/{left - 1}" if left > 1 else "/data/5")

    def serve_slow(self, _):
        time.sleep(5)
        self.send(200, b"late")

    def serve_trickle(self, _):
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        try:
            for _ in range(50):
                self.wfile.write(b"t")
                self.wfile.flush()
                time.sleep(0.1)
        except OSError:
            pass
        self.close_connection = True

    def serve_short(self, _):
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        self.wfile.write(b"short")
        self.close_connection = True

    def serve_reset(self, _):
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.connection.close()
        self.close_connection = True

    def serve_nothing(self, _):
        self.close_connection = True

    def serve_junk(self, _):
        self.wfile.write(b"\x00\xff junk\r\n" * 100)
        self.close_connection = True


def make_server(certificate=None):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.handle_error = lambda *args: None
    server.daemon_threads = True
    server.seen = []
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


@pytest.fixture(scope="module")
def plain():
    server = make_server()
    server.url = f"http://127.0.0.1:{server.server_port}"
    yield server
    server.shutdown()


@pytest.fixture(scope="module")
def secure(tmp_path_factory):
    path = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = datetime.datetime.utcnow()
    certificate = (x509.CertificateBuilder().subject_name(name).issuer_name(name)
                   .public_key(key.public_key()).serial_number(1)
                   .not_valid_before(now - datetime.timedelta(hours=1))
                   .not_valid_after(now + datetime.timedelta(days=1))
                   .add_extension(x509.SubjectAlternativeName(
                       [x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
                   .add_extension(x509.BasicConstraints(True, None), True)
                   .sign(key, hashes.SHA256()))
    (path / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (path / "key.pem").write_bytes(key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption()))
    server = make_server((path / "cert.pem", path / "key.pem"))
    server.url = f"https://127.0.0.1:{server.server_port}"
    server.ca = f"ca_file={path}/cert.pem"
    yield server
    server.shutdown()


def fetch(url, *args, max_bytes=1 << 20, timeout_ms=3000, loopback=True, environment=None):
    allow = ["--allow-loopback"] if loopback else []
    if isinstance(url, str):
        url = url.encode()
    done = subprocess.run(
        [PROGRAM, f"max_bytes={max_bytes}", f"timeout_ms={timeout_ms}", "connect_timeout_ms=1000",
         *allow, *args], input=url, capture_output=True, timeout=30, env=environment)
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    if done.returncode == 0:
        assert [set(line) for line in lines] == [{"to", "bytes"}] * len(lines) and lines
        return "ok", done.stdout
    error = lines.pop()
    assert [set(line) for line in lines] == [{"to", "bytes"}] * len(lines)
    assert set(error) == {"category", "message"} and CODES[error["category"]] == done.returncode
    return error["category"], error["message"]


def test_fetches(plain, secure):
    assert fetch(plain.url + "/data/5") == ("ok", b"ddddd")
    assert fetch(plain.url + "/data/5\n") == ("ok", b"ddddd")
    assert fetch(plain.url + "/data/0") == ("ok", b"")
    assert fetch(secure.url + "/data/70000", secure.ca) == ("ok", b"d" * 70000)
    assert fetch(plain.url.replace("127.0.0.1", "localhost") + "/data/3")[0] == "ok"
    headers = plain.seen[0][1]
    assert set(headers) <= {"Host", "User-Agent", "Accept"}


def test_size_limit(plain):
    for size, expected in ((9999, "ok"), (10000, "ok"), (10001, "limit")):
        assert fetch(f"{plain.url}/data/{size}", max_bytes=10000)[0] == expected
    for size, expected in ((9000, "ok"), (10000, "ok"), (11000, "limit")):
        assert fetch(f"{plain.url}/chunked/{size}", max_bytes=10000)[0] == expected
    kind, message = fetch(f"{plain.url}/chunked/10000000", max_bytes=10000)
    assert kind == "limit" and "10000 bytes" in message


def test_addresses(plain, secure):
    assert fetch(plain.url + "/data/5", loopback=False)[0] == "denied"
    assert fetch(secure.url + "/data/5", secure.ca, loopback=False)[0] == "denied"
    for host in ("10.0.0.1", "192.168.1.1", "172.16.0.1", "169.254.169.254", "100.64.0.1",
                 "224.0.0.1", "0.0.0.0", "[fc00::1]", "[fe80::1]", "[::ffff:127.0.0.1]",
                 "[::ffff:10.0.0.1]", "[64:ff9b::7f00:1]", "[::]", "255.255.255.255",
                 "0xa000001", "167772161", "012.0.0.1", "10.1"):
        kind, message = fetch(f"https://{host}/data/5")
        assert kind == "denied", (host, message)
        assert fetch(f"http://{host}/data/5")[0] == "denied", host
    for host in ("2130706433", "0x7f.1", "127.1"):  # other spellings of loopback
        assert fetch(f"http://{host}:{plain.server_port}/data/5", loopback=False)[0] == "denied"
        assert fetch(f"http://{host}:{plain.server_port}/data/5")[0] == "ok"
    assert "http goes to loopback only" in fetch("http://1.1.1.1/")[1]
    begin = time.monotonic()
    assert fetch("https://169.254.169.254/", "--allow-private")[0] == "denied"
    assert time.monotonic() - begin < 1


def test_redirects(plain, secure):
    for hops, expected in ((1, "ok"), (2, "ok"), (3, "ok"), (4, "limit")):
        assert fetch(f"{plain.url}/hops/{hops}")[0] == expected
    assert fetch(plain.url + "/loop/0")[0] == "limit"
    assert fetch(f"{plain.url}/to/{secure.url}/data/5", secure.ca) == ("ok", b"ddddd")
    kind, message = fetch(f"{secure.url}/to/{plain.url}/data/5", secure.ca)
    assert kind == "denied" and "https to http" in message
    for target in ("https://10.0.0.1/", "http://169.254.169.254/latest", "https://[fe80::1]/",
                   "http://1.1.1.1/"):
        assert fetch(f"{plain.url}/to/{target}")[0] == "denied", target
    for target in ("file:///etc/passwd", "gopher://127.0.0.1/", "ftp://127.0.0.1/",
                   "https://user:secret@127.0.0.1/"):
        kind, message = fetch(f"{plain.url}/to/{target}")
        assert kind in ("invalid", "unavailable"), (target, kind)
        assert "secret" not in message and "passwd" not in message


def test_bad_urls():
    for url in ("", "\n", "x", "/etc/passwd", "file:///etc/passwd", "ftp://127.0.0.1/",
                "gopher://127.0.0.1/", "https://", "http://a b/", "https://h/\r\nX: y",
                "https://user@127.0.0.1/", "https://u:topsecret@127.0.0.1/", "https://h:99999/",
                b"https://h/\0x", "https://h/" + "a" * 9000, "dict://127.0.0.1/"):
        kind, message = fetch(url)
        assert kind == "invalid", (url, message)
        assert "topsecret" not in message


def test_faults(plain):
    kind, message = fetch(plain.url + "/missing?token=hidden")
    assert kind == "not-found" and "hidden" not in message and "secret text" not in message
    for status in (204, 206, 304, 401, 403, 429, 500, 503):
        kind, message = fetch(f"{plain.url}/status/{status}")
        assert kind == "unavailable" and str(status) in message
    assert fetch(plain.url + "/status/410")[0] == "not-found"
    assert fetch(plain.url + "/short/")[0] == "unavailable"
    assert "less than it announced" in fetch(plain.url + "/short/")[1]
    assert fetch(plain.url + "/reset/")[0] == "unavailable"
    assert fetch(plain.url + "/nothing/")[0] == "unavailable"
    assert fetch(plain.url + "/junk/")[0] == "unavailable"
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        kind, message = fetch(f"http://127.0.0.1:{closed.getsockname()[1]}/")
    assert kind == "unavailable" and "accepts no connection" in message
    kind, message = fetch("https://name.invalid/")
    assert kind in ("unavailable", "limit")


@pytest.mark.parametrize("path", ["/slow/", "/trickle/"])
def test_time_limit(plain, path):
    begin = time.monotonic()
    kind, message = fetch(plain.url + path, timeout_ms=700)
    assert kind == "limit" and "in time" in message
    assert 0.6 < time.monotonic() - begin < 1.5


def test_certificates(secure):
    kind, message = fetch(secure.url + "/data/5")
    assert kind == "integrity" and "certificate" in message
    wrong_name = secure.url.replace("127.0.0.1", "localhost")
    assert fetch(wrong_name + "/data/5", secure.ca)[0] == "integrity"


def test_environment_has_no_say(plain):
    environment = {"http_proxy": "http://127.0.0.1:1", "all_proxy": "http://127.0.0.1:1",
                   "HOME": "/root"}
    assert fetch(plain.url + "/data/5", environment=environment) == ("ok", b"ddddd")


def test_arguments():
    for args in ((), ("max_bytes=1",), ("max_bytes=0", "timeout_ms=1", "connect_timeout_ms=1"),
                 ("max_bytes=x", "timeout_ms=1", "connect_timeout_ms=1"),
                 ("max_bytes=1", "timeout_ms=1", "connect_timeout_ms=1", "--surprise")):
        done = subprocess.run([PROGRAM, *args], input=b"https://h/", capture_output=True)
        assert done.returncode == 1 and json.loads(done.stderr)["category"] == "invalid"


def test_output_that_cannot_be_written(plain):
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [PROGRAM, "max_bytes=100000", "timeout_ms=2000", "connect_timeout_ms=1000",
             "--allow-loopback"], input=f"{plain.url}/data/50000".encode(), stdout=full,
            stderr=subprocess.PIPE)
    assert done.returncode == 6 and json.loads(done.stderr.splitlines()[-1])["category"] == "unavailable"
