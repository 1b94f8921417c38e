"""How sure a network is of each class: the softmax of its logits, in thousandths."""

from array import array


def scores(net):
    """Scores of the image whose logits are there: a list of n_classes integers, sum 1000.

    1000 * e / sum(e) with the e^-x of cross_entropy, rounded down; what is missing to 1000 goes,
    one each, to those of the largest remainders, of equals first to the predicted class, then to
    the first. So none is a whole thousandth away, and no class beats the predicted one.
    """
    n = net.n_classes
    e = array("i", [0] * n)
    net.kernels.cross_entropy((bytearray(n), net.logits, e, net.loss), 0)  # leaves them there
    total = sum(e)
    found = [1000 * v // total for v in e]
    top = net.top_class()
    order = sorted(range(n), key=lambda i: (-(1000 * e[i] % total), i != top, i))
    for i in order[:1000 - sum(found)]:
        found[i] += 1
    return found
