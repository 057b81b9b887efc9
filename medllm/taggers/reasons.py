"""Why a tagger found what it found in a note, mention by mention: what ``medllm view --explain`` shows."""

from collections.abc import Mapping

from medllm.document import Entity, Extraction
from medllm.taggers.backends import TorchBackend
from medllm.taggers.explain import Explanation, explain_mention, explain_relation
from medllm.taggers.linking import pair_mention
from medllm.taggers.reader import TAGGER, TaggerReader
from medllm.taggers.tagger import Tagger


def reasons(extraction: Extraction, reader: TaggerReader) -> Mapping[str, list[Explanation]]:
    """For the ids of the mentions that the tagger voted for: what they rest on, then what the relations rest on that begin there."""
    found: dict[str, list[Explanation]] = {}
    labels = {to: label for label, to in reversed(reader.labels.items())}
    for entity in extraction.entities:
        if entity.id and entity.label in labels and _tagged(entity):
            span = entity.span
            found[entity.id] = _of_mention(reader.tagger, extraction.note.text, span.start, span.end, labels[entity.label])
    if reader.classifier is None:
        return found
    mentions = [pair_mention(e) for e in extraction.entities]
    number = {e.id: n for n, e in enumerate(extraction.entities)}
    for relation in extraction.relations:
        if relation.head.id in found and relation.tail.id in number and relation.label in reader.classifier.config.relations:
            ends = number[relation.head.id], number[relation.tail.id]
            why = explain_relation(reader.classifier, extraction.note.text, mentions, *ends, relation.label)
            if why is not None:
                found[relation.head.id].append(why)
    return found


def _of_mention(tagger: Tagger, text: str, start: int, end: int, label: str) -> list[Explanation]:
    """By gradients, with attention beside them, where the tagger runs in torch; by words left out where it is an ONNX file."""
    if not isinstance(tagger.backend, TorchBackend) or tagger.backend.device != "cpu":
        return [explain_mention(tagger, text, start, end, label)]
    from medllm.taggers.gradients import attention_of, explain_by_gradients, of_classifier

    model = of_classifier(tagger.backend.model)
    explained, _ = explain_by_gradients(model, tagger.config, tagger.tokenizer, text, start, end, label)
    return [explained, attention_of(model, tagger.config, tagger.tokenizer, text, start, end, label)]


def _tagged(entity: Entity) -> bool:
    return any(vote.reader == TAGGER and not vote.about for vote in entity.votes)
