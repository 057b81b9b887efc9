"""Sentences a second: the shipped tagger's engine against the plain token-classification pipeline of transformers, one encoder, one CPU.

    python evals/benchmarks/tagger_speed.py --encoder FOLDER [-o evals/results/tagger_speed.json]

Both read the same sentences (those of the annotated notes in ``examples/annotated``, one a line) with networks of the same encoder and
the same number of tags; the weights of the heads are random, which changes nothing of the work. Alternating, in one run, on the same
threads; the pipeline in its defaults with ``aggregation_strategy="simple"``, and once more in batches of 32.
"""

import argparse
import datetime
import importlib.metadata
import json
import os
import platform
import random
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

from machine import cpu_model

LABELS = ("problem", "test", "treatment", "drug")
REPEATS = 3
NOTES = Path(__file__).parents[2] / "examples" / "annotated"


def sentences(number: int) -> list[str]:
    from medllm.formats import inline

    lines = [line for parsed in inline.read(NOTES) for line in parsed.extraction.note.text.splitlines() if len(line.split()) > 2]
    return random.Random(0).sample(lines, number)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--encoder", type=Path, required=True, help="a BERT-family encoder: config.json, model.safetensors, tokenizer files"
    )
    parser.add_argument("--sentences", type=int, default=600)
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    import torch
    from transformers import AutoModelForTokenClassification, AutoTokenizer, pipeline

    from medllm.taggers.config import TaggerConfig
    from medllm.taggers.encoding import UnitTokenizer
    from medllm.taggers.tagger import Tagger
    from medllm.taggers.tags import TagSet
    from medllm.training.tagger.export import export
    from medllm.training.tagger.fit import Fitted
    from medllm.training.tagger.layers import Losses
    from medllm.training.tagger.network import TaggerNetwork, load_encoder

    torch.manual_seed(0)
    texts = sentences(options.sentences)
    tags = TagSet.of(LABELS)
    config = TaggerConfig("speed", (tags,), case=True, breaks=True)
    systems: dict[str, Callable[[], object]] = {}
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network = TaggerNetwork(load_encoder(options.encoder), config.outputs)
        export(Fitted(network, config, UnitTokenizer.load(options.encoder, breaks=True), Losses(), ()), Path(folder))
        tagger = Tagger.load(Path(folder))
        names = {i: f"{kind}-{label}" if label else kind for i, (kind, label) in enumerate(tags.tags)}
        model = AutoModelForTokenClassification.from_pretrained(options.encoder, id2label=names, label2id={v: k for k, v in names.items()})
        words = AutoTokenizer.from_pretrained(options.encoder)
        plain = pipeline("token-classification", model=model, tokenizer=words, aggregation_strategy="simple", device="cpu")
        systems["medllm, int8 ONNX"] = lambda: list(tagger.tag_many(texts))
        systems["transformers pipeline"] = lambda: plain(texts)
        systems["transformers pipeline, batches of 32"] = lambda: plain(texts, batch_size=32)
        seconds: dict[str, list[float]] = {name: [] for name in systems}
        for _ in range(REPEATS):
            for name, run in systems.items():
                started = time.perf_counter()
                run()
                seconds[name].append(time.perf_counter() - started)
    best = {name: min(times) for name, times in seconds.items()}
    record = {
        "benchmark": "tagger_speed",
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "command": "python evals/benchmarks/tagger_speed.py --encoder all-MiniLM-L6-v2",
        "sentences": len(texts),
        "characters": sum(map(len, texts)),
        "machine": f"{cpu_model()}, {os.cpu_count()} cores",
        "python": platform.python_version(),
        "versions": {name: importlib.metadata.version(name) for name in ("torch", "transformers", "onnxruntime", "tokenizers")},
        "sentences_a_second": {name: round(len(texts) / value, 1) for name, value in best.items()},
        "seconds": {name: [round(t, 2) for t in times] for name, times in seconds.items()},
        "ratio": {name: round(value / best["medllm, int8 ONNX"], 2) for name, value in best.items() if name != "medllm, int8 ONNX"},
    }
    if options.output:
        options.output.write_text(json.dumps(record, indent=1) + "\n", "utf-8")
    print(json.dumps(record, indent=1))


if __name__ == "__main__":
    main()
