"""sandbox.collect: files that a program leaves in /work/results, from hostile trees to certificates."""
import base64
import hashlib
import json
import os
import pathlib
import subprocess
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import test_golden  # noqa: E402
import test_service  # noqa: E402
import verifier  # noqa: E402
from service import Service, program, script  # noqa: E402

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root for namespaces and mounts")

PLAIN = """
import os
os.makedirs('/work/results/sub')
open('/work/results/b.txt', 'w').write('gr\\u00fc\\u00dfe\\n')
open('results/sub/a.bin', 'wb').write(bytes(range(256)))
open('results/empty', 'w')
print('done')
"""

HOSTILE = """
import os, socket
os.chdir('/work/results')
os.symlink('/etc/passwd', 'link')
os.symlink('/data', 'data')
os.mkfifo('fifo')
open('new\\nline', 'w').write('x')
open(b'\\xff', 'w').write('x')
open('/work/outside', 'w').write('x')
os.link('/work/outside', 'hard')
open('inside', 'w').write('same')
os.link('inside', 'inside2')
socket.socket(socket.AF_UNIX).bind('socket')
open('mode', 'w').write('mode 0')
os.chmod('mode', 0)
open('sparse', 'w').truncate(2 << 20)
fd = os.open('.', os.O_RDONLY)
for i in range(1000):
    os.mkdir('d', dir_fd=fd)
    fd, old = os.open('d', os.O_RDONLY, dir_fd=fd), fd
    os.close(old)
"""


@pytest.fixture(scope="module")
def cupel():
    service = Service()
    yield service
    service.close()


def collect(cupel, text, **sandbox):
    status, reply = cupel.execute(script(text, collect=True, **sandbox))
    assert status == 200, reply
    return reply


def content(file):
    data = (file["content"].encode() if file["encoding"] == "utf-8"
            else base64.b64decode(file["content"]))
    assert len(data) == file["bytes"]
    assert hashlib.sha256(data).hexdigest() == file["sha256"]
    return data


def certified(cupel, reply):
    certificate = test_service.get_certificate(cupel, reply["certificate_id"])
    return certificate, certificate["statement"]["predicate"]


def test_plain_files(cupel):
    reply = collect(cupel, PLAIN)
    assert reply["status"] == "completed", reply
    assert reply["result"]["output"] == "done\n"
    assert [(file["path"], content(file)) for file in reply["files"]] == [
        ("b.txt", "gr\u00fc\u00dfe\n".encode()), ("empty", b""), ("sub/a.bin", bytes(range(256)))]
    assert [file["encoding"] for file in reply["files"]] == ["utf-8", "utf-8", "base64"]
    assert reply["files_skipped"] == [] and reply["files_truncated"] is False
    assert reply["lifecycle"]["sandbox_destroyed"] is True
    assert [e for e in reply["execution_trace"]["events"] if e["kind"] == "results"][0]["files"] == 3


def test_certificate_and_both_verifiers(cupel, tmp_path):
    reply = collect(cupel, PLAIN)
    certificate, predicate = certified(cupel, reply)
    rows = [{name: file[name] for name in ("path", "bytes", "sha256")} for file in reply["files"]]
    assert predicate["outcome"]["files"] == {
        "count": 3, "bytes": sum(row["bytes"] for row in rows),
        "sha256": hashlib.sha256(test_golden.canonical(rows)).hexdigest()}
    assert predicate["outcome"]["result"]["sha256"] == hashlib.sha256(b"done\n").hexdigest()
    assert predicate["inputs"]["sandbox"]["collect"] is True
    assert predicate["inputs"]["sandbox"]["limits"]["maxResultsKb"] == 1024
    assert predicate["run"]["results"] == {"files": 3, "bytes": 264, "skipped": {},
                                           "truncated": False, "missing": False}
    assert "b.txt" not in json.dumps(certificate["statement"])
    (tmp_path / "certificate").write_text(json.dumps(certificate))
    (tmp_path / "reply").write_text(json.dumps(reply))
    for change, expected in ((None, "pass"), ("x", "fail")):
        if change:
            reply["files"][0]["content"] = change
            (tmp_path / "reply").write_text(json.dumps(reply))
        checks, _ = verifier.Certificate(json.dumps(certificate["envelope"]).encode(),
                                         files=reply["files"]).verify()
        assert {name: result for name, result, _ in checks}["files"] == expected
        done = subprocess.run(
            [program("cupel"), "verify", tmp_path / "certificate", "--files", tmp_path / "reply",
             "--state-dir", cupel.state, "--json"], capture_output=True)
        found = {row["name"]: row["result"] for row in json.loads(done.stdout)["checks"]}
        assert found["files"] == expected, done


def test_equal_files_equal_claim(cupel):
    claims = {collect(cupel, PLAIN)["proof"]["claim_digest"] for _ in range(2)}
    other = collect(cupel, PLAIN.replace("empty", "other"))["proof"]["claim_digest"]
    assert len(claims) == 1 and other not in claims


def test_not_asked_for(cupel):
    status, reply = cupel.execute(script(
        "import os; print(os.path.exists('/work/results'))", environment={"max_results_kb": 5}))
    assert status == 200 and reply["result"]["output"] == "False\n"
    assert not {"files", "files_skipped", "files_truncated"} & set(reply)
    _, predicate = certified(cupel, reply)
    assert "files" not in predicate["outcome"] and "results" not in predicate["run"]
    assert "collect" not in predicate["inputs"]["sandbox"]
    assert "maxResultsKb" not in predicate["inputs"]["sandbox"]["limits"]


def test_hostile_tree(cupel):
    reply = collect(cupel, HOSTILE)
    assert reply["status"] == "completed", reply["result"]
    assert [(file["path"], content(file)) for file in reply["files"]] == [
        ("inside", b"same"), ("inside2", b"same"), ("mode", b"mode 0")]
    why = {row["path"]: row["why"] for row in reply["files_skipped"]}
    assert why.pop("/".join(["d"] * 32)) == "too-deep"
    assert why == {
        "\\xff": "name", "data": "symlink", "fifo": "fifo", "hard": "hard-link",
        "link": "symlink", "new\\x0aline": "name", "socket": "socket", "sparse": "too-many-bytes"}
    assert reply["files_truncated"] is True
    _, predicate = certified(cupel, reply)
    assert predicate["run"]["results"]["skipped"] == {
        "symlink": 2, "name": 2, "fifo": 1, "hard-link": 1, "socket": 1, "too-deep": 1,
        "too-many-bytes": 1}


@pytest.mark.parametrize("size, count", [(2047, 2), (2048, 2), (2049, 1)])
def test_byte_limit(cupel, size, count):
    reply = collect(cupel, f"""
open('/work/results/a', 'w').write('a' * {size})
open('/work/results/b', 'w').write('b' * 0)
""", environment={"max_results_kb": 2})
    assert len(reply["files"]) == count
    assert reply["files_truncated"] is (count == 1)


def test_file_limit(cupel):
    reply = collect(cupel, """
for i in range(1030):
    open(f'/work/results/{i:04}', 'w').write('x')
""")
    assert len(reply["files"]) == 1024 and reply["files"][-1]["path"] == "1023"
    assert {row["why"] for row in reply["files_skipped"]} == {"too-many-files"}
    assert len(reply["files_skipped"]) == 6 and reply["files_truncated"] is True


def test_ten_mebibytes_of_noise(cupel):
    reply = collect(cupel, """
import random
for i in range(10):
    open(f'/work/results/{i}', 'wb').write(random.Random(i).randbytes(1 << 20))
""", environment={"max_results_kb": 10240})
    assert sum(len(content(file)) for file in reply["files"]) == 10 << 20


@pytest.mark.parametrize("text, status", [
    ("import time\nopen('/work/results/part', 'w').write('half')\ntime.sleep(60)", "killed:wall-timeout"),
    ("open('/work/results/part', 'w').write('half')\nraise SystemExit(3)", "nonzero"),
])
def test_runs_that_fail(cupel, text, status):
    reply = collect(cupel, text, environment={"timeout_seconds": 1})
    assert reply["status"] == status
    assert [content(file) for file in reply["files"]] == [b"half"]


@pytest.mark.parametrize("text", [
    "import os; os.rmdir('/work/results')",
    "import os; os.rmdir('/work/results'); os.symlink('/data', '/work/results')",
    "import os; os.rmdir('/work/results'); open('/work/results', 'w').write('x')",
])
def test_no_directory_there(cupel, text):
    reply = collect(cupel, text, data=b"secret")
    assert reply["status"] == "completed"
    assert reply["files"] == reply["files_skipped"] == []
    _, predicate = certified(cupel, reply)
    assert predicate["run"]["results"]["missing"] is True
    assert predicate["outcome"]["files"]["count"] == 0


def test_a_daemon_that_keeps_writing(cupel):
    reply = collect(cupel, """
import os, time
if os.fork() == 0:
    os.setsid()
    i = 0
    while True:
        i += 1
        open(f'/work/results/{i % 50}', 'w').write('x' * (i % 10000))
time.sleep(0.2)
""")
    assert reply["status"] == "completed"
    assert 1 <= len(reply["files"]) <= 50 and reply["files_skipped"] == []


def test_bash_in_a_hot_sandbox(cupel):
    for _ in range(3):
        status, reply = cupel.execute(script("echo hi > /work/results/f; echo $?", ("bash",),
                                             "main.sh", collect=True))
        assert status == 200, reply
        assert reply["result"]["output"] == "0\n"
        assert [(file["path"], content(file)) for file in reply["files"]] == [("f", b"hi\n")]


def test_refusals_are_heard_every_time(cupel):
    """The agent has asked for a sandbox by then, and goes without reading the answer."""
    body = {"dataset": {"data": "x", "sha256": "0" * 64},
            "sandbox": {"tools": ["python"], "scripts": {"main.py": ""}}}
    assert {cupel.execute(body)[0] for _ in range(100)} == {422}


def test_refused_before_it_ran(cupel):
    status, reply = cupel.execute({
        "dataset": {"data": "x", "sha256": "0" * 64},
        "sandbox": {"tools": ["python"], "scripts": {"main.py": ""}, "collect": True}})
    assert status == 422, reply
    certificate = test_service.get_certificate(cupel, reply["certificate_id"])
    assert "files" not in certificate["statement"]["predicate"]["outcome"]
