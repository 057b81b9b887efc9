import pytest

from medllm.errors import ModelError
from medllm.weights import DEFAULT_MODEL, MODELS, find


@pytest.mark.parametrize("name", ["qwen2.5-coder-1.5b", "1.5b", " 1.5B "])
def test_find_takes_names_and_aliases_in_any_case(name: str) -> None:
    assert find(name).name == "qwen2.5-coder-1.5b"


def test_find_names_near_matches_and_all_models() -> None:
    with pytest.raises(ModelError, match=r"no model named 'qwen2-coder-0.5b'") as caught:
        find("qwen2-coder-0.5b")
    assert caught.value.hint.startswith("Did you mean qwen2.5-coder-0.5b")
    assert all(card.name in caught.value.hint for card in MODELS)


def test_find_does_not_guess_where_nothing_is_near() -> None:
    with pytest.raises(ModelError) as caught:
        find("zzz")
    assert caught.value.hint.startswith("Known models: ")


def test_cards_are_complete_and_no_name_stands_for_two() -> None:
    names = [name for card in MODELS for name in (card.name, *card.aliases)]
    assert len(set(names)) == len(names)
    assert len({card.file for card in MODELS}) == len(MODELS)
    for card in MODELS:
        assert len(bytes.fromhex(card.sha256)) == 32
        assert card.sha256 == card.sha256.lower()
        assert card.size > 0
        assert card.sources
        assert card.licence == "Apache-2.0"
    assert find(DEFAULT_MODEL) is MODELS[0]
