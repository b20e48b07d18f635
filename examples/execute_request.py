"""The body of POST /execute from files: datasets as base64, scripts as text, tools by name."""
import argparse
import base64
import json
import pathlib
import sys

FORMATS = {".csv": "csv", ".json": "json", ".txt": "txt"}


def build(datasets, scripts, tools, environment):
    files = [pathlib.Path(path) for path in datasets]
    return {
        "datasets": [{
            "name": file.name,
            "format": FORMATS.get(file.suffix, "bin"),
            "data": "base64:" + base64.b64encode(file.read_bytes()).decode("ascii"),
        } for file in files],
        "sandbox": {
            "tools": tools,
            "scripts": {script.name: script.read_text() for script in scripts},
            "environment": environment,
        },
    }


def main(description, scripts, tools, defaults=()):
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("data", nargs="*", default=list(defaults), help="dataset files")
    parser.add_argument("--timeout-seconds", type=int, default=60)
    parser.add_argument("--max-memory-mb", type=int, default=256)
    options = parser.parse_args()
    if not options.data:
        parser.error("name at least one dataset file")
    environment = {"timeout_seconds": options.timeout_seconds,
                   "max_memory_mb": options.max_memory_mb}
    json.dump(build(options.data, scripts, tools, environment), sys.stdout)
    print()
