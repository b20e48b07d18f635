"""Two builds of the same package versions give the same bytes, and the image holds what its recipe
says and nothing else. Needs root and Debian's package registry; about 40 s."""
import hashlib
import json
import os
import pathlib
import stat
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = ROOT / "tools/image.sh"
EPOCH = 1672531200

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="building an image needs root")


def build(state):
    environment = {**os.environ, "CUPEL_STATE_DIR": str(state), "TZ": "Asia/Tokyo", "LANG": "C"}
    subprocess.run([BUILD], check=True, env=environment)
    return (state / "images/base").read_text().strip()


@pytest.fixture(scope="module")
def states(tmp_path_factory):
    """One on the disk's file system, one on tmpfs where there is one: other order, other inodes."""
    first = tmp_path_factory.mktemp("first")
    memory = pathlib.Path("/dev/shm")
    is_tmpfs = memory.is_dir() and os.statvfs(memory).f_bavail * os.statvfs(memory).f_bsize > 1 << 30
    second = (memory / f"cupel-test-{os.getpid()}") if is_tmpfs else tmp_path_factory.mktemp("second")
    second.mkdir(exist_ok=True)
    yield first, second, build(first), build(second)
    if is_tmpfs:
        subprocess.run(["rm", "-rf", str(second)], check=True)


def read(state, digest, suffix):
    return (state / f"images/{digest}{suffix}").read_bytes()


def test_two_builds_are_bit_identical(states):
    first, second, digest, other = states
    assert digest == other
    assert read(first, digest, ".erofs") == read(second, digest, ".erofs")
    assert read(first, digest, ".json") == read(second, digest, ".json")


def test_the_name_is_the_digest_and_the_manifest_agrees(states):
    first, _, digest, _ = states
    content = read(first, digest, ".erofs")
    manifest = json.loads(read(first, digest, ".json"))
    assert hashlib.sha256(content).hexdigest() == digest == manifest["digest"]
    assert len(content) == manifest["size"]
    canonical = json.dumps(manifest, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert read(first, digest, ".json") == canonical.encode()


def test_a_second_call_does_nothing(states):
    first, _, digest, _ = states
    before = (first / f"images/{digest}.erofs").stat().st_ino
    done = subprocess.run([BUILD], env={**os.environ, "CUPEL_STATE_DIR": str(first)},
                          capture_output=True, text=True, check=True)
    assert done.stdout == "" and (first / f"images/{digest}.erofs").stat().st_ino == before


def test_leftovers_of_a_killed_build_go(states):
    first = states[0]
    (first / "images/.build-killed/tree").mkdir(parents=True)
    subprocess.run([BUILD], env={**os.environ, "CUPEL_STATE_DIR": str(first)}, check=True)
    assert sorted(p.name for p in (first / "images").glob(".*")) == [".lock"]


def test_what_the_image_holds(states, tmp_path):
    first, _, digest, _ = states
    manifest = json.loads(read(first, digest, ".json"))
    subprocess.run(["mount", "-t", "erofs", "-o", "ro", str(first / f"images/{digest}.erofs"),
                    str(tmp_path)], check=True)
    try:
        check_tree(tmp_path, manifest)
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def check_tree(tree, manifest):
    owned = {path for tool in manifest["tools"].values() for path in tool["paths"]}
    programs = set()
    for folder, names, files in os.walk(tree):
        for name in names + files:
            place = pathlib.Path(folder, name)
            facts, path = place.lstat(), "/" + str(place.relative_to(tree))
            assert (facts.st_uid, facts.st_gid, facts.st_mtime) == (0, 0, EPOCH), path
            assert stat.S_ISLNK(facts.st_mode) or facts.st_mode & 0o7022 == 0, path
            assert stat.S_IFMT(facts.st_mode) in (stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK), path
            if stat.S_ISREG(facts.st_mode) and facts.st_mode & 0o111:
                programs.add(path)
    loaders = {path for path in programs - owned if "/ld-linux" in path}
    assert programs - owned == loaders and len(loaders) == 1
    for gone in ("usr/bin/dpkg", "usr/bin/perl", "usr/bin/apt", "var/lib/dpkg", "etc/machine-id",
                 "usr/share/doc", "usr/share/man", "var/log", "etc/apt"):
        assert not os.path.lexists(tree / gone), gone
    for point in ("app", "data", "work", "proc", "dev", "tmp", "run", "home"):
        assert os.listdir(tree / point) == [], point
    for tool in manifest["tools"].values():
        if len({os.path.realpath(tree / path[1:]) for path in tool["paths"]}) == 1:
            content = (tree / tool["paths"][0][1:]).read_bytes()
            assert hashlib.sha256(content).hexdigest() == tool["sha256"]
