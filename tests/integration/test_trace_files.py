"""sandbox.trace: "files": the set of files a run used, in its trace and its certificate."""
import hashlib
import os
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import test_service  # noqa: E402
import verifier  # noqa: E402
from service import Service, script  # noqa: E402

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root for namespaces and mounts")

PROGRAM = """
import os
data = open('/data/dataset.txt').read()
open('out.txt.tmp', 'w').write(data.upper())
os.rename('out.txt.tmp', 'out.txt')
open('/tmp/gone', 'w').write('x')
os.remove('/tmp/gone')
import helper
"""


@pytest.fixture(scope="module")
def cupel():
    service = Service()
    yield service
    service.close()


def run(cupel, text=PROGRAM, **sandbox):
    status, reply = cupel.execute(script(
        text, data=b"abc", trace="files", scripts={"main.py": text, "helper.py": "x = 1"},
        **sandbox))
    assert status == 200 and reply["status"] == "completed", reply
    return reply


def files_of(reply):
    return {event["path"]: {name: value for name, value in event.items()
                            if name not in ("seq", "t_us", "kind", "path")}
            for event in reply["execution_trace"]["events"] if event["kind"] == "file"}


def test_set_of_files(cupel):
    reply = run(cupel)
    files = files_of(reply)
    assert files["/data/dataset.txt"] == {"opened": True}
    assert files["/app/main.py"]["opened"] and files["/app/helper.py"] == {"opened": True}
    out = files["/work/out.txt"]
    assert out["left"] is True and out["sha256"] == hashlib.sha256(b"ABC").hexdigest()
    assert "/tmp/gone" not in files and "/work/out.txt.tmp" not in files
    assert "/etc/shadow" not in files
    python = [path for path, row in files.items() if row.get("executed")]
    assert any("python3" in path for path in python), python
    summary = reply["execution_trace"]["summary"]
    assert (summary["level"], summary["backend"]) == ("files", "ptrace-exec+fanotify")
    assert (summary["complete"], summary["lost"], summary["truncated"]) == (True, 0, False)
    assert summary["counts"]["file"] == len(files)


def test_certificate_holds_and_the_set_is_reproducible(cupel):
    first, second = run(cupel), run(cupel)
    assert first["proof"]["claim_digest"] == second["proof"]["claim_digest"]
    stable = [{path: row for path, row in files_of(reply).items()
               if path.startswith(("/app", "/data"))} for reply in (first, second)]
    assert stable[0] == stable[1]
    certificate = test_service.get_certificate(cupel, first["certificate_id"])
    trace = certificate["statement"]["predicate"]["run"]["trace"]
    assert trace["level"] == "files"
    given = first["execution_trace"]
    assert verifier.trace_root(given["events"], bytes.fromhex(given["seed"])).hex() == trace["root"]


def test_bash_and_collected_results(cupel):
    status, reply = cupel.execute(script("cat /etc/os-release > results/f", ("bash", "cat"),
                                         "main.sh", trace="files", collect=True))
    assert status == 200, reply
    files = files_of(reply)
    assert files["/work/results/f"]["sha256"] == reply["files"][0]["sha256"]
    assert any(row.get("executed") and path.endswith("cat") for path, row in files.items())


def test_usual_level(cupel):
    status, reply = cupel.execute(script("print(1)", trace="process"))
    assert status == 200
    assert files_of(reply) == {}
    assert reply["execution_trace"]["summary"]["level"] == "process"


def test_many_files_stay_complete(cupel):
    reply = run(cupel, """
for i in range(5000):
    open(f'/work/{i}', 'w').close()
""")
    summary = reply["execution_trace"]["summary"]
    assert summary["complete"] is True and summary["counts"]["file"] > 5000
