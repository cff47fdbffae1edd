"""GradScaler: rejected with words, since its factor divides the damping."""

import pytest
import torch

from thermograd import NGD
from thermograd.circuits.errors import InputError


def _problem():
    torch.manual_seed(0)
    model = torch.nn.Linear(3, 2)
    x, y = torch.randn(8, 3), torch.randint(2, (8,))
    return model, lambda: (lambda out: (torch.nn.functional.cross_entropy(out, y), out))(model(x))


def test_a_closure_that_scales_its_loss_is_rejected():
    model, closure = _problem()
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)

    def scaled():
        loss, outputs = closure()
        return scaler.scale(loss), outputs

    with pytest.raises(InputError, match="factor 1024"):
        NGD(model.parameters()).step(scaled)
    assert scaler.scale(torch.ones(1)) == 1024  # its method is as before


def test_a_scaler_s_step_is_rejected():
    model, closure = _problem()
    scaler = torch.amp.GradScaler("cpu")
    scaler.scale(torch.ones(1))
    with pytest.raises(InputError, match=r"call optimizer\.step"):
        scaler.step(NGD(model.parameters()), closure)


def test_a_disabled_scaler_changes_nothing():
    model, closure = _problem()
    scaler = torch.amp.GradScaler("cpu", enabled=False)

    def scaled():
        loss, outputs = closure()
        return scaler.scale(loss), outputs

    optimizer = NGD(model.parameters(), lr=0.5)
    first, second = scaler.step(optimizer, scaled), optimizer.step(closure)
    assert second < first
