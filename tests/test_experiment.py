"""`priot experiment`: grids are run, resumed, reproduced and tabulated."""

import contextlib
import dataclasses
import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from priot import cli
from priot.backbone.quantize import calibrate
from priot.errors import PriotError
from priot.experiments import cluster, workbench
from priot.experiments.results import ResultsFile, find_line, run_of
from priot.experiments.spec import Spec
from priot.experiments.table import markdown, spread
from priot.experiments.workbench import Workbench, collapsed, pico_ram_bytes
from priot.formats import Model
from priot.paths import BACKBONES, ROOT
from support import HANG_S, ends, random_dataset, random_model

SHIPPED = ROOT / "host_tools" / "experiments"
NETWORK = "conv 4 3, relu, maxpool 2, flatten, linear 12, relu, linear 10"
SPEC = """
title = "Small"
backbones = ["small.priot"]
angles = [0, 30]
seeds = [1, 2]
epochs = {epochs}
heap = {heap}

[data]
train_file = "train.prd"
test_file = "test.prd"
pretrain_file = "pretrain.prd"
train = 30

[[methods]]
name = "plain weights"
method = "weights"

[[methods]]
name = "a few gains"
method = "gain"
fraction = 20
select = "random"

[[methods]]
name = "naive shifts"
method = "weights"
calibration = "naive"
"""
RUNS = 12


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A small specification with its backbone and datasets."""
    folder = tmp_path_factory.mktemp("experiment")
    model = random_model(NETWORK, (1, 12, 12), seed=3)
    for name, n, seed in (("train", 40, 1), ("test", 50, 2), ("pretrain", 30, 3)):
        data = random_dataset(model, n, seed)
        data.write(folder / f"{name}.prd")
    calibrate(model, data)
    model.write(folder / "small.priot")
    (folder / "small.toml").write_text(SPEC.format(epochs=2, heap=1_000_000))
    return folder


@pytest.fixture(scope="module")
def finished(folder) -> Path:
    """Where the whole experiment has been run."""
    output = folder / "finished"
    assert cli.main(["experiment", str(folder / "small.toml"), "-o", str(output)]) == 0
    return output


def lines(output: Path) -> list[dict]:
    return [json.loads(line) for line in (output / "small.jsonl").read_text().splitlines()]


def without_time(results: list[dict]) -> list[str]:
    return sorted(json.dumps(dict(result, seconds=0), sort_keys=True) for result in results)


def test_a_line_per_run_and_a_table(folder, finished):
    results = lines(finished)
    spec = Spec.read(folder / "small.toml")
    assert len(results) == RUNS
    runs = {(r["name"], r["angle"], r["seed"]) for r in results}
    assert runs == {(m["name"], a, s) for m in spec.methods for a in (0, 30) for s in (1, 2)}
    for result in results:
        run = run_of(result, "line")
        assert result["pico_ram_bytes"] == pico_ram_bytes(folder / "small.priot", run)
        assert result["presentations"] == 60 and 0 <= result["after"] <= 100
        assert result["collapsed"] == collapsed(result["before"], result["after"], 10)
    page = (finished / "small.md").read_text()
    assert page == markdown(spec, list(ResultsFile(finished / "small.jsonl").results.values()))
    assert page.splitlines()[0] == "# Small"
    assert [row.split("|")[1].strip() for row in page.splitlines() if row.startswith("|")] == [
        "method", "---", "before", "plain weights", "a few gains", "naive shifts"]
    assert (finished / "small.png").stat().st_size > 10_000


def test_what_makes_runs_differ(finished):
    """Seeds draw other transfer images, angles turn them, naive calibration makes other shifts."""
    results = lines(finished)

    def values(field: str, **chosen: object) -> set:
        return {r[field] for r in results if all(r[k] == v for k, v in chosen.items())}

    assert len(values("train_crc32")) == 4 and len(values("test_crc32")) == 2
    assert len(values("model_crc32")) == 2
    assert values("model_crc32", calibration="usual").isdisjoint(
        values("model_crc32", calibration="naive"))
    assert values("edges", name="a few gains") < values("edges") and len(values("weights")) == 1
    assert len(values("before", calibration="usual", angle=0)) == 1


def test_goes_on_where_it_was(folder, finished, tmp_path, monkeypatch):
    """Done runs are not done again; a torn last line is; the end is the same."""
    whole = (finished / "small.jsonl").read_bytes()
    cut = whole.splitlines(keepends=True)
    (tmp_path / "small.jsonl").write_bytes(b"".join(cut[:4]) + cut[4][:100])
    done = []
    real = Workbench.do
    monkeypatch.setattr(Workbench, "do", lambda bench, run: done.append(run) or real(bench, run))
    command = ["experiment", str(folder / "small.toml"), "-o", str(tmp_path), "--jobs", "1"]
    assert cli.main(command) == 0
    assert len(done) == RUNS - 4
    assert without_time(lines(tmp_path)) == without_time(lines(finished))
    assert (tmp_path / "small.md").read_text() == (finished / "small.md").read_text()
    assert cli.main(command) == 0
    assert len(done) == RUNS - 4
    assert cli.main([*command, "--fresh"]) == 0
    assert len(done) == 2 * RUNS - 4


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_interrupted_anywhere_it_can_go_on(folder, tmp_path, how):
    """What is done is kept, no process is left behind, and the same command goes on."""
    (folder / "long.toml").write_text(SPEC.format(epochs=400, heap=1_000_000))
    command = [sys.executable, "-m", "priot.cli", "experiment", str(folder / "long.toml"),
               "-o", str(tmp_path), "--jobs", "2"]
    results = tmp_path / "long.jsonl"
    process = subprocess.Popen(command, cwd=ROOT, text=True, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE)
    deadline = time.monotonic() + HANG_S
    while not results.exists() and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.05)
    before = len(results.read_text().splitlines())
    process.send_signal(how)
    output, errors = process.communicate(timeout=HANG_S)
    n = len(results.read_text().splitlines())
    assert 1 <= n <= before + 1, "the runs under way were awaited, not given up"
    if how == signal.SIGINT:
        assert process.returncode == 130
        assert f"the same command goes on from {results}" in output
        assert errors.splitlines()[-1] == "priot: stopped: interrupted from the keyboard"
    for pid in trainers(folder):
        ends(pid)  # MicroPython does not go on without its experiment
    assert len(ResultsFile(results).results) == n


def trainers(folder: Path) -> list[int]:
    """Processes that train files of a folder."""
    return [pid for pid, text in commands() if str(folder) in text]


def trained_by(parent: int, epochs: int) -> list[int]:
    """Processes that train so many epochs for the workers of a process."""
    found = []
    for pid, text in commands():
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            if fields[1] == str(parent) and f"'epochs': {epochs}" in text:
                found.append(pid)
    return found


def commands() -> Iterator[tuple[int, str]]:
    """Processes that train, and their command lines."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it has just ended
            text = path.read_bytes().decode(errors="replace")
            if "priot.remote" in text:
                yield int(path.parent.name), text


def test_results_of_other_files_are_not_gone_on_from(folder, tmp_path, capsys):
    """Another backbone of the same name, or other images: what is there is of no use."""
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in folder.glob("*.pr*"):
        shutil.copy(path, copy)
    (copy / "small.toml").write_text(SPEC.format(epochs=1, heap=1_000_000))
    command = ["experiment", str(copy / "small.toml"), "-o", str(tmp_path / "out")]
    assert cli.main(command) == 0
    capsys.readouterr()
    random_model(NETWORK, (1, 12, 12), seed=4).write(copy / "small.priot")
    assert cli.main(command) == 1
    assert "model_crc32 is " in capsys.readouterr().err
    shutil.copy(folder / "small.priot", copy)
    shutil.copy(folder / "test.prd", copy / "train.prd")
    results = tmp_path / "out" / "small.jsonl"
    results.write_text("".join(line + "\n" for line in results.read_text().splitlines()[:-1]))
    assert cli.main(command) == 1
    assert "train_crc32 is " in capsys.readouterr().err


def test_naive_shifts_of_backbones_of_one_name(folder, tmp_path):
    """Each gets its own."""
    bench = Workbench(tmp_path)
    found = []
    for i, seed in enumerate((7, 8)):
        path = tmp_path / str(i) / "own.priot"
        path.parent.mkdir()
        random_model(NETWORK, (1, 12, 12), seed=seed).write(path)
        run = next(run for run in Spec.read(folder / "small.toml").runs()
                   if run.calibration == "naive")
        made = bench._model(dataclasses.replace(run, backbone=str(path)))
        found.append([stage.weights.tobytes() for stage in Model.read(made).weight_stages])
        assert found[-1] == [stage.weights.tobytes() for stage in Model.read(path).weight_stages]
    assert found[0] != found[1]


def test_a_run_is_reproduced_from_its_line(finished, tmp_path, capsys):
    text = (finished / "small.jsonl").read_text().splitlines()[2]
    for name in (text, f"{finished}/small.jsonl:3"):
        report = tmp_path / "report.json"
        assert cli.main(["experiment", "--rerun", name, "--json", str(report)]) == 0
        output = capsys.readouterr().out
        assert "the same as the line says" in output
        curve = " ".join(map(str, json.loads(text)["train_permille"]))
        assert f"train_permille of each epoch: {curve}" in output
        assert without_time([json.loads(report.read_text())]) == without_time([json.loads(text)])


def test_what_is_not_reproduced_is_shown(finished, capsys):
    result = find_line(f"{finished}/small.jsonl:1")
    result["after"] += 2
    assert cli.main(["experiment", "--rerun", json.dumps(result)]) == 1
    output = capsys.readouterr().out
    assert f"after: found {result['after'] - 2}, the line has {result['after']}" in output
    assert "not as the line says" in output


@pytest.mark.parametrize("text, reason", [
    ("nonsense", "found 'nonsense', expected a line of a results file, or FILE:NUMBER"),
    ("{}", "no result of a run"), ("{", "not JSON"), ("{file}:99", "has 12 lines, found 99"),
])
def test_bad_lines_are_refused(finished, capsys, text, reason):
    text = text.replace("{file}", f"{finished}/small.jsonl")
    assert cli.main(["experiment", "--rerun", text]) == 1
    error = capsys.readouterr().err
    assert reason in error and error.count("\n") == 1


def test_a_damaged_results_file_is_refused(folder, finished, tmp_path, capsys):
    data = (finished / "small.jsonl").read_text().splitlines()
    (tmp_path / "small.jsonl").write_text("\n".join([data[0], data[1][:50], data[2]]) + "\n")
    assert cli.main(["experiment", str(folder / "small.toml"), "-o", str(tmp_path)]) == 1
    assert "small.jsonl: line 2: not JSON" in capsys.readouterr().err


def test_a_failing_run_is_named(folder, tmp_path, capsys):
    """The reason of the device in one line; nothing is written of that run."""
    text = SPEC.format(epochs=1, heap=1_000_000) + "keep = 97\n"
    text = text.replace('method = "weights"\ncalib', 'method = "priot"\ncalib')
    (folder / "failing.toml").write_text(text)
    command = ["experiment", str(folder / "failing.toml"), "-o", str(tmp_path), "--jobs", "1"]
    assert cli.main(command) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("priot: naive shifts, ") and "keep: 97 %, expected 1..96" in error
    assert [r["name"] for r in map(json.loads, open(tmp_path / "failing.jsonl"))] == [
        "plain weights", "a few gains"]


@pytest.mark.parametrize("old, new, reason", [
    ("epochs = 2", "epochs = 0", "epochs: found 0, expected 1..65535"),
    ("epochs = 2", "epoch = 2", "unknown entry epoch"),
    ("epochs = 2", "epochs = ", "not TOML"),
    ("epochs = 2", "like = 3", "like: found 3, expected the name of a file"),
    ("epochs = 2", 'like = "nowhere.toml"', "nowhere.toml: no such file"),
    ("angles = [0, 30]", "angles = []", "angles: found []"),
    ("angles = [0, 30]", "angles = [0, 0]", "angles: [0, 0] holds one twice"),
    ("angles = [0, 30]", "", "angles: found None"),
    ("seeds = [1, 2]", "seeds = [-1]", "seeds: found [-1]"),
    ("heap = 1000000", "heap = 100", "heap: found 100"),
    ('method = "gain"', 'method = "gains"', "methods 2: method: found gains"),
    ('select = "random"', "select = 1", "methods 2: select: found 1, expected a word"),
    ("fraction = 20", 'fraction = "20"', "methods 2: fraction: found '20'"),
    ("fraction = 20", "seed = 20", "methods 2: unknown entry seed"),
    ('calibration = "naive"', 'calibration = "none"', "methods 3: calibration: found none"),
    ('name = "naive shifts"', 'name = "a few gains"', "two methods are named 'a few gains'"),
    ('pretrain_file = "pretrain.prd"', "", "needs source, or"),
    ('test_file = "test.prd"', 'source = "moon"', "data: source: found moon"),
    ("train = 30", "train = 0", "data: train: found 0"),
    ("small.priot", "none.priot", "neither a model file nor one of"),
    ("train = 30", "train = 41", "--subset: found 41, expected 1..40"),
    ("train = 30", "test = 51", "test: found 51, expected 1..50"),
])
def test_bad_specifications_are_refused(folder, tmp_path, capsys, old, new, reason):
    good = SPEC.format(epochs=2, heap=1_000_000)
    assert old in good
    (folder / "bad.toml").write_text(good.replace(old, new))
    assert cli.main(["experiment", str(folder / "bad.toml"), "-o", str(tmp_path)]) == 1
    assert reason in capsys.readouterr().err.splitlines()[-1]


def test_collapse():
    """Below the accuracy before training, or below twice chance: either is enough."""
    assert collapsed(before=30.0, after=29.99, classes=10)
    assert not collapsed(before=30.0, after=30.0, classes=10)
    assert collapsed(before=10.0, after=19.99, classes=10)
    assert not collapsed(before=10.0, after=20.0, classes=10)
    assert collapsed(before=45.0, after=60.0, classes=3)


def test_table_by_hand(folder):
    """Means, sample deviations and worst runs of two seeds."""
    spec = Spec.read(folder / "small.toml")
    results = []
    for i, run in enumerate(spec.runs()):
        if run.name == "plain weights":
            results.append(dict(
                vars(run), before=40.0 + run.angle, after=90.0 + run.seed, collapsed=i == 0,
                backward_passes=10 * run.seed, edges=1234, presentations=60,
                pico_ram_bytes={"small": 5000 + run.seed, "kept": 7000}))
    page = markdown(spec, results).splitlines()
    assert "| before | 40.0 | 70.0 |  |  |  |  |  |" in page
    assert ("| plain weights | 91.5 ± 0.7 (91.0) | 91.5 ± 0.7 (91.0) | 1 of 4 | 15 | 1,234 "
            "| 5,001-5,002 | 7,000 |") in page
    assert "| a few gains | - | - | - | - | - | - | - |" in page
    assert "4 of 12 runs" in page[2] and "of 60 presentations" in "\n".join(page)
    assert spread([95.25]) == "95.2" and spread([]) == "-"


@pytest.mark.parametrize("name", ["digits", "mnist", "mnist-still"])
def test_shipped_tables_are_those_of_their_results(name):
    """Every run is there, and the page is what the results make."""
    spec = Spec.read(SHIPPED / f"{name}.toml")
    results = ResultsFile(SHIPPED / f"{name}.jsonl").results
    assert sorted(results) == sorted(run.key for run in spec.runs())
    done = [results[run.key] for run in spec.runs()]
    assert (SHIPPED / f"{name}.md").read_text() == markdown(spec, done)
    assert all((BACKBONES / f"{backbone}.priot").exists() for backbone in spec.backbones)


@pytest.mark.parametrize("number", [1, 8])
def test_a_shipped_line_is_reproduced(number):
    """The figures of the table of digits are those of this code."""
    assert cli.main(["experiment", "--rerun", f"{SHIPPED}/digits.jsonl:{number}"]) == 0


def test_mnist_needs_its_folder(tmp_path, capsys):
    assert cli.main(["experiment", str(SHIPPED / "mnist.toml"), "-o", str(tmp_path)]) == 1
    assert "needs a folder of idx files" in capsys.readouterr().err


def test_keys_do_not_depend_on_the_order_of_options(folder):
    """A specification that is only reordered resumes the same runs."""
    keys = {run.key for run in Spec.read(folder / "small.toml").runs()}
    text = SPEC.format(epochs=2, heap=1_000_000).replace(
        'fraction = 20\nselect = "random"', 'select = "random"\nfraction = 20')
    (folder / "reordered.toml").write_text(text)
    assert {run.key for run in Spec.read(folder / "reordered.toml").runs()} == keys
    assert len(keys) == RUNS


def test_jobs_are_checked(folder, capsys):
    assert cli.main(["experiment", str(folder / "small.toml"), "--jobs", "0"]) == 1
    assert "--jobs: found 0, expected at least 1" in capsys.readouterr().err
    with pytest.raises(PriotError):
        find_line("x:y")


# ---- on a cluster ----

CLUSTER = """
from distributed import LocalCluster
with LocalCluster(n_workers=2, threads_per_worker=1, processes=False, protocol="tcp://",
                  dashboard_address=None) as c:
    print(c.scheduler_address, flush=True)
    input()
"""


@pytest.fixture(scope="module")
def process() -> Iterator[subprocess.Popen]:
    """A scheduler and two workers; its first line is their address."""
    with subprocess.Popen([sys.executable, "-c", CLUSTER], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.communicate("\n", timeout=HANG_S)


@pytest.fixture(scope="module")
def address(process) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_workers_do_the_runs(folder, finished, address, tmp_path, monkeypatch):
    """The same lines and the same table as without them; they get no file but by the scheduler."""
    def here(*_: object) -> None:
        raise AssertionError("done here")

    monkeypatch.setattr(workbench, "measure", here)
    command = ["experiment", str(folder / "small.toml"), "-o", str(tmp_path), "--scheduler",
               address]
    assert cli.main(command) == 0
    assert without_time(lines(tmp_path)) == without_time(lines(finished))
    assert (tmp_path / "small.md").read_text() == (finished / "small.md").read_text()


def test_a_run_that_fails_is_named(folder, address, tmp_path, capsys):
    text = SPEC.format(epochs=1, heap=1_000_000) + "keep = 97\n"
    text = text.replace('method = "weights"\ncalib', 'method = "priot"\ncalib')
    (folder / "failing.toml").write_text(text)
    command = ["experiment", str(folder / "failing.toml"), "-o", str(tmp_path), "--scheduler",
               address]
    assert cli.main(command) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("priot: naive shifts, ") and "keep: 97 %, expected 1..96" in error
    assert "--scheduler: worker " in error


def test_interrupted_workers_stop(folder, process, address, tmp_path):
    """They do not go on without their experiment."""
    (folder / "endless.toml").write_text(SPEC.format(epochs=65535, heap=1_000_000))
    command = [sys.executable, "-m", "priot.cli", "experiment", str(folder / "endless.toml"),
               "-o", str(tmp_path), "--scheduler", address]
    experiment = subprocess.Popen(command, cwd=ROOT, text=True, stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE)
    deadline = time.monotonic() + HANG_S
    working: list[int] = []
    while len(working) < 2 and time.monotonic() < deadline and experiment.poll() is None:
        time.sleep(0.05)
        working = trained_by(process.pid, 65535)
    experiment.send_signal(signal.SIGINT)
    output, errors = experiment.communicate(timeout=HANG_S)
    assert experiment.returncode == 130 and len(working) == 2, errors
    assert f"the same command goes on from {tmp_path}/endless.jsonl" in output
    assert errors.splitlines()[-1] == "priot: stopped: interrupted from the keyboard"
    for pid in working:
        ends(pid)
    assert not trained_by(process.pid, 65535)


def test_workers_of_another_version_are_refused(folder, address, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(cluster, "version", lambda name: "0.0.1")
    command = ["experiment", str(folder / "small.toml"), "-o", str(tmp_path), "--scheduler",
               address]
    assert cli.main(command) == 1
    assert "here it is 0.0.1" in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize("found, reason", [
    ("tcp://127.0.0.1:1", "--scheduler: tcp://127.0.0.1:1: "),
    ("no:where:at", "--scheduler: no:where:at: "),
])
def test_no_scheduler_is_one_line(folder, tmp_path, capsys, monkeypatch, found, reason):
    monkeypatch.setattr(cluster, "_CONNECT_S", 0.5)
    command = ["experiment", str(folder / "small.toml"), "-o", str(tmp_path), "--scheduler", found]
    assert cli.main(command) == 1
    error = capsys.readouterr().err.splitlines()
    assert len(error) == 1 and error[0].startswith(f"priot: {reason}")


def test_without_dask_it_says_what_to_install(folder, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    command = ["experiment", str(folder / "small.toml"), "-o", str(tmp_path), "--scheduler", "x:1"]
    assert cli.main(command) == 1
    assert capsys.readouterr().err == ("priot: --scheduler: the package distributed is not "
                                       "installed; pip install priot[dask]\n")


def test_jobs_are_of_this_machine(folder, capsys):
    with pytest.raises(SystemExit):
        cli.main(["experiment", str(folder / "small.toml"), "--jobs", "2", "--scheduler", "x:1"])
    assert "not allowed with argument --jobs" in capsys.readouterr().err
