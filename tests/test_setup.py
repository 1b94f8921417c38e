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
        root.mkdir(parents=True, exist_ok=True)
        shutil.copytree(ROOT / SETUP, root / SETUP)
        shutil.rmtree(root / SETUP / "stages")
        (root / SETUP / "stages").mkdir()

    def stage(self, name, build, needs="", inputs="", outputs="", system=""):
        """Write a stage; what its build() echoes to `ran` tells how often it ran."""
        (self.root / SETUP / "stages" / f"{name}.sh").write_text(
            f'NEEDS="{needs}"\nINPUTS="{inputs}"\nOUTPUTS="{outputs}"\n'
            f'SYSTEM="{system}"\n'
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


@pytest.fixture
def machine(tmp_path):
    """The programs of this machine without sudo; apt-get notes its work and brings commands."""
    folder = tmp_path / "machine"
    folder.mkdir()
    for path in [*Path("/usr/bin").iterdir(), *Path("/bin").iterdir()]:
        if path.name not in ("sudo", "apt-get") and not (folder / path.name).exists():
            (folder / path.name).symlink_to(path)
    program(folder / "apt-get", f"""
echo "$@" >>{tmp_path}/apt
case "$*" in
    indextargets*) cat {tmp_path}/lists 2>/dev/null || true ;;
    *update*) touch {tmp_path}/lists && echo some >{tmp_path}/lists ;;
    *install*) cd {folder}; for p; do touch "its-$p"; chmod +x "its-$p"; done
esac""")
    return folder


def program(path, text):
    path.unlink(missing_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def needy_stages(sandbox):
    sandbox.stage("base", ":", system="its-one=one apt-lists")
    sandbox.stage("top", ":", needs="base", system="its-two=two sh=dash")


def test_without_rights_one_line_says_all_that_lacks(sandbox, machine):
    """Of every stage that is to be done, before the first begins."""
    needy_stages(sandbox)
    program(machine / "id", "echo 1000")
    install = "apt-get update && apt-get install -y --no-install-recommends one two"
    assert sandbox.run("top", PATH=str(machine)) == (1, f"setup: as root, run: {install}\n")
    assert sandbox.ran() == []
    for name in ("its-one", "its-two"):
        program(machine / name, ":")
    assert sandbox.run("top", PATH=str(machine)) == (1, "setup: as root, run: apt-get update\n")


@pytest.mark.parametrize("user", ["0", "1000"])
def test_what_lacks_is_installed_at_once(sandbox, machine, user):
    needy_stages(sandbox)
    program(machine / "id", f"echo {user}")
    if user != "0":
        program(machine / "sudo", 'exec "$@"')
    status, told = sandbox.run("top", PATH=str(machine))
    assert (status, told.splitlines()[0]) == (0, "setup: installing by apt: one two")
    assert sandbox.ran() == ["base", "top"]
    done = (sandbox.root / "apt").read_text().splitlines()
    assert [line.split()[-2:] for line in done if " install " in line] == [["one", "two"]]


def test_a_package_that_does_not_help(sandbox, machine):
    sandbox.stage("base", ":", system="its-name=other")
    program(machine / "id", "echo 0")
    assert sandbox.run("base", PATH=str(machine)) == (1, (
        "setup: installing by apt: other\nsetup: still missing after installing by apt: other\n"))


def test_every_stage_names_its_packages_at_the_start():
    """What apt brings is asked for once: no stage installs by itself."""
    for path in (ROOT / SETUP / "stages").iterdir():
        assert "apt_install" not in path.read_text(), path


@pytest.mark.parametrize("name", ["a b", "it's", "a$b", "a#b", "a:b", "a[b]"])
def test_a_path_that_make_cannot_take(tmp_path, name):
    """What is compiled is compiled from copies, in a folder that `build` then links to."""
    sandbox = Sandbox(tmp_path / name / "checkout")
    (sandbox.root / "native").mkdir()
    makefile = "all: $(abspath ../build)/made\n$(abspath ../build)/made: source\n\tcp $< $@\n"
    (sandbox.root / "native" / "Makefile").write_text(makefile)
    source = sandbox.root / "native" / "source"
    sandbox.stage("made", 'make -s -C native; echo "$CHECKOUT" >build/of; touch .venv/x',
                  inputs="$(cat native/source)", outputs="build/made")
    (sandbox.root / "build").mkdir()
    (sandbox.root / "build" / "mine").write_text("kept")
    (sandbox.root / ".venv").mkdir()
    for text in ("first", "second"):
        source.write_text(text)
        status, told = sandbox.run("made", XDG_CACHE_HOME=str(tmp_path / "cache"))
        assert status == 0, told
        assert (sandbox.root / "build" / "made").read_text() == text
    assert (sandbox.root / "build" / "mine").read_text() == "kept"
    assert (sandbox.root / "build" / "of").read_text() == f"{sandbox.root}\n"
    assert (sandbox.root / ".venv" / "x").exists()
    assert (sandbox.root / "build").resolve().is_relative_to(tmp_path / "cache" / "priot")
    # a copy elsewhere is not another name of the same
    copy = tmp_path / name / "copy"
    shutil.copytree(sandbox.root, copy, symlinks=True)
    (copy / "native" / "source").write_text("third")
    assert Sandbox.run(sandbox_at(copy), "made", XDG_CACHE_HOME=str(tmp_path / "cache"))[0] == 0
    assert [(path / "build" / "made").read_text() for path in (sandbox.root, copy)] == [
        "second", "third"]


@pytest.mark.parametrize("name, refused", [("a b", True), ("it's", True), ("ab", False)])
def test_tests_refuse_such_a_path_at_once(tmp_path, name, refused):
    """In one line, before anything is set up."""
    sandbox = Sandbox(tmp_path / name)
    shutil.copy(ROOT / "Makefile", sandbox.root)
    result = subprocess.run(["make", "-s", "test", "SETUP=echo >>ran setup", "VENV=."],
                            cwd=sandbox.root, capture_output=True, text=True, timeout=60)
    assert result.returncode and bool(sandbox.ran()) != refused
    if refused:
        assert result.stderr.startswith(f"make test: the tests compile in this folder, and make "
                                        f"cannot take its path {sandbox.root}: move or copy it")
        assert len(result.stderr.splitlines()) == 2  # the other is make's own


def sandbox_at(root):
    sandbox = Sandbox.__new__(Sandbox)
    sandbox.root = root
    return sandbox


@pytest.mark.parametrize("how", [shutil.move, shutil.copytree])
def test_a_checkout_at_another_place_gets_its_own_environment(tmp_path, how):
    """The commands of an environment begin with its path: those of the old place would run."""
    sandbox = Sandbox(tmp_path / "old place")
    for path in ("pyproject.toml", "device/priot/__init__.py", SETUP / "stages" / "python.sh"):
        (sandbox.root / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / path, sandbox.root / path)
    python = tmp_path / "python"  # pip of its environments writes a command, as the real one does
    program(python, f"""
[ "$1" = -m ] || exec {sys.executable} "$@"
{sys.executable} "$@" --without-pip
for folder; do :; done
echo 'import sys; from pathlib import Path
if __name__ == "__main__":
    for name in ("priot", "mpremote"):
        path = Path(sys.executable).with_name(name)
        path.exists() or path.write_text(f"#!{{sys.executable}}")' \
    >"$(echo "$folder"/lib/python*/site-packages)/pip.py" """)
    environment = {"PYTHON": str(python), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    assert sandbox.run("python", **environment)[0] == 0
    there = tmp_path / "new place"
    how(sandbox.root, there)
    assert sandbox_at(there).run("python", **environment)[0] == 0
    for name in ("priot", "mpremote"):
        text = (there / ".venv" / "bin" / name).read_text()
        assert text == f"#!{there}/.venv/bin/python"


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
