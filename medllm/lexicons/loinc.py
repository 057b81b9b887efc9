"""LOINC from ``Loinc.csv`` (loinc.org, LoincTable)."""

from collections.abc import Iterator
from pathlib import Path

from medllm.lexicons.concept import Concept
from medllm.lexicons.rows import distinct, headed

SYSTEM = "LOINC"


def read(path: Path) -> Iterator[Concept]:
    """The terms that are not deprecated: the long common name; short name, display name, component, consumer name. Raises InputError.

    Many terms share a component; ``RELATEDNAMES2`` is words to search by, not names, and is left out.
    """
    for row in headed(path, ("LOINC_NUM", "LONG_COMMON_NAME", "SHORTNAME", "COMPONENT")):
        if row.get("STATUS") != "DEPRECATED":
            name = row["LONG_COMMON_NAME"] or row["COMPONENT"]
            others = (row["SHORTNAME"], row.get("DisplayName", ""), row["COMPONENT"], row.get("CONSUMER_NAME", ""))
            yield Concept(SYSTEM, row["LOINC_NUM"], name, distinct(name, others), ("test",))
