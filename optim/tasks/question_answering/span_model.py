"""A DistilBERT for spans of text, fine-tuned by low-rank adapters.

Each of the attention's four matrices W (queries, keys, values and outputs) of each layer becomes W x + (alpha / r) B A dropout(x), with A
of (r, width) and B of (width, r). Trained are A, B and the head of two logits a token; all else is frozen, its own dropout off. B starts at
zero, so that gradient and curvature in A are exactly zero in the first step.

Source: E. Hu et al., "LoRA: low-rank adaptation of large language models", arXiv 2106.09685.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ....circuits.errors import InputError

RANK, ALPHA, DROPOUT = 2, 32, 0.1
"""Of the adapters, as in arXiv 2405.13817."""
ADAPTED = ["q_lin", "k_lin", "v_lin", "out_lin"]
"""DistilBERT's names of the attention's matrices."""
MASKED = -1e4
"""Logit of what cannot be in the answer; not -inf, of which curvature has no derivative."""


class SpanModel(nn.Module):
    """Logits (b, 2, T) of the first and the last token of a span, `MASKED` outside of the paragraph.

    Args:
        body: a transformers model for question answering.
    """

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, inputs: Tensor) -> Tensor:
        """Of `Windows.inputs`, (b, 3, T)."""
        tokens, filled, inside = inputs.unbind(1)
        found = self.body(input_ids=tokens, attention_mask=filled)
        logits = torch.stack([found.start_logits, found.end_logits], dim=1)
        return logits.masked_fill(inside[:, None] == 0, MASKED)


def load_tokenizer(folder: Path) -> Any:
    """The fast tokenizer of a saved model. InputError as `load_model`."""
    with _loading(folder):
        from transformers import AutoTokenizer

        return AutoTokenizer.from_pretrained(str(folder), local_files_only=True, use_fast=True)


def load_model(folder: Path, rank: int = RANK, alpha: int = ALPHA, dropout: float = DROPOUT) -> SpanModel:
    """The network with adapters, in training mode; adapters and head are drawn by torch's default generator.

    Args:
        folder: a saved DistilBERT: config.json and model.safetensors. Nothing in it is run.
        rank, alpha, dropout: of the adapters.

    Raises:
        InputError: transformers or peft is not installed; a folder that does not hold such a model.
    """
    with _loading(folder):
        from peft import LoraConfig, get_peft_model
        from transformers import DistilBertConfig, DistilBertForQuestionAnswering

        config = DistilBertConfig.from_pretrained(str(folder), local_files_only=True)
        config.dropout = config.attention_dropout = config.qa_dropout = 0.0
        body = DistilBertForQuestionAnswering.from_pretrained(
            str(folder), config=config, dtype=torch.float32, use_safetensors=True, local_files_only=True
        )
        adapters = LoraConfig(
            r=rank, lora_alpha=alpha, lora_dropout=dropout, target_modules=ADAPTED, modules_to_save=["qa_outputs"]
        )
        return SpanModel(get_peft_model(body, adapters)).train()


@contextlib.contextmanager
def _loading(folder: Path) -> Iterator[None]:
    """Errors in words, and transformers silent: that the head is new is as it should be."""
    if not (folder / "config.json").is_file():
        raise InputError(
            f"folder {str(folder)!r} holds no model (no config.json): give the folder of a saved DistilBERT"
        )
    try:
        from transformers.utils import logging
    except ImportError as error:
        raise _missing(error) from None
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # peft calls what transformers will remove
            yield
    except ImportError as error:
        raise _missing(error) from None
    except (OSError, ValueError, TypeError, KeyError, RuntimeError) as error:
        raise InputError(f"folder {str(folder)!r} holds no DistilBERT that can be loaded: {error}") from None
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def _missing(error: ImportError) -> InputError:
    return InputError(f"the task squad needs transformers and peft ({error}): pip install 'thermograd[llm]'")
