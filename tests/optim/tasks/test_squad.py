"""The SQuAD task with a tiny random DistilBERT: windows, adapters, and the Monte-Carlo Fisher steps against dense matrices."""

from __future__ import annotations

import sys

import pyarrow.parquet
import pytest
import torch

from thermograd.circuits.errors import InputError
from thermograd.optim.optimizers.registry import make_optimizer
from thermograd.optim.tasks import squad
from thermograd.optim.tasks.question_answering.span_model import MASKED
from thermograd.optim.training.experiment import Experiment, Run, run_experiment
from thermograd.optim.training.metrics import write_metrics
from thermograd.optim.training.train import train
from thermograd.report.experiment_rows import columns, rows

from ...examples.test_examples import load
from .squad_data import write_model, write_questions

LENGTH, WIDTH, LAYERS = 30, 16, 1
DAMPING, DURATION, DRAWS = 0.3, 0.7, 5


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("squad")
    return write_questions(folder / "questions.json"), write_model(folder / "model", LAYERS)


@pytest.fixture(scope="module")
def task(files):
    return squad(*files, length=LENGTH, overlap=4, held_out=1)


def test_windows_hold_the_answers_and_articles_stay_apart(files, task):
    assert len(task.inputs) == 6
    assert task.unanswered == 0
    inside = task.inputs[:, 2]
    assert bool(inside.gather(1, task.targets).all())
    other = task.held_out()
    assert len(other.inputs) == 4  # the test's article is left out, and so is the one that is judged by
    assert {one.article for one in other.judged}.isdisjoint(one.article for one in task.judged)
    short = squad(*files, length=20, overlap=4, held_out=1)
    assert len(short.windows.tokens) > len(short.judged)  # paragraphs are cut, and nothing is lost
    assert len(short.inputs) + short.unanswered == len(task.inputs)
    for answer in short.answers(short.model()):
        assert any(answer in one.context for one in short.judged)


def test_adapters_and_head_are_trained_and_nothing_else(task):
    model = task.model()
    assert sum(p.numel() for p in model.parameters() if p.requires_grad) == LAYERS * 4 * 2 * (2 * WIDTH) + 2 * WIDTH + 2
    task.closure(model, 0, 4, 0)()[0].backward()
    assert all(p.grad is None for p in model.parameters() if not p.requires_grad)
    for name, p in model.named_parameters():
        if "lora_A" in name:
            assert not bool(p.grad.any())  # B = 0
        elif "lora_B" in name:
            assert bool(p.grad.any())
    outside = task.inputs[:, 2] == 0
    model.eval()
    assert bool((model(task.inputs)[outside[:, None].expand(-1, 2, -1)] == MASKED).all())
    with torch.no_grad():
        for name, p in model.train().named_parameters():
            p.add_(0.1 if "lora_B" in name else 0.0)
    drawn = [task.closure(model, 0, 4, 0)()[1] for _ in range(2)]
    assert not torch.equal(*drawn)  # dropout of the adapters


def test_padding_does_not_change_the_loss(task):
    model = task.model().eval()
    more = torch.nn.functional.pad(task.inputs, (0, 7))
    torch.testing.assert_close(model(more)[..., :LENGTH], model(task.inputs), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("ngd", {}),
        ("tngd", {"duration": float("inf")}),
        ("tngd", {"duration": DURATION, "system": "primal"}),
        ("tngd", {"duration": DURATION, "system": "primal", "wrong": True}),
    ],
)
def test_steps_are_those_of_the_dense_monte_carlo_fisher(task, name, settings):
    """C = 1 / draws sum_i v_i v_i^T, v_i = J_i^T (p_i - e_y) / sqrt(2 b), one v for both heads of a sample; the dropout is the loss's.

    The control leaves the heads' rows apart, which is another matrix of the same mean.
    """
    settings = dict(settings)
    wrong = settings.pop("wrong", False)
    model = task.model().double()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for p in model.parameters():  # away from B = 0
            if p.requires_grad:
                p.add_(0.3 * torch.randn(p.shape, dtype=p.dtype, generator=generator))
    parameters = [p for p in model.parameters() if p.requires_grad]
    closure = task.closure(model, 0, 3, 0)
    torch.manual_seed(2)
    loss, logits = closure()
    g = torch.cat([part.flatten() for part in torch.autograd.grad(loss, parameters, retain_graph=True)])
    p = logits.detach().softmax(-1)
    b, heads, T = p.shape
    rows = [torch.autograd.grad(z, parameters, retain_graph=True) for z in logits.flatten()]
    J = torch.stack([torch.cat([part.flatten() for part in row]) for row in rows]).reshape(b, heads * T, -1)
    labels = torch.multinomial(p.reshape(-1, T), DRAWS, True, generator=torch.Generator().manual_seed(0))
    one_hot = torch.nn.functional.one_hot(labels.reshape(b, heads, DRAWS), T).movedim(2, 0)
    score = (p - one_hot).reshape(DRAWS, b, heads, T)
    C = torch.zeros(len(g), len(g), dtype=torch.float64)
    for part in score:
        chosen = [part * torch.eye(heads)[h, :, None] for h in range(heads)] if wrong else [part]
        for one in chosen:
            V = torch.einsum("bcn,bc->bn", J, one.reshape(b, -1)) / (heads * b * DRAWS) ** 0.5
            C += V.T @ V
    A = C + DAMPING * torch.eye(len(g), dtype=torch.float64)
    wanted = torch.linalg.solve(A, g)
    if settings.get("duration") == DURATION:
        wanted = wanted + torch.linalg.matrix_exp(-DURATION * A) @ (g - wanted)
    optimizer = make_optimizer(
        name,
        parameters,
        None,
        {"lr": 1.0, "damping": DAMPING, "curvature": "mc-fisher", "mc_samples": DRAWS, "seed": 0, **settings},
    )
    before = torch.cat([q.detach().flatten() for q in parameters])
    torch.manual_seed(2)
    optimizer.step(closure)
    found = before - torch.cat([q.detach().flatten() for q in parameters])
    error = float((found - wanted).norm() / wanted.norm())
    assert error > 1e-3 if wrong else error < 1e-8


def test_a_run_goes_on_bit_for_bit_and_reports_both_measures(task, tmp_path):
    settings = {
        "lr": 1e-2,
        "damping": 1.0,
        "duration": 0.4,
        "system": "primal",
        "curvature": "mc-fisher",
        "betas": (0.0, 0.0),
    }
    options = {"batch": 3, "seed": 1, "evaluate_every": 2, "settings": settings}
    whole = train(task, "tngd-adam", 4, **options)
    train(task, "tngd-adam", 2, checkpoint=tmp_path / "run.pt", **options)
    parts = train(task, "tngd-adam", 4, checkpoint=tmp_path / "run.pt", **options)
    assert (whole.loss, whole.metrics) == (parts.loss, parts.metrics)
    assert [set(one) for one in whole.metrics] == [{"F1", "exact match"}] * 3
    assert [one["F1"] for one in whole.metrics] == [value for _, value in whole.evaluations]


def test_an_experiment_reports_both_measures(files, tmp_path):
    path, model = files
    given = {"path": str(path), "model": str(model), "held_out": 1, "length": LENGTH, "overlap": 4}
    run = Run(label="Adam", optimizer="adam", settings={"lr": 1e-2})
    experiment = Experiment(task="squad", seeds=(0, 1), steps=2, batch=3, evaluate_every=0, settings=given, runs=(run,))
    result = run_experiment(experiment, workers=1)
    exact = [one.history.metrics[-1]["exact match"] for one in result.runs]
    assert result.table()[0].further["exact match"][0] == sum(exact) / 2
    texts = rows(result.table(), result.score, None)
    assert columns(result.score, None, result.further).index("exact match") == 5
    assert texts[0][5].endswith(" %")
    write_metrics(result, tmp_path / "metrics.parquet")
    found = pyarrow.parquet.read_table(tmp_path / "metrics.parquet").to_pydict()
    assert found["exact match"] == [None, exact[0], None, exact[1]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"path": None}, "THERMOGRAD_SQUAD"),
        ({"model": None}, "THERMOGRAD_SQUAD_MODEL"),
        ({"model": "absent"}, "no config.json"),
        ({"length": 0}, "length 0"),
        ({"split": "train"}, "test or validation"),
        ({"held_out": 2}, "at most 1"),
        ({"length": 12, "overlap": 8}, "no more than the overlap of 8"),
    ],
)
def test_what_cannot_be_is_an_error_in_words(files, change, message, monkeypatch):
    for name in ("THERMOGRAD_SQUAD", "THERMOGRAD_SQUAD_MODEL"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(InputError, match=message):
        squad(**{"path": files[0], "model": files[1], "held_out": 1, **change})


@pytest.mark.parametrize("package", ["transformers", "peft"])
def test_a_missing_package_is_named_with_its_extra(files, task, package, monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(InputError, match=rf"{package}.*pip install 'thermograd\[llm\]'"):
        task.model()


@pytest.mark.parametrize("optimizer", ["tngd-adam", "adam"])
def test_the_example_trains_by_a_loop_of_its_own(files, optimizer, capsys):
    """Here, beside what else needs transformers, whose import takes seconds."""
    given = ["--data", str(files[0]), "--model", str(files[1]), "--held-out", "1", "--length", "48", "--batch", "6"]
    found = load("squad_lora").main([*given, "--steps", "40", "--lr", "1e-2", "--optimizer", optimizer])
    assert set(found) == {"F1", "exact match"}
    losses = [float(line.rsplit(" ", 1)[1]) for line in capsys.readouterr().out.splitlines() if "loss" in line]
    assert len(losses) == 5
    assert losses[-1] < 0.7 * losses[0]
