"""What the mentions of a run rest on, told by the tagger that found them."""

from collections.abc import Mapping

from medllm.errors import UsageError
from medllm.runs.directory import Run
from medllm.taggers.explain import Explanation
from medllm.taggers.reader import TaggerReader
from medllm.taggers.reasons import reasons
from medllm.taggers.relations import RelationClassifier
from medllm.taggers.sources import DEFAULT_TAGGER, model_folder
from medllm.taggers.tagger import Tagger


def explain_run(run: Run, tagger: str | None = None, relations: str | None = None) -> dict[str, Mapping[str, list[Explanation]]]:
    """By note id and mention id. ``tagger`` is a name or a folder (the shipped one otherwise), ``relations`` a classifier's folder.

    Raises UsageError where the run was read without a tagger, or by another one, ModelError for one that cannot be loaded.
    """
    read_with = run.manifest.get("configuration", {})
    if "tagger_sha256" not in read_with:
        raise UsageError("there is nothing to explain: this run was read without a tagger", hint="extract with --readers tagger")
    loaded = Tagger.load(model_folder(tagger or DEFAULT_TAGGER))
    if loaded.fingerprint != read_with["tagger_sha256"]:
        raise UsageError(
            f"the notes were read by the tagger {read_with.get('tagger', '')!r}, which is not this one ({loaded.config.name!r})",
            hint="give the same with --tagger FOLDER",
        )
    classifier = None
    if relations is not None:
        classifier = RelationClassifier.load(model_folder(relations))
        if classifier.fingerprint != read_with.get("tagger_relations_sha256"):
            raise UsageError("the notes were read with another relation classifier, or with none", hint="leave out --tagger-relations")
    reader = TaggerReader(loaded, run.schema, labels=read_with.get("tagger_labels"), classifier=classifier)
    return {extraction.note.id: reasons(extraction, reader) for extraction in run.extractions}
