"""What other programs read of ours: the systemd unit and the AppArmor profile, checked by them."""
import os
import pathlib
import re
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = pathlib.Path(os.environ.get("CUPEL_BUILD", ROOT / "build" / "release"))
UNIT = BUILD / "packaging" / "cced.service"
PROFILE = ROOT / "packaging" / "apparmor" / "cupel-payload"
PARSER = shutil.which("apparmor_parser", path="/sbin:/usr/sbin")
EXPOSURE_MAX = 6.0  # of 10, as systemd counts; a service that makes namespaces cannot reach "OK"


def parse(profile):
    return subprocess.run([PARSER, "--skip-kernel-load", "--skip-cache", profile],
                          capture_output=True, text=True)


@pytest.mark.skipif(not PARSER, reason="needs apparmor_parser (package apparmor)")
def test_the_profile_is_valid(tmp_path):
    done = parse(PROFILE)
    assert done.returncode == 0, done.stderr
    broken = tmp_path / "broken"
    broken.write_text(PROFILE.read_text().replace("network unix,", "network nonsense;"))
    assert parse(broken).returncode != 0


def test_the_profile_has_the_name_that_is_asked_for():
    header = (ROOT / "src/engines/sandbox/apparmor.h").read_text()
    name = re.search(r'APPARMOR_PROFILE "([^"]+)"', header)[1]
    assert re.search(rf"^profile {name} ", PROFILE.read_text(), re.M) and PROFILE.name == name


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd-analyze")
def test_the_unit_is_valid(tmp_path):
    text = UNIT.read_text()
    assert re.search(r"^ExecStart=/\S+/cupel serve$", text, re.M)
    unit = tmp_path / "cced.service"
    unit.write_text(re.sub("^ExecStart=.*", "ExecStart=/bin/true", text, flags=re.M))
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    done = subprocess.run(["systemd-analyze", "security", "--offline=yes", "--no-pager", unit],
                          capture_output=True, text=True, env={**os.environ, "LC_ALL": "C.UTF-8"})
    level = float(re.search(r"exposure level for cced.service: ([0-9.]+)", done.stdout + done.stderr)[1])
    assert level <= EXPOSURE_MAX


def test_the_unit_leaves_what_sandboxes_need():
    header = (ROOT / "src/engines/sandbox/sandbox.h").read_text()
    rights = re.search(r"#define SANDBOX_RIGHTS((?:.|\\\n)*?)\n\n", header)[1]
    needed = set(re.findall(r"CAP_\w+", rights))
    given = set(re.findall(r"CAP_\w+", " ".join(
        line for line in UNIT.read_text().splitlines() if line.startswith("CapabilityBoundingSet="))))
    assert needed and given == needed | {"CAP_IPC_LOCK", "CAP_NET_BIND_SERVICE"}
