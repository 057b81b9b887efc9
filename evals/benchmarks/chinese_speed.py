"""What splitting and grammar building cost a character, in Chinese against English.

    python evals/benchmarks/chinese_speed.py [-o evals/results/chinese_speed.json]

The notes are made of sentences written for this script, repeated to 6,000 characters in paragraphs. Measured is the time of one
core's work (process time, so that other work on the machine counts little), the best of three: splitting into chunks of 64 words or
characters, and the grammars of all chunks, as text in the form that the embedded engine reads. Both languages with the labels of
``clinical``, flat; for Chinese also with those of ``clinical-zh``, where mentions may overlap.
"""

import argparse
import datetime
import importlib.metadata
import json
import os
import platform
import time
from pathlib import Path

from machine import cpu_model

from medllm.grammar.layout import get_layout
from medllm.prompting.questions import Questions
from medllm.prompting.render import Prompts
from medllm.schema import Schema
from medllm.text.chunks import Chunk, split_chunks
from medllm.text.pieces import split_pieces

ENGLISH = (
    "The patient is a 54-year-old woman who presented with severe headache and fever for three days. She denies chest pain, cough or "
    "shortness of breath.\nOn examination the temperature was 38.5 C, blood pressure 142/88 and pulse 96. The lungs were clear.\n"
    "ASSESSMENT: Probable upper respiratory infection. She was started on ibuprofen 400 mg p.o. t.i.d. and told to return if worse.\n"
)
CHINESE = (
    "患者，女，54岁，因剧烈头痛伴发热三天就诊。否认胸痛、咳嗽及呼吸困难，近期饮食、睡眠尚可，大小便正常，体重无明显变化。\n"
    "查体：体温38.5℃，血压142/88mmHg，脉搏96次/分，神志清楚，双肺呼吸音清，未闻及干湿性啰音，心律齐，腹平软。\n"
    "初步诊断：上呼吸道感染可能。予布洛芬 400mg 口服，每日三次，嘱患者多饮水，注意休息，如症状加重及时复诊。\n"
)
SIZE, REPEATS = 6_000, 3
CASES = {"english": (ENGLISH, "clinical"), "chinese": (CHINESE, "clinical"), "chinese, nested": (CHINESE, "clinical-zh")}


def pieces(text: str) -> int:
    return len(split_pieces(text, 0, len(text)))


def measure(sentence: str, pack: str) -> dict[str, float]:
    text = (sentence * (SIZE // len(sentence) + 1))[:SIZE]
    questions = Questions(Schema.load(pack), get_layout("lines"), Prompts())
    splitting, building = [], []
    for _ in range(REPEATS):
        begun = time.process_time()
        chunks = split_chunks(text, pieces, 64)
        split = time.process_time()
        rules = sum(_rules(questions, chunk) for chunk in chunks)
        splitting.append(split - begun)
        building.append(time.process_time() - split)
    return {
        "pieces_per_character": round(pieces(text) / SIZE, 3),
        "chunks": len(chunks),
        "rules": rules,
        "splitting_us_per_character": round(min(splitting) / SIZE * 1e6, 2),
        "grammars_us_per_character": round(min(building) / SIZE * 1e6, 2),
    }


def _rules(questions: Questions, chunk: Chunk) -> int:
    grammar = questions.entities(chunk).constraint
    return len(grammar.gbnf) and len(grammar.grammar.rules)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    cases = {name: measure(*case) for name, case in CASES.items()}
    english = cases["english"]
    keys = ("splitting_us_per_character", "grammars_us_per_character")
    result = {
        "benchmark": "chinese_speed",
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "command": "python evals/benchmarks/chinese_speed.py -o evals/results/chinese_speed.json",
        "machine": f"{cpu_model()}, {os.cpu_count()} cores, shared with other work",
        "python": platform.python_version(),
        "versions": {"medllm": importlib.metadata.version("medllm")},
        "characters": SIZE,
        "cases": cases,
        "times_english": {name: {key: round(case[key] / english[key], 2) for key in keys} for name, case in cases.items()},
    }
    print(json.dumps({"cases": cases, "times_english": result["times_english"]}, indent=1))
    if options.output:
        options.output.write_text(json.dumps(result, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
