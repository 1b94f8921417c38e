"""What a board is given, by its sys.implementation._mpy: the only place that chooses."""

import re

import pytest
from priot.board import info
from priot.board.errors import BoardError
from priot.board.install import package_files
from priot.paths import ROOT
from priot.planning.board import limits_of
from priot.processors import PICO, named, of_board

FAST = ("priot_native", "priot_portable", "priot_features", "priot_layers", "priot_backward",
        "priot_flash")
PORTABLE = ("priot_portable", "priot_features")
# MicroPython's number and name (py/persistentcode.h), package, modules, backend
BOARDS = [
    (1, "x86", "x86", (), "viper"),
    (2, "x64", "x64", (), "viper"),
    (3, "armv6", "armv6", (), "viper"),
    (4, "armv6m", "armv6m", FAST, "native"),  # Pico, Pico W
    (5, "armv7m", "armv6m", FAST, "native"),
    (6, "armv7em", "armv6m", FAST, "native"),
    (7, "armv7emsp", "armv6m", FAST, "native"),  # Pico 2, Cortex-M4
    (8, "armv7emdp", "armv6m", FAST, "native"),  # Cortex-M7
    (9, "xtensa", "xtensa", (), "viper"),
    (10, "xtensawin", "xtensawin", (), "viper"),  # ESP32, ESP32-S3
    (11, "rv32imc", "rv32imc", PORTABLE, "portable"),  # ESP32-C3 and C6, a Pico 2's RISC-V
]


@pytest.mark.parametrize("number, name, package, modules, backend", BOARDS)
def test_what_a_board_is_given(number, name, package, modules, backend):
    gets = of_board(number << 10 | 3 << 8 | 6)  # .mpy version 6.3
    assert (gets.name, gets.package, gets.modules, gets.fastest) == (
        name, package, modules, backend)
    assert named(name) == gets
    assert limits_of(name, 200_000, 100, None).backend == backend


@pytest.mark.parametrize("number", [0, 12, 15])
def test_a_board_with_neither_modules_nor_viper_is_refused(number):
    gets = of_board(number << 10 | 3 << 8 | 6)
    assert not gets.is_supported
    board = info.BoardInfo("some board", (1, 25), (6, 3), gets.name, 246_144)
    with pytest.raises(BoardError, match="runs no native code, not even viper"):
        board.check("port")


@pytest.mark.parametrize("name", ["armv6m", "armv7emsp", "rv32imc", "xtensawin"])
def test_the_files_of_a_board(name):
    files = package_files(name)
    modules = {f"/lib/{module}.mpy" for module in named(name).modules}
    assert {path for path in files if path.count("/") == 2} == modules
    assert "/lib/priot/trainer.mpy" in files
    if name == "armv7emsp":
        assert files == package_files(PICO.name)


def test_what_is_said_of_viper():
    """Where no module is loaded, that it is slow; where nothing is tested, that too."""
    assert named("armv7emsp").note == named("rv32imc").note == ""
    assert re.fullmatch(r"no native modules for xtensawin: viper kernels compute, 10 to 20 times "
                        r"slower than C; untested on such a board", named("xtensawin").note)
    board = info.BoardInfo("ESP32", (1, 25), (6, 3), "xtensawin", 111_000, "esp32")
    board.check("port")
    assert "its heap grows" in board.note
    assert info.BoardInfo("Pico", (1, 25), (6, 3), "armv6m", 246_144).note == ""


def test_no_other_place_names_the_picos_instruction_set():
    """Host code asks processors.py: what it says holds everywhere."""
    others = [path for path in (ROOT / "host_tools" / "priot").rglob("*.py")
              if path.name != "processors.py" and "armv6m" in path.read_text()]
    assert [path.name for path in others] == ["qemu.py"]  # which of them a machine of QEMU is
