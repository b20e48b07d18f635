#!/usr/bin/python3
"""embed.py FILE HEADER NAME: a file as a C array `NAME`, its length `NAME_len`; a NUL follows.

A Python program is embedded as one that runs the same from bytecode, where the interpreter is of the
version that compiled it here; from source elsewhere."""
import base64
import importlib.util
import marshal
import sys
import zlib


def packed(data):
    return base64.b64encode(zlib.compress(data, 9)).decode()


def from_bytecode(text, name):
    code = marshal.dumps(compile(text, name, "exec", optimize=2))
    return f"""import sys
import zlib
from binascii import a2b_base64 as decode
if sys.modules["_frozen_importlib_external"].MAGIC_NUMBER == {importlib.util.MAGIC_NUMBER}:
    import marshal
    exec(marshal.loads(zlib.decompress(decode("{packed(code)}"))))
else:
    exec(zlib.decompress(decode("{packed(text)}")))
""".encode()


source, target, name = sys.argv[1:]
data = open(source, "rb").read()
if source.endswith(".py"):
    # For its name see park_python.py.
    data = from_bytecode(data, f"<importlib_bootstrap {name}>")
with open(target, "w") as out:
    out.write(f"/* Generated from {source.rsplit('/', 1)[-1]}; do not edit. */\n")
    out.write(f"static const unsigned char {name}[] = {{\n")
    for at in range(0, len(data), 16):
        out.write("\t" + " ".join(f"{byte}," for byte in data[at:at + 16]) + "\n")
    out.write(f"\t0,\n}};\nstatic const unsigned {name}_len __attribute__((unused)) = {len(data)};\n")
