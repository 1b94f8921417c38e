"""`priot pretrain` by PyTorch, with its options: as the backbones of this folder were trained.

Chains of layers without bias only, which is what they are; a convolution may have batch norm
behind it.
"""

import sys
from collections.abc import Iterator

import torch
from priot import cli
from priot.backbone import pretrain
from priot.backbone.batch_norm import EPSILON
from priot.backbone.float_network import FloatNetwork
from priot.commands import pretrain as command
from priot.errors import PriotError
from priot.formats import Dataset
from priot.network import fields as f
from priot.network.stage import Shape

functions = torch.nn.functional
KINDS = ("conv2d", "batch_norm", "linear", "relu", "max_pool", "flatten")


class Pretraining(pretrain.Pretraining):
    """In place of that in numpy: other first weights, another order, sums in another order."""

    def __init__(self, layers: list, shape: Shape, classes: int, recipe: pretrain.Recipe,
                 loss: int = f.CROSS_ENTROPY) -> None:
        super().__init__(layers, shape, classes, recipe, loss)
        if loss != f.CROSS_ENTROPY:
            raise PriotError("by_torch.py", "knows no --loss squared")
        for layer in layers:
            if layer.kind not in KINDS or layer.bias or layer.name:
                raise PriotError("by_torch.py", f"knows no {layer.kind} with a bias or a name"
                                 if layer.kind in KINDS else f"knows no {layer.kind}")
        torch.set_num_threads(1)
        self.generator = torch.Generator().manual_seed(recipe.seed)
        self.tensors = [self._first(stage.weights.shape) for stage in self.graph.stages
                        if stage.weights is not None]
        self.torch_norms = {i: torch.nn.BatchNorm2d(norm.gamma.size, EPSILON)
                            for i, norm in self.norms.items()}

    def _first(self, shape: tuple[int, ...]) -> torch.Tensor:
        deviation = (2 / torch.tensor(shape[1:]).prod().item()) ** 0.5
        weights = torch.randn(shape, generator=self.generator) * deviation
        return weights.requires_grad_()

    def logits(self, x: torch.Tensor) -> torch.Tensor:
        weights, norms = iter(self.tensors), iter(self.torch_norms.values())
        for layer in self.layers:
            if layer.kind == "conv2d":
                top, _, left, _ = layer.padding
                x = functions.conv2d(x, next(weights), stride=layer.stride, padding=(top, left))
            elif layer.kind == "batch_norm":
                x = next(norms)(x)
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
        groups = [{"params": self.tensors, "weight_decay": recipe.weight_decay}]
        if self.torch_norms:
            groups.append({"params": [values for norm in self.torch_norms.values()
                                      for values in norm.parameters()], "weight_decay": 0})
        optimizer = (torch.optim.AdamW(groups, recipe.lr) if recipe.optimizer == "adamw" else
                     torch.optim.SGD(groups, recipe.lr, 0.9))
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
        weighted = [stage for stage in self.graph.stages if stage.weights is not None]
        for stage, weights in zip(weighted, self.tensors, strict=True):
            stage.weights = weights.detach().numpy().copy()
        for i, norm in self.torch_norms.items():
            ours = self.norms[i]
            for name, values in (("gamma", norm.weight), ("beta", norm.bias),
                                 ("mean", norm.running_mean), ("variance", norm.running_var)):
                setattr(ours, name, values.detach().numpy().copy())
        return super().network()


command.Pretraining = Pretraining
sys.exit(cli.main(["pretrain", *sys.argv[1:]]))
