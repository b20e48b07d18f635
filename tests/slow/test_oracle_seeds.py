"""The differential test of tests/integration/test_oracle.py with more seeds and more faults at a
time; CUPEL_ORACLE_SEED picks another world."""
import os
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "integration"))
from test_oracle import KINDS, run  # noqa: E402

SEED = int(os.environ.get("CUPEL_ORACLE_SEED", "1"))


@pytest.mark.parametrize("kind", KINDS)
def test_many_seeds(kind, tmp_path):
    total = 0
    for seed in range(SEED, SEED + 3):
        folder = tmp_path / str(seed)
        folder.mkdir()
        count, _ = run(kind, folder, seed, rounds=1, pairs=1000)
        total += count
    print(kind, total, "cases")
    assert total > 3000
