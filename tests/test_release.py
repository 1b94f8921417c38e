"""A release: the same from two checkouts, and of use without one, without compilers."""
import hashlib
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from pico_support import MPREMOTE, running_pico
from priot.board import Board
from priot.emulator import Pico
from priot.paths import BUILD, ROOT, tool
from priot.processors import ARCHITECTURES, NATIVE_MODULES, PLANNING_MODULE
from support import HANG_S

MODULES = [*((arch, name) for arch, names in NATIVE_MODULES.items() for name in names),
           ("x64", PLANNING_MODULE)]


def run_in(checkout, *arguments):
    """A process of this Python in which `priot` is the package of a checkout."""
    return subprocess.Popen([sys.executable, *map(str, arguments)], text=True, cwd=checkout,
                            env={**os.environ, "PYTHONPATH": str(checkout / "host_tools")},
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    """A copy of the checkout in another folder, with native modules built there."""
    copy = tmp_path_factory.mktemp("other") / "checkout"
    shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(
        ".git", ".venv", "build", "dist", "*.egg-info", "__pycache__", ".*_cache"))
    (copy / "build" / "bin").mkdir(parents=True)
    (copy / "build" / "bin" / "mpy-cross").symlink_to(tool("mpy-cross").resolve())
    for arch, name in MODULES:
        processor, _, cpu = arch.partition("-")
        subprocess.run(["make", "-C", copy / "native", f"ARCH={processor}", f"CPU={cpu}",
                        f"MOD={name}",
                        f"MPY_DIR={BUILD / 'micropython'}", f"PYTHON={sys.executable}"],
                       check=True, capture_output=True, text=True)
    return copy


@pytest.fixture(scope="module")
def release(other, tmp_path_factory):
    """The release of this checkout and that of the other one."""
    folders = [tmp_path_factory.mktemp("release") / "dist", other / "dist"]
    running = [run_in(checkout, "-m", "priot.package.release", folder)
               for checkout, folder in zip((ROOT, other), folders, strict=True)]
    for process in running:
        _, errors = process.communicate(timeout=HANG_S)
        assert process.returncode == 0, errors
    return folders


def contents(folder):
    """Every file below a folder, those inside the wheel too."""
    found = {path.relative_to(folder).as_posix(): path.read_bytes()
             for path in folder.rglob("*") if path.is_file()}
    with zipfile.ZipFile(wheel_of(folder)) as wheel:
        found |= {f"wheel/{name}": wheel.read(name) for name in wheel.namelist()}
    return found


def wheel_of(folder):
    [path] = folder.glob("*.whl")
    return path


def test_two_checkouts_give_the_same_bytes(release):
    ours, theirs = map(contents, release)
    assert ours.keys() == theirs.keys()
    assert [name for name in ours if ours[name] != theirs[name]] == []


def test_no_file_holds_a_path_of_a_checkout(release, other):
    for name, content in contents(release[0]).items():
        for path in (ROOT, other, Path.home() / ".cache"):
            assert str(path).encode() not in content, name


def test_checksums_cover_every_file(release):
    lines = (release[0] / "SHA256SUMS").read_text().splitlines()
    sums = {name: checksum for checksum, name in (line.split("  ") for line in lines)}
    files = {path.relative_to(release[0]).as_posix(): path
             for path in release[0].rglob("*") if path.is_file()}
    assert sums.keys() == files.keys() - {"SHA256SUMS"}
    for name, checksum in sums.items():
        assert hashlib.sha256(files[name].read_bytes()).hexdigest() == checksum


@pytest.mark.parametrize("kind", [*ARCHITECTURES, "source"])
def test_package_json_lists_every_file(release, kind):
    folder = release[0] / kind
    package = json.loads((folder / "package.json").read_text())
    assert f"-{package['version']}-" in wheel_of(release[0]).name
    names = {path.relative_to(folder / "lib").as_posix()
             for path in (folder / "lib").rglob("*") if path.is_file()}
    assert sorted(map(tuple, package["urls"])) == sorted((name, f"lib/{name}") for name in names)
    assert {f"{name}.mpy" for name in NATIVE_MODULES.get(kind, ())} == {
        name for name in names if "/" not in name}
    assert {"priot/trainer.py", "priot/trainer.mpy"} & names


def test_a_wheel_cannot_be_made_of_what_is_not_built(other, tmp_path):
    """Set-up is asked for what lacks; where it fails, one line says what to do."""
    broken = tmp_path / "checkout"
    shutil.copytree(other, broken, symlinks=True, ignore=shutil.ignore_patterns("native", "dist"))
    setup = broken / "host_tools" / "setup" / "setup.sh"
    setup.write_text('#!/bin/sh\necho "$@" >asked\nexit 1\n')
    process = run_in(broken, "setup.py", "-q", "build_py")
    assert process.communicate(timeout=HANG_S)[1].splitlines()[-1] == (
        "priot: native modules: not built; run 'make native' in the checkout first")
    assert process.returncode == 1
    assert (broken / "asked").read_text() == "native_x64 native_armv6m native_rv32imc\n"


class Installed:
    """The wheel in an environment of its own, used from a folder that holds nothing else."""

    def __init__(self, wheel, folder):
        self.home = folder / "home"
        self.here = folder / "here"
        self.environment = folder / "environment"
        self.python = self.environment / "bin" / "python"
        for path in (self.home, self.here):
            path.mkdir()
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", self.environment],
                       check=True)
        subprocess.run([sys.executable, "-m", "pip", "--python", self.python, "install", "--quiet",
                        "--disable-pip-version-check", "--no-deps", "--no-index", wheel],
                       check=True)
        [packages] = self.environment.glob("lib/python*/site-packages")
        self.package = packages / "priot"
        # The libraries that priot needs; lines of its own .pth files do not count there.
        (packages / "libraries.pth").write_text(f"{Path(pytest.__file__).parents[1]}\n")

    def run(self, *command, **variables):
        """A program of the environment; there is nothing else on PATH, least of all a compiler."""
        return subprocess.run(
            [self.environment / "bin" / command[0], *map(str, command[1:])], cwd=self.here,
            env={"PATH": str(self.environment / "bin"), "HOME": str(self.home),
                 "PYTHONDONTWRITEBYTECODE": "1", **variables},
            capture_output=True, text=True, timeout=HANG_S)

    def priot(self, *arguments, **variables):
        """What the command `priot` prints; it must succeed."""
        result = self.run("priot", *arguments, **variables)
        assert result.returncode == 0, result.stderr
        return result.stdout

    def complaint(self, *arguments, **variables):
        """The line that a failing `priot` ends in."""
        result = self.run("priot", *arguments, **variables)
        assert (result.returncode, result.stdout) == (1, "")
        return result.stderr.removesuffix("\n")


@pytest.fixture(scope="module")
def installed(release, tmp_path_factory):
    """The installed wheel, with a model and datasets beside it."""
    made = Installed(wheel_of(release[0]), tmp_path_factory.mktemp("installed"))
    backbones = made.package / "bundle" / "host_tools" / "backbones"
    shutil.copy(backbones / "digits-0.priot", made.here)
    made.priot("dataset", "digits", "--rotate", 30, "--part", "train", "--subset", 20,
               "-o", "train.prd")
    return made


def test_the_wheel_is_what_runs(installed):
    where = installed.run("python", "-c", "import priot; print(priot.__file__)").stdout.strip()
    assert Path(where) == installed.package / "__init__.py"
    assert shutil.which("gcc", path=str(installed.environment / "bin")) is None
    assert "8x8" in installed.priot("inspect", "digits-0.priot")


def test_deploy_and_train_on_a_board(installed, release, tmp_path):
    before = contents_of(installed.package)
    with running_pico(tmp_path / "pico", nearly_installed(release), False) as pico:
        installed.priot("deploy", "--port", pico.port, "digits-0.priot", "train.prd")
        installed.priot("train", "digits-0.priot", "train.prd", "--epochs", 1, "--port", pico.port,
                        "--save", "learned.scores", "--json", "report.json")
    report = json.loads((installed.here / "report.json").read_text())
    assert report["finished"] and report["backend"] == "native"
    assert "priot" in installed.priot("inspect", "learned.scores")
    there = pico.read_files()
    for path in (release[0] / "armv6m" / "lib").rglob("*.mpy"):
        name = path.relative_to(release[0] / "armv6m").as_posix()
        assert there[name] == path.read_bytes(), name
    assert contents_of(installed.package) == before  # nothing is written there


def contents_of(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_unix_port_of_the_machine(installed):
    """Plans and training here run on a MicroPython that fits; without one, a line says where."""
    job = ("train", "digits-0.priot", "train.prd", "--epochs", 1)
    told = installed.complaint(*job)
    assert told.startswith("priot: micropython: not found; 1.23 or later for x64")
    assert "install Debian's package micropython" in told
    old = installed.here / "micropython"
    old.write_text("#!/bin/sh\necho False\n")
    old.chmod(0o755)
    assert installed.complaint(*job, PRIOT_MICROPYTHON=str(old)).startswith(
        f"priot: {old}: 1.23 or later for x64, with .mpy files 6.3, is needed")
    fits = {"PRIOT_MICROPYTHON": str((BUILD / "bin" / "micropython").resolve())}
    installed.priot(*job, "--json", "unix.json", **fits)
    assert json.loads((installed.here / "unix.json").read_text())["finished"]
    installed.priot("report", "unix.json")
    assert "priot train digits-0.priot" in (installed.here / "unix.html").read_text()
    assert "fits" in installed.priot("plan", "digits-0.priot", "--method", "priot", **fits)


@pytest.mark.parametrize("target, target_of_make", [("emulator", "firmware"), ("qemu", "qemu")])
def test_emulators_need_a_checkout(installed, target, target_of_make):
    told = installed.complaint("train", "digits-0.priot", "train.prd", "--target", target)
    assert f"run 'make {target_of_make}' in a checkout and give PRIOT_BUILD" in told


def mpremote(release, pico, *command):
    """mpremote with the files of a release; then the package runs as what deploy brings."""
    with pico:
        subprocess.run([*MPREMOTE, "connect", pico.port, *command],
                       cwd=release[0].parent, check=True, capture_output=True, timeout=HANG_S)
        with Board(pico.port) as board:
            assert board.execute("import priot; print(priot.backend.name)").strip() == "native"
    there = pico.read_files()
    for path in (release[0] / "armv6m" / "lib").rglob("*.mpy"):
        assert there[path.relative_to(release[0] / "armv6m").as_posix()] == path.read_bytes()


def nearly_installed(release):
    """The files of a release but for a few: copying them all takes minutes."""
    lib = release[0] / "armv6m" / "lib"
    files = {f"/lib/{path.relative_to(lib)}": path.read_bytes() for path in lib.rglob("*.mpy")}
    for missing in ("/lib/priot/heap.mpy", "/lib/priot/memory.mpy", "/lib/priot_native.mpy"):
        del files[missing]
    return files


@pytest.mark.parametrize("command", ["mip install dist/armv6m/package.json",
                                     "cp -r dist/armv6m/lib/. :lib/"])
def test_mpremote_copies_what_lacks(release, tmp_path, command):
    pico = Pico(tmp_path)
    pico.write_files(nearly_installed(release))
    mpremote(release, pico, *command.split())


@pytest.mark.long
def test_mip_install_on_a_bare_board(release, tmp_path):
    mpremote(release, Pico(tmp_path), "mip", "install", "dist/armv6m/package.json")
