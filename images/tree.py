"""The image's tree: which files of the extracted packages enter it, and which tool owns what.

Everything is selected by name (base.files, base.tools); what nothing names stays out. So a new
dependency of a package cannot bring a program, a setuid bit or a configuration file along.
The result depends on the packages' content only: names are visited in sorted order, owners are
root, modes are 0755 for directories and programs and 0644 for the rest, times are fixed by the
caller of mkfs. Invariants checked here: every executable belongs to a tool (or is the dynamic
loader), no link dangles, no link leads to a program outside the tool's own paths.
"""
import fnmatch
import hashlib
import os
import pathlib
import re
import shutil
import stat
import subprocess

PROGRAM_DIRS = ("usr/bin", "usr/sbin")
MERGED = ("bin", "sbin", "lib", "lib64")
TOOL_NAME = re.compile(r"[a-z0-9][a-z0-9._+-]{0,31}")
MANIFEST_PATH = "usr/lib/cupel/image.json"
LOADER = re.compile(r"ld-linux[-a-z0-9_]*\.so\.\d+")


class Fault(Exception):
    """Something the builder must tell; printed without a trace."""


def rows(path):
    for number, line in enumerate(path.read_text().splitlines(), 1):
        line = line.strip()
        if line and not line.startswith("#"):
            yield number, line


def read_recipe(folder, name):
    recipe = {"keep": [], "drop": [], "lib": [], "dir": [], "link": []}
    for number, line in rows(folder / f"{name}.files"):
        verb, *rest = line.split()
        if verb not in recipe or len(rest) != (2 if verb == "link" else 1):
            raise Fault(f"{name}.files:{number}: expected keep, drop, lib, dir PATH or link PATH TO")
        recipe[verb].append(tuple(rest) if verb == "link" else rest[0])
    recipe["packages"] = [line for _, line in rows(folder / f"{name}.packages")]
    recipe["tools"] = []
    for number, line in rows(folder / f"{name}.tools"):
        names, colon, patterns = line.partition(" : ")
        if not colon:
            raise Fault(f"{name}.tools:{number}: expected NAME... : FILE...")
        recipe["tools"].append((names.split(), patterns.split()))
    return recipe


def merge_usr(root):
    """bin, sbin, lib, lib64 become links into usr, as on an installed system."""
    for name in MERGED:
        source, target = root / name, root / "usr" / name
        if source.is_symlink():
            continue
        target.mkdir(exist_ok=True)
        if source.is_dir():
            move_into(source, target)
            source.rmdir()
        source.symlink_to(f"usr/{name}")


def move_into(source, target):
    for child in sorted(source.iterdir()):
        place = target / child.name
        if child.is_dir() and not child.is_symlink():
            place.mkdir(exist_ok=True)
            move_into(child, place)
            child.rmdir()
        elif place.is_symlink() or place.exists():
            child.unlink()
        else:
            child.rename(place)


def canonical(path):
    """A path below / without leading slash, by its place in the merged /usr."""
    path = path.lstrip("/").removeprefix("./")
    return f"usr/{path}" if path.split("/")[0] in MERGED else path


def resolve(root, path):
    """Follow the links of path inside root; None when it leads nowhere."""
    for _ in range(40):
        place = root / path
        if not place.is_symlink():
            return path if place.exists() else None
        target = os.readlink(place)
        path = canonical(target if target.startswith("/")
                         else os.path.normpath(os.path.join(os.path.dirname(path), target)))
    raise Fault(f"/{path}: too many links")


def walk(root):
    for folder, names, files in os.walk(root):
        names.sort()
        links = [n for n in names if os.path.islink(os.path.join(folder, n))]
        for name in sorted(files + links):
            yield os.path.relpath(os.path.join(folder, name), root)


def programs_of(root):
    for folder in PROGRAM_DIRS:
        for name in sorted(os.listdir(root / folder)):
            path = f"{folder}/{name}"
            if resolve(root, path) and not (root / path).is_dir():
                yield path


def pick_tools(root, recipe, package_files):
    """Tool name -> set of paths, closed under links that lead to the same program."""
    programs = list(programs_of(root))
    real = {path: resolve(root, path) for path in programs}
    tools = {}

    def close(paths):
        targets = {real[p] for p in paths}
        return {p for p in programs if real[p] in targets} | paths

    for names, patterns in recipe["tools"]:
        chosen = set()
        for pattern in patterns:
            if pattern.startswith("@"):
                owned = package_files.get(pattern[1:], set())
                found = {p for p in programs if p in owned}
            else:
                found = {p for p in programs if fnmatch.fnmatchcase(os.path.basename(p), pattern)}
            chosen |= found
        if not chosen:
            raise Fault(f"tool {names[0]}: none of {' '.join(patterns)} is in the packages")
        chosen = close(chosen)
        for name in names:
            tools.setdefault(name.rstrip("+"), set()).update(chosen)
        if names[0].endswith("+"):
            for path in sorted(chosen):
                name = os.path.basename(path)
                if TOOL_NAME.fullmatch(name) and not (root / path).is_symlink():
                    tools.setdefault(name, set()).update(close({path}))
    return tools


def needed_libraries(root, selected, named):
    """Closure of DT_NEEDED over the selected files, as paths of libraries (and their links)."""
    folders = sorted(p for p in (root / "usr/lib").iterdir() if p.name.endswith("-linux-gnu"))
    places = [p for f in folders + [root / "usr/lib", root / "usr/lib64"]
              for p in sorted(f.glob("*.so*"))]
    libraries = {}
    for place in places:
        libraries.setdefault(place.name, os.path.relpath(place, root))
    candidates = sorted(set(selected) | {p for p in (resolve(root, q) for q in libraries.values())
                                         if p})
    elf = [p for p in candidates if is_elf(root / p)]
    text = subprocess.run(["readelf", "-dW", *elf], cwd=root, check=True, capture_output=True,
                          text=True, env={"PATH": os.environ["PATH"], "LC_ALL": "C"}).stdout
    needs, current = {}, elf[0] if elf else None
    for line in text.splitlines():
        if line.startswith("File: "):
            current = line[6:]
        elif match := re.search(r"\(NEEDED\).*\[(.+)\]", line):
            needs.setdefault(current, set()).add(match.group(1))
    taken, todo = set(), [p for p in selected] + [libraries[name] for name in named]
    taken.update(libraries[name] for name in named)
    while todo:
        for name in sorted(needs.get(resolve(root, todo.pop()), ())):
            if name not in libraries:
                raise Fault(f"library {name} is needed and not in the packages")
            if libraries[name] not in taken:
                taken.add(libraries[name])
                todo.append(libraries[name])
    loaders = {os.path.relpath(p, root) for p in places if LOADER.fullmatch(p.name)}
    return taken | loaders | {resolve(root, p) for p in taken | loaders}


def is_elf(place):
    if place.is_symlink() or not place.is_file():
        return False
    with place.open("rb") as file:
        return file.read(4) == b"\x7fELF"


def select(root, recipe, tools):
    """All paths that enter the image, without directories."""
    matches = lambda path, patterns: any(fnmatch.fnmatchcase(path, p) for p in patterns)
    chosen = {path for path in walk(root)
              if matches(path, recipe["keep"]) and not matches(path, recipe["drop"])}
    for paths in tools.values():
        chosen |= paths | {resolve(root, p) for p in paths}
    chosen |= needed_libraries(root, sorted(chosen), recipe["lib"])
    return chosen


def copy(root, tree, chosen, executable, recipe, extra):
    """Write the tree in sorted order with normal modes; tree must be new and empty."""
    for path in sorted(recipe["dir"]):
        (tree / path).mkdir(parents=True, exist_ok=True)
    for path in sorted(chosen):
        source, target = root / path, tree / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_symlink():
            target.symlink_to(os.readlink(source))
        elif source.is_file():
            shutil.copyfile(source, target)
            target.chmod(0o755 if path in executable else 0o644)
        else:
            raise Fault(f"/{path}: neither a file nor a link")
    for path, to in recipe["link"]:
        if not (tree / path).is_symlink():
            (tree / path).parent.mkdir(parents=True, exist_ok=True)
            (tree / path).symlink_to(to)
    for place in sorted(p for p in extra.rglob("*") if p.is_file()):
        target = tree / place.relative_to(extra)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(place, target)
        target.chmod(0o644)
    for folder, _, _ in os.walk(tree):
        os.chmod(folder, 0o755)


def script_interpreter(tree, path):
    with (tree / path).open("rb") as file:
        head = file.read(128)
    if not head.startswith(b"#!"):
        return None
    return canonical(head[2:].split()[0].decode("ascii"))


def describe_tools(tree, tools, version_of):
    """The tool table and the scripts of the manifest; paths are absolute."""
    table, scripts, digests = {}, {}, {}
    for name in sorted(tools):
        files = sorted({resolve(tree, p) for p in tools[name]})
        for path in files:
            if path not in digests:
                digests[path] = hashlib.sha256((tree / path).read_bytes()).hexdigest()
        for path in sorted(tools[name]):
            if interpreter := script_interpreter(tree, resolve(tree, path)):
                scripts[f"/{path}"] = f"/{interpreter}"
        if len(files) == 1:
            digest = digests[files[0]]
        else:  # what `sha256sum FILE...` prints, hashed
            lines = "".join(f"{digests[p]}  /{p}\n" for p in files)
            digest = hashlib.sha256(lines.encode()).hexdigest()
        main = next((p for p in files if os.path.basename(p) == name), files[0])
        table[name] = {"paths": [f"/{p}" for p in sorted(tools[name])], "sha256": digest,
                       "version": version_of(main)}
    return table, scripts


def is_unchecked(place):
    """PEP 552: magic, then the flags word; 1 is a hash that nobody checks."""
    with place.open("rb") as file:
        return file.read(8)[4:] == b"\x01\0\0\0"


def check(tree, tools):
    """The invariants; Fault with the first path that breaks one."""
    owned = set().union(*tools.values())
    for path in walk(tree):
        place, real = tree / path, resolve(tree, path)
        mode = place.lstat().st_mode
        if real is None:
            raise Fault(f"/{path}: a link to nowhere")
        if stat.S_ISLNK(mode) and (tree / real).is_dir():
            continue
        is_program = bool((tree / real).stat().st_mode & 0o111)
        if is_program and path not in owned and not LOADER.fullmatch(os.path.basename(real)):
            raise Fault(f"/{path}: a program that belongs to no tool")
        if not stat.S_ISLNK(mode) and mode & 0o7000:
            raise Fault(f"/{path}: mode {mode:o}")
        if path.endswith(".pyc") and not is_unchecked(place):
            raise Fault(f"/{path}: bytecode that would be compared with its source's time")
    for path in owned:
        interpreter = script_interpreter(tree, resolve(tree, path))
        if interpreter and interpreter not in owned:
            raise Fault(f"/{path}: its interpreter /{interpreter} is no tool")
