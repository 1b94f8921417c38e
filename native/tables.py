"""Writes tables.h for a native module: the tables of device/priot as C.

    python native/tables.py DEVICE_PACKAGE [FAST_H [only]]

Fields of the descriptor, kinds, rules and roundings as enums; HAS_WEIGHTS(kind); for every kernel
a type made from its form (device/priot/kinds.py) and a prototype; and KERNELS(ROW), a row for each
kernel of the module: how many arguments Python gives it, name, name as a qstr, C function, kind,
slot of its plan or 0, and its operands, by the names of check.h. The function is NULL where the
plan says which it is. Without FAST_H the module is priot_portable. With it, the header of a
processor's folder, it is priot_native, which has the kernels that are declared there and those of
no kind; or, with "only", priot_layers, which has those that are declared there.
"""

import re
import runpy
import sys
from pathlib import Path

VERBS = ("forward", "backward", "update")
# operand of a form -> C's parameter, and what check.h calls it
OPERANDS = {
    "Y": ("int8_t *y", "OUTPUT | WRITTEN"), "y": ("const int8_t *g", "OUTPUT"),
    "X": ("int8_t *dx", "INPUT | WRITTEN"), "x": ("const int8_t *x", "INPUT"),
    "Z": ("int8_t *dz", "INPUT | WRITTEN"), "z": ("const int8_t *z", "INPUT"),
    "c": ("const int32_t *bias", "BIASES"), "C": ("int32_t *bias", "BIASES | WRITTEN"),
    "A": ("uint8_t *argmax", "WINNERS | WRITTEN"), "a": ("const uint8_t *argmax", "WINNERS"),
    "R": ("uint8_t *weff", "ROWS_OF_W | WRITTEN"), "r": ("const uint8_t *w", "ROWS_OF_W"),
    "w": ("const uint8_t *w", "EVERY_W"), "W": ("const uint8_t *w", "EVERY_W | WRITTEN_BY_RULE"),
    "E": ("uint8_t *weff", "EVERY_W_OR_NONE | WRITTEN"),
    "S": ("uint8_t *scores, int32_t n_scores", "SCORES | WRITTEN"),
    "s": ("const uint8_t *scores, int32_t n_scores", "SCORES"),
    "b": ("const uint32_t *select", "SELECT"), "v": ("const void *values, int32_t n", "ANY"),
    "0": ("int32_t *scratch", "SCRATCH"), "1": ("int32_t *scratch", "SCRATCH + 1"),
    "2": ("int32_t *scratch", "SCRATCH + 2"), "3": ("int32_t *scratch", "HISTOGRAM"),
    "#": ("int32_t number", "NUMBER"), "d": ("const int32_t *d", "DESCRIPTOR"),
}


def enum(numbers: dict[str, int]) -> str:
    """An enum of named numbers."""
    return "enum {\n" + "".join(f"    {name} = {n},\n" for name, n in numbers.items()) + "};\n"


def types(name: str, form: str) -> str:
    """The type of a kernel, and the prototype of its portable twin."""
    parameters = ", ".join(OPERANDS[letter][0] for letter in form)
    return f"typedef int32_t {name}_t({parameters});\n{name}_t {name};\n"


def kernels(kinds: dict[int, tuple[str, ...]], shared: dict[str, str],
            portable: dict[str, str], numbers: dict[str, int]) -> list[tuple[str, str, str, str]]:
    """Name, form, kind and slot of the plan of every kernel; those of no kind have no slot.

    Their descriptor is checked as that of any layer with weights. The portable ones among them
    have a slot, which no fast kernel takes.
    """
    names = {n: name for name, n in numbers.items()}
    return [(f"{name}_{verb}", form, names[kind], f"PLAN_{verb.upper()}")
            for kind, (name, *forms) in kinds.items()
            for verb, form in zip(VERBS, forms, strict=True) if form] + [
        (name, form, "CONV2D" if "d" in form else "0", "0") for name, form in shared.items()] + [
        (name, form, "CONV2D", "PLAN_UPDATE") for name, form in portable.items()]


def declared(header: Path) -> list[tuple[str, str]]:
    """Kernel and C function of every `KERNEL_t FUNCTION;` in a header, in its order."""
    return re.findall(r"^(\w+)_t (\w+);", header.read_text(), re.MULTILINE)


def tables(package: Path, fast: Path | None, only: bool = False) -> str:
    """The text of tables.h."""
    fields, kinds, methods = (
        runpy.run_path(str(package / f"{name}.py")) for name in ("fields", "kinds", "methods"))
    numbers = [{name: n for name, n in table.items() if name.isupper() and isinstance(n, int)}
               for table in (fields, kinds, methods)]
    every = kernels(kinds["KINDS"], kinds["SHARED"], kinds["PORTABLE"], numbers[1])
    weighted = [f"(kind) == {names[0].upper()}" for names in kinds["KINDS"].values() if names[-1]]
    functions = dict(reversed(declared(fast))) if fast else {}
    rows = []
    for name, form, kind, slot in every:
        if not fast or (slot == "0" and not only) or name in functions:
            function = functions.get(name, name) if not fast or slot == "0" else "NULL"
            operands = ", ".join(OPERANDS[letter][1] for letter in form)
            rows.append(f'    ROW({1 + ("#" in form)}, {name}, MP_QSTR_{name}, {function}, '
                        f'{kind}, {slot}, {operands})')
    return "".join(["// Made by native/tables.py from device/priot.\n\n", *map(enum, numbers),
                    f"#define HAS_WEIGHTS(kind) ({' || '.join(weighted)})\n",
                    *(types(name, form) for name, form, _, _ in every),
                    "#define KERNELS(ROW) \\\n", " \\\n".join(rows), "\n"])


if __name__ == "__main__":
    paths = [Path(argument) for argument in sys.argv[1:]]
    sys.stdout.write(tables(paths[0], paths[1] if len(paths) > 1 else None, len(paths) > 2))
