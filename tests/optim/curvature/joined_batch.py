"""One of two processes with half of a batch each: python joined_batch.py RANK PORT RESULTS. See test_distributed."""

import copy
import json
import sys
from pathlib import Path

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from thermograd.circuits.errors import InputError
from thermograd.devicemodel.device import Outcome
from thermograd.optim.curvature.residuals.residual_loss import ResidualLoss
from thermograd.optim.optimizers.damping import LevenbergMarquardt
from thermograd.optim.optimizers.kfac import KFAC
from thermograd.optim.optimizers.ngd import NGD, NGDCG
from thermograd.optim.optimizers.tngd import TNGD

CASES = {
    "ngd": (NGD, {}),
    "groups": (NGD, {"groups": True}),
    "levenberg": (NGD, {"damping": LevenbergMarquardt(0.05, factor=0.5)}),
    "line search": (NGD, {"lr": 3.0, "line_search": True, "spring": 0.5}),
    "empirical": (NGD, {"curvature": "empirical"}),
    "cg": (NGDCG, {"tolerance": 1e-12, "max_iter": 300}),
    "kfac": (KFAC, {}),
    "tngd": (TNGD, {"duration": 3.0}),
    "primal": (TNGD, {"duration": 3.0, "system": "primal"}),
    "residual": (NGD, {}),
}


class Network(nn.Module):
    """A convolution, a normalisation, and a parameter that falls back to explicit rows."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm, self.head = nn.Conv1d(1, 2, 3), nn.LayerNorm(8), nn.Linear(8, 3)
        self.scale = nn.Parameter(torch.ones(8))

    def forward(self, x):
        return self.head(torch.tanh(self.norm(self.conv(x[:, None]).flatten(1))) * self.scale)


def flat(parts):
    return torch.cat([part.detach().reshape(-1) for part in parts])


def problem():
    torch.manual_seed(0)
    return Network().double(), torch.randn(8, 6, dtype=torch.float64), torch.arange(8) % 3


def trained(model, ddp, x, y, name, group):
    """Parameters after two steps, and the last record's loss."""
    kind, options = CASES[name]
    options = {"damping": 0.05, "lr": 0.5, **options}
    parameters = list(model.parameters())
    if options.pop("groups", False):
        parameters = [{"params": parameters[:2], "damping": 0.2}, {"params": parameters[2:]}]
    optimizer = kind(parameters, process_group=group, **options)

    def closure():
        if ddp is None:
            z = model(x)
        else:
            with ddp.no_sync():
                z = ddp(x)
        return F.cross_entropy(z, y), z

    if name == "residual":
        closure = ResidualLoss(
            model, lambda m, one: m(one[0][None])[0] - torch.eye(3, dtype=torch.float64)[one[1]], (x, y)
        )
    for _ in range(2):
        optimizer.step(closure)
    assert optimizer.last.outcome is Outcome.OK
    return flat(model.parameters()), optimizer.last.loss


def process(rank, port):
    results = {}
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    try:
        model, x, y = problem()
        half = slice(4 * rank, 4 * rank + 4)
        for name in CASES:
            own = copy.deepcopy(model)
            found, loss = trained(own, DistributedDataParallel(own), x[half], y[half], name, dist.group.WORLD)
            results[f"{name}-{rank}"] = (found.tolist(), loss)
        own = copy.deepcopy(model)
        alone, _ = trained(own, None, x[half], y[half], "ngd", None)
        results[f"alone-{rank}"] = (alone.tolist(), 0.0)
        optimizer = NGD(own.parameters(), process_group=dist.group.WORLD)
        before = flat(own.parameters())
        optimizer.step(lambda: (F.cross_entropy(z := own(x[half] * (torch.nan if rank else 1.0)), y[half]), z))
        assert optimizer.last.outcome is Outcome.NOT_FINITE
        assert torch.equal(before, flat(own.parameters()))
        size = 4 - rank
        try:
            optimizer.step(lambda: (F.cross_entropy(z := own(x[:size]), y[:size]), z))
        except InputError as error:
            results[f"error-{rank}"] = (str(error), 0.0)
        dist.barrier()
    finally:
        dist.destroy_process_group()
    return results


if __name__ == "__main__":
    Path(sys.argv[3]).write_text(json.dumps(process(int(sys.argv[1]), int(sys.argv[2]))))
