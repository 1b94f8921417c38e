"""A new class for a network: one of the spare outputs of its model comes into use."""

from .files import NAME_BYTES, check_text


def add(net, name):
    """See Network.add_class."""
    if not isinstance(name, str):
        raise ValueError("class: %r, expected a name" % (name,))
    check_text("class", "name", name.encode(), NAME_BYTES)
    names = net.names or tuple([str(i) for i in range(net.n_classes)])
    if name in names:
        raise ValueError("class: %s is there already, its label is %d" % (name, names.index(name)))
    if net.loss_kind:
        raise ValueError("class %s: %s has no classes, it is trained by squared error"
                         % (name, net.path))
    if net.n_classes == net.n_outputs:
        left = " left" if net.n_outputs > net.in_file[0] else ""
        raise ValueError("class %s: %s has no spare output%s; priot quantize --spare makes some"
                         % (name, net.path, left))
    if net.trainer or net.adapter:
        raise ValueError("class %s: what is in force has %d classes; net.reset(), add_class(), a "
                         "new Trainer, and its load() takes up what was saved"
                         % (name, net.n_classes))
    before = net.n_classes, net.names
    net.release()
    net.use_classes(net.n_classes + 1, names + (name,))
    try:
        net.recover()
    except BaseException:  # too little memory, Ctrl-C
        net.release()
        net.use_classes(*before)
        net.recover()
        raise
    return net.n_classes - 1
