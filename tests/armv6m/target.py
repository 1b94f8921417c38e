"""Runs the kernels of the module for the Pico on the simulated Cortex-M0+, as the oracle is run.

The program is linked from the object files that native/Makefile makes, those that go into
the modules, less their glue to MicroPython.
"""

import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
from m0plus.build import link
from m0plus.machine import Machine
from priot.network import fields as f
from priot.oracle import kernels as oracle
from priot.paths import BUILD, ROOT
from priot.processors import NATIVE_MODULES

NATIVE = ROOT / "native"
OBJECTS = BUILD / "native" / "objects" / "armv6m-priot_native"
IN_TURN = Path(__file__).parents[1] / "m0plus" / "crew_in_turn.c"  # in the place of crew.c
HANDOVER = 60  # cycles of crew_run with a second core beyond those of crew_in_turn.c
GLUE = ("module", "check", "operands", "features_module", "flash_module", "lent")

# Letters of a form as parts of a signature: those that are written are in capitals, "n" is the
# length of the buffer before it, which C wants to know, "number" what stands beside the tuple.
_PARTS = {
    "Y": "Y", "X": "DX", "Z": "DZ", "z": "z", "y": "g", "x": "x", "A": "ARGMAX", "a": "argmax",
    "d": "d", "r": "w",
    "R": "WEFF", "w": "w", "W": "w", "S": "SCORES n", "s": "scores n", "E": "WEFF", "b": "select",
    "v": "values n", "0": "SCRATCH", "1": "SCRATCH", "2": "SCRATCH", "3": "SCRATCH",
    "#": "number", "c": "bias",
}
_FORMS = {f"{name}_{verb}": form for name, *forms in f.KINDS.values()
          for verb, form in zip(("forward", "backward", "update"), forms, strict=True)} | f.SHARED
_declared = runpy.run_path(str(NATIVE / "tables.py"))["declared"]
# kernel -> its fast twin
FAST = dict(_declared(NATIVE / "armv6m" / "fast.h"))
# the fast kernels of priot_layers and priot_backward, and of which kernel each is a twin
LAYERS = {name: kernel for folder in ("layers", "backward")
          for kernel, name in _declared(NATIVE / "armv6m" / folder / "fast.h")}
# The arguments of each of these kernels, in the order of the oracle's tuple.
def _signature(name: str) -> list[str]:
    return " ".join(_PARTS[letter] for letter in _FORMS[name]).split()


SIGNATURES = {name: _signature(name) for name in FAST}
_EVERY_SIGNATURE = {name: _signature(name) for name in {*FAST, *LAYERS.values()}}
_WORDS = ("SCRATCH", "select", "bias", "d")


def built_objects() -> list[Path]:
    """The modules' object files, made anew where a source has changed; those of both once."""
    if not (BUILD / "micropython").exists():
        raise FileNotFoundError("build/micropython: not there; run 'make setup-all'")
    found: dict[Path, Path] = {}
    for module in NATIVE_MODULES["armv6m"]:
        done = subprocess.run(
            ["make", "-s", "-C", str(NATIVE), "ARCH=armv6m", f"MOD={module}",
             f"MPY_DIR={BUILD / 'micropython'}", f"PYTHON={sys.executable}"],
            capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"native: {done.stderr.strip()}")
        folder = OBJECTS.with_name(f"armv6m-{module}")
        for pattern in ("*.c", "portable/*.c", "armv6m/**/*.c", "armv6m/**/*.S"):
            for path in NATIVE.glob(pattern):
                name = path.relative_to(NATIVE).with_suffix(".o")
                if not path.name.startswith(GLUE) and (folder / name).exists():
                    found.setdefault(name, folder / name)
    return sorted(found.values())


class Target:
    """The kernels on the simulator.

    cores: 1, or 2 whose shares are run one after the other and must not meet. `align` shifts byte
    buffers off their alignment by so many bytes (0..3), words never.
    """

    def __init__(self, cores: int = 1) -> None:
        self.cores = cores
        objects = built_objects()
        if cores == 2:
            objects = [path for path in objects if path.name != "crew.o"] + [IN_TURN]
        self.machine = Machine(link(f"kernels-{cores}", objects, ["-Os"]))
        self.align = 0

    @property
    def cycles(self) -> int:
        """Of the last call, by two cores at once where there are two."""
        core = self.machine.core
        return core.cycles - core.saved + HANDOVER * core.runs

    def scratch_words(self, kind: int, training: int, d: np.ndarray) -> int:
        """As the oracle's: words of scratch that the fast kernels need."""
        self.machine.clear()
        return self.machine.call("fast_scratch_words", kind, training, self.machine.place(d))

    def plan(self, kind: int, d: np.ndarray) -> int:
        """As the oracle's: fills d[PLAN_FORWARD] and what follows it."""
        machine = self.machine
        machine.clear()
        address = machine.place(d, writable=True)
        number = machine.call("fast_plan", kind, address)
        d[:] = machine.fetch(address, len(d), np.int32)
        return number

    def function(self, name: str, operands: tuple) -> str:
        """The fast twin of a kernel."""
        return FAST[name]

    def run(self, name: str, operands: tuple, *number: int, profile: bool = False,
            shifted: dict[str, int] | None = None) -> int:
        """Call the fast twin of a kernel; written buffers are updated.

        `shifted`: bytes that single buffers are shifted by instead of `align`.
        """
        function = self.function(name, operands)
        machine = self.machine
        machine.clear()
        buffers = iter((*operands, *number))
        placed: dict[int, int] = {}
        written: list[tuple[np.ndarray, int]] = []
        arguments: list[int] = []
        length = 0
        for part in _EVERY_SIGNATURE[name]:
            if part in ("n", "number"):
                arguments.append(length if part == "n" else next(buffers))
                continue
            buffer = next(buffers)
            length = len(buffer)
            if length and id(buffer) not in placed:
                align = (shifted or {}).get(part, 0 if part in _WORDS else self.align)
                placed[id(buffer)] = machine.place(
                    buffer, 4, align, part.isupper(), may_clash=part == "SCRATCH")
                if part.isupper():
                    written.append((buffer, placed[id(buffer)]))
            arguments.append(placed.get(id(buffer), 0))
        result = machine.call(function, *arguments, profile=profile)
        for buffer, address in written:
            buffer[:] = machine.fetch(address, len(buffer), buffer.dtype)
        return result


class LayersTarget(Target):
    """The same with the kernels of priot_layers and priot_backward: those that the plan says."""

    def scratch_words(self, kind: int, training: int, d: np.ndarray) -> int:
        self.machine.clear()
        return self.machine.call(f"{'backward' if training else 'layers'}_scratch_words", kind,
                                 training, self.machine.place(d))

    def plan(self, kind: int, d: np.ndarray) -> int:
        machine = self.machine
        machine.clear()
        d[f.PLAN_FORWARD:f.PLAN_END] = 0
        address = machine.place(d, writable=True)
        number = machine.call("layers_plan", kind, address)
        machine.call("backward_plan", kind, address)
        d[:] = machine.fetch(address, len(d), np.int32)
        return number

    def planned(self, kind: int, slot: int, d: np.ndarray) -> str:
        """Name of the kernel that may run for d, empty where there is none."""
        machine = self.machine
        machine.clear()
        module = "layers" if slot == f.PLAN_FORWARD else "backward"
        address = machine.call(f"{module}_planned", kind, slot, machine.place(d)) & ~1
        names = [name for name, (at, _) in machine.symbols.items() if at == address]
        return next((name for name in names if name in LAYERS), "")

    def function(self, name: str, operands: tuple) -> str:
        kind, verb = name.rsplit("_", 1)
        number = next(n for n, (found, *_) in f.KINDS.items() if found == kind)
        found = self.planned(number, getattr(f, f"PLAN_{verb.upper()}"), operands[-1])
        assert LAYERS[found] == name
        return found


def compare(target: Target, name: str, operands: tuple, *number: int,
            profile: bool = False) -> int:
    """Run a kernel's fast twin here and the oracle on copies of the same buffers; all that they
    write must be equal, byte for byte, and so must the result. Returns the cycles."""
    names = [part for part in _EVERY_SIGNATURE[name] if part not in ("n", "number")]
    here, there = _copies(operands), _copies(operands)
    result = target.run(name, here, *number, profile=profile)
    expected = getattr(oracle, name)(there, *number)
    for part, a, b in zip(names, here, there, strict=True):
        wrong = np.flatnonzero(a != b) if part != "SCRATCH" else []
        if len(wrong):
            i = wrong[0]
            raise AssertionError(f"{name}: {part}[{i}] is {a[i]}, not {b[i]}, as are "
                                 f"{len(wrong)} of {len(a)}")
    assert result == expected, f"{name}: returned {result}, not {expected}"
    return target.cycles


def _copies(operands: tuple) -> tuple:
    """Copies of the buffers; where one buffer stands twice, so does its copy."""
    copies = {id(buffer): buffer.copy() for buffer in operands}
    return tuple(copies[id(buffer)] for buffer in operands)
