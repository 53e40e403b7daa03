"""One request while the model works for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from openautoglm.serving.refusals import Refusal

Row = str | list[float]
Rows = Sequence[str] | Sequence[list[float]]
"""All of one kind: the model takes texts or numbers."""


class Job:
    """Rows of one request, its deadline, and what has been found so far.

    Times are `time.perf_counter` seconds.

    Args:
        rows: Texts or feature rows; at least one.
        lengths: Tokens the model will see of each row, or a number that grows with them.
        arrived: When it came.
        deadline: Its rows are not begun after this.
        known: Scores of each row that need not be computed; None for the others.
        done: Called once on the event loop, when every row has scores or one was refused; never
            after `Batcher.cancel`.

    Attributes:
        scores: One list a row, in the order of the model's labels; None where not yet known.
        waiting: Rows in the queue.
        left: Rows without scores, waiting or under way.
        refusal: Why there is no answer.
        closed: Whether it needs no more work: answered, refused or cancelled.
        cancelled: Whether nobody waits for it; only the event loop writes and reads this.
        taken: When the first row left the queue; 0 before.
        begun: When the batch that held its last row was begun; 0 before.
        tokenised: When that batch was a matrix.
        inferred: When the model had scored it.
    """

    __slots__ = (
        *("rows", "lengths", "arrived", "deadline", "done", "scores", "waiting", "left"),
        *("refusal", "closed", "cancelled", "taken", "begun", "tokenised", "inferred"),
    )

    def __init__(
        self,
        rows: Rows,
        lengths: Sequence[int],
        *,
        arrived: float,
        deadline: float,
        done: Callable[[Job], None],
        known: Sequence[list[float] | None] | None = None,
    ) -> None:
        self.rows = rows
        self.lengths = lengths
        self.arrived = arrived
        self.deadline = deadline
        self.done = done
        self.scores: list[list[float] | None] = list(known) if known else [None] * len(rows)
        self.waiting = 0
        self.left = self.scores.count(None)
        self.refusal: Refusal | None = None
        self.closed = False
        self.cancelled = False
        self.taken = self.begun = self.tokenised = self.inferred = 0.0


Item = tuple[Job, int]
"""One row: its job and its place there."""
