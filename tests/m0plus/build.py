"""Compiles the simulator for this machine, and programs for the simulated Cortex-M0+.

Everything lands in build/m0plus and is made again when a source or an option changes.
"""

import hashlib
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build" / "m0plus"
CROSS = "arm-none-eabi-"
# What the native module is compiled with (native/Makefile, dynruntime.mk), less its glue.
TARGET_FLAGS = ("-mthumb", "-mcpu=cortex-m0plus", "-std=c99", "-fpic", "-fno-common",
                "-ffreestanding", "-Wall", "-Werror")
_LINKER_SCRIPT = """\
SECTIONS {
    . = 0x20000000;
    .text : { *(.text*) *(.rodata*) *(.got*) }
    .data : { *(.data*) *(.bss*) *(COMMON) }
    /DISCARD/ : { *(.ARM.*) *(.comment) *(.note*) }
}
"""


def core_library() -> Path:
    """The simulator as a shared library."""
    folder = Path(__file__).parent
    sources = [folder / "core.c", folder / "instructions.c"]
    command = ["cc", "-O2", "-flto", "-shared", "-fPIC", *map(str, sources)]
    return _made("core.so", [*sources, folder / "core.h"], command)


def link(name: str, sources: Sequence[Path], options: Sequence[str] = ()) -> Path:
    """An ELF file of C and assembly sources for the Cortex-M0+, code from 0x20000000.

    A program that leaves a symbol undefined (memset, a division) does not link: nothing but
    these sources goes in.
    """
    script = BUILD / "program.ld"
    BUILD.mkdir(parents=True, exist_ok=True)
    if not script.exists() or script.read_text() != _LINKER_SCRIPT:
        script.write_text(_LINKER_SCRIPT)
    headers = [h for folder in {s.parent for s in sources} for h in folder.glob("*.h")]
    command = [f"{CROSS}gcc", *TARGET_FLAGS, *options, "-nostdlib", "-Wl,--entry=0",
               f"-Wl,-T,{script}", *map(str, sources)]
    return _made(f"{name}.elf", [*sources, *headers], command)


def _made(name: str, inputs: Sequence[Path], command: list[str]) -> Path:
    """The file `name` that `command -o name` makes, unless it is there from the same inputs."""
    digest = hashlib.sha256(" ".join(command).encode())
    for path in sorted(inputs):
        digest.update(path.read_bytes())
    output, stamp = BUILD / name, BUILD / f"{name}.sha256"
    BUILD.mkdir(parents=True, exist_ok=True)
    if output.exists() and stamp.exists() and stamp.read_text() == digest.hexdigest():
        return output
    # Under a name of its own first: several runs may make it at once.
    with tempfile.TemporaryDirectory(dir=BUILD) as folder:
        made = Path(folder) / name
        done = subprocess.run([*command, "-o", str(made)], capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{name}: {done.stderr.strip() or done.stdout.strip()}")
        made.replace(output)
    stamp.write_text(digest.hexdigest())
    return output
