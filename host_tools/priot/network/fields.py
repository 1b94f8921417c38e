"""The tables of the device package as the host reads them: fields, kinds, rules, by name.

`fields.N_IN`, `fields.CONV2D`, `fields.PRUNE`: the numbers of device/priot/fields.py, kinds.py and
methods.py, which are read as data. The meaning of a field stands in device/DESIGN.md.
"""

import runpy
from typing import Any

from priot.paths import DEVICE


def read_table(name: str) -> dict[str, Any]:
    """The public names of a module of pure data of the device package."""
    table = runpy.run_path(str(DEVICE / "priot" / f"{name}.py"))
    return {key: value for key, value in table.items() if key.isupper()}


FIELDS = read_table("fields")
_KINDS = read_table("kinds")
_METHODS = read_table("methods")
KINDS: dict[int, tuple[str, str, str, str]] = _KINDS["KINDS"]
SHARED: dict[str, str] = _KINDS["SHARED"]
PORTABLE: dict[str, str] = _KINDS["PORTABLE"]
METHOD_COLUMNS: tuple[str, ...] = _METHODS["COLUMNS"]
METHOD_ROWS: tuple[tuple, ...] = _METHODS["METHODS"]
OPTION_ROWS: tuple[tuple, ...] = _METHODS["OPTIONS"]
BY_BIASES: tuple[tuple[int, bool], ...] = _METHODS["BY_BIASES"]
KIND_NAMES = {kind: name for kind, (name, *_) in KINDS.items()}

globals().update({name: value for table in (FIELDS, _KINDS, _METHODS)
                  for name, value in table.items() if isinstance(value, int)})


def __getattr__(name: str) -> int:
    """For type checkers: every other name here is a number of a table."""
    raise AttributeError(f"fields: no {name} in the device's tables")
