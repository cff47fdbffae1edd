"""A model of your own by natural gradient on a device: ten lines, in `train`. A small network learns sin(3x) from noisy points.

    python examples/own_model.py                                          the error on the ideal device, and on three dies
    thermograd study adc --task examples/own_model.py --levels 2,3,4,6,8  over the bits of the ADC: out/study/adc.png

It prints the root mean square of (model - sin 3x). Dies have 8-bit conductances, 8-bit converters and 1 % of mismatch; with readings that
are refined by their residual they end where the ideal device does, which takes the steps of exact natural gradient (`tg.NGD`).
"""

import torch

import thermograd as tg


def train(device, seed, reading="refined", steps=40):
    """Train on the device; the error of the trained model."""
    torch.manual_seed(seed)
    model = torch.nn.Sequential(torch.nn.Linear(1, 16), torch.nn.Tanh(), torch.nn.Linear(16, 1))
    optimizer = tg.TNGD(model.parameters(), lr=0.5, damping=0.03, duration=200.0, reading=reading, device=device)
    for _ in range(steps):
        x = 2 * torch.rand(16, 1) - 1
        y = torch.sin(3 * x) + 0.1 * torch.randn(16, 1)
        optimizer.step(lambda x=x, y=y: (((out := model(x)) - y).square().mean() / 2, out))
    x = torch.linspace(-1, 1, 101)[:, None]
    return float((model(x) - torch.sin(3 * x)).square().mean().sqrt().detach())


if __name__ == "__main__":
    card = tg.DeviceCard.uncalibrated("integrated")
    print(f"ideal device      rms error {train(tg.IdealDevice(), seed=0):.4f}")
    for die in (1, 2, 3):
        for reading in ("refined", "bare"):
            device = tg.SurrogateDevice(card, die, extrapolate=True)
            print(f"die {die}, {reading:8}  rms error {train(device, 0, reading):.4f}")
