"""llm-ie over an OpenAI-compatible server: its sentence extractor with the prompt that its own guide gives, and a few examples.

    /path/of/its/venv/bin/python evals/baselines/llm_ie_llm.py FOLDS.jsonl OUT.jsonl --base-url http://localhost:8000/v1 --model NAME

Its own environment: ``uv pip install llm-ie openai``. Sentence by sentence, two sentences of context, greedy decoding.
"""

import argparse
import json
import warnings
from collections.abc import Iterator

from adapter import Fold, Found, Sentence, add_server_options, example_sentences, lost, main, require, server

PROMPT = """### Task description
This is a named entity recognition task. Given a sentence from a medical note, annotate every {labels}.

### Schema definition
Your output should contain:
    "entity_text": the exact wording as mentioned in the note.
    "entity_type": type of the entity. It should be one of {labels}.
{guidelines}

### Output format definition
Your output should follow JSON format:
[
    {{"entity_text": "<Exact entity mention as in the note>", "attr": {{"entity_type": "<entity type as listed above>"}}}}
]
If there is no entity mentioned in the sentence, just output an empty list:
[]
I am only interested in the extracted contents in []. Do NOT explain your answer.

### Examples
{examples}

### Context
The text below is from the medical note:
"{{{{input}}}}"
"""


def predict(fold: Fold, options: argparse.Namespace) -> Iterator[tuple[str, list[Found]]]:
    base_url, model, key = server(options)
    require("llm-ie", "pip install llm-ie openai")
    warnings.filterwarnings("ignore")  # its warnings print what the model wrote
    from llm_ie import BasicLLMConfig, SentenceFrameExtractor, VLLMInferenceEngine

    engine = VLLMInferenceEngine(model, key, base_url, BasicLLMConfig(max_new_tokens=1024, temperature=0.0))
    extractor = SentenceFrameExtractor(engine, prompt_of(fold, options.examples), context_sentences=2)
    for note_id, text in fold.notes:
        try:
            frames = extractor.extract_frames(text, concurrent=True, concurrent_batch_size=16)
        except Exception as error:  # answers that it cannot parse end its work on the whole note
            lost[f"notes: {type(error).__name__}"] += 1
            frames = []
        kept = [Found(f.start, f.end, label) for f in frames if (label := f.attr.get("entity_type")) in fold.guidelines and f.start < f.end]
        lost["another label, or empty"] += len(frames) - len(kept)
        yield note_id, kept


def prompt_of(fold: Fold, examples: int) -> str:
    return PROMPT.format(
        labels=", ".join(f'"{label}"' for label in fold.labels),
        guidelines="\n".join(f"    {label}: {' '.join(text.split())}" for label, text in fold.guidelines.items()),
        examples="\n\n".join(map(_example, example_sentences(fold, examples))),
    )


def _example(sentence: Sentence) -> str:
    frames = [{"entity_text": sentence.text[m.start : m.end], "attr": {"entity_type": m.label}} for m in sentence.mentions]
    return f"Input: {sentence.text}\nOutput: {json.dumps(frames, ensure_ascii=False)}"


if __name__ == "__main__":
    main("llm-ie", predict, ["llm-ie", "openai"], add_server_options)
