"""The device package as a board gets it: numbers in place of names, compiled, no paths inside."""
import re
import subprocess
import sys

import pytest
from priot.errors import PriotError
from priot.package import compile_package, package_source
from priot.package.fold import TABLES, constants, fold, fold_package
from priot.paths import DEVICE, ROOT, tool
from priot.processors import ARCHITECTURES

FIELDS = '''"""A table."""
ROW = 18
RULE = ROWS = 20
LOWEST = -128
TWICE = 1
TWICE = 2
NAMES = ("row", "rule")
SUM = ROW + 1
'''
NUMBERS = {"ROW": 18, "RULE": 20, "ROWS": 20, "LOWEST": -128}


def folded(text):
    return fold(text, {"fields": NUMBERS})

MPY_TOOL = ROOT / "build" / "micropython" / "tools" / "mpy-tool.py"
FRAME_WORDS = 11  # VM_MAX_STATE_ON_STACK of py/objfun.c
EXCEPTION_WORDS = 3  # of each `try` within another one's
# What runs at every step, and where a user calls learn, predict or scores.
EVERY_STEP = {
    "calls": ("run", "run_whole", "_run_rest", "_by_rows", "_measured"),
    "in_flash": ("take", "raw", "verified", "in_turn", "_put_parts", "update_in_turn"),
    "trainer": ("learn", "step"),
    "squared": ("learn", "step", "gradient"),
    "network": ("forward", "predict", "scores", "put", "_put", "_put_bytes", "top_class"),
    "files": ("are_values",),
    "layer_state": ("follow_threshold",),
    "dataset": ("read",),
}


def test_only_integers_of_a_table_are_constants():
    assert constants(FIELDS) == NUMBERS


@pytest.mark.parametrize("text, expected", [
    ("from . import fields as F\nd[F.ROW] = F.RULE\n", "pass\nd[18] = 20\n"),
    ("from . import fields\nd[fields.ROW]\n", "pass\nd[18]\n"),
    ("from . import adapter, fields as F\nd[F.ROW]\n", "from . import adapter\nd[18]\n"),
    ("from . import fields as F, adapter as a\nF.ROW\n", "from . import adapter as a\n18\n"),
    ("from .fields import ROW, RULE as rule\n_R = const(ROW)\nrule\n",
     "pass\n_R = const(18)\n20\n"),
    ("from .fields import (  # why\n    ROW,\n    NAMES,\n)\nROW\nNAMES\n",
     "from .fields import (NAMES\n\n\n)\n18\nNAMES\n"),
    ("from .fields import (\n    ROW,\n    RULE)  # noqa\nROW + RULE\n",
     "pass\n\n  # noqa\n18 + 20\n"),
    ("def f(d):\n    from .fields import ROW\n    return d[ROW]\n",
     "def f(d):\n    pass\n    return d[18]\n"),
    ("from . import fields as F\n2 - F.LOWEST ** 2, F.ROW.to_bytes(1)\n",
     "pass\n2 - (-128) ** 2, (18).to_bytes(1)\n"),
    ("from . import fields as F\nx = 'é', F.ROW, 'F.ROW'  # F.ROW\n",
     "pass\nx = 'é', 18, 'F.ROW'  # F.ROW\n"),
    ("from . import fields as F\nself.F.ROW, g.ROW, F.ROW\n", "pass\nself.F.ROW, g.ROW, 18\n"),
])
def test_names_become_numbers_in_their_lines(text, expected):
    assert folded(text) == expected
    assert expected.count("\n") == text.count("\n")


@pytest.mark.parametrize("text", [
    "from . import fields as F\nF.NAMES[0]\n",  # no number
    "from . import fields as F\ngetattr(F, name)\n",
    "from .fields import ROW\nfor ROW in range(3): ROW\n",  # the name is used for something else
    "from .fields import ROW\ndef f(ROW): return ROW\n",
    "from . import fields as F\nfrom . import files as F\nF.ROW\n",
    "from .fields import ROW\nfrom .rows import ROW\nROW\n",
    "from .fields import ROW\nf'{ROW}'\n",
    "from . import fields as F\n(F.\n  ROW)\n",  # would lose a line
    "from . import fields as F\nF.ROW = 3\n",
    "from .fields import ROW  # for others\n",
    "from .other import ROW\nROW\n",
    "from fields import ROW\nROW\n",  # not the package's
])
def test_what_is_left_alone(text):
    assert folded(text) == text


def test_a_number_may_fold_beside_a_use_that_cannot():
    text = "from . import fields as F\nF.ROW, F.NAMES\n"
    assert folded(text) == "from . import fields as F\n18, F.NAMES\n"


def test_a_table_goes_when_nothing_imports_it():
    user = "from . import fields as F\nF.ROW\n"
    assert fold_package({"fields": FIELDS, "user": user}) == {"user": "pass\n18\n"}
    for other in ("from . import fields\nfields.NAMES\n", "from .fields import NAMES\nNAMES\n"):
        package = fold_package({"fields": FIELDS, "user": user, "other": other})
        assert package == {"fields": FIELDS, "user": "pass\n18\n", "other": other}


def test_a_table_may_use_another():
    kinds = "from .fields import ROW\nFORMS = {ROW: 'Yx'}\n"
    user = "from .kinds import FORMS\n"
    package = fold_package({"fields": FIELDS, "kinds": kinds, "user": user})
    assert package["kinds"] == "pass\nFORMS = {18: 'Yx'}\n"
    assert "fields" not in package


@pytest.mark.parametrize("sources, line", [
    ({"user": "a = 1\nb = = 2\n"}, "user.py: line 2: invalid syntax"),
    ({"fields": FIELDS, "user": "from .fields import ROW\nROW\n",
      "other": "from .user import ROW\n"},
     "other.py: no ROW in user.py to import"),
])
def test_a_package_that_cannot_be_folded(sources, line):
    with pytest.raises(PriotError, match=f"^{line}$"):
        fold_package(sources)


def test_the_compiled_package_has_every_module_but_the_fields():
    sources = {path.stem for path in (DEVICE / "priot").glob("*.py")}
    for arch in ARCHITECTURES:
        names = {path.stem for path in (compile_package(arch) / "priot").iterdir()}
        assert "fields" not in names
        assert names <= sources
        assert sources - names <= set(TABLES)


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_viper_takes_a_folded_index(arch, tmp_path):
    source = tmp_path / "k.py"
    source.write_text(folded(
        "import micropython\nfrom .fields import ROW\n\n\n@micropython.viper\n"
        "def f(d) -> int:\n    p = ptr32(d)\n    return p[ROW]\n"))
    subprocess.run([tool("mpy-cross"), f"-march={arch}", source], check=True)


def words_of_frames(module: str) -> dict[str, int]:
    """Words that MicroPython takes for a call of each function of a module of the package."""
    compiled = compile_package("armv6m") / "priot" / f"{module}.mpy"
    text = subprocess.run([sys.executable, MPY_TOOL, "-d", compiled], check=True,
                          capture_output=True, text=True).stdout
    return {name: int(state) + EXCEPTION_WORDS * int(handlers) for name, state, handlers in
            re.findall(r"simple_name: (\w+)\n.*\n +prelude: \((\d+), (\d+)", text)}


@pytest.mark.parametrize(("module", "functions"), EVERY_STEP.items())
def test_a_step_takes_no_frame_from_the_heap(module, functions):
    """MicroPython takes a larger frame from the heap, and looks for a place through all of it."""
    words = words_of_frames(module)
    assert {name: words[name] for name in functions if words[name] > FRAME_WORDS} == {}


def test_source_and_compiled_package_hold_no_path_of_this_machine():
    for folder in (package_source(), *map(compile_package, ARCHITECTURES)):
        for path in (folder / "priot").iterdir():
            assert str(DEVICE.parent).encode() not in path.read_bytes(), path
