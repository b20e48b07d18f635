#!/usr/bin/python3
"""embed.py FILE HEADER NAME: a file as a C array `NAME`, its length `NAME_len`; a NUL follows."""
import sys

source, target, name = sys.argv[1:]
data = open(source, "rb").read()
with open(target, "w") as out:
    out.write(f"/* Generated from {source.rsplit('/', 1)[-1]}; do not edit. */\n")
    out.write(f"static const unsigned char {name}[] = {{\n")
    for at in range(0, len(data), 16):
        out.write("\t" + " ".join(f"{byte}," for byte in data[at:at + 16]) + "\n")
    out.write(f"\t0,\n}};\nstatic const unsigned {name}_len __attribute__((unused)) = {len(data)};\n")
