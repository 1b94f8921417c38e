"""A person at the REPL of the emulated Pico: real firmware, real mpremote, the native module."""

import ast
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from pico_support import Person, most_of_the_package, priot, running_pico
from priot.jobs.protocol import PICO_HEAP_BYTES
from priot.network.named import network_line
from priot.paths import BACKBONES, DEVICE, ROOT
from support import HANG_S, micropython, random_dataset, random_model

TUTORIAL = DEVICE / "README.md"
SAMPLES = 36
LEAST_FREE_BYTES = 47_500
BLOCK_BYTES = 16  # of MicroPython's heap, in which micropython.mem_info() counts

# The same on the unix port, stopped after as many samples.
SAME_SAMPLES = """
import sys, priot
net = priot.load(sys.argv[1])
t = priot.Trainer(net, seed=5)
t.fit(sys.argv[2], epochs=1, verbose=False)
left = int(sys.argv[3])
def stop():
    global left
    left -= 1
    return left < 0
t.fit(sys.argv[2], epochs=50, verbose=False, stop=stop)
print(t.evaluate(sys.argv[4]))
t.save(sys.argv[5])
"""


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict[str, Path]:
    """Network A, some dozens of samples to learn, some to test."""
    folder = tmp_path_factory.mktemp("files")
    model = random_model(network_line("network-a", 10), (1, 28, 28), seed=1)
    model.write(folder / "a.priot")
    random_dataset(model, SAMPLES, seed=1).write(folder / "train.prd")
    random_dataset(model, 24, seed=2).write(folder / "test.prd")
    return {path.name: path for path in sorted(folder.iterdir())}


def heap(person: Person) -> tuple[int, int]:
    """Free bytes of heap, and the largest free block."""
    text = person.type("gc.collect(); micropython.mem_info()")
    free, largest = re.search(r"free: (\d+)", text), re.search(r"max free sz: (\d+)", text)
    assert free and largest, text
    return int(free[1]), int(largest[1]) * BLOCK_BYTES


def test_a_session_at_the_repl(files, tmp_path):
    """Import, load, train, Ctrl-C, evaluate, save, soft reset, load: the same predictions."""
    with running_pico(tmp_path / "pico", {n: p.read_bytes() for n, p in files.items()}) as pico:
        person = Person(pico.port)
        person.type("import gc, micropython, priot")
        assert "Trainer" in person.type("priot.help()")
        person.type('net = priot.load("a.priot")')
        assert "native backend" in person.type("net")
        before = heap(person)
        person.type("t = priot.Trainer(net, seed=5)")
        assert "train" in person.type('_ = t.fit("train.prd", epochs=1)')
        during = heap(person)
        print(f"\nheap, network A, free and largest block: {before} before, {during} in training")
        assert min(during) >= LEAST_FREE_BYTES

        person.press(b'_ = t.fit("train.prd", epochs=50)\r')
        person.wait_for(b"epoch   2")
        time.sleep(1)
        person.press(b"\x03")
        stopped = person.answer()
        found = re.search(r"learned in (\d+) epochs? and (\d+) samples? is kept", stopped)
        assert found, stopped
        epochs, samples = int(found[1]), int(found[2])
        learned = person.type('t.evaluate("test.prd")')
        person.type('t.save("a.scores")')

        person.press(b"\x04")
        assert "MPY: soft reboot" in person.answer()
        assert "NameError" in person.type("net")
        person.type('import priot; net = priot.load("a.priot"); net.apply("a.scores")')
        person.type("from priot.evaluation import Evaluation")
        assert person.type('Evaluation.of(net, "test.prd")') == learned
        person.type("t = priot.Trainer(net, seed=9)")
        person.type('t.load("a.scores")')
        assert person.type('t.evaluate("test.prd")') == learned
        person.leave()
        pulled = priot("pull", "--port", pico.port, "-o", tmp_path)
        assert pulled.returncode == 0, pulled.stderr

    there = tmp_path / "there.scores"
    result = micropython(SAME_SAMPLES, str(files["a.priot"]), str(files["train.prd"]),
                         str((epochs - 1) * SAMPLES + samples), str(files["test.prd"]), str(there),
                         backend="native")
    assert result.stdout.strip() == learned
    assert (tmp_path / "a.scores").read_bytes() == there.read_bytes()


def blocks(kind: str) -> list[list[str]]:
    """The lines of every block of one kind in the tutorial, in order."""
    found = re.findall(rf"^```{kind}\n(.*?)^```$", TUTORIAL.read_text(), re.M | re.S)
    return [text.replace("\\\n", " ").splitlines() for text in found]


def test_every_line_of_the_tutorial(tmp_path):
    """Commands of the shell, lines at the prompt and the script, one after the other."""
    data, copy, commands, compared, push = blocks("sh")
    *sessions, script = blocks("python")
    with running_pico(tmp_path / "pico", most_of_the_package(), with_package=False) as pico:
        environment = dict(os.environ, PORT=pico.port, BACKBONES=str(BACKBONES), PYTHONPATH=str(
            ROOT), PATH=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")

        def run(command: list[str]) -> str:
            result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True,
                                    text=True, timeout=HANG_S)
            assert result.returncode == 0, result.stderr
            return result.stdout

        for line in data + copy:
            run(["sh", "-c", line])
        person = Person(pico.port)
        for session in sessions:
            answers = {line: person.type(line.removeprefix(">>> "), 180) for line in session}
            assert not [text for text in answers.values() if "Traceback" in text], answers
            person.press(b"\x04")
            person.answer()
        person.leave()
        assert re.search(r"\(\d, \d\)", "".join(answers.values()))
        for line in commands:
            run(["sh", "-c", line])
        assert "upright.prd" in [run(["sh", "-c", line]) for line in compared][1]
        assert json.loads((tmp_path / "report.json").read_text())["accuracy_after"] > 80
        assert "% of the captured right" in run([sys.executable, "-c", "\n".join(script)])
        listed = [run(["sh", "-c", line]) for line in push]
        assert "more.prd: 40 samples" in listed[1] and "tilted.adapter" in listed[2]


def test_the_prompt_on_this_machine(files, tmp_path):
    """`priot repl`: the package and its native module in a Pico's heap, files of this folder."""
    for name in ("a.priot", "test.prd"):
        (tmp_path / name).write_bytes(files[name].read_bytes())
    master, slave = os.openpty()
    command = [sys.executable, "-m", "priot.cli", "repl"]
    with subprocess.Popen(command, cwd=tmp_path, stdin=slave, stdout=slave, stderr=slave,
                          env=dict(os.environ, PYTHONPATH=str(ROOT / "host_tools"))) as process:
        os.close(slave)
        seen = b""
        for line in ("import gc, priot", "net = priot.load('a.priot')", "net.predict(bytes(784))",
                     "priot.backend.name, gc.mem_free() + gc.mem_alloc()"):
            while not seen.endswith(b">>> "):
                seen += os.read(master, 1000)
            os.write(master, line.encode() + b"\r")
            seen = b""
        while not seen.endswith(b">>> "):
            seen += os.read(master, 1000)
        os.write(master, b"\x04")
        assert process.wait(timeout=HANG_S) == 0
    os.close(master)
    backend, heap_bytes = ast.literal_eval(seen.decode().splitlines()[-2])
    assert backend == "native" and abs(heap_bytes - PICO_HEAP_BYTES) < 5000
