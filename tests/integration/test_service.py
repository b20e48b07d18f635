"""cced with real agents and sandboxes: the main path, every way a run can end, and its proof."""
import base64
import hashlib
import http.server
import json
import os
import pathlib
import resource
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import service as svc  # noqa: E402
import verifier  # noqa: E402
from service import Service, script  # noqa: E402

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root for namespaces and mounts")


@pytest.fixture(scope="module")
def cupel():
    service = Service()
    yield service
    service.close()


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def test_main_path(cupel):
    data = b"id,name\n1,ada\n2,grace\n"
    status, reply = cupel.execute(script(
        "import os, helper\nprint(helper.count(os.environ['CUPEL_DATASET']))\n",
        data={"data": "base64:" + base64.b64encode(data).decode(), "format": "csv"},
        scripts={"main.py": "import os, helper\nprint(helper.count(os.environ['CUPEL_DATASET']))\n",
                 "helper.py": "def count(path):\n    return sum(1 for _ in open(path))\n"}))
    assert status == 200, reply
    assert reply["result"]["output"] == "3\n"
    assert reply["result"]["exit_code"] == 0
    assert reply["status"] == "completed"
    assert reply["proof"]["dataset_hash"] == sha256(data)
    assert reply["lifecycle"]["dataset_deleted"] is True
    assert reply["lifecycle"]["sandbox_destroyed"] is True
    assert reply["certificate_url"].endswith("/certificate/" + reply["certificate_id"])
    kinds = [event["kind"] for event in reply["execution_trace"]["events"]]
    assert kinds.count("exec") >= 1 and "lifecycle" in kinds
    assert any(e["kind"] == "exec" and "python3" in e["path"]
               for e in reply["execution_trace"]["events"])


def independent(cupel, certificate_id, reply=None):
    """The Python verifier's checks and verdict for one certificate."""
    envelope = cupel.call("GET", f"/certificate/{certificate_id}/envelope", token=False)[2]
    keys = cupel.json("GET", "/keys", token=False)[1]
    (cupel.state / "issuer.pem").write_text(keys["issuer"])
    trace = reply and (reply["execution_trace"]["events"],
                       bytes.fromhex(reply["execution_trace"]["seed"]))
    return verifier.Certificate(
        envelope, roots=[hashlib.sha256(bytes.fromhex(keys["simulated_anchor"]["der"])).digest()],
        issuer=verifier.read_issuer(cupel.state / "issuer.pem"), trace=trace,
        result=reply["result"]["output"].encode() if reply else None,
        measurement=bytes.fromhex(keys["measurement"])).verify()


def get_certificate(cupel, certificate_id):
    """One certificate; whoever asks has it verified by the independent verifier as well."""
    status, body = cupel.json("GET", f"/certificate/{certificate_id}", token=False)
    assert status == 200, body
    checks, verdict = independent(cupel, certificate_id)
    assert verdict == body["verdict"] == "simulated", checks
    return body


def test_certificate_and_verification(cupel):
    status, reply = cupel.execute(script("print('proof')"))
    assert status == 200, reply
    certificate = get_certificate(cupel, reply["certificate_id"])
    assert certificate["verdict"] == "simulated"
    statement = certificate["statement"]
    assert statement["predicateType"] == "https://cupel.dev/execution-simulated/v1"
    assert statement["subject"][0]["digest"]["sha256"] == sha256(b"proof\n")
    events = [row["event"] for row in statement["predicate"]["run"]["lifecycle"]]
    assert events.index("job_accepted") < events.index("execution_started") < \
        events.index("execution_ended") < events.index("dataset_wiped")
    status, checks = cupel.json("GET", f"/certificate/{reply['certificate_id']}/verify", token=False)
    assert checks["verdict"] == "simulated"
    results = {row["name"]: row["result"] for row in checks["checks"]}
    for name in ("envelope", "statement", "signature", "issuer", "subjects", "binding", "quote",
                 "tcb", "measurement"):
        assert results[name] == "pass", (name, checks)
    assert results["transparency"] == "not-checked"
    page = cupel.call("GET", f"/certificate/{reply['certificate_id']}", token=False,
                      headers={"Accept": "text/html"})
    assert page[1]["Content-Type"].startswith("text/html")
    assert b"Simulated" in page[2] and b"<script" not in page[2]


def test_same_inputs_same_digests(cupel):
    request = script("print(6*7)", data=b"abc")
    first, second = cupel.execute(request)[1], cupel.execute(request)[1]
    assert first["proof"]["inputs_digest"] == second["proof"]["inputs_digest"]
    assert first["proof"]["claim_digest"] == second["proof"]["claim_digest"]
    assert first["certificate_id"] != second["certificate_id"]
    other = cupel.execute(script("print(6*7)", data=b"abd"))[1]
    assert other["proof"]["inputs_digest"] != first["proof"]["inputs_digest"]
    assert other["proof"]["sandbox_hash"] == first["proof"]["sandbox_hash"]


def test_independent_verifier_agrees(cupel):
    reply = cupel.execute(script("import os; os.system('true'); print('x')", data=b"q"))[1]
    checks, verdict = independent(cupel, reply["certificate_id"], reply)
    assert verdict == "simulated", checks
    results = {name: result for name, result, _ in checks}
    assert all(results[n] == "pass" for n in ("signature", "issuer", "result", "binding", "quote",
                                              "measurement", "trace")), checks


@pytest.mark.parametrize("code,status,detail", [
    ("import sys; sys.exit(3)", "nonzero", {"exit_code": 3}),
    ("import time; time.sleep(60)", "killed:wall-timeout", {}),
    ("x = []\nwhile True: x.append(bytearray(1 << 20))", "killed:memory", {}),
    ("open('big','wb').write(b'x' * (3 << 20))", "killed:disk", {}),  # EFBIG
    ("for i in range(9): open(f'b{i}','wb').write(b'x' * (1 << 20))", "killed:disk", {}),
    ("while True: print('x' * 65536)", "killed:output", {}),
    ("import os\nos.kill(os.getpid(), 11)", "killed:signalled", {"signal": 11}),
])
def test_every_end_is_certified(cupel, code, status, detail):
    http_status, reply = cupel.execute(script(code, environment={
        "timeout_seconds": 2, "max_memory_mb": 64, "max_output_kb": 256,
        "max_disk_mb": 8, "max_file_mb": 2}))
    assert http_status == 200, reply
    assert reply["status"] == status, reply["status_detail"]
    for name, value in detail.items():
        assert reply["result"][name] == value
    certificate = get_certificate(cupel, reply["certificate_id"])
    assert certificate["verdict"] == "simulated"
    assert certificate["statement"]["predicate"]["outcome"]["status"] == status


def test_tools_are_enforced(cupel):
    code = ("import subprocess, os\n"
            "for tool in ('grep', 'bash', 'sed', 'jq', 'cat'):\n"
            "    try:\n"
            "        subprocess.run([tool, '--version'], stdout=subprocess.DEVNULL, check=True)\n"
            "        print(tool, 'ran')\n"
            "    except OSError as error:\n"
            "        print(tool, 'refused')\n")
    reply = cupel.execute(script(code, tools=("python", "grep")))[1]
    assert reply["result"]["output"].split("\n")[:-1] == [
        "grep ran", "bash refused", "sed refused", "jq refused", "cat refused"]


def test_bash_and_other_tools(cupel):
    reply = cupel.execute(script("grep -c a \"$CUPEL_DATASET\" | cat\n", name="main.sh",
                                 tools=("bash", "grep", "cat"), data=b"a\nb\na\n"))[1]
    assert reply["result"]["output"] == "2\n", reply


def test_own_binaries_do_not_run(cupel):
    code = ("import os, shutil\n"
            "shutil.copy('/usr/bin/python3', '/work/own')\n"
            "os.chmod('/work/own', 0o755)\n"
            "try:\n    os.execv('/work/own', ['own', '-c', 'print(1)'])\n"
            "except OSError as error:\n    print('refused', error.errno)\n")
    assert cupel.execute(script(code))[1]["result"]["output"].startswith("refused")


def test_secret_environment_stays_out(cupel):
    reply = cupel.execute(script("import os; print(len(os.environ['KEY']), os.environ['MODE'])",
                                 env={"KEY": {"secret": "hunter2hunter2"}, "MODE": "fast"}))[1]
    assert reply["result"]["output"] == "14 fast\n"
    certificate = get_certificate(cupel, reply["certificate_id"])
    assert "hunter2" not in json.dumps(certificate)
    rows = {r["name"]: r for r in certificate["statement"]["predicate"]["inputs"]["sandbox"]["env"]}
    assert rows["KEY"]["sha256"] == sha256(b"hunter2hunter2") and "value" not in rows["KEY"]
    assert rows["MODE"]["value"] == "fast"


def test_data_is_read_only_and_several_files(cupel):
    request = script("import os\nprint(sorted(os.listdir('/data')))\n"
                     "try:\n    open('/data/a.txt', 'w')\nexcept OSError as e: print(e.errno)\n"
                     "print(open('/data/b.json').read())")
    request["datasets"] = [{"name": "a.txt", "data": "text", "format": "txt"},
                           {"name": "b.json", "data": {"k": [1, 2.5]}, "format": "json"}]
    reply = cupel.execute(request)[1]
    lines = reply["result"]["output"].split("\n")
    assert lines[0] == "['a.txt', 'b.json']"
    assert lines[1] in ("30", "13")
    assert json.loads(lines[2]) == {"k": [1, 2.5]}


def test_multipart(cupel):
    boundary = "xxBOUNDARYxx"
    request = json.dumps(script("import os\nprint(os.path.getsize('/data/big.csv'))"))
    big = b"1,2,3\n" * 500000
    body = (f"--{boundary}\r\nContent-Disposition: form-data; name=\"request\"\r\n"
            f"Content-Type: application/json\r\n\r\n{request}\r\n--{boundary}\r\n"
            f"Content-Disposition: form-data; name=\"file\"; filename=\"big.csv\"\r\n"
            f"Content-Type: text/csv\r\n\r\n").encode() + big + f"\r\n--{boundary}--\r\n".encode()
    status, data = cupel.json("POST", "/execute", body, headers={
        "Content-Type": f"multipart/form-data; boundary={boundary}"})
    assert status == 200, data
    assert data["result"]["output"] == f"{len(big)}\n"
    assert data["proof"]["dataset_hash"] == sha256(big)


@pytest.mark.parametrize("text, encoding", [("\x01", "base64"), ('"', "utf-8")])
def test_the_largest_output_is_answered(cupel, text, encoding):
    size = 10 << 20
    code = f"import sys\nfor s in sys.stdout, sys.stderr: s.write({text!r} * {size}); s.flush()"
    status, body = cupel.execute(script(code, environment={"max_output_kb": size >> 10}))
    assert status == 200, body
    for name, how in ("output", "encoding"), ("stderr", "stderr_encoding"):
        value = body["result"][name]
        assert body["result"][how] == encoding
        assert (base64.b64decode(value).decode() if encoding == "base64" else value) == text * size


def test_few_control_characters_are_text(cupel):
    body = cupel.execute(script("print('\x1b[1m' * 5000)"))[1]
    assert body["result"]["encoding"] == "utf-8" and body["result"]["output"] == "\x1b[1m" * 5000 + "\n"


def test_binary_output(cupel):
    reply = cupel.execute(script("import sys; sys.stdout.buffer.write(bytes(range(256)))"))[1]
    assert reply["result"]["encoding"] == "base64"
    assert base64.b64decode(reply["result"]["output"]) == bytes(range(256))


def test_stdin_and_arguments(cupel):
    reply = cupel.execute(script("import sys; print(sys.argv[1:], sys.stdin.read())",
                                 args=["a b", ""], stdin="hello"))[1]
    assert reply["result"]["output"] == "['a b', ''] hello\n"


class Files(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path in ("/redirect", "/moved"):
            self.send_response(302)
            self.send_header("Location", "http://10.0.0.1/secret" if self.path == "/redirect" else
                             f"http://localhost:{self.server.server_port}/data.csv?token=x")
            self.end_headers()
            return
        if self.path == "/slow":
            time.sleep(60)
        data = b"from,url\n"
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def files():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Files)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


@svc.unsanitized
def test_dataset_by_url(cupel, files):
    reply = cupel.execute(script("print(open('/data/dataset.csv').read())",
                                 data={"url": files + "/data.csv", "format": "csv"}))[1]
    assert reply["result"]["output"] == "from,url\n\n", reply
    assert disclosures_of(cupel, reply) == [
        {"to": files[7:], "class": "dataset-url", "bytes": len(files + "/data.csv")}]
    reply = cupel.execute(script("print(1)", data={"url": "http:///" + files[7:] + "/moved"}))[1]
    port = files.rsplit(":", 1)[1]
    assert disclosures_of(cupel, reply) == [
        {"to": files[7:], "class": "dataset-url", "bytes": len("http:///" + files[7:] + "/moved")},
        {"to": f"localhost:{port}", "class": "dataset-url",
         "bytes": len(f"http://localhost:{port}/data.csv?token=x")}]


def disclosures_of(cupel, reply):
    return get_certificate(cupel, reply["certificate_id"])["statement"]["predicate"]["run"]["disclosures"]


@pytest.mark.parametrize("url,category,sent", [
    ("http://10.1.2.3/x", "denied", []), ("http://192.168.1.1/", "denied", []),
    ("https://127.0.0.1:1/", "unavailable", []), ("/redirect", "denied", ["127.0.0.1"]),
    ("https://169.254.169.254/latest/meta-data", "denied", []),
    ("http://ada:secret@FILES/x", "invalid", []), ("https://FILES/", "unavailable", ["127.0.0.1"]),
    ("http://localhost:1/", "unavailable", []), ("http://example.com/", None, []),
])
@svc.unsanitized
def test_bad_urls_are_refused_and_certified(cupel, files, url, category, sent):
    url = files + url if url.startswith("/") else url.replace("FILES", files[7:])
    status, reply = cupel.execute(script("print(1)", data={"url": url}))
    assert status >= 400, reply
    if category:
        assert reply["error"]["code"] == category, reply
    certificate = get_certificate(cupel, reply["certificate_id"])
    assert certificate["statement"]["predicate"]["outcome"]["status"] == "refused:dataset"
    assert certificate["verdict"] == "simulated"
    assert [row["to"].split(":")[0] for row in disclosures_of(cupel, reply)] == sent


def test_expected_digest(cupel):
    data = b"exactly this"
    good = {"data": "exactly this", "sha256": sha256(data)}
    assert cupel.execute(script("print(1)", data=good))[0] == 200
    status, reply = cupel.execute(script("print(1)", data={**good, "sha256": "0" * 64}))
    assert (status, reply["error"]["code"]) == (422, "integrity")
    run = get_certificate(cupel, reply["certificate_id"])["statement"]["predicate"]["run"]
    assert not [row for row in run["lifecycle"] if "sandbox" in row["event"]]  # there was none
    assert len(run["deletion"]["methods"]) == 2


GOOD = script("print(1)")


def changed(**sandbox):
    return json.dumps({"sandbox": {**GOOD["sandbox"], **sandbox}})


@pytest.mark.parametrize("body,status,text", [
    ("{", 400, "JSON, line 1"),
    ("", 400, "no body"),
    ('{"sandbox": 1, "sandbox": 2}', 400, "duplicate"),
    ('{"x": 1}', 400, "at x: unknown member"),
    ('{"sandbox": []}', 400, "at sandbox: expected an object"),
    (changed(extra=1), 400, "at sandbox.extra"),
    (changed(tools=["nosuchtool"]), 400, "tool"),
    (changed(tools=["python", "python"]), 400, "twice"),
    (changed(tools=[]), 400, "sandbox.tools"),
    (changed(scripts={"../x.py": ""}), 400, "plain file name"),
    (changed(scripts={"a/b.py": ""}), 400, "plain file name"),
    (changed(scripts={"a\nb.py": ""}), 400, "plain file name"),
    (changed(scripts={"a\0.py": ""}), 400, "JSON"),
    (changed(scripts={}), 400, "at least one script"),
    (changed(environment={"timeout_seconds": 0}), 400, "timeout_seconds"),
    (changed(environment={"timeout_seconds": 301}), 400, "timeout_seconds"),
    (changed(environment={"max_memory_mb": 10 ** 12}), 400, "max_memory_mb"),
    (changed(environment={"timeout_seconds": "1"}), 400, "expected an integer"),
    (changed(llm={"provider": "x"}), 501, "llm"),
    ('{"dataset": {"data": "base64:***"}, ' + changed()[1:], 400, "base64"),
    ('{"dataset": {"data": 5}, ' + changed()[1:], 400, "dataset.data"),
    ('{"dataset": {}, ' + changed()[1:], 400, "exactly one of"),
    ("[" * 100, 413, "nested deeper"),
])
def test_bad_requests(cupel, body, status, text):
    got, reply = cupel.execute(body)
    assert got == status, reply
    assert text in reply["error"]["message"], reply


def test_authorisation(cupel):
    assert cupel.call("POST", "/execute", "{}", token=False)[0] == 401
    assert cupel.call("POST", "/execute", "{}", token="0" * 64)[0] == 401
    assert cupel.call("GET", "/certificates", token=False)[0] == 401
    assert cupel.call("GET", "/nowhere")[0] == 404
    assert cupel.call("PUT", "/execute", "{}")[0] == 405
    assert cupel.call("POST", "/execute", "x", headers={"Content-Type": "text/plain"})[0] == 415
    assert oct((cupel.state / "token").stat().st_mode & 0o777) == "0o600"


def test_dataset_over_the_limit():
    service = Service("--dataset-max-mb", "1", "--json-max-mb", "4")
    try:
        for size, status in ((1 << 20, 200), ((1 << 20) + 1, 413)):
            got, reply = service.execute(script("print(1)", data=b"x" * size))
            assert got == status, reply
        got, reply = service.execute(script("print(1)", data=b"x" * (4 << 20)))
        assert got == 413
    finally:
        service.close()


def test_async_and_events(cupel):
    status, headers, body = cupel.call(
        "POST", "/execute", json.dumps(script("import time\nfor i in range(6):\n"
                                              "    print(i, flush=True)\n    time.sleep(0.2)")),
        headers={"Content-Type": "application/json", "Prefer": "respond-async"})
    assert status == 202
    job = json.loads(body)
    assert headers["Location"] == job["job_url"]
    status, _, events = cupel.call("GET", job["job_url"] + "/events")
    text = events.decode()
    assert "event: state" in text and "event: done" in text
    stats = [json.loads(line[6:]) for line in text.split("\n") if '"type":"stat"' in line]
    assert stats and any(row["memory_bytes"] > 0 for row in stats)
    status, done = cupel.json("GET", job["job_url"])
    assert done["status"] == "done" and done["reply"]["result"]["output"].startswith("0\n1\n")


def test_cancel(cupel):
    job = json.loads(cupel.call(
        "POST", "/execute", json.dumps(script("import time; time.sleep(60)")),
        headers={"Content-Type": "application/json", "Prefer": "respond-async"})[2])
    time.sleep(0.5)
    before = cupel.metric("cupel_jobs_cancelled_total")
    assert cupel.call("DELETE", job["job_url"])[0] == 202
    assert {cupel.call("DELETE", job["job_url"])[0] for _ in range(3)} <= {202, 409}
    assert cupel.metric("cupel_jobs_cancelled_total") == before + 1
    deadline = time.monotonic() + 10
    while cupel.json("GET", job["job_url"])[1]["status"] != "done":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    reply = cupel.json("GET", job["job_url"])[1]["reply"]
    assert reply["status"] == "cancelled"
    assert cupel.call("GET", "/jobs/job_" + "0" * 32)[0] == 404


def test_client_that_leaves_cancels_its_run(cupel):
    body = json.dumps(script("import time; time.sleep(60)")).encode()
    sock = socket.create_connection((cupel.host, cupel.port))
    sock.sendall(b"POST /execute HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                 b"Authorization: Bearer " + cupel.token.encode() +
                 b"\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    time.sleep(0.5)
    sock.close()
    assert cupel.wait_idle(10)


@svc.unsanitized
def test_cancel_while_fetching(cupel, files):
    job = json.loads(cupel.call(
        "POST", "/execute", json.dumps(script("print(1)", data={"url": files + "/slow"})),
        headers={"Content-Type": "application/json", "Prefer": "respond-async"})[2])
    time.sleep(0.5)
    assert cupel.call("DELETE", job["job_url"])[0] == 202
    assert cupel.wait_idle(5)
    body = cupel.json("GET", job["job_url"])[1]
    certificate = get_certificate(cupel, body["certificate_id"])
    assert certificate["statement"]["predicate"]["outcome"]["status"] == "cancelled"


def test_client_that_leaves_while_sending(cupel):
    sock = socket.create_connection((cupel.host, cupel.port))
    sock.sendall(b"POST /execute HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                 b"Authorization: Bearer " + cupel.token.encode() +
                 b"\r\nContent-Length: 1000\r\n\r\n{\"dataset\"")
    time.sleep(0.2)
    sock.close()
    assert cupel.wait_idle(10)


def test_search(cupel):
    marker = os.urandom(8).hex().encode()
    reply = cupel.execute(script("print('searched')", data=marker, tools=("python", "jq")))[1]
    dataset = sha256(marker)
    for query in (f"dataset={dataset}", f"dataset={dataset}&tool=jq", f"dataset={dataset}&verdict=simulated",
                  f"sandbox={reply['proof']['sandbox_hash']}&dataset={dataset}",
                  f"dataset={dataset}&result={sha256(b'searched' + bytes([10]))}",
                  f"dataset={dataset}&since=2026-01-01&status=completed"):
        status, found = cupel.json("GET", "/certificates?" + query)
        assert status == 200 and [r["certificate_id"] for r in found["certificates"]] == [
            reply["certificate_id"]], (query, found)
    assert cupel.json("GET", f"/certificates?dataset={dataset}&tool=sed")[1]["certificates"] == []
    for bad in ("dataset=xyz", "limit=0", "limit=101", "nonsense=1", "since=yesterday", "cursor=zz"):
        assert cupel.call("GET", "/certificates?" + bad)[0] == 400, bad
    seen, cursor = [], ""
    while True:
        page = cupel.json("GET", f"/certificates?limit=5{cursor}")[1]
        seen += [row["certificate_id"] for row in page["certificates"]]
        if not page["next"]:
            break
        cursor = "&cursor=" + page["next"]
    assert len(seen) == len(set(seen)) >= 5 and reply["certificate_id"] in seen


def test_unknown_certificates(cupel):
    assert cupel.call("GET", "/certificate/cert_" + "a" * 26, token=False)[0] == 404
    assert cupel.call("GET", "/certificate/../../etc/passwd", token=False)[0] in (400, 404)
    assert cupel.call("GET", "/certificate/x/verify", token=False)[0] == 404


def test_operations_endpoints(cupel):
    status, health = cupel.json("GET", "/healthz", token=False)
    assert (status, health["status"], health["platform"]) == (200, "ok", "simulated")
    assert b"cupel_jobs_done_total" in cupel.call("GET", "/metrics", token=False)[2]
    assert cupel.json("GET", "/openapi.json", token=False)[1]["openapi"].startswith("3.")


def test_queue_is_bounded():
    service = Service("--concurrency", "1", "--queue-max", "1")
    try:
        results = []
        threads = [threading.Thread(target=lambda: results.append(service.call(
            "POST", "/execute", json.dumps(script("import time; time.sleep(0.7)")),
            headers={"Content-Type": "application/json"}))) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        statuses = sorted(status for status, _, _ in results)
        assert statuses.count(200) == 2 and statuses.count(429) == 4
        assert all(headers["Retry-After"] for status, headers, _ in results if status == 429)
    finally:
        service.close()


def leftovers():
    """Mounts and cgroups that only we make."""
    mounts = [line for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines()
              if " cupel " in line or "cupel-test-" in line]
    groups = [str(path) for path in pathlib.Path("/sys/fs/cgroup").glob("*/cupel*/s*")
              if path.is_dir() and not svc.is_alive(int(path.name[1:]))]
    return mounts + groups


def agents(service, nursery):
    """pids of the service's nursery, or of the agents it bore."""
    children = svc.children_of(service.process.pid)
    flags = {pid: b"--nursery" in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
             for pid, name in svc.our_processes().items()
             if name == "tee-agent" and pid in children}
    assert all(flags.values())
    first = min(flags)  # a nursery is older than what it bore, and looks the same
    return [first] if nursery else [pid for pid in flags if pid != first]


@svc.unsanitized
def test_a_crashed_agent_ends_its_nursery():
    """Siblings share a memory layout; who crashes one to learn of it must find the next changed."""
    service = Service()
    try:
        assert service.execute(script("print(1)"))[0] == 200
        assert svc.eventually(lambda: len(agents(service, False)) >= 1)
        before = agents(service, True)[0]
        crashed = agents(service, False)
        for pid in crashed:
            os.kill(pid, signal.SIGSEGV)
        assert svc.eventually(lambda: not any(svc.is_alive(pid) for pid in crashed))
        assert service.execute(script("print(2)"))[1]["result"]["output"] == "2\n"
        assert svc.eventually(lambda: not svc.is_alive(before))
        assert service.execute(script("print(3)"))[1]["result"]["output"] == "3\n"
        os.kill(agents(service, True)[0], signal.SIGKILL)  # a nursery that dies gets a successor
        for number in range(4, 10):
            assert service.execute(script(f"print({number})"))[0] == 200
    finally:
        service.close()


def test_cancel_of_a_run_that_has_ended():
    """The agent hears of both at once: the run has ended as it has."""
    service = Service()
    try:
        job = json.loads(service.call(
            "POST", "/execute", json.dumps(script("import time; time.sleep(1); print('done')")),
            headers={"Content-Type": "application/json", "Prefer": "respond-async"})[2])
        time.sleep(0.7)
        stopped = agents(service, False)
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        time.sleep(1.5)
        assert service.call("DELETE", job["job_url"])[0] == 202
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)
        assert service.wait_idle(10)
        reply = service.json("GET", job["job_url"])[1]["reply"]
        assert reply["status"] == "completed" and reply["result"]["output"] == "done\n", reply
    finally:
        service.close()


def test_a_template_that_cannot_be_built_leaves_the_pool():
    """The pool has no descriptor left for a while; sandboxes are built ahead again when it has."""
    service = Service("--sandboxes-ready", "1")

    def taken():
        return service.metric("cupel_sandboxes_taken_total")

    def takes_one():
        before = taken()
        assert service.execute(script("print(1)"))[1]["result"]["output"] == "1\n"
        return taken() > before
    try:
        assert svc.eventually(takes_one)
        cced = service.process.pid
        children = pathlib.Path(f"/proc/{cced}/task/{cced}/children").read_text().split()
        pool = [int(pid) for pid in children if b"cupel-sandbox\0pool\0" ==
                pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()][0]
        soft, hard = resource.prlimit(pool, resource.RLIMIT_NOFILE)
        resource.prlimit(pool, resource.RLIMIT_NOFILE, (4, hard))
        assert svc.eventually(lambda: not takes_one() and "cannot be built" in service.log_text())
        resource.prlimit(pool, resource.RLIMIT_NOFILE, (soft, hard))
        assert svc.eventually(takes_one)
    finally:
        service.close()


def test_clean_shutdown_finishes_jobs():
    service = Service()
    result = []
    thread = threading.Thread(target=lambda: result.append(
        service.execute(script("import time; time.sleep(1); print('finished')"))))
    thread.start()
    time.sleep(0.5)
    pids = svc.children_of(service.process.pid)
    assert service.stop() == 0
    thread.join()
    assert result[0][0] == 200 and result[0][1]["result"]["output"] == "finished\n"
    assert svc.eventually(lambda: not [p for p in pids if svc.is_alive(p)])
    service.close()
    assert svc.eventually(lambda: not leftovers())


def check_lost(predicate, victim):
    """Who certifies that a run was lost did not see it, and states no more than that."""
    run, reason = predicate["run"], {"tee-agent": "agent-died", "cupel-sandbox": "sandbox"}
    events = {row["event"]: row["time"] for row in run["lifecycle"]}
    assert predicate["outcome"]["status"] == f"failed:{reason.get(victim, 'service-restart')}"
    assert (run["trace"]["complete"], run["sandbox"], run["usage"]) == (False, None, None)
    assert (run["stderr"] is None) == (run["trace"]["level"] is None) == (victim != "cupel-sandbox")
    assert "sandbox_destroyed" not in events
    methods = run["deletion"]["methods"]
    if victim == "cupel-sandbox":  # its agent has wiped what it had, and cannot speak for the sandbox
        assert "dataset_wiped" in events and len(methods) == 2
        assert not [row for row in methods if "overwritten" not in row]
    else:
        assert "dataset_wiped" not in events and not methods
        assert events["job_accepted"] < events["job_lost"]


@pytest.mark.parametrize("victim", ["cced", "tee-agent", "cupel-sandbox", "tee-sim", "cced-keys"])
def test_kill_nine_of_any_process(victim):
    service = Service()
    try:
        job = json.loads(service.call(
            "POST", "/execute", json.dumps(script("import time; time.sleep(30)")),
            headers={"Content-Type": "application/json", "Prefer": "respond-async"})[2])
        time.sleep(0.7)
        family = svc.our_processes()
        running = [p for p, n in family.items() if n == victim]
        assert running
        for pid in running:
            try:
                os.kill(pid, 9)
            except ProcessLookupError:
                pass
        time.sleep(1.5)
        if victim == "cced":
            assert svc.eventually(lambda: not set(svc.our_processes()) & set(family))
        if service.process.poll() is not None or victim in ("tee-sim", "cced-keys"):
            service.stop(9)
            service.start()
        deadline = time.monotonic() + 20
        while True:
            status, body = service.json("GET", job["job_url"])
            if body.get("certificate_id"):
                break
            assert time.monotonic() < deadline, (body, service.log_text())
            time.sleep(0.1)
        certificate = get_certificate(service, body["certificate_id"])
        check_lost(certificate["statement"]["predicate"], victim)
        assert service.execute(script("print('alive')"))[1]["result"]["output"] == "alive\n"
    finally:
        service.close()
    assert svc.eventually(lambda: not [p for p in family if svc.is_alive(p)])
    assert svc.eventually(lambda: not leftovers())


def test_a_job_cancelled_in_the_queue_leaves_its_body_to_nobody():
    service = Service("--concurrency", "1")
    asynchronously = {"Content-Type": "application/json", "Prefer": "respond-async"}

    def bodies():
        lines = subprocess.run(["ls", "-l", f"/proc/{service.process.pid}/fd"], capture_output=True)
        return [line for line in lines.stdout.splitlines() if b"memfd:request" in line]
    try:
        jobs = [json.loads(service.call("POST", "/execute", json.dumps(
            script("import time; time.sleep(60)")), headers=asynchronously)[2]) for _ in range(3)]
        assert svc.eventually(lambda: len(bodies()) == 2)
        for job in jobs[1:]:
            assert service.json("DELETE", job["job_url"])[0] < 300
        assert svc.eventually(lambda: not bodies())
        assert service.json("GET", jobs[0]["job_url"])[1].get("status") == "running"
        service.json("DELETE", jobs[0]["job_url"])
    finally:
        service.close()


def test_certificates_survive_kill_nine():
    service = Service()
    try:
        ids = [service.execute(script(f"print({i})"))[1]["certificate_id"] for i in range(3)]
        service.stop(9)
        service.start()
        for certificate_id in ids:
            assert get_certificate(service, certificate_id)["verdict"] == "simulated"
    finally:
        service.close()


def scan_memory(pid, needles):
    """Which needles stand in the memory of a process."""
    found = set()
    try:
        maps = pathlib.Path("/proc", str(pid), "maps").read_text().splitlines()
        memory = open(f"/proc/{pid}/mem", "rb", 0)
    except OSError:
        return found
    with memory:
        for line in maps:
            span, mode = line.split()[:2]
            if mode[0] != "r" or "[v" in line:
                continue
            start, end = (int(x, 16) for x in span.split("-"))
            try:
                memory.seek(start)
                data = memory.read(end - start)
            except (OSError, ValueError, OverflowError):
                continue
            found |= {n for n in needles if n in data}
    return found


@pytest.fixture
def alone():
    """A service that ran nothing else, so that a scan of its processes is quick."""
    service = Service("--sandboxes-ready", "1")
    yield service
    service.close()


@svc.unsanitized
def test_nothing_of_the_dataset_stays(alone):
    cupel = alone
    canary = os.urandom(24).hex().encode()
    encoded = [base64.b64encode(b"\0" * pad + canary)[4:-4] for pad in (0, 1, 2)]
    needles = {canary, *encoded}
    request = script("import time\ndata = open('/data/dataset.txt').read()\ntime.sleep(3)\nprint(len(data))",
                     data=canary * 200)
    result = []
    thread = threading.Thread(target=lambda: result.append(cupel.execute(request)))
    thread.start()
    alive, deadline = set(), time.monotonic() + 5
    while canary not in alive and time.monotonic() < deadline:
        for pid in [p for p, n in svc.our_processes().items() if n == "cupel-sandbox"]:
            for child in svc.children_of(pid):
                alive |= scan_memory(child, needles)
    assert canary in alive, "positive control: the payload holds the dataset while it runs"
    thread.join()
    assert result[0][1]["result"]["output"] == f"{len(canary) * 200}\n"
    del request
    time.sleep(0.5)
    for pid in svc.our_processes():
        assert not scan_memory(pid, needles), f"canary left in {pid}"
    for path in cupel.state.rglob("*"):
        if path.is_file():
            assert canary not in path.read_bytes(), path
