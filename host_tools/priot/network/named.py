"""Networks that `priot pretrain --network` knows by name."""

from priot.errors import PriotError

# name -> the line that network_spec reads; {classes} outputs
NETWORKS = {
    # 21,456 weights on 8x8 digits
    "digits": "conv 16 3 pad 1, relu, conv 32 3 pad 1, relu, maxpool 2, flatten, "
              "linear 32, relu, linear {classes}",
    # 27,464 weights on 28x28 MNIST
    "network-a": "conv 8 3, relu, maxpool 2, conv 16 3, relu, maxpool 2, flatten, "
                 "linear 64, relu, linear {classes}",
}
# Filters, 0 for a max-pool: Simonyan and Zisserman 2014, configuration A, for 32x32 images, with
# one linear layer at the end. With batch norm behind every convolution it is vgg11-bn.
VGG11 = (64, 0, 128, 0, 256, 256, 0, 512, 512, 0, 512, 512, 0)


def network_line(name: str, classes: int, width: float = 1) -> str:
    """The line of a named network, or `name` itself where it is a line.

    width: of vgg11 and vgg11-bn, a factor of every number of filters (at least 1 stays). Raises
    PriotError.
    """
    if name in ("vgg11", "vgg11-bn"):
        ends = "bn, relu" if name == "vgg11-bn" else "relu"
        if not 0 < width <= 4:
            raise PriotError("--width", f"found {width:g}, expected above 0, at most 4")
        layers = [f"conv {max(1, round(a * width))} 3 pad 1, {ends}" if a else "maxpool 2"
                  for a in VGG11]
        return ", ".join([*layers, "flatten", f"linear {classes}"])
    if width != 1:
        raise PriotError("--width", f"{name} has a fixed width; only vgg11 and vgg11-bn take "
                         "another")
    return NETWORKS.get(name, name).replace("{classes}", str(classes))
