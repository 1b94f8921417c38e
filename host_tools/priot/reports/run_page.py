"""The page of one training run: what changed, which images, what was pruned, how to repeat it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from priot.errors import PriotError
from priot.formats import Adapter, Dataset, Model
from priot.formats.container import read_crc
from priot.methods import METHODS
from priot.network import fields as f
from priot.reports import pictures, run_plots
from priot.reports.page import render
from priot.reports.run_report import read_report

_PLACES = {
    "unix": ("MicroPython's unix port on a PC", "on the PC"),
    "emulator": ("an emulated Raspberry Pi Pico", "by the emulated Pico's clock"),
    "qemu": ("QEMU with the Pico's instruction set", ""),  # its clock means nothing
}
_SHOWN = 24  # images of a kind
_TABLE_CLASSES = 16  # a confusion matrix of more is a picture,
_TABLE_DIGITS = 40  # and so is one whose rows would have more digits: a phone could not show them
_MASK_WIDTHS = (480, 1026)  # pixels that a mask takes on the page, beside others and alone


@dataclass(frozen=True)
class Gallery:
    """Images of one kind: how many there are, and (address, caption, alternative text)."""

    title: str
    note: str
    total: int
    images: list[tuple[str, str, str]]


def run_page(path: Path, test: Path | None = None) -> str:
    """The page of the report in a file; test: where its test dataset lies now.

    Files that the report names are looked for where they were, and beside the report. Raises
    FileError, OSError.
    """
    report = read_report(path)
    names = class_names(report)
    missing: list[str] = []
    galleries = list(_galleries(report, path, test, names, missing))
    where, clock = _PLACES.get(report["target"], (f"a board at {report['target']}",
                                                  "by the board's clock"))
    if report["target"].replace("\\", "/").endswith("pico/port"):  # of `priot pico`
        where, clock = _PLACES["emulator"]
    return render(
        "run.html", report=report, source=path.name, names=names, where=where,
        network=Path(report["model"]).stem, test_name=_name_of(report, "test"),
        train_name=_name_of(report, "train"), training_time=_training_time(report, clock),
        right=_right(report), classes=_classes(report, names), matrices=_matrices(report, names),
        confused=_confused(report, names), galleries=galleries,
        masks=list(_masks(report, path, missing)), missing=missing, pruned=_pruned(report),
        prunes=report["method"] in METHODS and METHODS[report["method"]].rule == f.PRUNE,
        curves=run_plots.all_plots(report), options=_options(report))


def class_names(report: dict[str, Any]) -> list[str]:
    """Names of the classes, their numbers where the report has none."""
    return report["names"] or [str(i) for i in range(len(report["confusion"] or ()))]


def _name_of(report: dict[str, Any], what: str) -> str | None:
    entry = (report["files"] or {}).get(what)
    return Path(entry["path"]).name if entry else None


def _training_time(report: dict[str, Any], clock: str) -> str | None:
    """Time inside epochs, by the clock of what trained; tests are not counted."""
    seconds = sum(e["us_per_sample"] * e["samples"] for e in report["history"]) / 1e6
    if not clock or not seconds:
        return None
    if seconds < 90:
        return f"{seconds:.1f} s {clock}"
    return f"{seconds / 60:.1f} min {clock}"


def _right(report: dict[str, Any]) -> tuple[int, int] | None:
    """Test images right before and after."""
    if report["confusion"] is None:
        return None
    after = sum(row[i] for i, row in enumerate(report["confusion"]))
    if report["confusion_before"] is None:
        return round(report["accuracy_before"] * report["test_images"] / 100), after
    return sum(row[i] for i, row in enumerate(report["confusion_before"])), after


def _classes(report: dict[str, Any], names: list[str]) -> list[dict[str, Any]]:
    """A row for each class that the test has images of, and for those it has none of."""
    before = report["confusion_before"]
    rows = []
    for i, row in enumerate(report["confusion"] or ()):
        total = sum(row)
        rows.append({"name": names[i], "total": total, "after": row[i],
                     "percent": 100 * row[i] / max(1, total),
                     "before": before[i][i] if before else None,
                     "percent_before": 100 * before[i][i] / max(1, total) if before else None})
    return rows


def _matrices(report: dict[str, Any], names: list[str]) -> list[dict[str, Any]]:
    """Confusion matrices after and before: rows of (count, share of the row in percent)."""
    found: list[dict[str, Any]] = []
    for title, key in (("After", "confusion"), ("Before", "confusion_before")):
        rows = report[key]
        if rows is None:
            continue
        digits = len(rows) * len(str(max(map(max, rows))))
        if len(rows) > _TABLE_CLASSES or digits > _TABLE_DIGITS:
            found.append({"title": title, "plot": run_plots.matrix(title, rows, names)})
            continue
        found.append({"title": title, "plot": None, "rows": [
            (name, [(count, round(100 * count / max(1, sum(row)))) for count in row])
            for name, row in zip(names, rows, strict=True)]})
    return found


def _confused(report: dict[str, Any], names: list[str]) -> list[tuple[str, str, int]]:
    """The most frequent mistakes after training: label, predicted, count."""
    pairs = [(count, i, j) for i, row in enumerate(report["confusion"] or ())
             for j, count in enumerate(row) if i != j and count]
    pairs.sort(key=lambda pair: (-pair[0], pair[1:]))
    return [(names[i], names[j], count) for count, i, j in pairs[:5]]


# ---- images ------------------------------------------------------------------------------------


def _found(entry: dict[str, str] | None, report_path: Path) -> Path | None:
    """The file that a report names, unchanged: where it was, or beside the report."""
    if entry is None:
        return None
    path = Path(entry["path"])
    for place in (path, report_path.parent / path.name):
        try:
            if read_crc(place) == entry["crc32"]:
                return place
        except (OSError, ValueError):  # not there; a name that no file can have
            continue
    return None


def _test_dataset(report: dict[str, Any], path: Path, test: Path | None) -> Dataset | str:
    """The images that were tested, or why there are none to show."""
    entry = (report["files"] or {}).get("test")
    if not report["test_images"]:
        return "no images: nothing was tested (--test)"
    if report["error_after"] is not None:
        return "no images: errors of single samples are not kept"
    if report["predictions"] is None or entry is None:
        return ("no images: the report does not say which image was taken for which class; "
                "'priot train' with --test, --json and --save writes one that does")
    place = test if test is not None else _found(entry, path)
    if place is None:
        return (f"no images: {Path(entry['path']).name}, as it was tested, is not where it was; "
                "--test FILE says where it is")
    if read_crc(place) != entry["crc32"]:
        raise PriotError(place, "is not the dataset that was tested")
    dataset = Dataset.read(place)
    if len(dataset) != report["test_images"] or dataset.classes > len(report["confusion"]):
        raise PriotError(place, "does not fit the report")
    return dataset


def _galleries(report: dict[str, Any], path: Path, test: Path | None, names: list[str],
               missing: list[str]) -> Iterator[Gallery]:
    dataset = _test_dataset(report, path, test)
    if isinstance(dataset, str):
        missing.append(dataset)
        return
    before, after = (np.array(report["predictions"][when]) for when in ("before", "after"))
    labels = dataset.labels
    if report["names"] and set(dataset.names) <= set(names):  # the report has the model's numbers
        labels = np.array([names.index(name) for name in dataset.names] or range(256))[labels]
    right_before, right_after = before == labels, after == labels

    def gallery(title: str, which: np.ndarray, note: str, caption: str) -> Gallery:
        indices = np.flatnonzero(which)
        images = []
        for i in _of_every_class(indices, labels):
            values = {"label": names[labels[i]], "before": names[before[i]],
                      "after": names[after[i]]}
            images.append((pictures.picture(dataset.images[i]), caption.format(**values),
                           f"test image {i}: a {values['label']}, taken for {values['before']} "
                           f"before and for {values['after']} after"))
        return Gallery(title, note, len(indices), images)

    yield gallery("Became right", ~right_before & right_after, "label ← taken for before",
                  "{label} ← {before}")
    yield gallery("Still wrong", ~right_before & ~right_after, "label → taken for now",
                  "{label} → {after}")
    yield gallery("Became wrong", right_before & ~right_after, "label → taken for now",
                  "{label} → {after}")


def _of_every_class(indices: np.ndarray, labels: np.ndarray) -> list[int]:
    """At most _SHOWN indices, as many of every class as there can be, ordered by class."""
    order: dict[int, int] = {}
    turns = []
    for i in indices.tolist():
        label = int(labels[i])
        order[label] = order.get(label, 0) + 1
        turns.append((order[label], label, i))
    chosen = sorted(turns)[:_SHOWN]
    return [i for _, _, i in sorted(chosen, key=lambda turn: turn[1:])]


# ---- layers ------------------------------------------------------------------------------------


def _pruned(report: dict[str, Any]) -> list[dict[str, Any]]:
    """A row per trained layer."""
    rows = []
    for layer in report["layers"] or ():
        kept, trained = layer["kept"], layer["trained"]
        rows.append({**layer, "size": " × ".join(map(str, layer["shape"])),
                     "pruned": None if kept is None else trained - min(kept, trained),
                     "percent": None if kept is None or not trained
                     else 100 * (trained - min(kept, trained)) / trained})
    return rows


def _masks(report: dict[str, Any], path: Path, missing: list[str]) -> Iterator[dict[str, Any]]:
    """Pictures of which edges are pruned, of every layer that is small enough."""
    files = report["files"] or {}
    if not report["layers"] or report["layers"][0]["kept"] is None:
        return
    saved = files.get("saved") or files.get("mask")
    model_path, saved_path = _found(files.get("model"), path), _found(saved, path)
    if model_path is None or saved_path is None:
        missing.append("no pictures of masks: the model, or what was learned, is not where it "
                       "was, or has changed since")
        return
    model, adapter = Model.read(model_path), Adapter.read(saved_path)
    adapter.check_backbone(model, saved_path)
    model = model.with_classes(adapter.names[model.classes :])
    for layer in adapter.layers:
        stage = model.weight_stages[layer.index]
        edges = np.full(stage.rows.size, pictures.WITHOUT)
        edges[layer.edges(stage.rows)] = np.where(adapter.kept(layer), pictures.KEPT,
                                                  pictures.PRUNED)
        drawn = pictures.mask_picture(edges, stage.weight_shape)
        if drawn is None:
            missing.append(f"layer {layer.index} is too large for a picture of its mask")
            continue
        address, width, height = drawn
        wide = width > _MASK_WIDTHS[0] // 2
        n_pruned = int((edges == pictures.PRUNED).sum())
        yield {"layer": layer.index, "kind": stage.name, "address": address,
               "wide": wide, "width": width * max(1, _MASK_WIDTHS[wide] // max(width, height)),
               "alt": f"layer {layer.index}: {n_pruned:,} of {edges.size:,} edges are pruned"}


def _options(report: dict[str, Any]) -> list[tuple[str, str]]:
    return [("method", report["method"]),
            *((str(name), str(value)) for name, value in report["options"].items()),
            ("epochs", str(report["epochs"])), ("layout", report["layout"]),
            ("kernels", report["backend"])]
