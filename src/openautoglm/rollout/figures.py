"""All that champion and challenger have done since a rollout began, for its curves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from openautoglm.config.drift import DriftSettings
from openautoglm.feedback.reading import Arm as Answers
from openautoglm.feedback.reading import News
from openautoglm.rollout.analysis.evidence import Evidence
from openautoglm.rollout.points import Arm, Point, Weighed, arm
from openautoglm.rollout.state import Progress
from openautoglm.routing.counts import Counts

_ACCIDENT = 0.01


@dataclass
class Served:
    """One arm's.

    Attributes:
        counts: Requests, copies among them.
        labelled: Answers that have a label.
        wrong: Of them, those that are wrong.
        answers: Answers whose confidence is known.
        confidence: Sum of it.
        classes: How many answers each class was given in.
    """

    counts: Counts = field(default_factory=Counts)
    labelled: int = 0
    wrong: int = 0
    answers: int = 0
    confidence: float = 0.0
    classes: dict[str, int] = field(default_factory=dict)

    def add(self, counts: Counts, answers: Answers | None) -> None:
        """Count what is new."""
        self.counts += counts
        if answers is None:
            return
        self.labelled += len(answers.wrong)
        self.wrong += sum(answers.wrong)
        self.answers += len(answers.confidence)
        self.confidence += sum(answers.confidence)
        self.classes = dict(Counter(self.classes) + Counter(answers.classes))

    def arm(self, edges: Sequence[float]) -> Arm:
        """As a point has it."""
        mean = self.confidence / self.answers if self.answers else None
        return arm(self.counts, edges, labelled=self.labelled, wrong=self.wrong, confidence=mean)


@dataclass
class Figures:
    """Both arms'.

    Attributes:
        champion: Since the rollout began.
        challenger: Likewise.
        pairs: Answers that both gave to the same row.
        agreed: Of them, those that are equal.
    """

    champion: Served = field(default_factory=Served)
    challenger: Served = field(default_factory=Served)
    pairs: int = 0
    agreed: int = 0

    def add(self, champion: Counts, challenger: Counts, news: News | None) -> None:
        """Count what is new.

        Args:
            champion: Requests.
            challenger: Requests, and copies.
            news: Of the feedback, if there is any.
        """
        self.champion.add(champion, news.champion if news else None)
        self.challenger.add(challenger, news.challenger if news else None)
        if news:
            self.pairs += len(news.agree)
            self.agreed += sum(news.agree)

    def point(
        self,
        now: Progress,
        evidence: Sequence[Evidence],
        edges: Sequence[float],
        *,
        begun: float,
        at: float,
        weight: int,
    ) -> Point:
        """A point of the curves.

        Args:
            now: Where the rollout stands.
            evidence: Metric by metric.
            edges: Seconds that latencies are counted by.
            begun: When the rollout did, seconds since 1970.
            at: When this is.
            weight: Percent of the requests that the challenger has.
        """
        return Point(
            time=at,
            seconds=max(0, round(at - begun)),
            state=now.state,
            weight=weight,
            champion=self.champion.arm(edges),
            challenger=self.challenger.arm(edges),
            agreement=self.agreed / self.pairs if self.pairs else None,
            drift=spread(self.champion.classes, self.challenger.classes),
            evidence={
                one.metric: Weighed(
                    one.value0, one.value1, one.log_worse, one.log_no_worse, one.threshold
                )
                for one in evidence
            },
        )


def spread(champion: Mapping[str, int], challenger: Mapping[str, int]) -> float | None:
    """How differently two spread their answers over the classes: `openautoglm drift`'s measure.

    It is Cramer's V as if both had given equally many answers, as there: a challenger that gets
    five percent of the requests has the same value as one that gets half of them.

    Args:
        champion: How many answers each class was given in.
        challenger: Likewise.

    Returns:
        0 alike, 1 not at all; None while there are so few answers that two equal versions would
        reach what is drift by default (`drift.categorical`, 0.1) more than once in a hundred.
    """
    # Here and not above: scipy takes 0.3 s and 28 MB, of a controller without a rollout, too.
    from openautoglm.statistics.two_samples import cramers_v, evened, smallest_association

    names = sorted({*champion, *challenger})
    counts = np.array([[arm.get(name, 0) for name in names] for arm in (champion, challenger)])
    if not counts.size or not counts.sum(1).all():
        return None
    even = evened(counts)
    least = smallest_association(float(even[0].sum()), max(2, len(names)), _ACCIDENT)
    return None if least > DriftSettings().categorical else round(cramers_v(even).size, 4)
