"""What the tests of reports share: a training run on the unix port, with foreign text in it."""

import shutil
from pathlib import Path

from priot import cli
from priot.data import prepare
from priot.formats import Dataset
from priot.paths import BACKBONES, ROOT

SHIPPED = ROOT / "host_tools" / "experiments"
FOREIGN = ("<b>owl</b>", "a&b", "\"q\" 'r'", "$x_1$", "{{ 7*7 }}", "Grüße 猫", "a-very-long-name",
           "</style>", "<script>", "plain")
# what a report had before `priot report`
NEW = ("report_version", "command", "date", "seconds", "names", "files", "layers", "predictions",
       "confusion_before")


def digits(part: str) -> Dataset:
    """Turned digits whose classes have foreign names."""
    data = prepare.prepare("digits", part=part, degrees=30)
    return Dataset(data.images, data.labels, data.classes, FOREIGN)


def make_run(parent: Path) -> Path:
    """A folder with run.json, and the files of that run: <u>net.priot, *.prd, a.scores."""
    folder = parent / "<i>kit & chen"
    folder.mkdir()
    for part in ("train", "test"):
        digits(part).write(folder / f"{part}.prd")
    shutil.copy(BACKBONES / "digits-0.priot", folder / "<u>net.priot")
    assert cli.main([
        "train", str(folder / "<u>net.priot"), str(folder / "train.prd"), "--test",
        str(folder / "test.prd"), "--epochs", "3", "--validate", "--seed", "5", "--save",
        str(folder / "a.scores"), "--json", str(folder / "run.json")]) == 0
    return folder
