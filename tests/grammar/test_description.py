"""Descriptions of grammars, and their two written forms: they accept the same texts, whatever the rules are."""

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from medllm.grammar.constraint import Constraint
from medllm.grammar.description import EMPTY, Choice, Grammar, Literal, Ref, Sequence, choice, optional, seq

quick = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])

LITERALS = st.one_of(
    st.sampled_from(
        [
            "a",
            "b",
            "ab",
            "aa",
            '"',
            "\\",
            '\\"',
            "\\n",
            "\n",
            "\t",
            "//",
            "#",
            "%",
            "|",
            "[",
            "]",
            "(",
            ")",
            "?",
            "::=",
            "/",
            "é",
            "头",
            "🙂",
            "\ufffe",
        ]
    ),
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=3),
)


@st.composite
def grammars(draw):
    """Some rules of which each names only later ones, so that none leads back to itself."""
    count = draw(st.integers(1, 6))
    rules = {"root": Ref("r0")}
    for n in range(count):
        leaves = [
            LITERALS.map(Literal),
            st.just(EMPTY),
            *([st.integers(n + 1, count - 1).map(lambda i: Ref(f"r{i}"))] if n + 1 < count else []),
        ]
        rules[f"r{n}"] = draw(
            st.recursive(
                st.one_of(leaves),
                lambda inner: st.lists(inner, min_size=1, max_size=3).flatmap(
                    lambda xs: st.sampled_from([seq(*xs), choice(*xs), optional(*xs)])
                ),
                max_leaves=6,
            )
        )
    return Grammar(rules)


def derive(grammar, expression, chance):
    """A text of the expression, chosen at random."""
    if isinstance(expression, Literal):
        return expression.text
    if isinstance(expression, Ref):
        return derive(grammar, grammar.rules[expression.name], chance)
    if isinstance(expression, Choice):
        return derive(grammar, chance.choice(expression.options), chance)
    return "".join(derive(grammar, item, chance) for item in expression.items)


@quick
@given(grammars(), st.randoms(use_true_random=False))
def test_all_forms_accept_what_the_rules_derive_and_agree_on_the_rest(recognize, grammar, chance):
    recognizer = recognize(grammar)
    for _ in range(4):
        text = derive(grammar, Ref("root"), chance)
        assert recognizer.agree(text)
        at = chance.randrange(len(text) + 1)
        for other in (text[:at], text[:at] + text[at + 1 :], text[:at] + text[:at][-1:] + text[at:], text + text):
            recognizer.agree(other)


@settings(quick, max_examples=15)
@given(grammars(), st.integers(0, 9))
def test_walks_under_the_masks_derive_from_the_rules(recognize, grammar, seed):
    recognizer = recognize(grammar)
    assert recognizer.agree(recognizer.walk(random.Random(seed)))


def test_accepts_needs_the_whole_text():
    grammar = Grammar({"root": seq("a", optional(Ref("b"))), "b": choice("b", "bc")})
    assert [t for t in ("", "a", "ab", "abc", "abcc", "b", "ac") if grammar.accepts(t)] == ["a", "ab", "abc"]


def test_accepts_takes_no_longer_where_many_ways_lead_to_the_same_place():
    rules = {"root": Ref("a0"), "a99": EMPTY}
    rules |= {f"a{n}": choice(seq("a", Ref(f"a{n + 1}")), seq("a", EMPTY, Ref(f"a{n + 1}")), Ref(f"a{n + 1}")) for n in range(99)}
    grammar = Grammar(rules)
    assert grammar.accepts("a" * 99)  # of 2 to the power of 99 ways
    assert not grammar.accepts("a" * 100)


def test_expressions_are_kept_short():
    assert seq("a", "b", seq("c", Ref("x")), "") == Sequence((Literal("abc"), Ref("x")))
    assert seq() == EMPTY
    assert choice("a", Literal("a")) == Literal("a")
    assert optional("a") == Choice((Literal("a"), EMPTY))


def test_the_outlines_type_holds_the_lark_form():
    constraint = Constraint(Grammar({"root": Literal("x")}))
    assert constraint.outlines_type().definition == constraint.lark


def test_xgrammar_takes_part_in_the_comparisons(recognize):
    pytest.importorskip("xgrammar", reason="xgrammar is not installed (it needs torch): the GBNF form is not compared with it")
    assert "xgrammar" in recognize(Grammar({"root": Literal("x")})).verdicts("x")
