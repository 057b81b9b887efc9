"""A tagger by its name, and the reader that knows how to ask it."""

from collections.abc import Callable, Mapping
from pathlib import Path

from medllm.schema import Schema
from medllm.taggers.pointer_reader import PointerReader
from medllm.taggers.pointers import VOCABULARY, PointerTagger, find_files
from medllm.taggers.reader import TaggerReader
from medllm.taggers.relations import RelationClassifier
from medllm.taggers.sources import CHINESE_TAGGER, DEFAULT_TAGGER, SHIPPED, model_folder
from medllm.taggers.tagger import Tagger
from medllm.weights import MODELS, pull

Progress = Callable[[str, int, int], None]


def load_tagger(
    name: str | Path | None,
    schema: Schema,
    *,
    device: str | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Tagger | PointerTagger:
    """A shipped tagger, one in a folder or of the model hub, or UIE; without a name the one for the schema's language.

    Raises ModelError.
    """
    chosen = name or (CHINESE_TAGGER if schema.language == "zh" else DEFAULT_TAGGER)
    card = next((card for card in MODELS if card.kind == "onnx" and str(chosen).lower() in (card.name, *card.aliases)), None)
    if card is not None:
        return PointerTagger(card.name, pull(card, progress=progress), SHIPPED / card.name / VOCABULARY, threads=threads)
    folder = model_folder(chosen)
    if files := find_files(folder):
        return PointerTagger(folder.name, *files, threads=threads)
    return Tagger.load(folder, device=device, threads=threads)


def find_reader(
    tagger: str | Path | Tagger | PointerTagger | None,
    schema: Schema,
    *,
    if_it_knows_all: bool = False,
    labels: Mapping[str, str] | None = None,
    relations: bool = True,
    classifier: RelationClassifier | None = None,
    device: str | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
) -> TaggerReader | PointerReader | None:
    """The reader of a tagger, given loaded or by name; ``classifier`` finds its relations.

    Raises ModelError, and SchemaError where tagger and schema share nothing.

    ``if_it_knows_all``: None where the tagger does not know all that the schema asks for. UIE then reads only where it is named, as no
    figure says that it reads better than the prompted model.
    """
    if isinstance(tagger, Tagger | PointerTagger):
        loaded = tagger
    else:
        name = tagger or (DEFAULT_TAGGER if if_it_knows_all else None)
        loaded = load_tagger(name, schema, device=device, threads=threads, progress=progress)
    if isinstance(loaded, PointerTagger):
        return PointerReader(loaded, schema, labels=labels, relations=relations)
    make = TaggerReader.if_it_knows_all if if_it_knows_all else TaggerReader
    return make(loaded, schema, labels=labels, relations=relations, classifier=classifier)
