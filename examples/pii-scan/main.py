"""Scan every file of the dataset for personal data and print counts as JSON, never the data.

CSV files are counted column by column, anything else line by line; then grep counts the same files
on its own. Exit status 1 when the two disagree, 2 when there is nothing to scan.
"""
import csv
import json
import os
import pathlib
import subprocess
import sys

import patterns

HERE = pathlib.Path(__file__).resolve().parent
DATA = pathlib.Path(os.environ.get("CUPEL_DATA", "/data"))


def add(totals, found):
    for kind, matches in found.items():
        totals[kind] = totals.get(kind, 0) + matches


def full(counts):
    return {kind: counts.get(kind, 0) for kind in sorted(patterns.PATTERNS)}


def open_text(path):
    return path.open(encoding="utf-8", errors="surrogateescape", newline="")


def scan_csv(path):
    totals, columns, records, affected = {}, {}, 0, 0
    with open_text(path) as file:
        rows = csv.reader(file)
        names = next(rows, [])
        for row in rows:
            records += 1
            before = sum(totals.values())
            for name, value in zip(names, row):
                found = patterns.count(value) if len(value) >= 6 else None
                if found:
                    add(totals, found)
                    add(columns.setdefault(name, {}), found)
            affected += sum(totals.values()) > before
    return totals, {"columns": columns, "records": records, "records_affected": affected}


def scan_lines(path):
    totals, lines = {}, 0
    with open_text(path) as file:
        for line in file:
            lines += 1
            add(totals, patterns.count(line))
    return totals, {"lines": lines}


def count_by_grep(paths):
    counts = {}
    for kind, pattern in patterns.PATTERNS.items():
        answer = subprocess.run(["bash", str(HERE / "cross_check.sh"), pattern, *map(str, paths)],
                                check=True, capture_output=True, text=True).stdout
        counts[kind] = int(answer)
    return counts


def main():
    paths = sorted(path for path in DATA.iterdir() if path.is_file())
    if not paths:
        print(f"no file in {DATA}", file=sys.stderr)
        return 2
    totals, files = {}, []
    for path in paths:
        counts, details = (scan_csv if path.suffix == ".csv" else scan_lines)(path)
        add(totals, counts)
        files.append({"name": path.name, "bytes": path.stat().st_size, "counts": full(counts),
                      **details})
    by_grep = full(count_by_grep(paths))
    agrees = by_grep == full(totals)
    json.dump({"counts": full(totals), "cross_check": {"agrees": agrees, "grep": by_grep},
               "files": files}, sys.stdout, sort_keys=True, indent=1)
    print()
    return 0 if agrees else 1


if __name__ == "__main__":
    sys.exit(main())
