"""The core that runs ahead leaves what rp2040js' own core leaves, cycle for cycle."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from priot.emulator import pico as pico_module
from priot.paths import BUILD
from support import HANG_S

ALIKE = Path(__file__).parent / "emulator" / "alike.mjs"
RP2040 = pico_module._SCRIPT.parent
INSTRUCTIONS, PROGRAMS = 20_000, 300
LEFT_ALONE = {0b11101, 0b11111}  # second halves of wide instructions


def alike(seed: int, folder: Path = RP2040, times: int = 1) -> dict:
    """What tests/emulator/alike.mjs found."""
    done = subprocess.run(
        [BUILD / "bin" / "node", ALIKE, BUILD / "emulator" / "rp2040js", folder, str(seed),
         str(INSTRUCTIONS * times), str(PROGRAMS * times)],
        capture_output=True, text=True, timeout=HANG_S)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("seed", [1, 2])
def test_the_same_to_the_cycle(seed, long):
    """Any instruction on any values; programs of one core and of both, with alarms."""
    said = alike(seed, times=20 if long else 1)
    assert said["found"] is None
    assert said["alarms"] > 2 * PROGRAMS
    for group, (own, _) in enumerate(said["groups"]):
        assert (own == 0) == (group in LEFT_ALONE), group
    assert sum(own for own, _ in said["groups"]) > INSTRUCTIONS / 3


FAULTS = [  # what stands in run_ahead.mjs and what a mistake would make of it
    ("case 4: holds = r[CARRY] !== 0 && result !== 0", "case 4: holds = r[CARRY] !== 0"),
    ("r[CARRY] = a >>> 0 >= b >>> 0 ? 1 : 0", "r[CARRY] = a >= b ? 1 : 0"),
    ("r[OVERFLOW] = (a ^ b) & (a ^ result)", "r[OVERFLOW] = (a ^ b) & (b ^ result)"),
    ("if (a === 0x7fffffff) break run;", ""),
    ("if (b === -1) break run;", ""),
    ("if (n > 31) break run;\n            if (n)", "if (n)"),
    ("next = ramWords[last] & ~1;", "next = ramWords[last];"),
    ("cycles = 3;\n        }", "cycles = 4;\n        }"),
    ("if (!(opcode >>> n & 1)) r[n] = RAM_START + at;", "r[n] = RAM_START + at;"),
    ("fetched = (pc + 2) >>> 2;", ""),
    ("cache.stall = 0;", ""),
    ("left = 1 - left;", "left = -left;"),
    ("if (then >= alarm)", "if (then > alarm + 8)"),
    ("if (due !== 0) break;\n", ""),
    ("perCycle = core === clocked ? nanosPerCycle : 0;\n    }", "}"),
]


@pytest.mark.parametrize("right, wrong", [
    fault if i < 4 else pytest.param(*fault, marks=pytest.mark.long)
    for i, fault in enumerate(FAULTS)], ids=range(len(FAULTS)))
def test_a_mistake_is_found(right, wrong, tmp_path):
    for path in RP2040.iterdir():
        shutil.copy(path, tmp_path)
    loop = tmp_path / "run_ahead.mjs"
    assert right in loop.read_text()
    loop.write_text(loop.read_text().replace(right, wrong))
    assert alike(1, tmp_path)["found"] is not None
