"""The simulated Cortex-M0+: cycles counted by hand, flags, memory rights, calling convention."""

import numpy as np
import pytest
from m0plus import build
from m0plus.build import ROOT, link
from m0plus.machine import Fault, Machine

CREW_IN_TURN = ROOT / "tests" / "m0plus" / "crew_in_turn.c"
HEADER = ".syntax unified\n.cpu cortex-m0plus\n.thumb\n"

# instructions of a function, its cycles by ARM DDI 0484C table 3-1, and r0 afterwards where the
# function is entered with r0 = 5, r1 = 7, r2 = address of the words 1, 2, 3, 4
COUNTED = {
    "return": ("bx lr", 2, 5),
    "arithmetic": ("adds r0, r0, r1; subs r0, #2; muls r0, r1, r0; mvns r0, r0; bx lr", 6, -71),
    "loads": ("ldr r0, [r2, #4]; ldrb r1, [r2, #8]; adds r0, r0, r1; bx lr", 2 + 2 + 1 + 2, 5),
    "load_multiple": ("ldmia r2!, {r0, r1, r3}; adds r0, r0, r3; ldr r1, [r2]; adds r0, r1; bx lr",
                      4 + 1 + 2 + 1 + 2, 8),
    "store_multiple": ("stmia r2!, {r0, r1}; subs r2, #8; ldr r0, [r2, #4]; bx lr", 8, 7),
    "not_taken": ("cmp r0, #4; beq 1f; adds r0, #1; 1: bx lr", 1 + 1 + 1 + 2, 6),
    "taken": ("cmp r0, #5; beq 1f; adds r0, #1; 1: bx lr", 1 + 2 + 2, 5),
    "jump": ("b 1f; adds r0, #1; 1: bx lr", 2 + 2, 5),
    "loop": ("1: subs r0, #1; bne 1b; bx lr", 5 * 1 + 4 * 2 + 1 + 2, 0),
    "high_registers": ("mov r12, r0; add r12, r1; cmp r12, r0; mov r0, r12; bx lr", 6, 12),
    "computed_jump": ("adr r3, 1f; mov pc, r3; nop; .align 2; 1: adds r0, #1; bx lr", 6, 6),
    "call": ("push {r4, lr}; bl 1f; pop {r4, pc}; 1: adds r0, #1; bx lr",
             3 + 3 + (1 + 2) + 5, 6),
    "stack": ("sub sp, #8; str r0, [sp, #4]; ldr r0, [sp, #4]; add sp, #8; bx lr", 8, 5),
    "literal": ("ldr r0, =0x12345678; bx lr; .align 2; .ltorg", 4, 0x12345678),
    "extend": ("rsbs r0, r0, #0; uxtb r1, r0; sxth r0, r0; adds r0, r0, r1; bx lr", 6, 246),
    "rotate": ("movs r1, #1; rors r0, r1; bx lr", 4, -0x7FFFFFFE),
    "shift_out": ("movs r1, #33; lsls r0, r1; bx lr", 4, 0),
    "shift_32": ("lsrs r0, r0, #1; movs r1, #32; bcc 1f; adds r0, #8; 1: lsrs r0, r1; "
                 "bcs 1f; adds r0, #3; 1: bx lr", 1 + 1 + 1 + 1 + 1 + 1 + 1 + 2, 3),
    "carry": ("mvns r0, r0; adds r0, #6; movs r0, #0; adcs r0, r0; bx lr", 1 + 1 + 1 + 1 + 2, 1),
    "borrow": ("subs r3, r1, r0; sbcs r0, r1; bx lr", 4, -2),
    "reverse": ("ldr r0, [r2]; rev r0, r0; bx lr", 2 + 1 + 2, 0x01000000),
    "signed_bytes": ("mvns r0, r0; strb r0, [r2]; movs r1, #0; ldrsb r0, [r2, r1]; bx lr",
                     1 + 2 + 1 + 2 + 2, -6),
}


@pytest.fixture(scope="module")
def machine(tmp_path_factory) -> Machine:
    source = tmp_path_factory.mktemp("m0plus") / "counted.S"
    functions = [f".align 2\n.global {name}\n.thumb_func\n{name}: {code}\n"
                 for name, (code, _, _) in COUNTED.items()]
    misbehaved = {
        "forgets_r4": "movs r4, #0; bx lr", "forgets_stack": "push {r0}; bx lr",
        "runs_away": "1: b 1b", "undefined": "udf #0", "jumps_to_data": "bx r2",
        "writes": "strb r0, [r2, #15]; bx lr", "writes_beyond": "strb r0, [r2, #16]; bx lr",
        "reads_before": "subs r2, #1; ldrb r0, [r2]; bx lr",
        "reads_unaligned": "adds r2, #1; ldrh r0, [r2]; bx lr"}
    functions += [f".align 2\n.global {name}\n.thumb_func\n{name}: {code}\n"
                  for name, code in misbehaved.items()]
    source.write_text(HEADER + "".join(functions))
    return Machine(build.link("counted", [source]))


def call(machine: Machine, name: str, writable: bool = True) -> int:
    machine.clear()
    words = machine.place(np.array([1, 2, 3, 4], np.uint32), writable=writable)
    return machine.call(name, 5, 7, words, max_cycles=1000)


@pytest.mark.parametrize("name", COUNTED)
def test_cycles_and_result_counted_by_hand(machine, name):
    _, cycles, result = COUNTED[name]
    assert call(machine, name) == result
    assert machine.cycles == cycles


@pytest.mark.parametrize("name, fault", [
    ("forgets_r4", "did not restore r4"), ("forgets_stack", "returned with sp"),
    ("runs_away", "out of cycles"), ("undefined", "undefined instruction"),
    ("jumps_to_data", "fetch"), ("writes_beyond", "store"), ("reads_before", "load"),
    ("reads_unaligned", "load"),
])
def test_refuses(machine, name, fault):
    with pytest.raises(Fault, match=fault):
        call(machine, name)


def test_memory_is_written_only_where_it_may_be(machine):
    call(machine, "writes")
    with pytest.raises(Fault, match="store"):
        call(machine, "writes", writable=False)


def test_profile_adds_up_to_the_cycles(machine):
    machine.clear()
    machine.call("loop", 50, profile=True)
    assert machine.cycles_by_function() == {"loop": machine.cycles} == {"loop": 151}
    taken, not_taken = 49, 1
    assert str(taken * 2 + not_taken) in machine.annotated("loop").splitlines()[1]


def test_stack_is_measured(machine):
    call(machine, "call")
    assert machine.stack_used == 8


def test_program_with_missing_functions_does_not_link(tmp_path):
    source = tmp_path / "missing.c"
    source.write_text("int divide(int a, int b);\nint divide(int a, int b) { return a / b; }\n")
    with pytest.raises(RuntimeError, match="undefined reference"):
        build.link("missing", [source])


SHARES = """
#include "crew.h"
int32_t shared[2];
static void clashes(void *job, int32_t core, int32_t cores) {
    ((volatile int32_t *)job)[0] = core + 1;
}
static void reads(void *job, int32_t core, int32_t cores) {
    volatile int32_t *words = job;
    words[core] = words[1 - core] + 1;
}
static void keeps_apart(void *job, int32_t core, int32_t cores) {
    volatile int32_t *words = job, mine[8];
    for (int32_t i = 0; i < 8 * (1 + core); i++) {
        mine[i & 7] = i;
    }
    words[core] = mine[7];
}
static void agrees(void *job, int32_t core, int32_t cores) {
    *(volatile int32_t *)job = cores;
}
void clash(int32_t *words) { crew_run(clashes, words); }
void read(int32_t *words) { crew_run(reads, words); }
void apart(int32_t *words) { crew_run(keeps_apart, words); }
void agree(int32_t *words) { crew_run(agrees, words); }
"""


def test_shares_of_two_cores_may_not_meet(tmp_path):
    (tmp_path / "shares.c").write_text(SHARES)
    machine = Machine(link("shares", [tmp_path / "shares.c", CREW_IN_TURN],
                           ["-Os", f"-I{ROOT / 'native'}"]))
    for function in ("clash", "read"):
        with pytest.raises(Fault, match="clash with the other core"):
            machine.call(function, machine.reserve(8))
    for function in ("apart", "agree"):
        machine.call(function, machine.reserve(8))
    machine.call("clash", machine.reserve(8, may_clash=True))
    machine.call("apart", machine.reserve(8))
    core = machine.core
    assert core.runs == 1 and 50 < core.saved < core.cycles / 2  # the shorter share
