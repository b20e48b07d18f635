"""The example jobs give exactly what they must: on the host's Python, and in the real image where
only the tools their request lists exist (needs root and a built image)."""
import hashlib
import json
import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
PII = ROOT / "examples/pii-scan"
ISO = ROOT / "examples/iso-codes"
IMAGES = pathlib.Path(os.environ.get("CUPEL_STATE_DIR") or "/var/lib/cupel") / "images"
PYTHON = "/usr/bin/python3"
DEMO_SHA256 = "ce6d61e111cfc3e73188bf451f80448954d23e5a5272a48e6eae1f3801e05f49"

# Runs in an own mount namespace: an overlay of the image below whiteouts, the job's two directories.
ENTER = """
set -eu
mount -t tmpfs tmpfs "$1"; cd "$1"; mkdir image mask root; printf "%s\\n" "$5" >hidden.txt
mount -t erofs -o ro "$2" image
while read -r path; do mkdir -p "mask$(dirname "$path")"; mknod "mask$path" c 0 0; done <hidden.txt
mount -t overlay -o ro,lowerdir=mask:image overlay root
mount --bind "$3" root/app; mount --bind "$4" root/data; mount -t proc proc root/proc
mount -t tmpfs tmpfs root/dev; mknod -m 666 root/dev/null c 1 3
exec env -i PATH=/usr/bin:/bin CUPEL_DATA=/data /usr/sbin/chroot root /usr/bin/python3 -B -s /app/main.py
"""


def make(folder, rows, seed):
    folder.mkdir(exist_ok=True)
    subprocess.run([PYTHON, PII / "make_patients.py", "--rows", str(rows), "--seed", str(seed),
                    "--output", folder / "patients.csv", "--counts", folder.parent / "planted.json"],
                   check=True, capture_output=True)
    return json.loads((folder.parent / "planted.json").read_text())


def run_on_host(job, data):
    done = subprocess.run([PYTHON, "-B", job / "main.py"], env={**os.environ, "CUPEL_DATA": str(data)},
                          capture_output=True, text=True)
    return done.returncode, done.stdout


def run_in_image(job, data, tools, folder):
    if os.geteuid() != 0 or not (IMAGES / "base").exists():
        pytest.skip("needs root and the image (tools/image.sh)")
    digest = (IMAGES / "base").read_text().strip()
    table = json.loads((IMAGES / f"{digest}.json").read_text())["tools"]
    every = {path for tool in table.values() for path in tool["paths"]}
    hidden = sorted(every - {path for tool in tools for path in table[tool]["paths"]})
    mount_point = folder / "sandbox"
    mount_point.mkdir()
    return subprocess.run(["unshare", "--mount", "sh", "-c", ENTER, "sh", mount_point,
                           IMAGES / f"{digest}.erofs", job, data, "\n".join(hidden)],
                          capture_output=True, text=True)


def request_of(job, *files):
    text = subprocess.run([PYTHON, job / "request.py", *files], check=True, capture_output=True,
                          text=True).stdout
    return json.loads(text)


def test_the_demo_data_is_the_same_everywhere(tmp_path):
    planted = make(tmp_path / "data", 10000, 7)
    digest = hashlib.sha256((tmp_path / "data/patients.csv").read_bytes()).hexdigest()
    assert digest == DEMO_SHA256
    assert planted["planted"] == {"email": 5513, "phone": 7625, "ssn": 4613}


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_scan_finds_exactly_what_was_planted(tmp_path, seed):
    planted = make(tmp_path / "data", 1500, seed)
    status, output = run_on_host(PII, tmp_path / "data")
    (tmp_path / "reply.json").write_text(json.dumps({"result": {"output": output}}))
    assert status == 0
    assert json.loads(output)["counts"] == planted["planted"]
    assert subprocess.run([PYTHON, PII / "check.py", tmp_path / "reply.json",
                           tmp_path / "planted.json"]).returncode == 0


def test_a_wrong_count_is_noticed(tmp_path):
    planted = make(tmp_path / "data", 50, 1)
    _, output = run_on_host(PII, tmp_path / "data")
    planted["planted"]["ssn"] += 1
    (tmp_path / "planted.json").write_text(json.dumps(planted))
    (tmp_path / "reply.json").write_text(output)
    done = subprocess.run([PYTHON, PII / "check.py", tmp_path / "reply.json",
                           tmp_path / "planted.json"], capture_output=True, text=True)
    assert done.returncode == 1
    assert "NOT EXACT" in done.stdout


def test_scan_of_nothing_and_of_clean_text(tmp_path):
    assert run_on_host(PII, tmp_path)[0] == 2
    (tmp_path / "clean.txt").write_text("nothing here, 12-34\n")
    status, output = run_on_host(PII, tmp_path)
    assert status == 0
    assert json.loads(output)["counts"] == {"email": 0, "phone": 0, "ssn": 0}


@pytest.mark.parametrize("kind, text, expected", [
    ("ssn", "123-45-6789", 1), ("ssn", "(899-01-0001).", 1), ("ssn", "000-45-6789", 0),
    ("ssn", "666-45-6789", 0), ("ssn", "900-45-6789", 0), ("ssn", "123-00-6789", 0),
    ("ssn", "123-45-0000", 0), ("ssn", "078-05-1120", 0), ("ssn", "219-09-9999", 0),
    ("ssn", "X123-45-6789", 0), ("ssn", "123-45-67890", 0), ("ssn", "123-45-6789-1", 0),
    ("email", "a@example.com", 1), ("email", "<a.b+c@m.example.org>.", 1), ("email", "a@b", 0),
    ("email", "a..b@example.com", 0), ("email", "a@@example.com", 0), ("email", "a@-b.com", 0),
    ("email", "a@example.c", 0), ("email", "a@10.0.0.1", 0), ("email", "a@example..com", 0),
    ("phone", "(415) 555-0142", 1), ("phone", "+1 415 555 0142", 1), ("phone", "1-415-555-0142.", 1),
    ("phone", "115-555-0142", 0), ("phone", "411-555-0142", 0), ("phone", "415-155-0142", 0),
    ("phone", "415-411-0142", 0), ("phone", "415-555-01423", 0), ("phone", "4155550142", 0),
])
def test_patterns(kind, text, expected):
    sys.path.insert(0, str(PII))
    sys.dont_write_bytecode = True
    import patterns
    assert patterns.count(f"x {text} y").get(kind, 0) == expected
    assert patterns.count(text).get(kind, 0) == expected


def test_scan_in_the_image_with_its_tools_only(tmp_path):
    planted = make(tmp_path / "data", 2000, 7)
    request = request_of(PII, tmp_path / "data/patients.csv")
    assert sorted(request["sandbox"]["scripts"]) == ["cross_check.sh", "main.py", "patterns.py"]
    done = run_in_image(PII, tmp_path / "data", request["sandbox"]["tools"], tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["counts"] == planted["planted"]
    assert done.stdout == run_on_host(PII, tmp_path / "data")[1]


def test_iso_codes_in_the_image_with_its_tools_only(tmp_path):
    request = request_of(ISO)
    assert len(request["datasets"]) == 8
    assert len({row["name"] for row in request["datasets"]}) == 8
    done = run_in_image(ISO, "/usr/share/iso-codes/json", request["sandbox"]["tools"], tmp_path)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert all(answer["checks"].values()) and answer["entries"]["3166-1"] > 240


def test_without_grep_the_scan_fails_in_the_image(tmp_path):
    make(tmp_path / "data", 10, 7)
    done = run_in_image(PII, tmp_path / "data", ["bash", "python"], tmp_path)
    assert done.returncode != 0
    assert "grep" in done.stderr or "CalledProcessError" in done.stderr
