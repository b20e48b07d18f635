#!/usr/bin/python3
"""Build a sandbox image: Debian packages in, one EROFS file named by its SHA-256 out.

    build.py [--name base] [--force] [--check] [--state DIR]

mmdebstrap resolves, verifies and extracts the packages (no maintainer script runs); tree.py
selects the files; mkfs.erofs writes them with fixed times, owner and UUID. The same package
versions give the same bytes. The mirror and the archive's keys are those of the machine's own apt
configuration, Debian's main component only. Result, below STATE/images:
    <sha256>.erofs   the image
    <sha256>.json    its manifest, canonical JSON
    base             the digest that the name `base` stands for
    base.stamp       what the machine's package lists looked like when `base` was last compared
Does nothing when the recipe and the packages' versions are those of the image that is there.
"""
import argparse
import fcntl
import hashlib
import json
import os
import pathlib
import platform
import re
import shutil
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
import tree as t  # noqa: E402
from tree import Fault, canonical  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
STATE_DEFAULT = "/var/lib/cupel"
EPOCH = 1672531200  # 2023-01-01: after 1980, which zip archives need
UUID = "63757065-6c00-4000-8000-696d61676500"
NEWER = "newer versions of "
APT_LISTS = pathlib.Path("/var/lib/apt/lists")


def run(command, **options):
    done = subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          stdin=subprocess.DEVNULL, **options)
    if done.returncode != 0:
        tail = "\n".join(done.stdout.splitlines()[-15:])
        raise Fault(f"{command[0]} failed with status {done.returncode}:\n{tail}")
    return done.stdout


def recipe_hash(name):
    """Over the recipe's files and the builder itself: another builder is another recipe."""
    places = [p for p in HERE.rglob("*") if p.is_file() and
              (p.relative_to(HERE).parts[0].startswith(f"{name}.") or p.suffix == ".py")]
    lines = "".join(f"{hashlib.sha256(p.read_bytes()).hexdigest()}  {p.relative_to(HERE)}\n"
                    for p in sorted(places))
    return hashlib.sha256(lines.encode()).hexdigest()


def lists_stamp():
    """Changes when `apt-get update` brought something new."""
    facts = [(p.name, p.stat().st_size, p.stat().st_mtime_ns)
             for p in sorted(APT_LISTS.glob("*Release"))]
    return hashlib.sha256(repr(facts).encode()).hexdigest()


def current(images, name):
    """The manifest that `name` refers to, or None."""
    try:
        digest = (images / name).read_text().strip()
        manifest = json.loads((images / f"{digest}.json").read_text())
        is_there = (images / f"{digest}.erofs").stat().st_size == manifest["size"]
        return manifest if is_there else None
    except (OSError, ValueError, KeyError):
        return None


def newer_packages(manifest):
    """Packages of the image for which the machine's lists know a later version."""
    known = {p["name"]: p["version"] for p in manifest["packages"]}
    text = run(["apt-cache", "policy", *known], env={**os.environ, "LC_ALL": "C"})
    name, newer = None, []
    for line in text.splitlines():
        if not line.startswith(" "):
            name = line.rstrip(":").split(":")[0]
        elif match := re.match(r"\s+Candidate: (\S+)", line):
            if match[1] != "(none)" and known.get(name, match[1]) != match[1] and subprocess.run(
                    ["dpkg", "--compare-versions", match[1], "gt", known[name]]).returncode == 0:
                newer.append(name)
    return newer


def debian_lines():
    """(suite, lines) of this machine's apt configuration, main only; None without package lists."""
    wanted = "$(REPO_URI)|$(RELEASE)|$(ORIGIN)|$(LABEL)|$(CODENAME)|$(COMPONENT)"
    text = run(["apt-get", "indextargets", "--format", wanted, "Created-By: Packages"])
    suites, lines = [], []
    for uri, release, origin, label, codename, component in sorted(
            {tuple(line.split("|")) for line in text.splitlines() if line.count("|") == 5}):
        if origin != "Debian" or component != "main":
            continue
        lines.append(f"deb {uri} {release} main")
        if label == "Debian" and "-" not in codename:
            suites.append(codename)
    if not suites:
        return None
    running = platform.freedesktop_os_release().get("VERSION_CODENAME")
    suite = running if running in suites else suites[0]
    ours = [line for line in lines if line.split()[2].split("-")[0] == suite]
    return suite, ours


def apt_sources():
    found = debian_lines()
    if not found:
        run(["apt-get", "update"])
        found = debian_lines()
    if not found:
        raise Fault("expected a Debian mirror in this machine's apt configuration, found none; "
                    "add one to /etc/apt/sources.list")
    return found


def apt_options():
    """How this machine reaches its mirror: proxies, clocks; never keys or sources."""
    text = run(["apt-config", "dump"])
    return [line for line in text.splitlines()
            if re.match(r"Acquire::(https?|Check-\S+|Retries)\b", line) and '""' not in line]


def extract(recipe, work):
    root = work / "root"
    suite, lines = apt_sources()
    (work / "sources").write_text("\n".join(lines) + "\n")
    (work / "apt.conf").write_text("\n".join(
        apt_options() + ['APT::Install-Recommends "false";']) + "\n")
    run(["mmdebstrap", "--mode=root", "--variant=extract", "--skip=cleanup/apt/cache",
         f"--aptopt={work}/apt.conf", f"--include={','.join(recipe['packages'])}",
         suite, str(root), str(work / "sources")],
        env={**os.environ, "SOURCE_DATE_EPOCH": str(EPOCH), "TMPDIR": str(work)})
    return root


def read_packages(root):
    """[{name, version}] and, by package, the paths it ships."""
    packages, files = [], {}
    for deb in sorted((root / "var/cache/apt/archives").glob("*.deb")):
        name, version = run(["dpkg-deb", "-W", "--showformat", "${Package}\t${Version}",
                             str(deb)]).split("\t")
        packages.append({"name": name, "version": version})
        listing = run(["dpkg-deb", "-c", str(deb)], env={**os.environ, "LC_ALL": "C"})
        files[name] = {canonical(line.split(maxsplit=5)[5].split(" -> ")[0])
                       for line in listing.splitlines()}
    return sorted(packages, key=lambda p: p["name"]), files


def precompile(root):
    """Bytecode that is never compared with its source; one process, so the bytes repeat.

    -B and -f: what compileall itself imports must not be written in the usual, dated form first.
    """
    python = sorted((root / "usr/bin").glob("python3.[0-9]*"))[0]
    library = f"/usr/lib/{python.name}"
    run(["/usr/sbin/chroot", str(root), f"/usr/bin/{python.name}", "-I", "-S", "-B", "-m", "compileall", "-q",
         "-f", "-j1", "-x", "/test/|/lib2to3/tests/", "--invalidation-mode", "unchecked-hash", library],
        env={"PYTHONHASHSEED": "0", "LC_ALL": "C.UTF-8", "PATH": "/usr/bin"})
    run(["/usr/sbin/chroot", str(root), "/usr/sbin/ldconfig"], env={"PATH": "/usr/bin"})


def pack(tree, target):
    # Not compressed: the page cache then holds what programs map, and nothing is unpacked at start.
    run(["mkfs.erofs", "--quiet", "-x-1", f"-T{EPOCH}", f"-U{UUID}", "--all-root",
         str(target), str(tree)])


def canonical_json(value):
    """RFC 8785 for what we use: ASCII names, strings, integers."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def write(place, content):
    """All or nothing, and on disk."""
    with tempfile.NamedTemporaryFile(dir=place.parent, prefix=".new-", delete=False) as file:
        file.write(content)
        os.fchmod(file.fileno(), 0o644)
        file.flush()
        os.fsync(file.fileno())
    os.rename(file.name, place)


def assemble(name, work):
    """Returns the finished tree and the part of the manifest that lies inside it."""
    recipe = t.read_recipe(HERE, name)
    root = extract(recipe, work)
    packages, files = read_packages(root)
    t.merge_usr(root)
    for path, to in recipe["link"]:
        if path.startswith("usr/") and not (root / path).is_symlink():
            (root / path).symlink_to(to)
    precompile(root)
    versions = {p["name"]: p["version"] for p in packages}

    def version_of(path):
        owner = next((n for n in sorted(files) if path in files[n]), None)
        if not owner:
            raise t.Fault(f"/{path}: in no package")
        return versions[owner]

    tools = t.pick_tools(root, recipe, files)
    chosen = t.select(root, recipe, tools) | {"etc/ld.so.cache"}
    programs = {t.resolve(root, p) for paths in tools.values() for p in paths}
    programs |= {p for p in chosen if t.LOADER.fullmatch(os.path.basename(p))}
    tree = work / "tree"
    tree.mkdir()
    t.copy(root, tree, chosen, programs, recipe, HERE / f"{name}.root")
    t.check(tree, tools)
    table, scripts = t.describe_tools(tree, tools, version_of)
    inner = {"packages": packages, "scripts": scripts, "tools": table}
    place = tree / t.MANIFEST_PATH
    place.parent.mkdir(mode=0o755)
    place.write_bytes(canonical_json(inner))
    place.chmod(0o644)
    return tree, inner


def build(name, images):
    with tempfile.TemporaryDirectory(prefix=".build-", dir=images) as folder:
        work = pathlib.Path(folder)
        work.chmod(0o755)  # apt's own user reads below it
        tree, inner = assemble(name, work)
        target = work / "image"
        pack(tree, target)
        digest = hashlib.sha256(target.read_bytes()).hexdigest()
        manifest = {**inner, "digest": digest, "recipe": recipe_hash(name),
                    "size": target.stat().st_size}
        target.chmod(0o644)
        with target.open("rb") as file:
            os.fsync(file.fileno())
        os.rename(target, images / f"{digest}.erofs")
        write(images / f"{digest}.json", canonical_json(manifest))
        write(images / name, f"{digest}\n".encode())
        return manifest


def why_build(images, name):
    """Why a build is due, or None. Fast when the package lists did not change."""
    manifest = current(images, name)
    if not manifest:
        return "there is no image yet"
    if manifest["recipe"] != recipe_hash(name):
        return "the recipe changed"
    stamp = images / f"{name}.stamp"
    if stamp.exists() and stamp.read_text().strip() == lists_stamp():
        return None
    newer = newer_packages(manifest)
    if newer:
        return f"{NEWER}{', '.join(newer[:5])}"
    if os.access(images, os.W_OK):
        write(stamp, f"{lists_stamp()}\n".encode())
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--name", default="base", help="recipe and reference (default: base)")
    parser.add_argument("--state", default=os.environ.get("CUPEL_STATE_DIR") or STATE_DEFAULT)
    parser.add_argument("--force", action="store_true", help="build even when nothing changed")
    parser.add_argument("--check", action="store_true",
                        help="only say whether a build is due (exit status 1)")
    options = parser.parse_args()
    images = pathlib.Path(options.state).absolute() / "images"
    try:
        if options.check:
            reason = why_build(images, options.name)
            print(f"image: {reason or 'up to date'}")
            return 1 if reason else 0
        images.mkdir(mode=0o755, parents=True, exist_ok=True)
        with (images / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            for leftover in images.glob(".build-*"):  # of a build that was killed
                shutil.rmtree(leftover)
            reason = "asked for" if options.force else why_build(images, options.name)
            if not reason:
                return 0
            print(f"image: building {options.name} from Debian packages ({reason})", flush=True)
            try:
                manifest = build(options.name, images)
            except Fault as fault:
                if not reason.startswith(NEWER):
                    raise
                print(f"image: {fault}\nimage: the older image stays in use", file=sys.stderr)
                return 0
            write(images / f"{options.name}.stamp", f"{lists_stamp()}\n".encode())
        print(f"image: {options.name} is sha256:{manifest['digest']}, "
              f"{manifest['size'] // 1048576} MiB, {len(manifest['tools'])} tools")
        return 0
    except (Fault, OSError) as fault:
        print(f"image: {fault}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
