"""The set-up: stages that are redone exactly when they must be, and failures of one line."""
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest
from priot.emulator import flash_image
from priot.paths import BUILD, ROOT

SETUP = Path("host_tools/setup")


class Sandbox:
    """A copy of the set-up with stages of the test's own."""

    def __init__(self, root):
        self.root = root
        shutil.copytree(ROOT / SETUP, root / SETUP)
        shutil.rmtree(root / SETUP / "stages")
        (root / SETUP / "stages").mkdir()

    def stage(self, name, build, needs="", inputs="", outputs=""):
        """Write a stage; what its build() echoes to `ran` tells how often it ran."""
        (self.root / SETUP / "stages" / f"{name}.sh").write_text(
            f'NEEDS="{needs}"\nINPUTS="{inputs}"\nOUTPUTS="{outputs}"\n'
            f"build() {{\n    echo {name} >>ran\n    {build}\n}}\n")

    def start(self, *stages, **environment):
        return subprocess.Popen([self.root / SETUP / "setup.sh", *stages], text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                env={**os.environ, **environment}, start_new_session=True)

    def run(self, *stages, **environment):
        """(exit status, stderr) of a set-up."""
        process = self.start(*stages, **environment)
        return process.returncode if process.wait() else 0, process.communicate()[1]

    def ran(self):
        """Stages in the order they ran."""
        path = self.root / "ran"
        return path.read_text().split() if path.exists() else []


@pytest.fixture
def sandbox(tmp_path):
    return Sandbox(tmp_path)


def test_needs_come_first_and_nothing_runs_twice(sandbox):
    sandbox.stage("base", ":")
    sandbox.stage("top", ":", needs="base")
    assert sandbox.run("top", "base")[0] == 0
    assert sandbox.run("top") == (0, "")  # silent when everything is there
    assert sandbox.ran() == ["base", "top"]


def test_change_of_inputs_redoes_what_depends_on_them(sandbox):
    sandbox.stage("base", ":", inputs="$PICO_UF2")
    sandbox.stage("top", ":", needs="base")
    sandbox.stage("other", ":")
    sandbox.run("top", "other")
    sandbox.run("top", "other", PICO_UF2="changed")
    assert sandbox.ran() == ["base", "top", "other", "base", "top"]


def test_missing_output_is_made_again(sandbox):
    sandbox.stage("base", "touch made", outputs="made")
    sandbox.run("base")
    (sandbox.root / "made").unlink()
    sandbox.run("base")
    assert sandbox.ran() == ["base", "base"]


@pytest.mark.parametrize("build, line", [
    ("echo 'a.c:3:1: error: no such type'; echo 'make: *** [a.o] Error 1'; false; echo ignored",
     "setup: broken: a.c:3:1: error: no such type (log: build/log/broken.log)"),
    ("false", "setup: broken: failed without a message (log: build/log/broken.log)"),
    ("fail 'broken: give X=PATH'", "setup: broken: give X=PATH"),
])
def test_failure_is_one_line_and_is_tried_again(sandbox, build, line):
    sandbox.stage("broken", build)
    for _ in range(2):
        assert sandbox.run("broken") == (1, f"setup: broken\n{line}\n")
    assert sandbox.ran() == ["broken", "broken"]


def test_interrupted_stage_is_redone(sandbox):
    """Even when its inputs are those of an earlier, complete run again."""
    sandbox.stage("slow", "[ -z $PICO_UF2 ] || { touch begun; sleep 30; }", inputs="$PICO_UF2")
    sandbox.run("slow", PICO_UF2="")
    process = sandbox.start("slow", PICO_UF2="changed")
    while not (sandbox.root / "begun").exists():
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait() != 0
    process.communicate()
    assert sandbox.run("slow", PICO_UF2="")[0] == 0
    assert sandbox.ran() == ["slow"] * 3


def test_set_ups_at_the_same_time_share_the_work(sandbox):
    sandbox.stage("slow", "sleep 0.5")
    processes = [sandbox.start("slow") for _ in range(4)]
    assert [process.wait() for process in processes] == [0] * 4
    told = "".join(process.communicate()[1] for process in processes)
    assert "waiting for another set-up" in told
    assert sandbox.ran() == ["slow"]


def test_uf2_of_the_set_up_is_what_a_pico_takes(tmp_path):
    image = os.urandom(1000)
    (tmp_path / "firmware.bin").write_bytes(image)
    uf2 = tmp_path / "firmware.uf2"
    subprocess.run([sys.executable, ROOT / SETUP / "bin2uf2.py", tmp_path / "firmware.bin", uf2],
                   check=True)
    flash_image.write_firmware(tmp_path / "flash.bin", uf2)
    assert (tmp_path / "flash.bin").read_bytes()[:1024] == image + b"\0" * 24
    first = struct.unpack_from("<8I", uf2.read_bytes())
    assert first[7] == 0xE48BFF56  # family RP2040, which the boot ROM asks for


def test_make_help_names_every_target():
    told = subprocess.run(["make", "-C", ROOT, "--no-print-directory", "help"], text=True,
                          capture_output=True, check=True).stdout
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert len(targets) > 10
    for target in targets:
        assert f"\n{target} " in f"\n{told}", target


def test_micropython_of_the_set_up_fits():
    told = subprocess.run([BUILD / "bin" / "micropython", "-X", "heapsize=240k", "-c",
                           "import sys; print(sys.implementation)"],
                          text=True, capture_output=True, check=True).stdout
    assert "_mpy=2822" in told
