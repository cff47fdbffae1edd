"""What a running experiment tells: notes of steps, and TensorBoard's events, which a resumed training does not double."""

import importlib
import itertools

from thermograd.optim.training.board import Board
from thermograd.optim.training.step_counts import StepNote, reported
from thermograd.optim.training.train import History

step_counts = importlib.import_module("thermograd.optim.training.step_counts")


def test_steps_of_all_jobs_are_reported_as_they_go_on(tmp_path, monkeypatch):
    monkeypatch.setattr(step_counts, "INTERVAL", 0.01)
    seen = []
    with reported(tmp_path, {"a": 10, "b": 20}, lambda *counts: seen.append(counts)) as finished:
        note = StepNote(tmp_path / "b")
        while (7, 30) not in seen:
            note(7, None)
        finished("a")
        while (17, 30) not in seen:
            pass
        (tmp_path / "b").write_text("")  # read half written
    assert seen[0] == (0, 30)
    assert seen[-1] == (10, 30)
    assert all(done <= total == 30 for done, total in seen)


def test_notes_are_rare(tmp_path, monkeypatch):
    clock = itertools.count()
    monkeypatch.setattr(step_counts.time, "monotonic", lambda: 0.25 * next(clock))
    note, written = StepNote(tmp_path / "a"), []
    for done in range(1, 9):
        note(done, None)
        written.append((tmp_path / "a").read_text())
    assert written == ["1"] * 4 + ["5"] * 4  # each second


def test_a_resumed_training_writes_no_event_twice(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    times = {"processor_seconds": [0.1] * 5, "hardware_seconds": [float("nan")] * 5}
    history = History(loss=[5.0, 4.0, 3.0, 2.0, 1.0], evaluations=[(0, 0.1), (4, 0.9)], **times)
    first = Board(tmp_path)
    for done in (1, 2, 3):
        first(done, history)
    first.close()
    second = Board(tmp_path)  # resumed from the second step
    for done in (3, 4, 5):
        second(done, history)
    second.close()
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    assert [(one.step, one.value) for one in events.Scalars("loss")] == list(enumerate(history.loss[:5], start=1))
    assert [one.step for one in events.Scalars("score")] == [0, 4]
    assert set(events.Tags()["scalars"]) == {"loss", "score", "processor_seconds"}  # nothing that is not known
