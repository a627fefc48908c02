"""An encoded split with numbers beside each example, which go past the trunk to the head: the columns of a table beside its text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, final

import numpy as np
import pyarrow as pa

from regraft import digest
from regraft.data import arrow
from regraft.data.dataset import Split
from regraft.data.encoded import Encoded, Progress
from regraft.data.fields import Fields, rows_of, texts_of
from regraft.data.text import TextEncoded, encode_text
from regraft.spec import COLUMNS, InputSpec

if TYPE_CHECKING:
    from torch import Tensor


@final
class Beside(Encoded):
    """``encoded`` with ``columns`` (n, c) float32 in every batch. ``facts``: what the columns were made by (JSON)."""

    def __init__(self, encoded: TextEncoded, columns: np.ndarray, digests: Iterable[str], facts: Any) -> None:
        preprocessing = digest.of_json({"input": encoded.preprocessing, "columns": facts})
        super().__init__(encoded.targets, digests, preprocessing, lengths=encoded.lengths, cut=encoded.cut)
        self.encoded, self.columns, self.tokens = encoded, columns, encoded.tokens

    def batch(self, rows: Sequence[int] | np.ndarray, *, width: int = 0) -> dict[str, Tensor]:
        import torch

        chosen = np.asarray(rows, dtype=np.int64)
        assert self.columns is not None
        return {**self.encoded.batch(chosen, width=width), COLUMNS: torch.from_numpy(self.columns[chosen])}

    def wait(self) -> None:
        self.encoded.wait()


def encode_rows(split: Split, spec: InputSpec, tokenizer: Any, *, max_length: int = 0, progress: Progress | None = None) -> Beside:
    """The text of each row tokenised, its numbers beside it, by the fields in ``split.facts``. Raises ``RequestError`` where a row lacks a column."""
    fields, rows = Fields.of(split.facts), rows_of(split.inputs)
    fields.check(rows)
    place = split.table.schema.get_field_index("input")
    plain = Split(split.name, split.table.set_column(place, "input", arrow.array(texts_of(split), pa.string())))
    return Beside(
        encode_text(plain, spec, tokenizer, max_length=max_length, progress=progress), fields.numbers(rows), split.digests, fields.json()
    )
