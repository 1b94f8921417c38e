"""Runs functions of an ELF file on the simulated Cortex-M0+: memory, calls, cycles, profile.

Memory belongs to the caller: `place` and `reserve` give out addresses with exactly the rights
asked for, between forbidden bytes, so that a kernel that reads or writes one byte too far fails.
"""

import ctypes
import subprocess
from pathlib import Path

import numpy as np
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from m0plus.build import core_library

RAM_BASE = 0x2000_0000
RAM_SIZE = 1 << 20
STACK_SIZE = 16384
STOP_ADDRESS = 0xFFFF_FFFC
FAULTS = ("finished", "fetch", "load", "store", "undefined instruction", "out of cycles",
          "clash with the other core")
_READ, _WRITE, _EXECUTE, _CLASH = 1, 2, 4, 8
_GUARD = 16
_SP, _LR, _PC = 13, 14, 15
_SAVED_BY_CALLEE = range(4, 12)


class Fault(RuntimeError):
    """The program did something that a correct kernel never does."""


class _Core(ctypes.Structure):
    _fields_ = (
        [("r", ctypes.c_uint32 * 16)]
        + [(flag, ctypes.c_uint32) for flag in ("n", "z", "c", "v", "fault", "fault_address")]
        + [(count, ctypes.c_uint64)
           for count in ("cycles", "instructions", "loads", "stores", "multiplies", "saved",
                         "runs", "turn_began", "first_share")]
        + [("turn", ctypes.c_uint32), ("turn_sp", ctypes.c_uint32)]
    )


class Machine:
    """One simulated core with the program of `elf` in memory.

    `cycles` and `core` describe the last call; `stack_used` is its depth in bytes.
    """

    def __init__(self, elf: Path):
        self._library = ctypes.CDLL(str(core_library()))
        self._library.m0plus_run.argtypes = [ctypes.c_void_p, ctypes.c_uint64, ctypes.c_int]
        self._ram = self._array("m0plus_ram", np.uint8, RAM_SIZE)
        self._rights = self._array("m0plus_rights", np.uint8, RAM_SIZE)
        self._profile = self._array("m0plus_profile", np.uint32, RAM_SIZE // 2)
        self.elf = elf
        self.core = _Core()
        self.cycles = 0
        self.stack_used = 0
        self._load()

    def _array(self, function: str, dtype: type, length: int) -> np.ndarray:
        getter = getattr(self._library, function)
        getter.restype = ctypes.POINTER(np.ctypeslib.as_ctypes_type(dtype))
        return np.ctypeslib.as_array(getter(), (length,))

    def _load(self) -> None:
        self._rights[:] = 0
        end = 0
        with self.elf.open("rb") as file:
            program = ELFFile(file)
            for segment in program.iter_segments("PT_LOAD"):
                at = segment["p_vaddr"] - RAM_BASE
                data = segment.data()
                self._ram[at : at + len(data)] = np.frombuffer(data, np.uint8)
                self._rights[at : at + len(data)] = _READ | _EXECUTE
                end = max(end, at + len(data))
            table = program.get_section_by_name(".symtab")
            assert isinstance(table, SymbolTableSection)
            self.symbols = {
                symbol.name: (symbol["st_value"] & ~1, symbol["st_size"])
                for symbol in table.iter_symbols()
                if symbol["st_info"]["type"] == "STT_FUNC"
            }
        self._code_end = end
        self.clear()

    def clear(self) -> None:
        """Take back all memory given out since the program was loaded."""
        self._rights[self._code_end :] = 0
        self._rights[RAM_SIZE - STACK_SIZE :] = _READ | _WRITE
        self._free = self._code_end

    def reserve(self, n_bytes: int, align: int = 4, offset: int = 0, writable: bool = True,
                may_clash: bool = False) -> int:
        """Address of n_bytes of memory filled with 0xA5, at `offset` bytes after a multiple of
        `align`. may_clash: both cores may write the same byte of it at once."""
        at = -(-(self._free + _GUARD) // align) * align + offset
        self._free = at + n_bytes + _GUARD
        if self._free > RAM_SIZE - STACK_SIZE:
            raise MemoryError(f"machine: {n_bytes} bytes do not fit")
        self._ram[at : at + n_bytes] = 0xA5
        self._rights[at : at + n_bytes] = (_READ | (_WRITE if writable else 0)
                                           | (_CLASH if may_clash else 0))
        return RAM_BASE + at

    def place(self, array: np.ndarray, align: int = 4, offset: int = 0,
              writable: bool = False, may_clash: bool = False) -> int:
        """Address of a copy of `array`, which the program may read, and write where `writable`."""
        data = np.ascontiguousarray(array).view(np.uint8).ravel()
        address = self.reserve(len(data), align, offset, writable, may_clash)
        at = address - RAM_BASE
        self._ram[at : at + len(data)] = data
        return address

    def fetch(self, address: int, count: int, dtype: type) -> np.ndarray:
        """A copy of `count` elements of memory."""
        at = address - RAM_BASE
        data = self._ram[at : at + count * np.dtype(dtype).itemsize]
        return data.copy().view(dtype)

    def call(self, function: str, *arguments: int, max_cycles: int = 10**9,
             profile: bool = False) -> int:
        """r0 (signed) after calling `function` by the AAPCS; Fault where it misbehaves."""
        core = self._prepare(self.symbols[function][0], [int(a) & 0xFFFF_FFFF for a in arguments])
        entry_sp = core.r[_SP]
        self._profile[:] = 0
        code = self._library.m0plus_run(ctypes.byref(core), max_cycles, profile)
        self.cycles = core.cycles
        if code:
            raise Fault(f"{function}: {FAULTS[code]} at pc {core.r[_PC]:#x}, "
                        f"address {core.fault_address:#x}, after {core.cycles} cycles")
        if core.r[_SP] != entry_sp:
            raise Fault(f"{function}: returned with sp {core.r[_SP]:#x}, not {entry_sp:#x}")
        changed = [f"r{i}" for i in _SAVED_BY_CALLEE if core.r[i] != _canary(i)]
        if changed:
            raise Fault(f"{function}: did not restore {', '.join(changed)}")
        self._measure_stack(entry_sp)
        return ctypes.c_int32(core.r[0]).value

    def _prepare(self, entry: int, arguments: list[int]) -> _Core:
        stack = self._ram[RAM_SIZE - STACK_SIZE :]
        stack[:] = 0x5A
        on_stack = np.array(arguments[4:], np.uint32).view(np.uint8)
        sp = RAM_SIZE - (len(on_stack) + 7) // 8 * 8
        self._ram[sp : sp + len(on_stack)] = on_stack
        self.core = core = _Core()
        for i in range(13):
            core.r[i] = _canary(i)
        for i, value in enumerate(arguments[:4]):
            core.r[i] = value
        core.r[_SP], core.r[_LR], core.r[_PC] = RAM_BASE + sp, STOP_ADDRESS | 1, entry
        return core

    def _measure_stack(self, entry_sp: int) -> None:
        stack = self._ram[RAM_SIZE - STACK_SIZE :]
        touched = np.flatnonzero(stack != 0x5A)
        lowest = RAM_SIZE - STACK_SIZE + (touched[0] if len(touched) else STACK_SIZE)
        self.stack_used = max(0, entry_sp - RAM_BASE - int(lowest))

    def cycles_by_function(self) -> dict[str, int]:
        """Cycles of the last profiled call, most expensive function first."""
        starts = sorted((at, name) for name, (at, _) in self.symbols.items())
        ends = [at for at, _ in starts[1:]] + [RAM_BASE + self._code_end]
        spent = {}
        for (start, name), end in zip(starts, ends, strict=True):
            cycles = int(self._profile[(start - RAM_BASE) // 2 : (end - RAM_BASE) // 2].sum())
            if cycles:
                spent[name] = cycles
        return dict(sorted(spent.items(), key=lambda item: -item[1]))

    def annotated(self, function: str) -> str:
        """The disassembly of `function` with the cycles spent at each instruction."""
        listing = subprocess.run(
            ["arm-none-eabi-objdump", "-d", "--no-show-raw-insn", f"--disassemble={function}",
             str(self.elf)],
            check=True, capture_output=True, text=True).stdout
        lines = []
        for line in listing.splitlines():
            address = line.split(":")[0].strip()
            try:
                cycles = self._profile[(int(address, 16) - RAM_BASE) // 2]
            except (ValueError, IndexError):
                continue
            lines.append(f"{cycles:9d} {line}")
        return "\n".join(lines)


def _canary(register: int) -> int:
    return 0xC0FE_0000 + register
