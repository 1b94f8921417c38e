"""Instructions of training steps and inferences on QEMU's machines, as it counts them.

    PYTHONPATH=tests .venv/bin/python -m kernels.instructions [MACHINE...]

prints a line for each machine and backend: instructions a step of network A by `priot`, for
samples that run their backward pass, and an inference. Instructions are not time: a processor may
take one or several cycles for each, or do two in one.
"""

import sys
import tempfile
from pathlib import Path

from priot.board.install import package_files
from priot.emulator import MACHINES, Qemu
from priot.emulator.qemu import Machine
from priot.formats import Dataset
from priot.jobs.bench import digits_like_mnist
from priot.paths import BACKBONES, BUILD
from priot.processors import named
from support import HANG_S

NETWORK_A = BACKBONES / "mnist-a-0.priot"
SAMPLES = 12
_SHIFT = 6  # an instruction takes QEMU's machine 2 ** 6 ns
_OPTIONS = ("-icount", f"shift={_SHIFT},align=off,sleep=off")
_LOAD = """
import gc, priot
priot.backend.use({backend!r})
gc.collect()
net = priot.load("a.priot")
gc.collect()
trainer = priot.Trainer(net, seed=1, layout="kept")
data = priot.Dataset("a.prd")
"""
_COUNT = """
from timer import MHZ, count
def elapsed(call, *arguments):
    start = count()
    call(*arguments)
    return (count() - start) & 0xFFFFFFFF
def nothing():
    pass
empty = elapsed(nothing)
steps, inferences = [], []
for i in range(len(data)):
    data.read(i, net.record)
    inferences.append(elapsed(net.forward) - empty)
    label = data.read(i, net.record)
    skipped = trainer.skipped
    took = elapsed(trainer.step, label) - empty
    if trainer.skipped == skipped:
        steps.append(took)
for found in steps, inferences:
    print((sum(found) * 1000 // MHZ // len(found)) >> {shift})
"""


def instructions(machine: Machine, backend: str, folder: Path) -> tuple[int, int]:
    """Of a training step and an inference of network A. Raises PriotError."""
    data = Dataset.read(digits_like_mnist(BUILD / "bench.prd", print))  # as `make bench`
    data = Dataset(data.images[:SAMPLES], data.labels[:SAMPLES], data.classes)
    files = {path.removeprefix("/lib/"): content
             for path, content in package_files(machine.processor).items()}
    files |= {"a.priot": NETWORK_A.read_bytes(), "a.prd": data.to_bytes()}
    with Qemu(files, folder, machine, _OPTIONS) as board:
        board.run(_LOAD.format(backend=backend), timeout_s=HANG_S)
        said = board.run(_COUNT.format(shift=_SHIFT), timeout_s=HANG_S)
    step, inference = map(int, said.split())
    return step, inference


def backends(machine: Machine) -> list[str]:
    """Those of its processor, the fastest first."""
    modules = named(machine.processor).modules
    return [*(["native"] if "priot_native" in modules else []),
            *(["portable"] if modules else []), "viper"]


def main(names: list[str]) -> None:
    """Print the table."""
    for name in names or list(MACHINES):
        for backend in backends(MACHINES[name]):
            with tempfile.TemporaryDirectory(prefix="priot-qemu-") as folder:
                step, inference = instructions(MACHINES[name], backend, Path(folder))
            print(f"{MACHINES[name].name:12}{backend:10}{step:>12,} a step"
                  f"{inference:>12,} an inference", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
