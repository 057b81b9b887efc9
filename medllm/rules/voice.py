"""The rules' voice on the assertions of mentions that another reader found."""

from collections.abc import Iterable

from medllm.document import Assertion, Entity, Vote
from medllm.rules.context import assess

READER = "rules"
MODEL = "context"


def assert_by_rules(text: str, entities: Iterable[Entity], *, decide: bool = True) -> list[Entity]:
    """The mentions with what the rules say of their assertion; those without that attribute, or with other values, as they are.

    ``decide``: the rules' answer is taken, whatever the reader said; else it is only noted. Where either says anything but present,
    both answers stand in ``votes``, as ``about="assertion=absent"``.

    >>> from medllm.schemas.clinical import Problem
    >>> (fever,) = assert_by_rules("No fever.", [Problem.at("No fever.", 3, 8)])
    >>> fever.assertion.value, [(v.reader, v.about) for v in fever.votes]
    ('absent', [('', 'assertion=present'), ('rules', 'assertion=absent')])
    """
    known = list(entities)
    spans = [e.span for e in known]
    return [_voiced(e, j.assertion, decide) for e, j in zip(known, assess(text, spans), strict=True)]


def _voiced(entity: Entity, judged: Assertion, decide: bool) -> Entity:
    said = entity.attributes.get("assertion")
    if not isinstance(said, str) or said not in {a.value for a in Assertion} or said == judged == Assertion.PRESENT:
        return entity
    found = next((vote for vote in entity.votes if not vote.about), Vote(reader=""))
    votes = (
        *entity.votes,
        Vote(reader=found.reader, model=found.model, about=f"assertion={Assertion(said).value}"),
        Vote(reader=READER, model=MODEL, about=f"assertion={judged.value}"),
    )
    value = type(said)(judged.value) if decide else said
    return entity.model_copy(update={"votes": votes, "assertion": value})
