"""All that champion and challenger have done since a rollout began, for its curves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from openautoglm.feedback.reading import Arm as Answers
from openautoglm.feedback.reading import News
from openautoglm.rollout.analysis.evidence import Evidence
from openautoglm.rollout.points import Arm, Point, Weighed, arm
from openautoglm.rollout.state import Progress
from openautoglm.routing.counts import Counts


@dataclass
class Served:
    """One arm's.

    Attributes:
        counts: Requests, copies among them.
        labelled: Answers that have a label.
        wrong: Of them, those that are wrong.
        answers: Answers whose confidence is known.
        confidence: Sum of it.
    """

    counts: Counts = field(default_factory=Counts)
    labelled: int = 0
    wrong: int = 0
    answers: int = 0
    confidence: float = 0.0

    def add(self, counts: Counts, answers: Answers | None) -> None:
        """Count what is new."""
        self.counts += counts
        if answers is None:
            return
        self.labelled += len(answers.wrong)
        self.wrong += sum(answers.wrong)
        self.answers += len(answers.confidence)
        self.confidence += sum(answers.confidence)

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
            evidence={
                one.metric: Weighed(
                    one.value0, one.value1, one.log_worse, one.log_no_worse, one.threshold
                )
                for one in evidence
            },
        )
