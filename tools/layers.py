#!/usr/bin/python3
"""Fail on an include that crosses a layer, and on a rule that reaches the clock, files or kernel.

programs -> rules, engines -> kit. Rules and engines never include each other; a program never
includes another; engines include each other only along ENGINE_ARCS. Library headers stay inside
their one module (LIBRARY_HOMES). See ARCHITECTURE.md.
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
SRC = ROOT / "src"
INCLUDE = re.compile(r'^\s*#\s*include\s+([<"])([^>"]+)[>"]', re.M)

MAY_INCLUDE = {
    "kit": {"kit"},
    "rules": {"kit", "rules"},
    "engines": {"kit", "engines"},
    "programs": {"kit", "rules", "engines", "programs"},
}
KIT_ARCS = {"base": set(), "codec": {"base"}, "crypto": {"base", "codec"}, "proc": {"base"}}
ENGINE_ARCS = {("cvm", "sandbox"), ("cvm", "net"), ("chain", "net"), ("llm", "net"),
               ("explore", "sandbox"), ("sandbox", "image")}
RULE_ARCS = {("authz", "job"), ("cert", "job"), ("cert", "appraise"), ("gate", "job"),
             ("lang", "job"), ("deploy", "job"), ("job", "lang")}
LIBRARY_HOMES = {
    "openssl/ssl.h": ("src/engines/net",),
    "openssl/": ("src/kit/crypto", "src/engines/net"),
    "nettle/": ("src/kit/crypto",),
    "jansson.h": ("src/kit/codec",),
    "yaml.h": ("src/kit/codec",),
    "sqlite3.h": ("src/engines/store",),
    "microhttpd.h": ("src/engines/net",),
    "uv.h": ("src/engines/net", "src/programs/cced"),
    "curl/": ("src/engines/net", "src/programs/tee-fetch", "src/programs/cupel-attest"),
    "tss2/": ("src/engines/evidence",),
    "seccomp.h": ("src/kit/proc", "src/engines/sandbox"),
}
# What a pure function never needs.
IMPURE_HEADERS = {"time.h", "unistd.h", "fcntl.h", "stdio.h", "sys/stat.h", "sys/socket.h",
                  "sys/mman.h", "sys/syscall.h", "sys/random.h", "pthread.h", "kit/base/fd.h",
                  "kit/base/log.h", "kit/crypto/rand.h"}


def area(path):
    parts = path.relative_to(SRC).parts
    return parts[0], parts[1] if len(parts) > 2 else ""


def check_project_include(where, layer, module, target):
    parts = pathlib.PurePosixPath(target).parts
    if len(parts) < 2:
        return f'include "{target}" by its path below src/, for example "kit/base/err.h"'
    to_layer, to_module = parts[0], parts[1]
    if to_layer not in MAY_INCLUDE:
        return None if to_layer == "include" else f'unknown layer in "{target}"'
    if to_layer not in MAY_INCLUDE[layer]:
        return f"{layer} must not include {to_layer} ({target})"
    if to_module == module and to_layer == layer:
        return None
    if layer == to_layer == "kit" and to_module not in KIT_ARCS.get(module, set()):
        return f"kit/{module} must not include kit/{to_module}"
    if layer == to_layer == "engines" and (module, to_module) not in ENGINE_ARCS:
        return f"engines/{module} must not include engines/{to_module}"
    if layer == to_layer == "rules" and (module, to_module) not in RULE_ARCS:
        return f"rules/{module} must not include rules/{to_module}"
    if layer == to_layer == "programs":
        return f"programs never include each other ({target})"
    return None


def check_library_include(relative, target):
    for prefix, homes in LIBRARY_HOMES.items():
        if target.startswith(prefix):
            if any(relative.startswith(home) for home in homes):
                return None
            return f"<{target}> belongs to {', '.join(homes)} only"
    return None


def check_file(path):
    layer, module = area(path)
    relative = path.relative_to(ROOT).as_posix()
    for match in INCLUDE.finditer(path.read_text()):
        quote, target = match.groups()
        line = path.read_text()[:match.start()].count("\n") + 1
        fault = (check_project_include(relative, layer, module, target) if quote == '"'
                 else check_library_include(relative, target))
        if not fault and layer == "rules" and target in IMPURE_HEADERS:
            fault = f"a rule is pure and must not include {target}"
        if fault:
            yield f"{relative}:{line}: {fault}"


def main():
    faults = [fault for path in sorted(SRC.rglob("*.[ch]")) for fault in check_file(path)]
    for path in sorted(p for p in SRC.rglob("*") if p.is_dir()):
        if not any((path / name).exists() for name in ("README.md",)) and any(path.glob("*.[ch]")):
            faults.append(f"{path.relative_to(ROOT)}: a directory with code needs a README.md")
        readme = path / "README.md"
        if readme.exists() and len(readme.read_text().splitlines()) > 40:
            faults.append(f"{readme.relative_to(ROOT)}: longer than 40 lines")
    print("\n".join(faults) if faults else "layers: clean")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
