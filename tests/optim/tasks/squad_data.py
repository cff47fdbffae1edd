"""A few hand-written paragraphs in SQuAD's format, and a tiny random DistilBERT with a tokenizer of their words."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

PARAGRAPHS = {
    "Rivers": [
        ("The river Elbe rises in the mountains and flows for 1094 km to the sea.", "Where does the Elbe rise?", "in the mountains"),
        ("Boats of grain sail down the canal every spring, and salt goes back.", "When do boats sail?", "every spring"),
    ],
    "Metals": [
        ("Tin melts at 232 degrees, lead at 327 and zinc at 420 degrees.", "At what temperature does tin melt?", "232 degrees"),
        ("Copper was mined in Cyprus long ago, which gave the metal its name.", "Where was copper mined?", "Cyprus"),
    ],
    "Birds": [
        ("The wren sings from the hedge; the heron stands in the reeds.", "Who sings from the hedge?", "The wren"),
        ("A swift sleeps on the wing and lands only to nest under roofs.", "Where does a swift nest?", "under roofs"),
    ],
    "Clocks": [
        ("Huygens built the first pendulum clock in 1656 and lost ten seconds a day.", "Who built the clock?", "Huygens"),
        ("A quartz crystal swings 32768 times a second in a watch.", "How often does quartz swing?", "32768 times a second"),
    ],
}  # fmt: skip


def write_questions(path: Path) -> Path:
    """All paragraphs; one question more, whose answer "the" occurs twice."""
    articles: list[dict[str, Any]] = []
    for title, rows in PARAGRAPHS.items():
        paragraphs = []
        for context, question, answer in rows:
            marked = [{"text": answer, "answer_start": context.index(answer)}]
            paragraphs.append({"context": context, "qas": [{"id": question, "question": question, "answers": marked}]})
        articles.append({"title": title, "paragraphs": paragraphs})
    twice = {"text": "the", "answer_start": articles[2]["paragraphs"][0]["context"].index("the")}
    articles[2]["paragraphs"][0]["qas"].append({"id": "2", "question": "Which article?", "answers": [twice]})
    path.write_text(json.dumps({"version": "1.1", "data": articles}), encoding="utf-8")
    return path


def write_model(folder: Path, layers: int = 2) -> Path:
    """A DistilBERT of width 16, saved as transformers saves models."""
    import torch
    from transformers import BertTokenizerFast, DistilBertConfig, DistilBertModel

    text = " ".join(part for rows in PARAGRAPHS.values() for row in rows for part in row).lower()
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *sorted(set(re.findall(r"\w+|[^\w\s]", text)))]
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = folder / "vocab.txt"
    vocabulary.write_text("\n".join(words) + "\n", encoding="utf-8")
    BertTokenizerFast(vocab=str(vocabulary)).save_pretrained(folder)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        sizes = {"dim": 16, "hidden_dim": 32, "n_layers": layers, "n_heads": 2, "max_position_embeddings": 64}
        DistilBertModel(DistilBertConfig(vocab_size=len(words), **sizes)).save_pretrained(folder)
    return folder
