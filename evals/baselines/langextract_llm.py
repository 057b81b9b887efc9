"""langextract over an OpenAI-compatible server, with a few examples from the training sentences.

    /path/of/its/venv/bin/python evals/baselines/langextract_llm.py FOLDS.jsonl OUT.jsonl --base-url http://localhost:8000/v1 --model NAME

Its own environment: ``uv pip install langextract openai``. Its defaults throughout, with greedy decoding; extractions that it could not
place in the text (``char_interval`` is None) cannot be scored and are dropped.
"""

import argparse
from collections.abc import Iterator
from typing import Any

from adapter import Fold, Found, add_server_options, example_sentences, lost, main, require, server


def predict(fold: Fold, options: argparse.Namespace) -> Iterator[tuple[str, list[Found]]]:
    base_url, model, key = server(options)
    require("langextract", "pip install langextract openai")
    import langextract as lx
    from langextract.factory import ModelConfig

    config = ModelConfig(model, "OpenAILanguageModel", {"base_url": base_url, "api_key": key, "temperature": 0.0})
    guidelines = "\n".join(f"{label}: {' '.join(text.split())}" for label, text in fold.guidelines.items())
    prompt = f"Extract all mentions of these kinds, in order, with the exact words of the text and without overlaps.\n{guidelines}"
    examples = [
        lx.data.ExampleData(s.text, [lx.data.Extraction(m.label, s.text[m.start : m.end]) for m in s.mentions])
        for s in example_sentences(fold, options.examples)
    ]
    for note_id, text in fold.notes:
        try:
            result = lx.extract(
                text,
                prompt,
                examples,
                config=config,
                show_progress=False,
                prompt_validation_level=lx.prompt_validation.PromptValidationLevel.OFF,
            )
            found = result.extractions or []
        except Exception as error:  # answers that it cannot parse end its work on the whole note
            lost[f"notes: {type(error).__name__}"] += 1
            found = []
        yield note_id, [Found(e.char_interval.start_pos, e.char_interval.end_pos, e.extraction_class) for e in found if _kept(e, fold)]


def _kept(extraction: Any, fold: Fold) -> bool:
    place = extraction.char_interval
    if extraction.extraction_class not in fold.guidelines:
        lost["another label"] += 1
    elif place is None or place.start_pos is None:
        lost["not placed in the text"] += 1
    elif place.start_pos >= place.end_pos:
        lost["empty"] += 1
    else:
        return True
    return False


if __name__ == "__main__":
    main("langextract", predict, ["langextract", "openai"], add_server_options)
