"""Tag schemes as models of the hub name them."""

import pytest

from medllm.errors import ModelError
from medllm.taggers.tags import NEVER, TagSet


@pytest.mark.parametrize(
    ("names", "scheme", "labels"),
    [
        (["O", "B-Drug", "I-Drug"], "BIO", ("Drug",)),
        (["B_drug", "I_drug", "O", "B_test"], "BIO", ("drug", "test")),
        (["O", "B-x", "I-x", "L-x", "U-x"], "BIOES", ("x",)),
        (["O", "B-x", "M-x", "E-x", "S-x"], "BIOES", ("x",)),
        (["O", "Drug", "Dose"], "IO", ("Drug", "Dose")),
        (["[CLS]", "O", "B-a-b", "I-a-b", "X"], "BIO", ("a-b",)),
    ],
)
def test_schemes_are_recognised(names: list[str], scheme: str, labels: tuple[str, ...]) -> None:
    tags = TagSet.parse(names)
    assert (tags.scheme, tags.labels, len(tags)) == (scheme, labels, len(names))


@pytest.mark.parametrize("names", [["O"], ["LABEL_B", "LABEL_I"], []])
def test_a_classifier_of_something_else_is_refused(names: list[str]) -> None:
    with pytest.raises(ModelError, match="no tags of mentions"):
        TagSet.parse(names)


def test_an_inside_tag_needs_its_own_label_before_it() -> None:
    tags = TagSet.of(["a", "b"])
    index = {tag: i for i, tag in enumerate(tags.tags)}
    allowed = tags.transitions > NEVER
    assert allowed[index["B", "a"], index["I", "a"]]
    assert not allowed[index["B", "b"], index["I", "a"]]
    assert not allowed[index["O", ""], index["I", "a"]]
    assert not allowed[len(tags), index["I", "a"]]
    assert allowed[index["I", "a"], len(tags)]
