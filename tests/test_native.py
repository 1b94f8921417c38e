"""The native modules: their numbers, size, refusal of bad operands, and clean C."""

import json
import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from kernels import layers, learning
from kernels.cases import difference, read_answers, solved, write_cases
from kernels.forms import KERNELS, OTHERS
from kernels.layers import conv2d_descriptor, linear_descriptor, pool_descriptor
from kernels.suite import all_cases
from kernels.worked import worked_cases
from priot.network import fields as f
from priot.oracle import kernels as oracle
from priot.paths import DEVICE, ROOT, native_module, tool
from support import HANG_S

NATIVE = ROOT / "native"
TESTS = Path(__file__).parent
# Bytes of the modules for armv6m, which the board copies to its heap. Few networks want two, and
# those of the examples no more than the first.
SIZE_LIMITS = {"priot_native": 18_368, "priot_layers": 9_280, "priot_backward": 10_080,
               "priot_portable": 13_440, "priot_features": 2_720, "priot_flash": 3_664}


def test_exponential_table_is_the_oracles():
    text = (NATIVE / "portable" / "loss.c").read_text()
    body = re.search(r"EXP_TABLE\[\] = \{(.*?)\}", text, re.S).group(1)
    table = [int(v) for v in re.findall(r"\d+", body)]
    assert table == oracle.EXP_TABLE[:len(table)].tolist()
    assert not oracle.EXP_TABLE[len(table):].any()


@pytest.mark.parametrize("name", SIZE_LIMITS)
def test_armv6m_modules_are_small(name):
    assert native_module("armv6m", name).stat().st_size < SIZE_LIMITS[name]


def fast_kernels(folder: str = "armv6m") -> dict[str, str]:
    """Kernel -> function of every declaration in a folder's fast.h."""
    declared = runpy.run_path(str(NATIVE / "tables.py"))["declared"]
    return dict(declared(NATIVE / folder / "fast.h"))


def test_every_letter_of_a_form_is_known():
    """kinds.py explains those that its forms use, tables.py and check.h know no others."""
    used = set("".join(kernel.form for name, kernel in KERNELS.items() if name not in OTHERS))
    kinds = (DEVICE / "priot" / "kinds.py").read_text().split('"""')[1]
    tables = runpy.run_path(str(NATIVE / "tables.py"))["OPERANDS"]
    assert used <= set(tables)
    assert all(re.search(rf"(?<!\w){re.escape(letter)}(?!\w)", kinds) for letter in tables)
    lengths = set(re.findall(r"[A-Z_]+", " ".join(name for _, name in tables.values())))
    assert lengths <= set(re.findall(r"^    ([A-Z_]+)\b", (NATIVE / "check.h").read_text(), re.M))


def test_portable_module_has_every_kernel():
    script = "import priot_portable; print(*dir(priot_portable))"
    environment = dict(os.environ, MICROPYPATH=str(native_module("x64").parent))
    done = subprocess.run([str(tool("micropython")), "-c", script], env=environment, check=True,
                          capture_output=True, text=True)
    names = {name for name in done.stdout.split() if not name.startswith("__")}
    assert names == {*KERNELS, "contract", "memo_bytes", "plan", "plan_name", "scratch_words"}


def test_native_module_names_what_it_has():
    """Those of layers that fast.h declares, and those of no kind; no path of this machine."""
    content = native_module("armv6m", "priot_native").read_bytes()
    has = {name for name in KERNELS if name.encode() in content}
    assert has == {*fast_kernels(), *OTHERS, *f.SHARED}
    for arch, name in (("armv6m", "priot_native"), ("armv6m", "priot_layers"),
                       ("armv6m", "priot_backward"),
                       ("armv6m", "priot_portable"), ("armv6m", "priot_features"),
                       ("armv6m", "priot_flash"), ("x64", "priot_flash"),
                       ("x64", "priot_portable"), ("x64", "priot_features"),
                       ("x64", "priot_plan")):
        content = native_module(arch, name).read_bytes()
        assert f"{name}.mpy".encode() in content and f"/{name}".encode() not in content


@pytest.mark.parametrize("folder", ["layers", "backward"])
def test_modules_beside_it_name_what_they_have(folder):
    """Those that its fast.h declares alone: the others are in priot_native."""
    content = native_module("armv6m", f"priot_{folder}").read_bytes()
    has = {name for name in KERNELS if name.encode() in content}
    assert has == {*fast_kernels(f"armv6m/{folder}")}


def _good_calls() -> list:
    """One consistent call of every kernel, shapes with pooling, padding and several rows."""
    rng = np.random.default_rng(8)
    conv = conv2d_descriptor(2, (6, 5), 3, kernel=3, padding=1, pool=2, RULE=f.PRUNE, MASK_DX=128)
    linear = linear_descriptor(7, 5, RULE=f.GAIN, MASK_DX=128, BIAS=1)
    pool = pool_descriptor(2, (5, 5), 3, 2)
    x, g = rng.integers(0, 128, 60).astype(np.int8), rng.integers(-9, 9, 18).astype(np.int8)
    w, v = (rng.integers(1, 256, n).astype(np.uint8) for n in (54, 35))
    argmax = layers.random_argmax(rng, conv)
    sparse = layers.changed(linear, SELECTION=f.BITMAP)
    weights = layers.changed(conv, RULE=f.WEIGHTS)
    return solved(iter([
        layers.call("conv2d_forward", "good", conv, x=x, r=w),
        layers.call("conv2d_backward", "good", conv, y=g, a=argmax, x=x, w=w),
        learning.update("conv2d_update", "good", rng, conv, w, y=g, a=argmax, x=x),
        learning.update("conv2d_update", "weights", rng, weights, w, y=g, a=argmax, x=x),
        layers.call("linear_forward", "good", linear, x=x[:7], r=v,
                    c=layers.random_biases(rng, linear)),
        layers.call("linear_backward", "good", linear, y=g[:5], x=x[:7], r=v),
        learning.update("linear_update", "good", rng, linear, v, y=g[:5], x=x[:7]),
        learning.update("linear_update", "sparse", rng, sparse, v, y=g[:5], x=x[:7]),
        layers.call("bias_update", "good", linear, C=layers.random_biases(rng, linear), y=g[:5]),
        learning.effective_weights("good", rng, linear, v),
        learning.effective_weights("sparse", rng, sparse, v),
        *layers.pool_cases(rng, "good", pool),
        *layers.global_pool_cases(rng, "good", layers.global_pool_descriptor(2, (3, 5))),
        *layers.add_cases(rng, "good", layers.add_descriptor(2, (3, 5))),
        *(c for c in worked_cases() if c.what in (
            "two equals", "none saturated", "second of two equals", "none",
            "first draw", "two")),
    ]))


def _run(script: str, *arguments: str) -> subprocess.CompletedProcess:
    environment = dict(os.environ, MICROPYPATH=str(native_module("x64").parent))
    return subprocess.run(
        [str(tool("micropython")), "-X", "heapsize=8M", str(TESTS / "kernels" / script),
         *arguments], env=environment, capture_output=True, text=True, timeout=HANG_S)


def test_wrong_operands_are_refused(tmp_path):
    cases = _good_calls()
    assert {c.kernel for c in cases} == set(KERNELS)
    write_cases(tmp_path / "cases", cases)
    fields = tmp_path / "fields.json"  # an argument of MicroPython has at most 255 bytes
    fields.write_text(json.dumps({name: value for name, value in vars(f).items()
                                  if name.isupper() and isinstance(value, int)}))
    done = _run("misuse.py", str(tmp_path / "cases"), "1", "2000", str(fields))
    lines = done.stdout.splitlines()
    assert done.returncode == 0, f"status {done.returncode}: {done.stderr[-2000:]}"
    assert lines and re.fullmatch(r"checked \d{5,} calls", lines[-1]), lines[-3:]
    assert not lines[:-1]


def test_calls_allocate_nothing(tmp_path):
    write_cases(tmp_path / "cases", _good_calls())
    done = _run("locked.py", str(tmp_path / "cases"))
    assert (done.returncode, done.stderr) == (0, "")
    assert set(done.stdout.split()) == set(KERNELS)


def test_a_memo_is_filled_once():
    """What a call finds out stands in its memo, and later calls leave that as it is."""
    script = ("import priot_portable as n\nlogits = bytearray(b'\\1\\5\\3')\n"
              "call = logits, bytearray(n.memo_bytes)\nfound = [n.classify(call)]\n"
              "memo = bytes(call[1])\nlogits[0] = 9\nfound += [n.classify(call)]\n"
              "print(found, any(memo), memo == call[1])")
    environment = dict(os.environ, MICROPYPATH=str(native_module("x64").parent))
    done = subprocess.run([str(tool("micropython")), "-c", script], env=environment, check=True,
                          capture_output=True, text=True)
    assert done.stdout.strip() == "[1, 0] True True"


def test_errors_name_the_operand():
    script = ("import priot_portable as n\nfrom array import array\nd = array('i', [0] * 56)\n"
              "try:\n    CALL\nexcept Exception as e:\n    print(repr(e))\n")
    environment = dict(os.environ, MICROPYPATH=str(native_module("x64").parent))
    for call, error in (
        ("n.classify((1,))", "TypeError('operands: one is no buffer, or read-only',)"),
        ("n.linear_forward((b'', b'', b'', b'', b'', b''))",
         "ValueError('operand 5: 0 bytes, expected 224',)"),
        ("n.count_below((b'', b''), 1)", "ValueError('operands: wrong number',)"),
        ("n.linear_forward((d, d, d, d, d, d))",
         "ValueError('d: sizes inconsistent or out of range',)"),
    ):
        done = subprocess.run([str(tool("micropython")), "-c", script.replace("CALL", call)],
                              env=environment, capture_output=True, text=True)
        assert done.stdout.strip() == error


@pytest.mark.parametrize("vectors", [True, False], ids=["vectors", "as on armv6m"])
def test_no_undefined_behaviour(vectors, tmp_path):
    """All cases on the C kernels compiled for this machine with sanitizers."""
    library = tmp_path / "kernels.so"
    sources = sorted(NATIVE.glob("portable/*.c"))
    command = ["gcc", "-std=c99", "-O1", "-g", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC",
               "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    command += [f"-I{NATIVE}", f"-I{tmp_path}"]
    (tmp_path / "tables.h").write_text(subprocess.run(
        [sys.executable, str(NATIVE / "tables.py"), str(DEVICE / "priot")], check=True,
        capture_output=True, text=True).stdout)
    command += [] if vectors else ["-U__SSE2__"]
    subprocess.run([*command, "-o", str(library), *map(str, sources)], check=True)
    cases = all_cases()
    write_cases(tmp_path / "cases", cases)
    preload = [subprocess.run(["gcc", f"-print-file-name=lib{name}.so"], check=True,
                              capture_output=True, text=True).stdout.strip()
               for name in ("asan", "ubsan")]
    environment = dict(os.environ, PRIOT_KERNELS=str(library), LD_PRELOAD=":".join(preload),
                       ASAN_OPTIONS="detect_leaks=0", PYTHONMALLOC="malloc",
                       PYTHONPATH=f"{TESTS}:{ROOT / 'host_tools'}")
    done = subprocess.run(
        [sys.executable, str(TESTS / "kernels" / "runner.py"), "library",
         str(tmp_path / "cases"), str(tmp_path / "answers")],
        env=environment, capture_output=True, text=True, timeout=HANG_S)
    assert done.returncode == 0, done.stderr[-3000:]
    answers = read_answers((tmp_path / "answers").read_bytes())
    wrong = [d for d in map(difference, cases, answers) if d]
    assert len(answers) == len(cases) and not wrong, wrong[:1]
