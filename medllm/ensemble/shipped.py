"""The boundary policy and the calibrator that come with the package, and those that a user names."""

import gzip
from functools import cache
from pathlib import Path

from medllm.ensemble.boundary import BoundaryPolicy
from medllm.ensemble.calibration import Calibrator
from medllm.errors import UsageError
from medllm.schema import Schema

AUTO, OFF = "auto", "off"
OWN = "calibrator"
"""Where ``medllm train tagger`` leaves a calibrator, in the tagger's folder."""
SHIPPED = Path(__file__).parent.parent / "weights" / "ensemble"


def find_policy(policy: str | Path | BoundaryPolicy, schema: Schema) -> BoundaryPolicy | None:
    """A policy given, or in a file; ``auto``: the shipped one where it was learnt for this schema; ``off``: none. Raises ModelError."""
    if isinstance(policy, BoundaryPolicy):
        return policy
    if policy == OFF:
        return None
    if policy != AUTO:
        path = Path(policy)
        return BoundaryPolicy.load(path / "boundary.json" if path.is_dir() else path)
    shipped = _shipped_policy(SHIPPED / f"{schema.name}-{schema.language}" / "boundary.json.gz")
    return shipped if shipped is not None and shipped.about.get("schema") == schema.name else None


def find_calibrator(
    calibrator: str | Path | Calibrator,
    schema: Schema,
    min_precision: float | None,
    *,
    tagger: str | None = None,
    folder: Path | None = None,
) -> Calibrator | None:
    """A calibrator given, or in a file, for this schema, with the lanes of ``min_precision``; ``off``: none.

    ``auto``: the one that training left in the tagger's ``folder``, else the shipped one; if it was fitted on the tagger with the SHA-256
    ``tagger`` and for this schema. Raises ModelError and UsageError.
    """
    found: Calibrator | None = None
    if isinstance(calibrator, Calibrator):
        found = calibrator
    elif calibrator == AUTO:
        places = [SHIPPED / f"{schema.name}-{schema.language}", *([folder / OWN] if folder is not None else [])]
        for place in places if tagger is not None else []:
            known = Calibrator.load(place) if (place / "calibrator.json").is_file() else None
            if known is not None and (known.about.get("tagger_sha256"), known.schema) == (tagger, schema.name):
                found = known
    elif calibrator != OFF:
        found = Calibrator.load(calibrator)
    if found is None:
        if min_precision is not None:
            hint = "give --calibrator; `medllm train calibrator` fits one on your notes"
            raise UsageError("--min-precision needs a calibrator", hint=hint)
        return None
    if found.schema != schema.name:
        raise UsageError(f"the calibrator is of the schema {found.schema!r}, not {schema.name!r}", hint="fit one for this schema")
    return found if min_precision is None else found.promising(min_precision)


@cache
def _shipped_policy(file: Path) -> BoundaryPolicy | None:
    return BoundaryPolicy.from_json(gzip.decompress(file.read_bytes()).decode()) if file.is_file() else None
