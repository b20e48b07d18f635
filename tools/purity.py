#!/usr/bin/python3
"""Fail when a rules library needs a symbol by which it could reach clock, files, kernel or chance.

layers.py reads the includes; this reads the linker's view: every undefined symbol of the static
libraries below src/rules must be defined by another rule, or stand in one of the two tables here.
Without a build there is nothing to check.    usage: tools/purity.py [build/release]
"""
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent

# Functions of libc whose result follows from their arguments, and what the compiler itself adds.
LIBC = {
    "memchr", "memcmp", "memcpy", "memmove", "memset", "qsort", "bsearch", "strchr", "strcmp",
    "strlen", "strncmp", "strrchr", "strstr", "strspn", "strcspn", "__assert_fail",
    "__memcpy_chk", "__memmove_chk", "__memset_chk", "__stack_chk_fail", "_GLOBAL_OFFSET_TABLE_",
}
# Functions of kit that are pure: by prefix, minus the exceptions.
KIT = re.compile(
    r"(err|buf|reader|str|mem|json|jspan|hex|base64|pb|der|hash|x509|crl|verify|dsse)_\w+"
    r"|crypto_equal|sign_verify|sign_spki_to_pem|sign_spki_from_pem|time_format|time_parse")
KIT_EXCEPTIONS = {"err_format_sys", "json_setup"}


def symbols(library, kind):
    output = subprocess.run(["nm", kind, str(library)], check=True, capture_output=True, text=True)
    return {line.split()[-1] for line in output.stdout.splitlines()
            if line and not line.endswith(":")}


def is_allowed(symbol, defined):
    if symbol in defined or symbol in LIBC:
        return True
    return bool(KIT.fullmatch(symbol)) and symbol not in KIT_EXCEPTIONS


def main():
    build = ROOT / (sys.argv[1] if len(sys.argv) > 1 else "build/release")
    libraries = sorted((build / "src" / "rules").rglob("*.a"))
    if not libraries:
        print("purity: no build yet, nothing to check")
        return 0
    defined = set().union(*(symbols(library, "--defined-only") for library in libraries))
    faults = [f"{library.name}: a rule must not use {symbol}"
              for library in libraries
              for symbol in sorted(symbols(library, "--undefined-only"))
              if not is_allowed(symbol, defined)]
    print("\n".join(faults) if faults else f"purity: clean ({len(libraries)} libraries)")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
