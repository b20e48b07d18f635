#!/usr/bin/python3
"""Print the POST /execute body of the PII scan:  request.py patients.csv [MORE...] > request.json"""
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
sys.dont_write_bytecode = True
import execute_request  # noqa: E402

if __name__ == "__main__":
    execute_request.main(__doc__.splitlines()[0],
                         [HERE / name for name in ("main.py", "patterns.py", "cross_check.sh")],
                         ["bash", "grep", "python"])
