"""What a network gets right, class by class, as text."""

from collections.abc import Sequence
from typing import Any

_MOST_CLASSES = 20  # of a matrix that is printed
_FORGOTTEN = 5  # percent of a class that have to be lost before it is said


def class_text(names: Sequence[str], label: int) -> str:
    """The name of a class, or its number."""
    return names[label] if label < len(names) else str(label)


def confusion_text(report: dict[str, Any]) -> str:
    """The confusion matrix of one test, with the names of the classes; "" of many classes."""
    confusion = report["confusion"]
    if len(confusion) > _MOST_CLASSES:
        return ""
    width = max(5, len(str(report["test_images"])) + 1)
    lines = ["label" + "".join(f"{i:>{width}}" for i in range(len(confusion))) + "   right/of"]
    for i, row in enumerate(confusion):
        right, total = report["per_class"][i]
        name = f"  {report['names'][i]}" if report["names"] else ""
        lines.append(f"{i:>5}" + "".join(f"{v:>{width}}" for v in row)
                     + f"   {right}/{total}{name}")
    return "\n".join(lines)


def side_by_side(names: Sequence[str], tests: Sequence[dict[str, Any]]) -> str:
    """Right and of how many, class by class, of one network on several datasets."""
    rows = [["class", *(test["dataset"] for test in tests)]]
    for i in range(len(tests[0]["per_class"])):
        rows.append([class_text(names, i), *(_cell(*test["per_class"][i]) for test in tests)])
    rows.append(["all", *(_cell(sum(right for right, _ in test["per_class"]),
                                test["test_images"]) for test in tests)])
    first = max(len(row[0]) for row in rows)
    width = max(len(cell) for row in rows for cell in row[1:]) + 2
    return "\n".join(f"{row[0]:<{first}}" + "".join(f"{cell:>{width}}" for cell in row[1:])
                     for row in rows)


def errors_lines(report: dict[str, Any], where: str = "") -> list[str]:
    """The errors of one test by squared error: of all samples, and by label."""
    lines = [f"{report['dataset']}: mean error {report['error']:.0f} of {report['test_images']} "
             f"samples, a mean square of {report['mean_squared_error']:.4g} {where}".rstrip()]
    there = [(name, *row) for name, row in zip(report["labels"], report["by_label"], strict=True)
             if row[0]]
    if len(there) > 1:
        width = max(len(name) for name, *_ in there)
        lines += [f"  {name:{width}}  {n} samples, mean error {error / n:.0f}, largest {largest}"
                  for name, n, error, largest in there]
    if report["auc"] is not None:
        lines.append(f"  the error is larger than a normal one's in {report['auc']:.1f} % of all "
                     "pairs (AUC)")
    return lines


def forgotten(report: dict[str, Any]) -> list[str]:
    """A line for each further dataset of a training: before, after, and which classes lost."""
    lines = []
    for test in report["also"]:
        lost = []
        if test["error_after"] is not None:
            lines.append(f"{test['dataset']}: mean error {test['error_before']:.0f} before, "
                         f"{test['error_after']:.0f} after")
            continue
        for i, (before, after) in enumerate(zip(test["per_class_before"], test["per_class"],
                                                strict=True)):
            if after[1] and 100 * (before[0] - after[0]) >= _FORGOTTEN * after[1]:
                lost.append(f"{class_text(report['names'], i)} {_percent(*before)} to "
                            f"{_percent(*after)}")
        line = (f"{test['dataset']}: {test['accuracy_before']:.1f} % before, "
                f"{test['accuracy_after']:.1f} % after")
        lines.append(line + (f"; forgotten: {', '.join(lost)} %" if lost else ""))
    return lines


def _percent(right: int, total: int) -> str:
    return f"{100 * right / total:.0f}"


def _cell(right: int, total: int) -> str:
    return f"{right}/{total}" + (f"{100 * right / total:>7.1f} %" if total else f"{'-':>9}")
