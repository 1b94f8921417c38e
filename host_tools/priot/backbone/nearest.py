"""The int8 model that is nearest to a float network, and how near."""

import math

import numpy as np

from priot.backbone.equalize import equalize
from priot.backbone.fidelity import Fidelity, compare
from priot.backbone.float_graph import FloatGraph
from priot.backbone.float_network import FloatNetwork
from priot.backbone.quantize import calibrate_training, quantize_graph
from priot.formats import Dataset, Model
from priot.formats.model import INPUT_EXPONENT
from priot.network import fields as f

_LOOKED_AT = 128
Found = tuple[Model, FloatGraph, Fidelity]


def quantize(network: FloatNetwork, dataset: Dataset, name: str, naive: bool = False) -> Found:
    """An int8 model of a float network, calibrated on all images of a dataset, beside the graph
    that it was made of.

    Names of the classes, scale and zero are the dataset's. naive: see `calibrate`. Raises
    ValueError, FileError, PriotError where the network does not fit the images or a limit.
    """
    graph = network.graph_for(dataset)
    if not is_plain_chain(graph, dataset):
        return nearest(graph, dataset, name, naive=naive,
                       target_exponent=INPUT_EXPONENT if dataset.n_targets else 0)
    model = quantize_graph(graph, dataset, name, naive=naive, relative=False)
    return model, graph, compare(graph, model, dataset)


def is_plain_chain(graph: FloatGraph, dataset: Dataset) -> bool:
    """Whether a network has one stage behind the other, without bias, clamp or groups, and images
    of 0..127: such keep the weights and shifts that they have always had."""
    return not dataset.signed and graph.loss == f.CROSS_ENTROPY and all(
        stage.a == i - 1 and stage.b is None and stage.bias is None and stage.clamp is None
        and stage.groups == 1 for i, stage in enumerate(graph.stages))


def nearest(graph: FloatGraph, dataset: Dataset, name: str, exponent: int = INPUT_EXPONENT,
            naive: bool = False, target_exponent: int = 0) -> Found:
    """An int8 model of a graph, refined (refine.py), with equalised channels or as they are,
    whichever gives the outputs more nearly. Arguments and errors are those of `quantize_graph`."""
    found = []
    for candidate in (graph, equalize(graph, looked_at(dataset, exponent))):
        model = quantize_graph(candidate, dataset, name, exponent, naive,
                               target_exponent=target_exponent, training=False, refined=not naive)
        found.append((model, candidate, compare(candidate, model, dataset)))
    best = max(found, key=lambda entry: _outputs_db(entry[2]))
    calibrate_training(best[0], dataset, naive)
    return best


def looked_at(dataset: Dataset, exponent: int = INPUT_EXPONENT) -> np.ndarray:
    """Some of the images as the network gets them, float32: enough for what channels reach."""
    some = dataset.images[:: -(-len(dataset) // _LOOKED_AT)]
    return some.astype(np.float32) * np.float32(2.0**exponent)


def _outputs_db(found: Fidelity) -> float:
    """The outputs' signal to error."""
    sqnr = found.layers[-1].sqnr_db
    if sqnr is None:
        return math.inf if not found.largest_logit_error else -math.inf
    return sqnr
