"""`priot report`: the page says what the report says, shows it whole, and fetches nothing."""

import copy
import html
import json
import random
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from priot import cli
from priot.formats import Dataset
from priot.jobs.details import confusion
from priot.reports.run_page import run_page
from priot.reports.run_report import read_report
from report_support import FOREIGN, NEW, SHIPPED, make_run
from support import random_dataset, random_model


def text_of(page: str) -> str:
    """What a reader sees of a page, in one line."""
    body = re.sub(r"<style>.*?</style>", "", page, flags=re.S)
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", body)).split())


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return make_run(tmp_path_factory.mktemp("report"))


@pytest.fixture(scope="module")
def report(folder) -> dict:
    return json.loads((folder / "run.json").read_text())


@pytest.fixture(scope="module")
def page(folder) -> str:
    assert cli.main(["report", str(folder / "run.json"), "-o", str(folder / "run.html")]) == 0
    return (folder / "run.html").read_text()


# ---- what the report holds ------------------------------------------------------------------


def test_predictions_are_those_of_the_device(folder, report):
    """They come from the host: the device has counted the same, before and after."""
    labels = Dataset.read(folder / "test.prd").labels
    for when, key in (("before", "confusion_before"), ("after", "confusion")):
        assert confusion(labels, np.array(report["predictions"][when]), 10) == report[key]
    assert report["confusion_before"] != report["confusion"]


def test_command_repeats_the_run(folder, report):
    assert report["command"].startswith("priot train ") and "--seed 5" in report["command"]
    assert report["names"] == list(FOREIGN)
    assert {name: Path(file["path"]).name for name, file in report["files"].items()} == {
        "model": "<u>net.priot", "train": "train.prd", "test": "test.prd", "saved": "a.scores"}
    last = report["history"][-1]["pruned_by_layer"]
    pruned = [1000 * (layer["trained"] - layer["kept"]) / layer["trained"]
              for layer in report["layers"]]
    assert pruned == pytest.approx(last, abs=1)


def test_what_was_resumed_is_what_was_before(folder, tmp_path):
    """Also where the same file is then written."""
    shutil.copy(folder / "a.scores", tmp_path / "a.scores")
    files = [str(folder / name) for name in ("<u>net.priot", "train.prd", "test.prd")]
    assert cli.main(["train", files[0], files[1], "--test", files[2], "--epochs", "4", "--resume",
                     str(tmp_path / "a.scores"), "--save", str(tmp_path / "a.scores"), "--json",
                     str(tmp_path / "out.json")]) == 0
    report = json.loads((tmp_path / "out.json").read_text())
    labels = Dataset.read(files[2]).labels
    before = np.array(report["predictions"]["before"])
    assert confusion(labels, before, 10) == report["confusion_before"]
    assert report["predictions"]["before"] != report["predictions"]["after"]


# ---- what the page says ---------------------------------------------------------------------


def test_numbers_are_those_of_the_report(folder, report, page):
    text = text_of(page)
    before, after = report["accuracy_before"], report["accuracy_after"]
    assert f"{before:.1f} % before → {after:.1f} % after" in text
    assert "MicroPython's unix port on a PC" in text
    right = [sum(row[i] for i, row in enumerate(report[key]))
             for key in ("confusion_before", "confusion")]
    assert (f"{right[0]} of 449 test images were right before, {right[1]} are right after 3 "
            "epochs on 448 images") in text
    assert f"{report['peak_heap_bytes']:,} bytes" in text and report["command"] in text
    cells = [int(count) for count in re.findall(r'<td style="--share: \d+"[^>]*>(\d+)</td>', page)]
    expected = [*np.ravel(report["confusion"]), *np.ravel(report["confusion_before"])]
    assert cells == expected


@pytest.mark.parametrize("target, where, clock", [
    ("emulator", "an emulated Raspberry Pi Pico", "by the emulated Pico's clock"),
    ("build/pico/port", "an emulated Raspberry Pi Pico", "by the emulated Pico's clock"),
    ("qemu", "QEMU with the Pico's instruction set", None),
    ("/dev/ttyACM0", "a board at /dev/ttyACM0", "by the board's clock"),
])
def test_target_is_said_plainly(target, where, clock, report, tmp_path):
    (tmp_path / "run.json").write_text(json.dumps({**report, "target": target}))
    text = text_of(run_page(tmp_path / "run.json"))
    assert f"Ran on {where} " in text and "on the PC" not in text
    assert ("Time in training" in text) == (clock is not None) and (clock or "") in text


def test_images_are_counted_and_drawn(folder, report, page):
    labels = Dataset.read(folder / "test.prd").labels
    before, after = (np.array(report["predictions"][when]) == labels
                     for when in ("before", "after"))
    text = text_of(page)
    total = 0
    for title, which in (("Became right", ~before & after), ("Still wrong", ~before & ~after),
                         ("Became wrong", before & ~after)):
        assert f"{title}: {which.sum()}" in text
        total += min(24, which.sum())
    assert page.count('alt="test image ') == total > 24
    for layer in report["layers"]:
        assert (f"layer {layer['layer']}: {layer['trained'] - layer['kept']:,} of "
                f"{layer['edges']:,} edges are pruned") in page


def test_foreign_text_is_escaped(folder, page):
    for name in FOREIGN:
        assert html.escape(name).replace("&#x27;", "&#39;").replace("&quot;", "&#34;") in page
    assert "<u>" not in page and "<script" not in page and "{{" not in page.replace(
        "{{ 7*7 }}", "")


def test_page_is_one_file(page):
    assert not re.findall(r"<(?:link|script|iframe|object)\b", page)
    assert not re.findall(r"""(?:src|href)=["'](?!data:|#)""", page)
    assert "@import" not in page and not re.findall(r"url\((?!#)", page)


def test_report_without_the_new_keys(folder, report, tmp_path):
    old = {key: value for key, value in report.items() if key not in NEW}
    (tmp_path / "old.json").write_text(json.dumps(old))
    text = text_of(run_page(tmp_path / "old.json"))
    assert f"{report['accuracy_after']:.1f} % after" in text
    assert "No images: the report does not say which image was taken for which class" in text


def test_dataset_that_is_gone(folder, report, tmp_path, capsys):
    moved = copy.deepcopy(report)
    moved["files"]["test"]["path"] = "/nowhere/test.prd"
    (tmp_path / "run.json").write_text(json.dumps(moved))
    assert "No images: test.prd, as it was tested, is not where it was" in text_of(
        run_page(tmp_path / "run.json"))
    command = ["report", str(tmp_path / "run.json"), "-o", str(tmp_path / "out.html"), "--test"]
    assert cli.main([*command, str(folder / "test.prd")]) == 0
    assert "test image " in (tmp_path / "out.html").read_text()
    capsys.readouterr()
    assert cli.main([*command, str(folder / "train.prd")]) == 1
    assert capsys.readouterr().err == (
        f"priot: {folder / 'train.prd'}: is not the dataset that was tested\n")
    shutil.copy(folder / "test.prd", tmp_path)  # beside the report it is found again
    assert "test image " in run_page(tmp_path / "run.json")


@pytest.mark.parametrize("change, reason", [
    (lambda r: r.update(report_version=2), "a report of version 2, this priot reads "),
    (lambda r: r.pop("history"), "no report of 'priot train --json'"),
    (lambda r: r.update(epochs="three"), "epochs: expected an integer 0..9007199254740992"),
    (lambda r: r["history"][0].update(train_permille=1001),
     "history: 0: train_permille: expected an integer 0..1000"),
    (lambda r: r["confusion"][0].pop(), "confusion: expected as many rows as columns, 2..256"),
    (lambda r: r["predictions"]["after"].pop(), "predictions: after: expected one for every"),
    (lambda r: r["names"].pop(), "names: number: found 9, expected 0 or 10"),
])
def test_another_report_is_refused_in_a_line(change, reason, report, tmp_path, capsys):
    changed = copy.deepcopy(report)
    change(changed)
    (tmp_path / "run.json").write_text(json.dumps(changed))
    assert cli.main(["report", str(tmp_path / "run.json")]) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"priot: {tmp_path / 'run.json'}: {reason}") and said.count("\n") == 1


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"PRIM", b'{"a": NaN}', b"\xff\xfe", b"["
                                     * 100_000])
@pytest.mark.parametrize("name", ["run.json", "run.jsonl"])
def test_foreign_files_are_refused_in_a_line(name, content, tmp_path, capsys):
    (tmp_path / name).write_bytes(content)
    assert cli.main(["report", str(tmp_path / name)]) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"priot: {tmp_path / name}: ") and said.count("\n") == 1


def test_a_page_replaces_no_other_file(folder, capsys):
    for output, reason in (("a.scores", "expected a name that ends in .html"),
                           ("none/run.html", "its folder does not exist")):
        assert cli.main(["report", str(folder / "run.json"), "-o", str(folder / output)]) == 1
        assert reason in capsys.readouterr().err


def mutate(value, rng: random.Random):
    """A copy in which one entry, somewhere, is another."""
    others = (None, True, -1, 0, 3, 1e300, 2**70, "", "x", [], {}, [1], {"path": 1})
    if isinstance(value, (dict, list)) and value and rng.random() < 0.9:
        changed = copy.copy(value)
        key = rng.choice(list(value) if isinstance(value, dict) else range(len(value)))
        if rng.random() < 0.1:
            del changed[key]
        else:
            changed[key] = mutate(value[key], rng)
        return changed
    return rng.choice(others)


def test_mutated_reports_give_a_page_or_a_line(folder, report, tmp_path, capsys):
    rng = random.Random(3)
    path = tmp_path / "run.json"
    small = {**report, "history": report["history"][:2]}
    accepted = []
    for _ in range(600):
        path.write_text(json.dumps(mutate(small, rng)))
        try:
            read_report(path)
        except Exception as error:
            assert type(error).__name__ == "FileError", path.read_text()
        else:
            accepted.append(path.read_text())
    assert len(accepted) > 10
    for content in rng.sample(accepted, 6):
        path.write_text(content)
        status = cli.main(["report", str(path)])
        assert status == 0 or capsys.readouterr().err.startswith("priot: ")


def test_a_network_without_pictures_of_colours(tmp_path):
    """Images of any number of channels, and layers too large for a picture of their mask."""
    for channels in (1, 2, 3):
        model = random_model("flatten, linear 700, relu, linear 4", (channels, 6, 6), 2, 4)
        data = random_dataset(model, 30, 3)
        model.write(tmp_path / "m.priot")
        data.write(tmp_path / "d.prd")
        assert cli.main(["train", str(tmp_path / "m.priot"), str(tmp_path / "d.prd"), "--test",
                         str(tmp_path / "d.prd"), "--epochs", "1", "--mask",
                         str(tmp_path / "m.adapter"), "--heap", "1000000", "--json",
                         str(tmp_path / "run.json")]) == 0
        text = text_of(run_page(tmp_path / "run.json"))
        assert "Layer 0 is too large for a picture of its mask" in text
        assert "Still wrong" in text


# ---- experiments ----------------------------------------------------------------------------


def test_experiment_page_has_the_table(tmp_path):
    assert cli.main(["report", str(SHIPPED / "digits.jsonl"), "-o", str(tmp_path / "x.html")]) == 0
    text = text_of((tmp_path / "x.html").read_text())
    lines = (SHIPPED / "digits.md").read_text().splitlines()
    assert lines[0].removeprefix("# ") in text
    rows = [line.strip("| ").split(" | ") for line in lines if line.startswith("| ")]
    cells = [cell.strip() for row in rows[2:] for cell in row if cell.strip()]
    assert len(cells) > 100 and [cell for cell in cells if cell not in text] == []


def test_mutated_results_give_a_page_or_a_line(tmp_path, capsys):
    rng = random.Random(4)
    lines = (SHIPPED / "digits.jsonl").read_text().splitlines()[:16]
    path = tmp_path / "x.jsonl"
    for i in range(12):
        changed = json.dumps(mutate(json.loads(rng.choice(lines)), rng))
        path.write_text("\n".join([*(lines if i % 4 == 0 else lines[:1]), changed]) + "\n")
        status = cli.main(["report", str(path)])
        said = capsys.readouterr().err
        assert status == 0 or (said.startswith("priot: ") and said.count("\n") == 1), changed


def test_images_of_a_dataset_with_other_numbers(tmp_path):
    """Classes go by their names: the dataset counts them in another order than the model."""
    model = random_model("flatten, linear 3", (1, 4, 4), 2, classes=3)
    model.names = ("cat", "dog", "owl")
    model.write(tmp_path / "net.priot")
    data = random_dataset(model, 60, 3)
    data.names = ("owl", "cat", "dog")
    data.write(tmp_path / "test.prd")
    assert cli.main(["train", *(str(tmp_path / name) for name in ("net.priot", "test.prd")),
                     "--test", str(tmp_path / "test.prd"), "--epochs", "2", "--save",
                     str(tmp_path / "a.scores"), "--json", str(tmp_path / "run.json")]) == 0
    report = json.loads((tmp_path / "run.json").read_text())
    numbers = np.array([2, 0, 1])[data.labels]
    for when, key in (("before", "confusion_before"), ("after", "confusion")):
        assert confusion(numbers, np.array(report["predictions"][when]), 3) == report[key]
    wrong = (np.array(report["predictions"]["after"]) != numbers) & (
        np.array(report["predictions"]["before"]) != numbers)
    page = text_of(run_page(tmp_path / "run.json"))
    assert re.search(rf"Still wrong\W+{wrong.sum()}\b", page), page
