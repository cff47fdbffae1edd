"""The example of a physics-informed network learns, on fewer points and steps than it takes by default."""

from .test_examples import load


def test_the_network_learns_the_solution(capsys):
    assert load("pinn").main(steps=40, points=60) < 0.01
    assert "step 40: loss" in capsys.readouterr().out
