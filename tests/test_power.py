"""The power is cut at random flash operations: no half file, nothing lost, a repeat completes.

PRIOT_CUTS and PRIOT_SEED say how many cuts and which; `python -m power.cuts` counts and tells.
"""

import os

import pytest
from power.cuts import make_cuts
from priot.board import files

CUTS = int(os.environ.get("PRIOT_CUTS", "24"))
SEED = int(os.environ.get("PRIOT_SEED", "1"))
KINDS = ("push", "append", "deploy", "save")


def test_power_cut_at_random_moments(tmp_path):
    found = make_cuts(CUTS, SEED, tmp_path)
    assert sum(found.values()) == CUTS
    assert {kind for kind, _ in found} == set(KINDS[:CUTS])


def test_half_a_file_would_be_found(tmp_path, monkeypatch):
    """Files that are copied under their own names."""
    monkeypatch.setattr(files, "PART", "")
    with pytest.raises(AssertionError, match="is something else"):
        make_cuts(40, SEED, tmp_path)
