#!/usr/bin/python3
"""Print the POST /execute body of the ISO code check:  request.py [FILE...] > request.json"""
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
sys.dont_write_bytecode = True
import execute_request  # noqa: E402

TABLES = sorted(pathlib.Path("/usr/share/iso-codes/json").glob("iso_*.json"))

if __name__ == "__main__":
    execute_request.main(__doc__.splitlines()[0], [HERE / "main.py"], ["jq", "python"], TABLES)
