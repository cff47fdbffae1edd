"""The table of an experiment as text, for the command line and as Markdown."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from .formatting import percent, si

if TYPE_CHECKING:
    from ..optim.tasks.task import Score
    from ..optim.training.experiment_result import Difference, Reached, Row


def columns(score: Score, baseline: str | None, further: Sequence[str] = ()) -> tuple[str, ...]:
    """The heads of the table; `further` are names of what else the task measures."""
    heads = ["run", "seeds x dies", "steps", f"{score.name}, mean ± std over seeds (over dies)", "worst", *further]
    if baseline is not None:
        heads.append(f"difference to {baseline}, 95 %")
    heads.append("final loss")
    if baseline is not None:
        heads += [
            f"steps to final loss of {baseline}",
            "processor time to it",
            "hardware time to it",
            f"steps to its {score.name}",
        ]
    return (*heads, "processor time a step", "hardware time a step", "steps that ended badly")


def rows(table: Sequence[Row], score: Score, baseline: str | None) -> list[tuple[str, ...]]:
    """A row of texts for each run."""
    return [_row(row, score, baseline) for row in table]


def markdown(heads: Sequence[str], texts: Sequence[Sequence[str]]) -> str:
    """Both as a table in Markdown."""
    lines = [heads, ["---"] * len(heads), *texts]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def caption(score: Score, baseline: str | None) -> str:
    """What the table's figures mean, in words."""
    text = (
        "Standard deviations are over seeds, of the means over each seed's dies; in brackets over the dies of a seed."
    )
    if baseline is None:
        return text
    unit = "points" if score.percent else "decades (of its logarithm)"
    return (
        f"{text} Differences to {baseline} are in {unit}, paired by seed, with the 95 % interval by Student's t. Its final loss is the "
        "mean of its last tenth of steps, with the same seed; a training reaches it with the mean of as long a part of its own (where a "
        "step takes all points, with its loss). Processor time leaves out the simulation of the device; hardware time is modelled."
    )


def _row(row: Row, score: Score, baseline: str | None) -> tuple[str, ...]:
    digits = 2 if score.percent else 3
    cells = [
        row.label,
        f"{row.seeds} x {row.dies}",
        str(row.steps),
        _spread(row.score, row.score_std, row.score_std_dies, 100 if score.percent else 1, digits),
        score.text(row.worst),
        *(
            _spread(mean, over_seeds, None, 100 if score.percent else 1, digits)
            for mean, over_seeds in row.further.values()
        ),
    ]
    if baseline is not None:
        cells.append(_difference(row.score_difference))
    cells.append(_spread(row.loss, row.loss_std, row.loss_std_dies, 1, 3))
    if baseline is not None:
        cells += [*_reached(row.to_loss), _steps(row.to_score)]
    return (*cells, si(row.processor_seconds, "s"), si(row.hardware_seconds, "s"), percent(row.bad))


def _spread(mean: float, over_seeds: float | None, over_dies: float | None, scale: int, digits: int) -> str:
    def text(value: float) -> str:
        return f"{scale * value:.{digits}f}" if scale != 1 else f"{value:.{digits}g}"

    found = text(mean)
    if over_seeds is not None:
        found += f" ± {text(over_seeds)}"
    if over_dies is not None:
        found += f" (± {text(over_dies)})"
    return found + (" %" if scale != 1 else "")


def _difference(difference: Difference | None) -> str:
    if difference is None:
        return "-"
    text = f"{difference.mean:+.2f}"
    return text if math.isnan(difference.half_width) else f"{text} ± {difference.half_width:.2f}"


def _steps(reached: Reached | None) -> str:
    if reached is None:
        return "-"
    if reached.steps is None:
        return "never"
    text = f"{reached.steps:.0f}"
    return text if reached.count == reached.trainings else f"{text} ({reached.count} of {reached.trainings})"


def _reached(reached: Reached | None) -> tuple[str, str, str]:
    if reached is None or reached.steps is None:
        return _steps(reached), "-", "-"
    return _steps(reached), si(reached.processor_seconds, "s"), si(reached.hardware_seconds, "s")
