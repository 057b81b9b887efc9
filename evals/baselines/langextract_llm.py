"""langextract over an OpenAI-compatible server, with a few examples from the training sentences.

    /path/of/its/venv/bin/python evals/baselines/langextract_llm.py FOLDS.jsonl OUT.jsonl --base-url http://localhost:8000/v1 --model NAME

Its own environment: ``uv pip install langextract openai``. Its defaults throughout, with greedy decoding; extractions that it could not
place in the text (``char_interval`` is None) cannot be scored and are dropped.
"""

import argparse
from collections.abc import Iterator

from adapter import Fold, Found, add_server_options, example_sentences, main, require, server


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
        result = lx.extract(
            text,
            prompt,
            examples,
            config=config,
            show_progress=False,
            prompt_validation_level=lx.prompt_validation.PromptValidationLevel.OFF,
        )
        yield (
            note_id,
            [
                Found(e.char_interval.start_pos, e.char_interval.end_pos, e.extraction_class)
                for e in result.extractions or []
                if e.char_interval is not None
                and e.extraction_class in fold.guidelines
                and e.char_interval.start_pos < e.char_interval.end_pos
            ],
        )


if __name__ == "__main__":
    main("langextract", predict, ["langextract", "openai"], add_server_options)
