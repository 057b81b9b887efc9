"""The shipped schema packs: each engine's form of the grammar takes the answers of their own worked examples."""

import pytest

from medllm.grammar.layout import Found, Part, Slot, get_layout
from medllm.grammar.links import Link, LinkSlot, describe_links, write_links
from medllm.prompting.examples import parse_example
from medllm.prompting.questions import to_label
from medllm.schema import Schema, shipped_packs
from medllm.text.lines import split_lines

EXAMPLES = [
    pytest.param(Schema.load(name), parse_example(marked), id=f"{name}-{number}")
    for name in shipped_packs()
    for number, marked in enumerate(Schema.load(name).examples, 1)
]


def placed(example, mention, lines):
    number, line = next((n, line) for n, line in enumerate(lines, 1) if line.start <= mention.start and mention.end <= line.end)
    first = [p.start for p in line.pieces].index(mention.start)
    return number, line, Part(first, [p.end for p in line.pieces].index(mention.end) + 1)


@pytest.mark.parametrize("layout", ["lines", "copy"])
@pytest.mark.parametrize(("schema", "example"), EXAMPLES)
def test_mentions(schema, example, layout, recognize):
    if layout == "copy" and schema.nested:
        pytest.skip("mentions of this pack may overlap")
    lines = split_lines(example.text)
    labels = {c.label: to_label(c) for c in schema.main_entities}
    slots = [Slot(n, line, tuple(labels.values())) for n, line in enumerate(lines, 1)]
    found = [
        Found(placed(example, m, lines)[0], m.label, (placed(example, m, lines)[2],), m.attributes)
        for m in example.mentions
        if m.label in labels
    ]
    assert found
    form = get_layout(layout)
    text = form.write(slots, found)
    assert recognize(form.describe(slots, nested=schema.nested, discontinuous=schema.discontinuous)).agree(text)
    answer = form.read(slots, text)
    in_order = sorted(found, key=lambda f: (f.slot, f.parts[0]))
    assert [(f.slot, f.label, f.parts) for f in answer.found] == [(f.slot, f.label, f.parts) for f in in_order]


@pytest.mark.parametrize(("schema", "example"), EXAMPLES)
def test_modifiers_and_relations(schema, example, recognize):
    lines = split_lines(example.text)
    kinds = {c.label: to_label(c) for c in schema.modifiers}
    pairs = {r.label for r in schema.pair_relations}
    for head, mention in enumerate(example.mentions):
        number, line, _ = placed(example, mention, lines)
        tails = [(label, tail) for label, h, tail in example.links if h == head]
        slot = Slot(number, line, tuple(kinds[k] for k in kinds if schema.relations_between(mention.label, k)))
        found = [
            Found(number, m.label, (placed(example, m, lines)[2],)) for m in (example.mentions[t] for _, t in tails) if m.label in kinds
        ]
        if slot.labels:
            form = get_layout("lines")
            assert recognize(form.describe([slot])).agree(form.write([slot], found))
        links = tuple(Link(label, tail + 1) for label, tail in tails if label in pairs)
        if links:
            slots = [LinkSlot(head + 1, links)]
            assert recognize(describe_links(slots)).agree(write_links(slots, [(head + 1, link) for link in links]))
