"""`priot demo`: the whole job with no board: rotated digits, a backbone, training, a report."""

import argparse
from pathlib import Path
from typing import Any

from priot.commands.options import add_json_option
from priot.data import prepare
from priot.formats.container import write_file
from priot.jobs.details import Details
from priot.jobs.train import TrainJob, summary, train
from priot.paths import BACKBONES, BUILD, ROOT
from priot.reports.json_file import write_json
from priot.reports.plot import plot_training
from priot.reports.run_page import run_page
from priot.targets.unix import UnixTarget

FOLDER = BUILD / "demo"
BACKBONE = BACKBONES / "digits-0.priot"
DEGREES = 30
EPOCHS = 30


def add_parser(subparsers: Any) -> None:
    """Add `priot demo`."""
    parser = subparsers.add_parser("demo", help="run the main job with no board",
                                   description=__doc__)
    add_json_option(parser)


def main(args: argparse.Namespace) -> int:
    """Run the demo; writes a report, its page and plot, and what was learned to build/demo."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    files = {part: FOLDER / f"{part}.prd" for part in ("train", "test")}
    for part, path in files.items():
        dataset = prepare.prepare("digits", part=part, degrees=DEGREES)
        dataset.write(path)
        print(prepare.summary(path, dataset, DEGREES))
    print(f"training {_shown(BACKBONE)} on digits rotated by {DEGREES} degrees, under MicroPython "
          "with the heap of a Pico")
    job = TrainJob(BACKBONE, files["train"], files["test"], epochs=EPOCHS, options={"seed": 1},
                   save=FOLDER / "digits.scores", mask=FOLDER / "digits.adapter")
    details = Details(job, args.words)
    report = train(job, UnixTarget(), show_progress=True)
    details.add(report)
    print(f"accuracy before: {report['accuracy_before']:.1f} %")
    print(f"accuracy after:  {report['accuracy_after']:.1f} %")
    print(summary(report))
    write_json(FOLDER / "report.json", report)
    write_json(args.json, report)
    plot_training(report, FOLDER / "learning.png")
    write_file(FOLDER / "report.html", run_page(FOLDER / "report.json").encode())
    print(f"written: {_shown(FOLDER)}/report.json, learning.png, digits.scores, digits.adapter")
    print(f"to look at in a browser: {_shown(FOLDER)}/report.html")
    return 0 if report["finished"] else 130


def _shown(path: Path) -> Path:
    return path.relative_to(ROOT) if path.is_relative_to(ROOT) else path
