"""Classes where a file meets a network: names compared, of which either may have none; counts."""


def label_table(path, names, net):
    """For every label of a dataset the network's label of the same name, as bytes.

    names: the dataset's. ValueError where the network lacks one of them.
    """
    for name in names:
        if name not in net.names:
            raise ValueError("%s: has the class %s, the model has not (%s)%s" % (
                path, name, _difference(names, net.names),
                "; net.add_class(%r) adds it" % name if net.n_outputs > net.n_classes else ""))
    return bytes([net.names.index(name) for name in names])


def class_counts(dataset, labels, net):
    """Samples of each of the network's classes in a dataset, whose table of labels is given."""
    counts = [0] * net.n_classes
    for label, n in enumerate(dataset.counts):
        counts[labels[label]] += n
    return counts


def _difference(names, others):
    """Where two lists differ first: `names` of a file, `others` of the network."""
    i = 0
    while i < min(len(names), len(others)) and names[i] == others[i]:
        i += 1
    return "class %d is %s there, %s in the model" % (
        (i,) + tuple([known[i] if i < len(known) else "missing" for known in (names, others)]))
