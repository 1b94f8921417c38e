"""The power is cut at random flash operations: no half file, nothing lost, a repeat completes.

PRIOT_CUTS and PRIOT_SEED say how many cuts and which; `python -m power.cuts` counts and tells.
"""

import os

import pytest
from power.cuts import make_cuts

CUTS = int(os.environ.get("PRIOT_CUTS", "40"))
SEED = int(os.environ.get("PRIOT_SEED", "1"))
KINDS = ("push", "append", "deploy", "save")


def test_power_cut_at_random_moments(tmp_path):
    found = make_cuts(CUTS, SEED, tmp_path)
    assert sum(found.values()) == CUTS
    assert {kind for kind, _ in found} == set(KINDS[:CUTS])


@pytest.mark.parametrize("broken, said", [
    # the new file is written under its own name, samples are added to nothing but the dataset
    ("append", "is something else|is lost"),
    ("put", "is something else"),
])
def test_a_fault_would_be_found(tmp_path, monkeypatch, broken, said):
    from priot.board import files

    monkeypatch.setattr(files, "_HELPER", helper_that_tears(tmp_path, broken))
    with pytest.raises(AssertionError, match=said):
        make_cuts(60, SEED, tmp_path)


def helper_that_tears(folder, broken):
    """The board's helper without the temporary name, for appending or for all that is copied."""
    from priot.board.files import _HELPER

    text = _HELPER.read_text()
    if broken == "append":
        text = text.replace('open(path + ".tmp", "wb")', 'open(path, "wb")').replace(
            'os.rename(path + ".tmp", path)', "pass").replace(
            "    crc = crc32(memoryview(head)[16:])",
            "    kept = [bytes(p) for s, n in sources for p in pieces(s, n)]\n"
            "    crc = crc32(memoryview(head)[16:])").replace(
            "        for source, start in sources:\n            for piece in pieces(source, start):"
            "\n                if f.write", "        for piece in kept:\n"
            "            for piece in (piece,):\n                if f.write")
    else:
        text = text.replace("    f = open(path, mode)", "    os.path_put = path\n"
                            "    f = open(path[:-5] if path.endswith('.part') else path, mode)")
    changed = folder / "on_board.py"
    changed.write_text(text)
    return changed
