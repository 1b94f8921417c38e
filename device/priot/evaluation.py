"""What a network gets right: accuracy, counts per class, confusion matrix; integers only."""

from array import array

from .cores import BothCores
from .dataset import Dataset, check_dataset


def permille(part, whole):
    """part / whole in thousandths, rounded half up."""
    return (2000 * part + whole) // (2 * whole)


def percent_text(value):
    """Thousandths as percent: 957 -> "95.7 %"."""
    return "%d.%d %%" % (value // 10, value % 10)


def class_text(names, label):
    """The name of a class, or its number."""
    return names[label] if label < len(names) else str(label)


class Evaluation:
    """Result of a test.

    total, correct: counts. permille: accuracy in thousandths. confusion[label][predicted]:
    counts. per_class: (correct, total) of each class. names: of the classes, or none.
    """

    def __init__(self, n_classes, names=()):
        self.n_classes = n_classes
        self.names = names
        self.confusion = [array("I", [0] * n_classes) for _ in range(n_classes)]
        self.total = 0
        self.correct = 0

    @classmethod
    def of(cls, net, source, stop=None):
        """Classify every sample of a path, a Dataset or an iterable of (buffer, label).

        Of a network trained by squared error an Errors (squared.py), of its samples' errors.
        stop: asked before every sample of a dataset; KeyboardInterrupt where it returns True.
        """
        net.check_memory()
        with BothCores(net.kernels):
            squared = net.squared()
            if squared:
                return squared.Errors(net).read(source, stop)
            return cls(net.n_classes, net.names)._read_any(net, source, stop)

    def _read_any(self, net, source, stop):
        if isinstance(source, str):
            with Dataset(source) as dataset:
                self._read(net, dataset, stop)
        elif isinstance(source, Dataset):
            self._read(net, source, stop)
        else:
            for image, label in source:
                if not 0 <= label < net.n_classes:
                    raise ValueError("label: %d, expected 0..%d" % (label, net.n_classes - 1))
                self.add(label, net.predict(image))
        return self

    def _read(self, net, dataset, stop):
        labels = check_dataset(dataset, net)
        for i in range(len(dataset)):
            if stop is not None and stop():
                raise KeyboardInterrupt
            label = labels[dataset.read(i, net.record)]
            net.forward()
            self.add(label, net.top_class())

    def add(self, label, predicted):
        """Count one sample."""
        self.confusion[label][predicted] += 1
        self.total += 1
        if label == predicted:
            self.correct += 1

    @property
    def permille(self):
        return permille(self.correct, max(1, self.total))

    @property
    def per_class(self):
        return [(row[i], sum(row)) for i, row in enumerate(self.confusion)]

    def __repr__(self):
        width = max(4, len(str(self.total)) + 1)
        lines = ["<Evaluation: %d of %d right, %s" % (
            self.correct, self.total, percent_text(self.permille))]
        numbers = "".join(["%*d" % (width, i) for i in range(self.n_classes)])
        lines.append("  label \\ predicted as" if self.n_classes > 20 else "  label" + numbers)
        for i, row in enumerate(self.confusion):
            right, total = row[i], sum(row)
            cells = "" if self.n_classes > 20 else "".join(["%*d" % (width, n) for n in row])
            lines.append("  %5d%s   %d/%d%s" % (
                i, cells, right, total, " " + self.names[i] if self.names else ""))
        return "\n".join(lines) + ">"
