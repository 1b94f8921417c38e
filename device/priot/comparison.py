"""What one network gets right of several datasets, side by side."""

from .evaluation import Evaluation, class_text, percent_text, permille


class Comparison:
    """Result of a test on several datasets, as old samples and new ones.

    evaluations: an Evaluation of each. paths: theirs.
    """

    def __init__(self, net, sources):
        self.names = net.names
        self.paths = [source if isinstance(source, str) else getattr(source, "path", "samples")
                      for source in sources]
        self.evaluations = [Evaluation.of(net, source) for source in sources]

    def __repr__(self):
        width = max([len(path) for path in self.paths] + [18]) + 2
        rows = [("class", self.paths)]
        for i in range(self.evaluations[0].n_classes):
            rows.append((class_text(self.names, i),
                         [_cell(*e.per_class[i]) for e in self.evaluations]))
        rows.append(("all", [_cell(e.correct, e.total) if e.n_classes else "error %d" % e.error
                             for e in self.evaluations]))
        first = max([len(row[0]) for row in rows])
        return "<Comparison:\n%s>" % "\n".join(
            ["  %-*s%s" % (first, name, "".join(["%*s" % (width, cell) for cell in cells]))
             for name, cells in rows])


def _cell(right, total):
    """Right of total, and the share."""
    return "%d/%d %8s" % (right, total, percent_text(permille(right, total)) if total else "-")
