"""Every kernel with its form, from the device's own table (device/priot/kinds.py)."""

from dataclasses import dataclass

from priot.network import fields as f

from kernels.runner import NO_LAYER

VERBS = ("forward", "backward", "update")
# Kernels that no table of the device has. G: gradient of the logits z; V: bytes, H: uint16,
# U: the state of the generator, all written; scratch 4: a word for each class
OTHERS = {"cross_entropy": "Gz4d#", "init_scores": "VU", "shuffle": "HU"}


@dataclass(frozen=True)
class Kernel:
    """A kernel's form, the kind of its layers or 0, and where a plan names it."""

    form: str
    kind: int = 0
    slot: int = NO_LAYER

    @property
    def takes_number(self) -> bool:
        """Whether it is given a number beside its operands."""
        return "#" in self.form


def _kernels() -> dict[str, Kernel]:
    found = {name: Kernel(form) for name, form in {**OTHERS, **f.SHARED, **f.PORTABLE}.items()}
    for kind, (name, *forms) in f.KINDS.items():
        fast = bool(forms[-1])  # kernels of layers without weights are in no plan
        for i, form in enumerate(forms):
            if form:
                slot = f.PLAN_FORWARD + i if fast else NO_LAYER
                found[f"{name}_{VERBS[i]}"] = Kernel(form, kind, slot)
    return found


KERNELS = _kernels()
