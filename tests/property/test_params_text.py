"""Parameters reach a component as text: every view is the one that a direct call has."""

import json

from hypothesis import given
from hypothesis import strategies as st

from openautoglm.config.params import Params, view
from openautoglm.steps.catalog import STEPS
from openautoglm.steps.plan import planned

POSITIVE = st.one_of(
    st.floats(min_value=0, exclude_min=True, allow_infinity=False), st.integers(1, 2**70)
)
SHARES = st.one_of(st.floats(0, 1), st.sampled_from([0, 1]))
WHOLE = st.integers(1, 2**70)
# Without what YAML takes in escapes only.
LETTERS = st.characters(codec="utf-8", exclude_categories=["Cc", "Cn"], exclude_characters="\ufeff")
WORDS = st.text(LETTERS, min_size=1, max_size=8)


@st.composite
def ranges(draw, values):
    low, high = sorted(draw(st.lists(values, min_size=2, max_size=2, unique_by=float)))
    return {"low": low, "high": high, "log": draw(st.booleans()) and low > 0}


def choices(values):
    found = st.lists(values, min_size=1, max_size=4, unique_by=repr)
    return found.map(lambda found: {"choices": found})


def some(**values):
    return st.fixed_dictionaries({}, optional=values)


PARAMS = st.fixed_dictionaries(
    {
        "data": st.fixed_dictionaries(
            {"source": st.fixed_dictionaries({"kind": st.just("file"), "path": WORDS})},
            optional={
                "labels": st.dictionaries(WORDS, WORDS, min_size=1, max_size=3),
                "max_bad_share": SHARES,
                "max_chars": WHOLE,
            },
        ),
        "model": st.just({"name": "small"}),
    },
    optional={
        "train": some(
            seed=st.integers(0, 2**70),
            lr=POSITIVE,
            warmup=SHARES,
            glm=some(penalty=POSITIVE, orders=st.just([1, 3])),
        ),
        "tune": some(
            min_gain=SHARES,
            space=some(
                lr=ranges(POSITIVE),
                warmup=choices(SHARES),
                batch_size=st.one_of(ranges(WHOLE), choices(WHOLE)),
                class_weights=choices(st.sampled_from(["none", "sqrt"])),
                glm=some(orders=choices(st.sampled_from([[1], [1, 2]]))),
            ),
        ),
        "compress": some(
            max_difference=POSITIVE, prune=some(lr=st.one_of(st.none(), POSITIVE), heads=SHARES)
        ),
    },
)


@given(PARAMS)
def test_text_changes_no_parameter_of_any_step(values):
    given = Params.model_validate_json(json.dumps(values))
    text = json.dumps(
        given.model_dump(mode="json", by_alias=True, exclude_unset=True), ensure_ascii=False
    )
    for step in STEPS.values():
        direct = view(given, step.params)
        sent = view(planned(text), step.params).model_dump_json(by_alias=True)
        arrived = step.params.model_validate_json(sent)
        # By representation, where 1 is not 1.0: the digest of parameters sees that, too.
        assert repr(arrived.model_dump(by_alias=True)) == repr(direct.model_dump(by_alias=True))
