"""A student that starts from the tables of its teacher, made narrower and shorter.

On short headings this is worth more than the teacher's probabilities: of the rows that it was
fitted on a teacher is certain, and says little that their labels do not.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from openautoglm.observability.progress import say
from openautoglm.text.ngrams import PAD
from openautoglm.text.tokenise import TextEncoder
from openautoglm.training import glm, scratch_folder
from openautoglm.training.encoder import NgramTransformer
from openautoglm.training.ngrams import NgramLinear, ngram_ids

_CHUNK = 4096
_ROWS_OF_DIRECTIONS = 4096


class _Ids(NamedTuple):
    """The same texts as ids of both. A character is a token, so places correspond."""

    teacher: Tensor
    student: Tensor

    def parts(self) -> Iterator[tuple[Tensor, Tensor]]:
        for start in range(0, len(self.teacher), _CHUNK):
            rows = slice(start, start + _CHUNK)
            yield self.teacher[rows], self.student[rows]


class _Buckets(NamedTuple):
    teacher: int
    student: int


@torch.no_grad()
def inherit(
    student: NgramTransformer, encoder: TextEncoder, texts: Any, folders: Mapping[str, Path]
) -> None:
    """Set the student's tables from those of the families that its teacher consists of.

    From a transformer from scratch it takes the embeddings, along the directions in which the
    teacher's summed embeddings of `texts` are largest (principal components: Pearson 1901), and
    the linear head; from a text glm, where there is one, the linear head instead. Where n-grams
    of the teacher share a bucket of the student, their mean counts, by how often `texts` have
    them. What the teacher never saw in `texts` becomes 0.

    Args:
        student: Changed in place; its idf is that of `texts`.
        encoder: Its texts to ids.
        texts: Train.
        folders: Folders of families by name; a base model has no such tables and is left alone.
    """
    ours = _matrix(encoder, texts)

    def both(folder: Path) -> _Ids:
        path = folder / scratch_folder.TOKENIZER
        theirs = TextEncoder.load(path, max_length=encoder.max_length, pad_id=PAD)
        return _Ids(_matrix(theirs, texts), ours)

    folder = folders.get("transformer")
    if folder is not None and (folder / scratch_folder.SHAPE).is_file():
        teacher = scratch_folder.restore(folder).module.heads
        assert isinstance(teacher, NgramTransformer)
        buckets = _Buckets(teacher.settings.buckets, student.settings.buckets)
        say("the student starts from the tables of the transformer")
        ids = both(folder)
        _embeddings(student, teacher, ids, buckets)
        _linear(student.linear, teacher.linear, ids, buckets)
    if "glm" in folders:
        module = glm.restore(folders["glm"]).module
        assert isinstance(module, glm.TextGlm)
        buckets = _Buckets(module.buckets, student.settings.buckets)
        say("the student's linear head starts from the glm")
        _linear(student.linear, module.linear, both(folders["glm"]), buckets)


def _embeddings(
    student: NgramTransformer, teacher: NgramTransformer, ids: _Ids, buckets: _Buckets
) -> None:
    turned = _directions(teacher, ids.teacher, student.settings.dim)
    count = student.characters.num_embeddings
    student.characters.weight.copy_(folded(teacher.characters.weight @ turned, count, ids.parts()))
    length = min(len(teacher.positions.weight), len(student.positions.weight))
    student.positions.weight[:length] = teacher.positions.weight[:length] @ turned
    if student.ngrams is not None and teacher.ngrams is not None:
        orders = sorted({*student.settings.ngram_orders} & {*teacher.settings.ngram_orders})
        grams = _ngrams(ids, orders, buckets)
        student.ngrams.weight.copy_(folded(teacher.ngrams.weight @ turned, buckets.student, grams))


def _linear(
    student: NgramLinear | None, teacher: NgramLinear | None, ids: _Ids, buckets: _Buckets
) -> None:
    """Same logits, but for collisions: tables of both times their own idf and scale."""
    if student is None or teacher is None:
        return
    grams = _ngrams(ids, sorted({*student.orders} & {*teacher.orders}), buckets)
    weighted = teacher.scale * teacher.table.weight * teacher.idf[:, None]
    idf = student.idf[:, None]
    table = folded(weighted, buckets.student, grams) / (student.scale * idf.clamp(min=1e-6))
    student.table.weight.copy_(torch.where(idf > 0, table, torch.zeros_like(table)))
    student.bias.copy_(teacher.bias)


def _directions(teacher: NgramTransformer, ids: Tensor, dim: int) -> Tensor:
    """Orthonormal columns `[teacher's dim, dim]`, the largest component first; 0 where wider."""
    some = ids[:: max(1, len(ids) // _ROWS_OF_DIRECTIONS)]
    summed = teacher.characters(some)
    if teacher.ngrams is not None:
        for order in teacher.settings.ngram_orders:
            summed = summed + teacher.ngrams(ngram_ids(some, order, teacher.settings.buckets))
    inputs = summed[some != PAD].double()
    _, vectors = torch.linalg.eigh(inputs.T @ inputs)
    found = torch.zeros(vectors.shape[0], dim)
    kept = vectors.flip(1)[:, :dim]
    found[:, : kept.shape[1]] = kept.float()
    return found


def _ngrams(ids: _Ids, orders: Sequence[int], buckets: _Buckets) -> Iterator[tuple[Tensor, Tensor]]:
    for theirs, ours in ids.parts():
        for order in orders:
            yield (
                ngram_ids(theirs, order, buckets.teacher),
                ngram_ids(ours, order, buckets.student),
            )


def folded(table: Tensor, rows: int, pairs: Iterable[tuple[Tensor, Tensor]]) -> Tensor:
    """A table of `rows` rows: each the mean of those of `table` that it is paired with.

    Args:
        table: `float32[n, width]`.
        rows: How many rows there shall be; one without a pair is 0.
        pairs: Places in `table` and, of the same shape, in the new one, where 0 is for none.
    """
    total, count = torch.zeros(rows, table.shape[1]), torch.zeros(rows, 1)
    for theirs, ours in pairs:
        there = ours > 0
        total.index_add_(0, ours[there], table[theirs[there]])
        count.index_add_(0, ours[there], torch.ones(int(there.sum()), 1))
    return total / count.clamp(min=1)


def _matrix(encoder: TextEncoder, texts: Any) -> Tensor:
    return torch.from_numpy(encoder.matrix(encoder.ids([str(text) for text in texts])))
