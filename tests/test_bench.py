"""`priot bench`: every method on the unix port, what is named, what is refused, the document."""

import json

import pytest
from pico_support import running_pico
from priot import cli
from priot.backbone.quantize import calibrate
from priot.jobs.train import METHODS
from support import random_dataset, random_model


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> tuple[str, str]:
    """A model with pools, and a dataset for it."""
    folder = tmp_path_factory.mktemp("bench")
    model = random_model("conv 4 3, relu, maxpool 2, avgpool 2, flatten, linear 8, relu, linear 3",
                         (1, 14, 14), seed=2, classes=3)
    data = random_dataset(model, 30, seed=3)
    calibrate(model, data)
    model.write(folder / "model.priot")
    data.write(folder / "data.prd")
    return str(folder / "model.priot"), str(folder / "data.prd")


@pytest.mark.parametrize("method", [name for name in METHODS if name != "bias"])
def test_every_method(files, method, tmp_path):
    """Each layer is named with what it does: all of it where it is trained, no more."""
    assert cli.main(["bench", *files, "--backends", "portable", "--steps", "2", "--method", method,
                     "--gmin", "0", "--json", str(tmp_path / "out.json")]) == 0
    report = json.loads((tmp_path / "out.json").read_text())
    assert report["steps"] == 2 and report["method"] == method
    kinds = [set(layer["us"]) for layer in report["layers"]]
    inner = {"forward"} if method == "head" else {"forward", "backward"}
    first = {"forward"} if method == "head" else {"forward", "update"}
    last = {"forward", "update"} if method == "head" else {"forward", "backward", "update"}
    assert kinds[0] == first
    assert kinds[1] == inner  # the average pool; the other is part of its convolution
    assert kinds[-1] == last | ({"exponent"} if method == "niti" else set())


def test_reads_of_the_flash_are_counted_on_a_pico(files, tmp_path, capsys):
    out = tmp_path / "out.json"
    common = ["bench", *files, "--steps", "1", "--gmin", "0", "--json", str(out)]
    assert cli.main([*common, "--backends", "portable"]) == 0
    assert "cache of the flash" not in capsys.readouterr().out
    with running_pico(tmp_path / "pico") as pico:
        assert cli.main([*common, "--backends", "viper", "--target", pico.port]) == 0
    report = json.loads(out.read_text())
    accesses, hits = report["flash_accesses_per_step"], report["flash_hits_per_step"]
    assert 0.9 * accesses < hits < accesses
    assert f"{accesses:,} reads a step" in capsys.readouterr().out


def test_a_table_in_a_document(files, tmp_path):
    document = tmp_path / "README.md"
    document.write_text("above\n<!-- priot bench -->\nold\n<!-- end -->\nbelow\n")
    assert cli.main(["bench", *files, "--backends", "portable", "--steps", "2", "--gmin", "0",
                     "--into", str(document)]) == 0
    lines = document.read_text().splitlines()
    assert lines[0] == "above" and lines[-1] == "below" and "old" not in lines
    assert [line.split("|")[1].strip() for line in lines[4:6]] == [
        "portable", "portable, layout small"]
