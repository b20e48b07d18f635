#!/usr/bin/python3
"""All benchmarks of one build, one after the other; what they print goes into bench/RESULTS.md.

    bench/run.py [BUILD] [--quick]
"""
import argparse
import os
import pathlib
import platform
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("build", nargs="?", default="build/release")
    parser.add_argument("--quick", action="store_true", help="fewer rounds, for a first look")
    args = parser.parse_args()
    build = (ROOT / args.build).resolve()
    vectors = ROOT.parent / "shared" / "vectors"
    rounds = "30" if args.quick else "200"
    stages = [
        ("POST /execute against bare python3",
         [sys.executable, ROOT / "bench" / "execute.py", build, "--rounds", rounds,
          "--soak", "100" if args.quick else "1000"]),
        ("Appraisal of evidence", [build / "bench" / "bench_attest", vectors]),
    ]
    print(f"Linux {platform.release()}, {os.cpu_count()} processors, "
          f"load {os.getloadavg()[0]:.2f} before\n", flush=True)
    failed = 0
    for title, command in stages:
        print(f"## {title}\n", flush=True)
        failed += subprocess.run([str(part) for part in command], cwd=ROOT).returncode != 0
        print(flush=True)
    print("The sandbox beside its peers: make bench-sandbox")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
