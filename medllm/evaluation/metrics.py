"""What is counted in one note: mentions, tokens, relations, attributes, concepts. Every metric gives counts by label.

A metric is a function ``(gold, pred) -> {label: Counts}`` over two extractions of the same note. Sums over notes, averages,
intervals and slices are made from these counts, so every metric has them all. ``metric("overlap")`` finds one by name:

============================== =========================================================================================
exact, overlap                 mentions, one-to-one (see ``matching``)
span, span-overlap             mentions, whatever their label; hits and misses count for the gold label
token                          tokens by label: (token, label) pairs, so that nested mentions of two labels are two items
relations                      relations by label, both arguments exact, labels included; end to end
relations-overlap              the same, with arguments that share a character
relations-given                only relations between mentions that both sides have (gold mentions given)
relations-given-overlap        the same, where a mention that overlaps one of its label counts as found
document-relations             sets of (label, head code, tail code) of a note, as BC5CDR scores CID
concepts                       sets of (label, code) of a note
attribute:NAME                 values of an attribute, end to end: a missed mention misses its value
attribute-matched:NAME         values of an attribute over exactly matched mentions; micro recall is the accuracy
attribute-overlap:NAME         values of an attribute over overlapping mentions
============================== =========================================================================================
"""

import re
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Container, Iterable
from functools import partial
from typing import Any, Literal

from medllm.document import Entity, Extraction, Relation
from medllm.errors import UsageError
from medllm.evaluation.bipartite import maximum_matching
from medllm.evaluation.counts import Counts
from medllm.evaluation.matching import Alignment, Criterion, MentionKey, align, mention_key, overlapping_pairs
from medllm.schema import attribute_value

Metric = Callable[[Extraction, Extraction], dict[str, Counts]]
Arguments = Literal["exact", "overlap"]

_TOKEN = re.compile(r"[\u3400-\u9fff\uf900-\ufaff]|[^\W\u3400-\u9fff\uf900-\ufaff]+|[^\w\s]")


def aligned_counts(alignment: Alignment) -> dict[str, Counts]:
    """Hits and misses by gold label, spurious mentions by predicted label."""
    return tally((g.label for g, _ in alignment.matches), (e.label for e in alignment.spurious), (e.label for e in alignment.missed))


def tally(tp: Iterable[str], fp: Iterable[str], fn: Iterable[str]) -> dict[str, Counts]:
    """Counts by label from the labels of the hits, the spurious and the missed items."""
    hits, spurious, missed = Counter(tp), Counter(fp), Counter(fn)
    return {label: Counts(hits[label], spurious[label], missed[label]) for label in sorted({*hits, *spurious, *missed})}


def mention_counts(gold: Extraction, pred: Extraction, *, criterion: Criterion = "exact") -> dict[str, Counts]:
    """Mentions by label under a criterion of ``matching``."""
    return aligned_counts(align(gold, pred, criterion))


def token_counts(gold: Extraction, pred: Extraction) -> dict[str, Counts]:
    """(token, label) pairs: a token has the label of every mention that covers one of its characters.

    A token is a run of letters and digits, one Chinese character, or one other printing character.
    """
    tokens = [m.span() for m in _TOKEN.finditer(gold.note.text)]
    return _set_counts(_labelled_tokens(gold, tokens), _labelled_tokens(pred, tokens), label=lambda item: str(item[1]))


def relation_counts(
    gold: Extraction, pred: Extraction, *, arguments: Arguments = "exact", given: bool = False, undirected: Container[str] = ()
) -> dict[str, Counts]:
    """Relations by label, one-to-one, with as many matches as possible.

    Two relations match if their labels are equal and head matches head and tail matches tail (for labels in ``undirected`` also
    the other way round); two mentions match if label and offsets are equal or, under ``overlap``, if they share a character and
    the label. With ``given``, relations of a mention that the other side lacks are left out on both sides, so what is left to
    judge is the relation and not the finding of its arguments.
    """
    if given:
        found = _both_have(gold, pred, arguments)
        golds = [r for r in gold.relations if {mention_key(r.head), mention_key(r.tail)} <= found[0]]
        preds = [r for r in pred.relations if {mention_key(r.head), mention_key(r.tail)} <= found[1]]
    else:
        golds, preds = list(gold.relations), list(pred.relations)
    pairs = maximum_matching(len(golds), _relation_edges(golds, preds, arguments, undirected))
    hit_gold, hit_pred = {g for g, _ in pairs}, {p for _, p in pairs}
    return tally(
        (golds[g].label for g in hit_gold),
        (r.label for i, r in enumerate(preds) if i not in hit_pred),
        (r.label for i, r in enumerate(golds) if i not in hit_gold),
    )


def document_relation_counts(gold: Extraction, pred: Extraction) -> dict[str, Counts]:
    """Relations between concepts: each (label, head code, tail code) counts once in a note, wherever it is said.

    A mention with several codes stands for each of them; one without a code takes no part.
    """
    return _set_counts(_coded_relations(gold), _coded_relations(pred), label=lambda item: item[0])


def concept_counts(gold: Extraction, pred: Extraction) -> dict[str, Counts]:
    """Concepts: each (label, code) counts once in a note, wherever it is mentioned."""

    def concepts(extraction: Extraction) -> set[tuple[str, str]]:
        return {(e.label, code) for e in extraction.entities for code in e.codes}

    return _set_counts(concepts(gold), concepts(pred), label=lambda item: item[0])


def attribute_counts(
    gold: Extraction, pred: Extraction, *, name: str, criterion: Criterion = "exact", end_to_end: bool = True
) -> dict[str, Counts]:
    """Values of one attribute (such as ``assertion``), by value.

    A matched mention is a hit for its value if both sides give that value; otherwise it is a miss for gold's value and
    spurious for the predicted one. End to end, the values of missed and spurious mentions count as well.
    Mentions without the attribute take no part on their side.
    """
    alignment = align(gold, pred, criterion)
    tp, fp, fn = [], [], []
    for left, right in alignment.matches:
        wanted, given = attribute_of(left, name), attribute_of(right, name)
        if wanted is not None and wanted == given:
            tp.append(wanted)
            continue
        fn += [] if wanted is None else [wanted]
        fp += [] if given is None else [given]
    if end_to_end:
        fn += [v for e in alignment.missed if (v := attribute_of(e, name)) is not None]
        fp += [v for e in alignment.spurious if (v := attribute_of(e, name)) is not None]
    return tally(tp, fp, fn)


def attribute_of(mention: Entity, name: str) -> str | None:
    """The value of a mention's attribute as files write it, None where it has no such attribute."""
    value = mention.attributes.get(name)
    return None if value is None else attribute_value(value)


METRICS: dict[str, Metric] = {
    "exact": partial(mention_counts, criterion="exact"),
    "overlap": partial(mention_counts, criterion="overlap"),
    "span": partial(mention_counts, criterion="span"),
    "span-overlap": partial(mention_counts, criterion="span-overlap"),
    "token": token_counts,
    "relations": partial(relation_counts, arguments="exact"),
    "relations-overlap": partial(relation_counts, arguments="overlap"),
    "relations-given": partial(relation_counts, arguments="exact", given=True),
    "relations-given-overlap": partial(relation_counts, arguments="overlap", given=True),
    "document-relations": document_relation_counts,
    "concepts": concept_counts,
}
_ATTRIBUTE_METRICS: dict[str, Callable[..., dict[str, Counts]]] = {
    "attribute": attribute_counts,
    "attribute-matched": partial(attribute_counts, end_to_end=False),
    "attribute-overlap": partial(attribute_counts, criterion="overlap", end_to_end=False),
}


def metric(name: str) -> Metric:
    """The metric of a name (see the module). Raises UsageError for an unknown one."""
    if name in METRICS:
        return METRICS[name]
    kind, _, attribute = name.partition(":")
    if kind in _ATTRIBUTE_METRICS and attribute:
        return partial(_ATTRIBUTE_METRICS[kind], name=attribute)
    known = [*METRICS, *(f"{kind}:NAME" for kind in _ATTRIBUTE_METRICS)]
    raise UsageError(f"there is no metric {name!r}", hint=f"one of {', '.join(known)}")


def _set_counts(gold: set[Any], pred: set[Any], *, label: Callable[[Any], str]) -> dict[str, Counts]:
    return tally(map(label, gold & pred), map(label, pred - gold), map(label, gold - pred))


def _labelled_tokens(extraction: Extraction, tokens: list[tuple[int, int]]) -> set[tuple[int, str]]:
    starts, ends = [s for s, _ in tokens], [e for _, e in tokens]
    return {
        (i, mention.label)
        for mention in extraction.entities
        for span in mention.spans
        for i in range(bisect_right(ends, span.start), bisect_left(starts, span.end))
    }


def _both_have(gold: Extraction, pred: Extraction, arguments: Arguments) -> tuple[set[MentionKey], set[MentionKey]]:
    """The mentions of each side that the other side has as well."""
    golds, preds = [mention_key(e) for e in gold.entities], [mention_key(e) for e in pred.entities]
    if arguments == "exact":
        common = set(golds) & set(preds)
        return common, common
    pairs = [(g, p) for g, p, _ in overlapping_pairs([k[1] for k in golds], [k[1] for k in preds]) if golds[g][0] == preds[p][0]]
    return {golds[g] for g, _ in pairs}, {preds[p] for _, p in pairs}


def _relation_edges(
    gold: list[Relation[Any, Any]], pred: list[Relation[Any, Any]], arguments: Arguments, undirected: Container[str]
) -> list[tuple[int, int]]:
    golds, preds = [_ends(r) for r in gold], [_ends(r) for r in pred]
    left, right = sorted({k for ends in golds for k in ends}), sorted({k for ends in preds for k in ends})
    if arguments == "exact":
        same = {(k, k) for k in {*left} & {*right}}
    else:
        touching = overlapping_pairs([k[1] for k in left], [k[1] for k in right])
        same = {(left[i], right[j]) for i, j, _ in touching if left[i][0] == right[j][0]}
    edges = []
    for g, (head, tail) in enumerate(golds):
        for p, (other_head, other_tail) in enumerate(preds):
            if gold[g].label != pred[p].label:
                continue
            straight = (head, other_head) in same and (tail, other_tail) in same
            crossed = gold[g].label in undirected and (head, other_tail) in same and (tail, other_head) in same
            if straight or crossed:
                edges.append((golds[g] != preds[p], g, p))
    return [(g, p) for _, g, p in sorted(edges)]


def _ends(relation: Relation[Any, Any]) -> tuple[MentionKey, MentionKey]:
    return mention_key(relation.head), mention_key(relation.tail)


def _coded_relations(extraction: Extraction) -> set[tuple[str, str, str]]:
    return {(r.label, head, tail) for r in extraction.relations for head in r.head.codes for tail in r.tail.codes}
