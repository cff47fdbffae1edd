import json
from pathlib import Path

import pytest

from thermograd.cli.main import main

from ...report.codesign.sample_codesign import sample_codesign


def test_the_page_stands_beside_its_result_and_the_answer_is_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "codesign.json").write_text(json.dumps(sample_codesign(designs=8)))
    assert main(["report", str(tmp_path)]) == 0
    said = capsys.readouterr()
    assert "is the cheapest found that meets the target" in said.out
    assert "wrote" in said.err
    assert "Plotly" in (tmp_path / "codesign.html").read_text()
    assert main(["report", str(tmp_path / "codesign.json"), "--html", str(tmp_path / "chip.html"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["files"] == [str(tmp_path / "chip.html")]
    assert len(found["answer"]) == 2


@pytest.mark.parametrize(
    ("text", "message"), [("{}", "has format None"), ("{", "is the file complete"), (None, "cannot be read")]
)
def test_another_file_is_rejected(
    text: str | None, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "codesign.json"
    if text is not None:
        path.write_text(text)
    assert main(["report", str(path)]) == 2
    assert message in capsys.readouterr().err
    assert not path.with_suffix(".html").exists()
