"""`priot pretrain` by PyTorch, with its options: as the backbones of this folder were trained.

Chains of layers without bias only, which is what they are.
"""

import sys
from collections.abc import Iterator

import torch
from priot import cli
from priot.backbone import pretrain
from priot.backbone.float_network import FloatNetwork
from priot.commands import pretrain as command
from priot.errors import PriotError
from priot.formats import Dataset
from priot.network.stage import Shape

functions = torch.nn.functional
KINDS = ("conv2d", "linear", "relu", "max_pool", "flatten")


class Pretraining(pretrain.Pretraining):
    """In place of that in numpy: other first weights, another order, sums in another order."""

    def __init__(self, layers: list, shape: Shape, classes: int, recipe: pretrain.Recipe) -> None:
        super().__init__(layers, shape, classes, recipe)
        for layer in layers:
            if layer.kind not in KINDS or layer.bias or layer.name:
                raise PriotError("by_torch.py", f"knows no {layer.kind} with a bias or a name"
                                 if layer.kind in KINDS else f"knows no {layer.kind}")
        torch.set_num_threads(1)
        self.generator = torch.Generator().manual_seed(recipe.seed)
        self.tensors = [self._first(stage.weights.shape) for stage in self.graph.stages
                        if stage.weights is not None]

    def _first(self, shape: tuple[int, ...]) -> torch.Tensor:
        deviation = (2 / torch.tensor(shape[1:]).prod().item()) ** 0.5
        weights = torch.randn(shape, generator=self.generator) * deviation
        return weights.requires_grad_()

    def logits(self, x: torch.Tensor) -> torch.Tensor:
        weights = iter(self.tensors)
        for layer in self.layers:
            if layer.kind == "conv2d":
                top, _, left, _ = layer.padding
                x = functions.conv2d(x, next(weights), stride=layer.stride, padding=(top, left))
            elif layer.kind == "linear":
                keep = 1 - self.recipe.dropout
                mask = torch.rand(x.shape, generator=self.generator) < keep
                x = functions.linear(x * mask / keep, next(weights))
            elif layer.kind == "relu":
                x = functions.relu(x)
            elif layer.kind == "max_pool":
                x = functions.max_pool2d(x, layer.kernel, layer.stride)
            else:
                x = x.flatten(1)
        return x

    def run(self, dataset: Dataset) -> Iterator[float]:
        recipe = self.recipe
        x = torch.from_numpy(dataset.images.astype("float32") / 128)
        labels = torch.from_numpy(dataset.labels.astype("int64"))
        if recipe.optimizer == "adamw":
            optimizer = torch.optim.AdamW(self.tensors, recipe.lr,
                                          weight_decay=recipe.weight_decay)
        else:
            optimizer = torch.optim.SGD(self.tensors, recipe.lr, 0.9,
                                        weight_decay=recipe.weight_decay)
        steps = recipe.epochs * -(-len(x) // recipe.batch)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        for _ in range(recipe.epochs):
            total = 0.0
            for some in torch.randperm(len(x), generator=self.generator).split(recipe.batch):
                loss = functions.cross_entropy(self.logits(self._shifted(x[some])), labels[some])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
                if recipe.clip:
                    with torch.no_grad():
                        for weights in self.tensors:
                            limit = recipe.clip * weights.std(correction=0)
                            weights.clamp_(-limit, limit)
                total += float(loss.detach()) * len(some)
            yield total / len(x)

    def _shifted(self, x: torch.Tensor) -> torch.Tensor:
        most = self.recipe.shift
        if not most:
            return x
        down, right = torch.randint(0, 2 * most + 1, (2,), generator=self.generator).tolist()
        height, width = x.shape[2:]
        wide = functions.pad(x, (most,) * 4)
        return wide[:, :, down : down + height, right : right + width]

    def network(self) -> FloatNetwork:
        return FloatNetwork(self.layers, [weights.detach().numpy().copy()
                                          for weights in self.tensors])


command.Pretraining = Pretraining
sys.exit(cli.main(["pretrain", *sys.argv[1:]]))
