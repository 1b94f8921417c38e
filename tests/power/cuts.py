"""Cuts the power at random flash operations of push, push --append, deploy and a save in training.

`PYTHONPATH=tests .venv/bin/python -m power.cuts 1000 1` makes 1,000 cuts, seed 1, and prints what
they left. After each cut every file that is not marked as incomplete is what it was before or what
it was to become, whole; nothing else is touched; and the same command, repeated, completes.
"""

import random
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from priot.board import Board
from priot.board.install import package_files
from priot.emulator.flash_image import read_files
from priot.formats import Adapter, Dataset
from priot.planning.names import PART, RECORDS, TEMPORARY
from support import random_dataset, random_model

from power.flash import make_board, run

SPEC = "conv 4 3, relu, maxpool 2, flatten, linear 12, relu, linear 10"
PROCESSOR = "x64"
EPOCHS = 3
UNTOUCHED = "kept.scores"  # an adapter of another run, on every board

Contents = dict[str, bytes]


@dataclass
class Case:
    """A command, what is on the board before and after it, and files between the two.

    between: what a file may be for a while beside what it was before and will be after.
    """

    name: str
    command: list[object]
    before: Contents
    after: Contents
    between: dict[str, list[bytes]] = field(default_factory=dict)

    def check(self, found: Contents) -> None:
        """AssertionError unless every file is whole, and nothing is lost."""
        for name in self.before.keys() - self.after.keys():
            assert name in found, f"{name} is lost"
        for name, data in found.items():
            if name.endswith((PART, RECORDS, TEMPORARY)):
                continue
            allowed = [self.before.get(name), self.after.get(name), *self.between.get(name, [])]
            assert data in allowed, f"{name} is something else"
        for name in self.before.keys() & self.after.keys():
            assert name in found, f"{name} is lost"


class Cuts:
    """Makes cuts, seeded, with its files in a folder."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder = folder
        self.random = random.Random(seed)
        self.flash = folder / "flash.bin"
        self.here = folder / "here"  # what a command writes on the host
        self.model = random_model(SPEC, (1, 12, 12), seed=4)
        self.files = {"m.priot": self.model.to_bytes(),
                      **{f"{name}.prd": random_dataset(self.model, n, n).to_bytes()
                         for name, n in (("t", 12), ("few", 9), ("more", 30), ("most", 70))}}
        for name, data in self.files.items():
            (folder / name).write_bytes(data)
        self.package = {path.lstrip("/"): data
                        for path, data in package_files(PROCESSOR).items()}
        self.epochs = self._saved_epochs()
        self.other = self._other_adapter()
        self.operations: dict[str, int] = {}

    def _saved_epochs(self) -> list[bytes]:
        """What training saves after each epoch."""
        self._prepare(self.package)
        saved = []
        with Board(f"flash://{self.flash}") as board:
            for n in range(1, EPOCHS + 1):
                path = self.folder / f"{n}.scores"
                board.train(self.folder / "m.priot", self.folder / "t.prd", epochs=n, save=path)
                saved.append(path.read_bytes())
        return saved

    def _other_adapter(self) -> bytes:
        adapter = Adapter.from_bytes(self.epochs[0])
        adapter.seed = 99
        return adapter.to_bytes()

    def _prepare(self, contents: Contents) -> None:
        make_board(self.flash, contents)
        shutil.rmtree(self.here, ignore_errors=True)
        self.here.mkdir()

    def cases(self) -> Iterator[Case]:
        """Cases without end, each kind as often as the others."""
        while True:
            yield self._push()
            yield self._append()
            yield self._deploy()
            yield self._save()

    def _push(self) -> Case:
        source, old = self.random.choice(("few", "more", "most")), self.random.choice((0, 9, 30))
        before = {"few.prd": self.files["few.prd"]} if old else {}
        name = f"--name=data{old}.prd"
        if old:
            before[f"data{old}.prd"] = random_dataset(self.model, old, 99).to_bytes()
        after = {**before, f"data{old}.prd": self.files[f"{source}.prd"]}
        return Case(f"push {source} over {old}", ["push", self.folder / f"{source}.prd", name],
                    before, after)

    def _append(self) -> Case:
        sources = self.random.choice((["few"], ["few", "more"], ["most"], ["few", "few"]))
        has_old = self.random.random() < 0.7
        before = {"data.prd": self.files["more.prd"]} if has_old else {}
        names = ["more"] * has_old + sources
        whole = [Dataset.from_bytes(self.files[f"{name}.prd"]) for name in names]
        after = Dataset(np.concatenate([part.images for part in whole]),
                        np.concatenate([part.labels for part in whole]),
                        whole[0].classes).to_bytes()
        paths = [self.folder / f"{name}.prd" for name in sources]
        return Case(f"append {'+'.join(sources)} to {'a file' if has_old else 'none'}",
                    ["push", *paths, "--append=data.prd"], before, {"data.prd": after})

    def _deploy(self) -> Case:
        bare = self.random.random() < 0.2
        before = {} if bare else dict(self.package)
        if not bare:
            for name in self.random.sample(sorted(self.package), 3):
                before[name] = b"of an earlier version" * 40
            before["m.priot"] = random_model(SPEC, (1, 12, 12), seed=5).to_bytes()
        after = {**self.package, "m.priot": self.files["m.priot"],
                 "t.prd": self.files["t.prd"]}
        return Case("deploy to a bare board" if bare else "deploy over an earlier version",
                    ["deploy", self.folder / "m.priot", self.folder / "t.prd"], before, after)

    def _save(self) -> Case:
        has_old = self.random.random() < 0.5
        before = {**self.package, "m.priot": self.files["m.priot"], "t.prd": self.files["t.prd"],
                  **({"a.scores": self.other} if has_old else {})}
        after = {**before, "a.scores": self.epochs[-1]}
        return Case(f"save {'over another' if has_old else 'anew'}",
                    ["train", self.folder / "m.priot", self.folder / "t.prd", "--epochs", EPOCHS,
                     "--save", self.here / "a.scores"], before, after,
                    {"a.scores": self.epochs[:-1]})

    def cut(self, case: Case) -> str:
        """Cut once in a case and repeat the command; what was found. AssertionError: a fault."""
        for contents in (case.before, case.after):
            contents[UNTOUCHED] = self.other
        port = f"flash://{self.flash}"
        kind = f"{case.name} {len(case.before)}"
        if kind not in self.operations:
            self.operations[kind] = self._count(case, port)
        at = self.random.randint(1, self.operations[kind])
        self._prepare(case.before)
        status, _, _ = run(*case.command, "--port", f"{port}?cut={at}")
        found = read_files(self.flash)
        case.check(found)
        what = "reported as done" if status == 0 else (
            "new" if all(found.get(name) == data for name, data in case.after.items()) else
            "old" if all(found.get(name) == data for name, data in case.before.items()) else
            "some old, some new")
        if status:
            status, _, said = run(*case.command, "--port", port)
            assert status == 0, said
        found = read_files(self.flash)
        assert found == case.after, sorted(found.keys() ^ case.after.keys()) or [
            name for name in found if found[name] != case.after[name]]
        self._check_here(case)
        return what

    def _count(self, case: Case, port: str) -> int:
        """Flash operations of a case that is not cut."""
        self._prepare(case.before)
        count = self.folder / "count"
        status, _, said = run(*case.command, "--port", f"{port}?count={count}")
        assert status == 0, said
        assert read_files(self.flash) == case.after
        return int(count.read_text())

    def _check_here(self, case: Case) -> None:
        """What training learned is here, and so is what an earlier run had left on the board."""
        if case.name.startswith("save"):
            assert (self.here / "a.scores").read_bytes() == self.epochs[-1]
            earlier = [path.read_bytes() for path in self.here.glob("a.earlier*.scores")]
            assert self.other in earlier or "a.scores" not in case.before


def make_cuts(n: int, seed: int, folder: Path) -> Counter[tuple[str, str]]:
    """n cuts: how often which kind of command left what. AssertionError with its cause."""
    cuts = Cuts(folder, seed)
    found: Counter[tuple[str, str]] = Counter()
    for number, case in zip(range(n), cuts.cases(), strict=False):
        try:
            found[case.name.split()[0], cuts.cut(case)] += 1
        except AssertionError as error:
            raise AssertionError(f"cut {number} of seed {seed}, {case.name}: {error}") from error
    return found


if __name__ == "__main__":
    wanted, seeded = (int(word) for word in sys.argv[1:])
    with tempfile.TemporaryDirectory() as where:
        counts = make_cuts(wanted, seeded, Path(where))
    for (command, left), times in sorted(counts.items()):
        print(f"{command:8}{left:20}{times:6}")
    print(f"{sum(counts.values())} cuts, seed {seeded}: nothing half-written under its name, "
          "nothing lost, every command completed when it was repeated")
