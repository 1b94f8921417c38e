"""Small models and datasets with random contents, for tests."""

import numpy as np

from host_tools.formats import Dataset, Layer, Model
from host_tools.network_spec import parse_network

# every kind of layer and stage, in networks small enough for plain Python
NETWORKS = {
    "conv": ("conv 4 3, relu, maxpool 2, conv 5 2 stride 1 pad 1, relu, avgpool 2 stride 1, "
             "flatten, linear 9, relu, linear 4", (2, 8, 7)),
    "pools": ("maxpool 2 stride 1, conv 4 3 stride 2 pad 1, maxpool 2 stride 1, "
              "maxpool 2 stride 1, relu, flatten, linear 3", (1, 9, 9)),
    "linear": ("linear 6, relu, linear 5", (7, 1, 1)),
}


def random_weights(model: Model, rng: np.random.Generator, deviation: float = 30) -> None:
    """Give every conv2d and linear layer normal weights, and the exponent 8."""
    for stage in model.stages():
        if stage.weight_index >= 0:
            values = rng.normal(0, deviation, stage.weight_shape)
            layer = model.layers[stage.layer]
            layer.weights = np.clip(np.rint(values), -127, 127).astype(np.int8)
            layer.weight_exponent = 8


def random_dataset(shape: tuple[int, int, int], classes: int, n: int,
                   rng: np.random.Generator) -> Dataset:
    """n images of uniform pixels with uniform labels."""
    return Dataset(rng.integers(0, 128, (n, *shape), np.uint8),
                   rng.integers(0, classes, n).astype(np.uint8), classes)


def classes_of(layers: list[Layer]) -> int:
    """Outputs of the last linear layer."""
    return layers[-1].n_out


def small_model(network: str, seed: int = 1) -> Model:
    """One of NETWORKS with random weights; all shifts are 0."""
    text, shape = NETWORKS[network]
    layers = parse_network(text)
    model = Model(network, shape, classes_of(layers), layers)
    random_weights(model, np.random.default_rng(seed))
    return model
