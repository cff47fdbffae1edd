"""A physics-informed network by natural gradient: -laplace u = 2 pi^2 sin(pi x) sin(pi y) on the unit square, u = 0 on its boundary.

    python examples/pinn.py            (200 steps, seconds: relative L2 error below 1e-6)

The residual is a function of the model and one point; each step takes all points.
"""

import math

import torch

import thermograd as tg


def main(steps: int = 200, points: int = 200) -> float:
    """Train, and return the relative L2 error."""
    torch.manual_seed(0)
    sizes = [torch.nn.Linear(2, 32), torch.nn.Tanh(), torch.nn.Linear(32, 32), torch.nn.Tanh(), torch.nn.Linear(32, 1)]
    model = torch.nn.Sequential(*sizes).double()

    def exact(x):
        return torch.sin(math.pi * x).prod(-1, keepdim=True)

    def equation(model, x):  # at one point, as the function of the boundary below
        return tg.laplacian(model, x) + 2 * math.pi**2 * exact(x)

    inside = torch.quasirandom.SobolEngine(2, scramble=True, seed=0).draw(points, dtype=torch.float64)
    along = torch.linspace(0, 1, points // 5, dtype=torch.float64)
    edges = [torch.stack((along, along * 0 + side), 1) for side in (0, 1)]
    edges += [edge.flip(1) for edge in edges]

    problem = tg.ResidualLoss(model, residual=equation, samples=inside)
    problem += tg.ResidualLoss(model, residual=lambda model, x: model(x), samples=torch.cat(edges), weight=100.0)
    damping = tg.LevenbergMarquardt(start=1e-2, factor=0.7, lowest=1e-12)
    optimizer = tg.NGD(model.parameters(), lr=1.0, damping=damping, line_search=True, geodesic=0.75)
    for step in range(1, steps + 1):
        loss = optimizer.step(problem)
        if step % 20 == 0 or step == steps:
            print(f"step {step}: loss {loss:.1e}")

    grid = torch.cartesian_prod(*[torch.linspace(0, 1, 101, dtype=torch.float64)] * 2)
    error = float((model(grid).detach() - exact(grid)).norm() / exact(grid).norm())
    print(f"relative L2 error {error:.1e}")
    return error


if __name__ == "__main__":
    main()
