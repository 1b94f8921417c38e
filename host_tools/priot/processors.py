"""Processors of boards: which compiled package, native modules and fast kernels run there.

MicroPython has a name for each instruction set (`mpy-cross -march`), and says in
sys.implementation._mpy which of them it loads.
"""

from dataclasses import dataclass

# Modules of native code by architecture, "x64-avx2" for processors that have it: portable C,
# kernels made for the processor, what makes samples of sensors into inputs, and what reads weights
# that stay in flash.
NATIVE_MODULES = {"x64": ("priot_portable", "priot_features", "priot_flash"),
                  "x64-avx2": ("priot_portable",),
                  "armv6m": ("priot_native", "priot_portable", "priot_features", "priot_layers",
                             "priot_backward", "priot_flash"),
                  "rv32imc": ("priot_portable", "priot_features")}
# For x64 alone: what the modules for the Pico would choose and take.
PLANNING_MODULE = "priot_plan"
# The package is compiled for these in a release; a board of any other gets its source.
ARCHITECTURES = ("armv6m", "rv32imc", "x64", "xtensawin")
# The names of all modules that a board may have.
BOARD_MODULES = NATIVE_MODULES["armv6m"]


@dataclass(frozen=True)
class Processor:
    """An instruction set, and what a board that has it is given.

    package: the architecture that the package is compiled for. native: that of the native
    modules, "" where there are none and viper kernels compute. is_tested: whether tests run on
    such a machine.
    """

    name: str
    package: str
    native: str = ""
    is_tested: bool = False

    @property
    def modules(self) -> tuple[str, ...]:
        """Names of the native modules that it loads."""
        return NATIVE_MODULES.get(self.native, ())

    @property
    def fastest(self) -> str:
        """The backend that computes unless another is asked for."""
        return ("native" if "priot_native" in self.modules else
                "portable" if self.modules else "viper")

    @property
    def is_supported(self) -> bool:
        """Whether it runs native modules or viper code, which both want an emitter."""
        return self.package != ""

    @property
    def note(self) -> str:
        """What a user of such a board should know; "" where there is nothing to say."""
        if self.modules:
            return ""
        return (f"no native modules for {self.name}: viper kernels compute, 10 to 20 times slower "
                f"than C{'' if self.is_tested else '; untested on such a board'}")


def _cortex_m(name: str) -> Processor:
    # Each of these instruction sets contains the one before, and MicroPython loads its code.
    return Processor(name, "armv6m", "armv6m", is_tested=True)


# By MicroPython's number in sys.implementation._mpy.
_BY_NUMBER = {
    1: Processor("x86", "x86"),
    # A PC: MicroPython there finds the native modules of a folder that MICROPYPATH names.
    2: Processor("x64", "x64", is_tested=True),
    3: Processor("armv6", "armv6"),
    4: _cortex_m("armv6m"), 5: _cortex_m("armv7m"), 6: _cortex_m("armv7em"),
    7: _cortex_m("armv7emsp"), 8: _cortex_m("armv7emdp"),
    9: Processor("xtensa", "xtensa"), 10: Processor("xtensawin", "xtensawin"),
    11: Processor("rv32imc", "rv32imc", "rv32imc", is_tested=True),
}
_UNKNOWN = Processor("unknown", "")
PICO = _BY_NUMBER[4]


def of_board(mpy: int) -> Processor:
    """The processor of a board by its sys.implementation._mpy, 0 where it has none."""
    return _BY_NUMBER.get(mpy >> 10 & 15, _UNKNOWN)


def named(name: str) -> Processor:
    """The processor of MicroPython's name for its instruction set."""
    return next((found for found in _BY_NUMBER.values() if found.name == name), _UNKNOWN)
