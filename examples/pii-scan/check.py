#!/usr/bin/python3
"""Compare a scan's result with what was planted:  check.py REPLY.json planted.json

REPLY.json is the reply of POST /execute, or the scan's own output. Exit status 0 when the counts
are exactly the planted ones and grep agreed, 1 otherwise.
"""
import json
import pathlib
import sys


def main(reply_path, planted_path):
    reply = json.loads(pathlib.Path(reply_path).read_text())
    result = json.loads(reply["result"]["output"]) if "result" in reply else reply
    planted = json.loads(pathlib.Path(planted_path).read_text())
    is_exact = result["counts"] == planted["planted"] and result["cross_check"]["agrees"]
    for kind, number in sorted(planted["planted"].items()):
        print(f"{kind:6} planted {number:6}  found {result['counts'][kind]:6}")
    print(f"{planted['near_misses']} near-misses in {planted['rows']} records; "
          f"{'exact' if is_exact else 'NOT EXACT'}, "
          f"grep {'agrees' if result['cross_check']['agrees'] else 'DISAGREES'}")
    return 0 if is_exact else 1


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1], sys.argv[2]))
