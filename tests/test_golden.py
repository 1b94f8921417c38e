"""Every method learns, to the byte, what golden/record.py saw it learn once."""

import json

import pytest
from golden.cases import BACKENDS, NETWORKS, RECORDED, SCRIPT, cases_of, figures, key, prepare
from priot.formats import Dataset
from priot.paths import BACKBONES
from support import micropython

LEARNED = json.loads(RECORDED.read_text())


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("backend", BACKENDS)
def test_what_is_learned_is_what_was_learned(network, backend, tmp_path):
    arguments = prepare(Dataset, BACKBONES / f"{network}.priot", network, backend, tmp_path)
    printed = micropython(SCRIPT, *arguments, backend=backend).stdout
    for name, (learned, answers) in figures(network, backend, printed, tmp_path).items():
        assert learned == LEARNED[name][0], f"{name}, {backend}: learned other bytes"
        assert answers == LEARNED[name][1], f"{name}, {backend}: answers otherwise"


@pytest.mark.parametrize("network", NETWORKS)
def test_every_case_tells_something(network):
    """Two cases learn the same only where they differ in nothing but `layout`."""
    seen: dict[str, tuple[str, str]] = {}
    for method, options in cases_of(network, BACKENDS[0]):
        case = (method, str({k: v for k, v in options.items() if k != "layout"}))
        name = key(network, (method, options))
        assert seen.setdefault(LEARNED[name][0], case) == case, name
    assert len(seen) == len(set(seen.values())), "a layout learns otherwise than another"
