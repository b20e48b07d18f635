"""A machine with Debian's kernel: package, initramfs, boot, console, memory. See README.md."""
import json
import os
import pathlib
import re
import socket
import stat
import subprocess
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent.parent
BUILD = pathlib.Path(os.environ.get("CUPEL_BUILD", ROOT / "build" / "release"))
STATE = pathlib.Path(os.environ.get("CUPEL_STATE_DIR", "/var/lib/cupel"))
CACHE = ROOT / "build" / "vm"
PARSER = pathlib.Path("/sbin/apparmor_parser")
MODULES = ("overlay", "erofs", "loop")
MEMORY_MB = 768


def run(*command, **more):
    return subprocess.run(command, check=True, capture_output=True, text=True, **more).stdout


def kernel():
    """Directory with the unpacked kernel package of this machine's Debian release."""
    depends = run("apt-cache", "depends", "linux-image-cloud-amd64")
    name = re.search(r"Depends: (linux-image-\S+)", depends)[1]
    version = re.search(r"^Version: (\S+)", run("apt-cache", "show", "--no-all-versions", name), re.M)[1]
    target = CACHE / f"{name}_{version}"
    if not (target / "boot").is_dir():
        work = CACHE / ".new"
        subprocess.run(["rm", "-rf", str(work)], check=True)
        work.mkdir(parents=True)
        run("apt-get", "-o", "APT::Sandbox::User=root", "download", name, cwd=work)
        run("dpkg-deb", "-x", str(next(work.glob("*.deb"))), str(work / "tree"))
        (work / "tree").rename(target)
        subprocess.run(["rm", "-rf", str(work)], check=True)
    return target


def libraries(*programs):
    """Paths of everything the dynamic loader would load for these programs."""
    found = set()
    for program in programs:
        done = subprocess.run(["ldd", program], capture_output=True, text=True)
        found |= set(re.findall(r"(/\S+) \(0x", done.stdout))
    return found


def module_files(tree):
    """The wanted modules and what they need, in loading order."""
    by_name = {p.name.split(".")[0].replace("-", "_"): p for p in tree.glob("lib/modules/*/kernel/**/*.ko")}
    order = []

    def visit(name):
        path = by_name.get(name)
        if not path or path in order:
            return  # built in
        needs = re.search(rb"\0depends=([^\0]*)\0", path.read_bytes())
        for other in needs[1].decode().replace("-", "_").split(",") if needs else ():
            visit(other)
        order.append(path)

    for name in MODULES:
        visit(name)
    return order


class Archive:
    """cpio in the kernel's "newc" format, owner root, written as it goes."""

    def __init__(self, path):
        self.file, self.number, self.known = open(path, "wb"), 0, set()

    def entry(self, name, mode, data=b"", device=(0, 0)):
        name = name.lstrip("/")
        if name in self.known:
            return
        self.known.add(name)
        parent = os.path.dirname(name)
        if parent and parent not in self.known:
            self.entry(parent, stat.S_IFDIR | 0o755)
        self.number += 1
        fields = (self.number, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(name) + 1, 0)
        head = b"070701" + b"".join(b"%08x" % f for f in fields) + name.encode() + b"\0"
        self.file.write(head + b"\0" * (-len(head) % 4) + data + b"\0" * (-len(data) % 4))

    def copy(self, path, name=None):
        self.entry(name or str(path), stat.S_IFREG | 0o755, pathlib.Path(path).read_bytes())

    def close(self):
        self.entry("TRAILER!!!", 0)
        self.file.close()


def pack(tree, target, requests):
    """The initramfs: busybox, our programs where they are on the host, the image, requests."""
    programs = BUILD / "src" / "programs"
    services = [programs / name / name for name in
                ("cced", "cced-keys", "tee-agent", "tee-fetch", "tee-sim")]
    payloads = [p for p in sorted((BUILD / "tests" / "hostile").iterdir())
                if p.is_file() and os.access(p, os.X_OK)]
    tests = [p for p in payloads if p.name.startswith("test_")]
    sandbox = programs / "cupel-sandbox" / "cupel-sandbox"
    archive = Archive(target)
    archive.entry("dev/console", stat.S_IFCHR | 0o600, device=(5, 1))
    archive.copy(HERE / "init", "/init")
    archive.copy("/bin/busybox", "/bin/busybox")
    for path in [*services, *payloads, sandbox,
                 *sorted(libraries(*services, *tests, PARSER))]:
        archive.copy(path)
    for path in ("/etc/passwd", "/etc/ssl/openssl.cnf"):
        archive.copy(path)
    if PARSER.is_file():
        archive.copy(PARSER, "/sbin/apparmor_parser")
        archive.copy("/etc/apparmor.d/abi/3.0")
        archive.copy(ROOT / "packaging/apparmor/cupel-payload", "/etc/apparmor.d/cupel-payload")
    places = {"cced": services[0], "sandbox": sandbox, "tests": " ".join(map(str, tests))}
    for name, place in places.items():
        archive.entry(f"places/{name}", stat.S_IFREG | 0o644, str(place).encode())
    order = module_files(tree)
    for path in order:
        archive.copy(path, f"/modules/{path.name}")
    archive.entry("modules/order", stat.S_IFREG | 0o644, "\n".join(p.name for p in order).encode())
    digest = (STATE / "images/base").read_text().strip()
    for name in ("base", f"{digest}.erofs", f"{digest}.json"):
        archive.copy(STATE / "images" / name, f"/var/lib/cupel/images/{name}")
    for name, request in (requests or {}).items():
        archive.entry(f"requests/{name}.json", stat.S_IFREG | 0o644, json.dumps(request).encode())
    archive.close()


class Guest:
    """One boot. Lines of the console end up in `lines`; those that begin with "@@ " are results."""

    def __init__(self, folder, tasks, requests=None, options=""):
        tree = kernel()
        self.folder = pathlib.Path(folder)
        initramfs = self.folder / "initramfs"
        pack(tree, initramfs, requests)
        self.lines, self.started = [], time.monotonic()
        self.process = subprocess.Popen(
            ["qemu-system-x86_64", "-M", "pc", "-accel", os.environ.get("CUPEL_VM_ACCEL", "tcg"),
             "-cpu", "max", "-m", str(MEMORY_MB), "-nodefaults", "-no-reboot", "-display", "none",
             "-serial", "stdio", "-qmp", f"unix:{self.folder}/qmp,server=on,wait=off",
             "-kernel", str(next(tree.glob("boot/vmlinuz-*"))), "-initrd", str(initramfs),
             "-append", f"console=ttyS0 quiet panic=-1 mitigations=off nokaslr tsc=reliable "
                        f"cgroup_no_v1=all cupel.tasks={','.join(tasks)} {options}"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        for line in self.process.stdout:
            self.lines.append(line.decode(errors="replace").rstrip("\r\n"))

    def text(self):
        return "\n".join(self.lines[-200:])

    def wait_for(self, prefix, seconds):
        """The rest of the first line that begins with prefix."""
        deadline = time.monotonic() + seconds
        while True:
            for line in list(self.lines):
                if line.startswith(prefix):
                    return line[len(prefix):].strip()
            if time.monotonic() > deadline or (self.process.poll() is not None and
                                               not self.reader.is_alive()):
                raise RuntimeError(f"no line {prefix!r} from the guest:\n{self.text()}")
            time.sleep(0.02)

    def values(self, task):
        """{key: rest} of one task's results."""
        rows = [line.split(" ", 3) for line in self.lines if line.startswith(f"@@ {task} ")]
        return {row[2]: row[3] if len(row) > 3 else "" for row in rows}

    def go(self):
        self.process.stdin.write(b"go\n")
        self.process.stdin.flush()

    def memory(self):
        """All of the guest's memory, as its host sees it."""
        path = self.folder / "memory"
        with socket.socket(socket.AF_UNIX) as control:
            control.connect(f"{self.folder}/qmp")
            stream = control.makefile("rw")
            stream.readline()
            for command in ({"execute": "qmp_capabilities"}, {"execute": "stop"},
                            {"execute": "pmemsave", "arguments": {
                                "val": 0, "size": MEMORY_MB << 20, "filename": str(path)}},
                            {"execute": "cont"}):
                stream.write(json.dumps(command) + "\n")
                stream.flush()
                while "event" in (answer := json.loads(stream.readline())):
                    pass
                assert "return" in answer, answer
        data = path.read_bytes()
        path.unlink()
        return data

    def end(self, seconds):
        try:
            self.process.wait(seconds)
        finally:
            self.process.kill()
            self.process.wait()
        self.reader.join(5)
        self.seconds = time.monotonic() - self.started

    def close(self):
        self.process.kill()
        self.process.wait()


def read_tap(lines):
    """[(ok, description)]; refuses a stream whose plan is not complete."""
    plan = next((int(m[1]) for line in lines if (m := re.fullmatch(r"1\.\.(\d+)", line))), None)
    rows = [(m[1] is None, m[2]) for line in lines if (m := re.match(r"(not )?ok \d+ - (.*)", line))]
    if plan is None or plan != len(rows):
        raise RuntimeError(f"TAP: planned {plan}, came {len(rows)}")
    return rows
