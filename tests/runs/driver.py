"""A run in a process of its own, to be killed: ``python driver.py NOTES OUT [seconds a request] [bytes a file may have]``."""

import asyncio
import resource
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from medllm.engines.base import Completion, Request, Usage
from medllm.errors import MedllmError
from medllm.formats.inputs import read_inputs
from medllm.pipeline import Extractor
from medllm.runs.directory import RunDirectory
from medllm.runs.run import configuration, run
from medllm.schemas.clinical import schema
from tests.scripted import Reader, Scripted

LEXICON = {"fever": "problem", "aspirin": "drug", "头痛": "problem", "rash": "problem"}
READER = Reader(schema, LEXICON, {"81 mg": "strength", "no": "negation"})


def cut_long_lines(request: Request) -> str | Completion:
    """The right answer, but cut off where a line is about a rash: such lines are in the ledger."""
    if "rash" in request.messages[-1].content:
        return Completion("1: prob", "length", Usage(9, 0, 2, 0.25))
    return READER(request)


def extractor(delay: float = 0) -> Extractor:
    return Extractor(schema, engine=Scripted(cut_long_lines, delay=delay))


def main(notes: str, out: str, delay: str = "0", most: str = "0") -> int:
    if int(most):
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(most), int(most)))
    with extractor(float(delay)) as reader:
        try:
            directory = RunDirectory(out, schema, configuration(reader))
            try:
                return asyncio.run(run(reader, read_inputs([notes]), directory)).exit_code
            finally:
                directory.close()
        except MedllmError as error:
            print(f"{type(error).__name__}: {error}", file=sys.stderr)
            return error.exit_code


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
