"""The map of names to digests behaves as a dictionary."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medllm import digests
from medllm.digests import DigestMap, digest


@given(st.lists(st.tuples(st.text(max_size=2), st.integers(0, 2**64 - 1)), max_size=60), st.integers(1, 9))
def test_it_is_a_dictionary(changes: list[tuple[str, int]], waiting: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(digests, "_WAITING", waiting)
        found, wanted = DigestMap(), dict[str, int]()
        for name, value in changes:
            found.set(name, value)
            wanted[name] = value
            assert len(found) == sum(map(bool, wanted.values()))
        assert {name: found.get(name) for name in wanted} == wanted
        assert found.get("never set") == 0


def test_a_hundred_thousand_names_take_less_than_four_megabytes() -> None:
    import tracemalloc

    tracemalloc.start()
    try:
        found = DigestMap()
        for n in range(100_000):
            found.set(f"note/{n}", n + 1)
        assert tracemalloc.get_traced_memory()[0] < 4_000_000
    finally:
        tracemalloc.stop()
    assert (found.get("note/0"), found.get("note/99999"), found.get("note/100000"), len(found)) == (1, 100_000, 0, 100_000)


def test_digests_are_never_nothing() -> None:
    assert digest("") != digest("a") != 0
