"""Fit a calibrator on runs over annotated notes: logistic regression, judged on notes that it was not fitted on."""

import datetime
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from medllm.document import Entity, Extraction
from medllm.ensemble.calibration import EXTRA, READERS, Calibrator, features
from medllm.ensemble.links import Logistic
from medllm.errors import InputError
from medllm.evaluation.matching import align
from medllm.formats.annotated import read_annotated
from medllm.runs.directory import read_run
from medllm.schema import Schema
from medllm.training.boundary import learn_boundaries
from medllm.training.links import assertion_cases, crossed, enough, fit, fit_logistic, mention_key, relation_cases

FOLDS = 5
PROMISES = (0.8, 0.85, 0.9, 0.95, 0.97, 0.98, 0.99)
RISK = 0.1
"""How often a promised precision may be missed on notes like those fitted on."""
BINS = 10
SLACK = 0.003


@dataclass(frozen=True)
class Judged:
    """A mention of a note, whether it is right, and the probability that a calibrator of other notes gave it."""

    note: str
    entity: Entity
    right: bool
    probability: float = 0.0


@dataclass(frozen=True)
class CalibratorScores:
    """How good the probabilities are on notes not fitted on. ``lanes``: (promised, precision there, share of the mentions there)."""

    mentions: int
    notes: int
    ece: float
    ece_before: float | None
    bins: tuple[tuple[float, float, int], ...]
    lanes: tuple[tuple[float, float, float], ...]
    links: tuple[tuple[str, int, float, float], ...] = ()
    """Of relations and of assertions, where there are enough: number, share right, calibration error."""


def judge_mentions(runs: Iterable[Extraction], gold: Mapping[str, Extraction], labels: Iterable[str] | None = None) -> list[Judged]:
    """All mentions of runs, the rejected ones too, and whether gold has exactly them. Notes without gold are left out."""
    wanted = frozenset(labels) if labels is not None else None
    judged = []
    for extraction in runs:
        truth = gold.get(extraction.note.id)
        if truth is None:
            continue
        known = wanted if wanted is not None else frozenset(e.label for x in gold.values() for e in x.entities)
        found = [e for e in (*extraction.entities, *extraction.rejected) if e.label in known]
        right = {p for _, p in align(truth.entities, found).pairs}
        judged += [Judged(extraction.note.id, e, n in right) for n, e in enumerate(found)]
    return judged


def fit_calibrator(
    judged: Sequence[Judged], *, schema: str, about: Mapping[str, str], seed: int = 0
) -> tuple[Calibrator, CalibratorScores]:
    """Fit on all; lanes, ``keep`` and scores come of folds over notes. Raises InputError where there is too little."""
    notes = sorted({j.note for j in judged})
    if len(notes) < FOLDS or len({j.right for j in judged}) < 2:
        raise InputError(
            f"a calibrator needs right and wrong mentions of at least {FOLDS} notes, and there are {len(judged)} mentions of {len(notes)}",
            hint="run the readers over more annotated notes; are the notes' ids those of the gold?",
        )
    crossed = cross_fit(judged, seed=seed)
    weights, bias = _fit(judged)
    lanes = {promise: at for promise in PROMISES if (at := threshold(crossed, promise)) is not None}
    readers = ",".join(sorted({v.reader for j in judged for v in j.entity.votes if v.reader in (*READERS, *EXTRA)}))
    calibrator = Calibrator(weights, bias, _keep(crossed), lanes, schema, {**about, "readers": readers})
    ece, bins = calibration_error([j.probability for j in crossed], [j.right for j in crossed])
    raw = [(v.score, j.right) for j in crossed for v in j.entity.votes[:1] if v.score is not None]
    before = calibration_error([s for s, _ in raw], [r for _, r in raw])[0] if len(raw) == len(crossed) else None
    return calibrator, CalibratorScores(len(judged), len(notes), ece, before, bins, tuple(_lane_scores(crossed, seed)))


def cross_fit(judged: Sequence[Judged], *, folds: int = FOLDS, seed: int = 0) -> list[Judged]:
    """Each mention with the probability that a model of the other folds' notes gives it."""
    parts = _parts(judged, folds, seed)
    crossed = []
    for number, part in enumerate(parts):
        others = [j for n, each in enumerate(parts) if n != number for j in each]
        weights, bias = _fit(others)
        model = Calibrator(weights, bias, 0.5)
        crossed += [Judged(j.note, j.entity, j.right, model.probability(j.entity)) for j in part]
    return crossed


def threshold(crossed: Sequence[Judged], precision: float) -> float | None:
    """The lowest probability from which mentions keep ``precision``, wrong in at most ``RISK`` of the cases; None where there is none.

    Thresholds are tested from the highest down, and the first that fails ends it (Angelopoulos et al. 2021, Learn then Test), so the
    risk is that of a single test: the lower bound of the precision over notes, which are the units (mentions of a note go together).
    """
    ranked = sorted(crossed, key=lambda j: -j.probability)
    held = None
    for size in _sizes(len(ranked)):
        lane = ranked[:size]
        if _lower_bound(lane) < precision:
            if size >= 200:
                break
            continue
        held = lane[-1].probability
    return held


def calibration_error(probabilities: Sequence[float], right: Sequence[bool]) -> tuple[float, tuple[tuple[float, float, int], ...]]:
    """Expected calibration error over bins of equal numbers, and the bins: mean probability, share right, number."""
    ranked = sorted(zip(probabilities, right, strict=True))
    total, bins = 0.0, []
    for n in range(BINS):
        part = ranked[len(ranked) * n // BINS : len(ranked) * (n + 1) // BINS]
        if part:
            mean, share = sum(p for p, _ in part) / len(part), sum(r for _, r in part) / len(part)
            bins.append((round(mean, 4), round(share, 4), len(part)))
            total += abs(mean - share) * len(part)
    return total / max(1, len(ranked)), tuple(bins)


def train_ensemble(
    data: str,
    runs: Sequence[Path],
    folder: Path,
    *,
    schema: str = "clinical",
    boundary: bool = True,
    labels: Sequence[str] | None = None,
    command: str = "",
) -> CalibratorScores | None:
    """Learn the boundary policy of gold at ``data``, and of runs over the same notes a calibrator; both go to ``folder``.

    Returns the calibrator's scores, None without runs. Raises UsageError, FormatError or InputError.
    """
    pack = Schema.load(schema)
    corpus, _ = read_annotated(data, pack)
    wanted = frozenset(labels or (c.label for c in pack.main_entities))
    about = {
        "schema": pack.name,
        "language": pack.language,
        "data": Path(data.partition("@")[0].partition(":")[2]).name,
        "notes": str(len(corpus)),
    }
    folder.mkdir(parents=True, exist_ok=True)
    if boundary:
        notes = [(x.note.text, [(e.spans[0], e.label) for e in x.entities if e.label in wanted and len(e.spans) == 1]) for x in corpus]
        policy = learn_boundaries(notes, about={"name": folder.name, **about})
        (folder / "boundary.json").write_text(policy.to_json(), encoding="utf-8")
    if not runs:
        return None
    read = [extraction for run in runs for extraction in read_run(run).extractions]
    gold = {x.note.id: x for x in corpus}
    judged = judge_mentions(read, gold, labels)
    calibrator, scores = with_links(*fit_calibrator(judged, schema=pack.name, about=about), judged, read, gold)
    write_calibrator(calibrator, scores, folder, command=command)
    return scores


def _lane_scores(crossed: Sequence[Judged], seed: int) -> Iterable[tuple[float, float, float]]:
    """Each promise on notes whose threshold was found on the other notes."""
    parts = _parts(crossed, FOLDS, seed + 1)
    for promise in PROMISES:
        inside, all_of = [], 0
        for number, part in enumerate(parts):
            others = [j for n, each in enumerate(parts) if n != number for j in each]
            at = threshold(others, promise)
            all_of += len(part)
            inside += [j.right for j in part if at is not None and j.probability >= at]
        if inside:
            yield promise, round(sum(inside) / len(inside), 4), round(len(inside) / all_of, 4)


def _keep(crossed: Sequence[Judged]) -> float:
    """The lowest probability from which keeping mentions gives the best F1, but for ``SLACK``: where F1 is flat, recall is kept."""
    ranked = sorted(crossed, key=lambda j: -j.probability)
    total = sum(j.right for j in ranked)
    right, scores = 0, []
    for size, each in enumerate(ranked, 1):
        right += each.right
        scores.append((2 * right / (size + total), each.probability))
    best = max(f1 for f1, _ in scores)
    return round(min(at for f1, at in scores if f1 >= best - SLACK), 4)


def _lower_bound(lane: Sequence[Judged]) -> float:
    """A lower bound of the precision that holds in 1 - RISK of the cases; the variance is taken over notes."""
    from scipy.stats import beta, norm

    right, size = sum(j.right for j in lane), len(lane)
    share = right / size
    by_note: dict[str, float] = {}
    for j in lane:
        by_note[j.note] = by_note.get(j.note, 0.0) + j.right - share
    spread = sum(v * v for v in by_note.values()) ** 0.5 / size
    binomial = float(beta.ppf(RISK, right, size - right + 1)) if right else 0.0
    return min(binomial, float(share - norm.ppf(1 - RISK) * spread))


def _sizes(total: int) -> list[int]:
    return sorted({max(1, round(total * n / 200)) for n in range(1, 201)})


def _parts(judged: Sequence[Judged], folds: int, seed: int) -> list[list[Judged]]:
    notes = sorted({j.note for j in judged})
    random.Random(seed).shuffle(notes)
    fold = {note: n % folds for n, note in enumerate(notes)}
    parts: list[list[Judged]] = [[] for _ in range(folds)]
    for j in judged:
        parts[fold[j.note]].append(j)
    return parts


def _fit(judged: Sequence[Judged]) -> tuple[Mapping[str, float], float]:
    model = fit_logistic([features(j.entity) for j in judged], [j.right for j in judged])
    return model.weights, model.bias


def with_links(
    calibrator: Calibrator, scores: CalibratorScores, judged: Sequence[Judged], runs: Sequence[Extraction], gold: Mapping[str, Extraction]
) -> tuple[Calibrator, CalibratorScores]:
    """The calibrator with probabilities of relations and assertions, where runs and gold have enough of them."""
    sure = {mention_key(j.note, j.entity): j.probability for j in cross_fit(judged)}
    parts: dict[str, Logistic] = {}
    links = []
    for name, cases in (("relations", relation_cases(runs, gold, sure)), ("assertions", assertion_cases(runs, gold, sure))):
        if enough(cases):
            parts[name] = fit(cases)
            judged_by_others = crossed(cases)
            ece, _ = calibration_error([p for _, p in judged_by_others], [c.right for c, _ in judged_by_others])
            links.append((name, len(cases), sum(c.right for c in cases) / len(cases), ece))
    return replace(calibrator, relations=parts.get("relations"), assertions=parts.get("assertions")), replace(scores, links=tuple(links))


def write_calibrator(calibrator: Calibrator, scores: CalibratorScores, folder: Path, *, command: str) -> None:
    """Write ``calibrator.json`` and its card, ``README.md``."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "calibrator.json").write_text(calibrator.to_json(), encoding="utf-8")
    before = "" if scores.ece_before is None else f"; the reader's own scores have {scores.ece_before:.3f}"
    lines = [
        f"# Calibrator for the schema {calibrator.schema}",
        "",
        f"Fitted on {scores.mentions:,} mentions of {scores.notes} notes; every figure below is of notes that the model and the thresholds "
        f"behind it were not fitted on ({FOLDS} folds over notes).",
        "",
        f"Expected calibration error: {scores.ece:.3f} over {BINS} bins of equal numbers{before}. Mentions stay from "
        f"{calibrator.keep:.2f} on (the best F1).",
        "",
        "| Probability | Right | Mentions |",
        "| ---: | ---: | ---: |",
        *(f"| {mean:.3f} | {share:.3f} | {size} |" for mean, share, size in scores.bins),
        "",
        "| Promised precision | Precision kept | Share of the mentions |",
        "| ---: | ---: | ---: |",
        *(f"| {promise:.2f} | {kept:.3f} | {share:.3f} |" for promise, kept, share in scores.lanes),
        "",
        *(f"{n:,} {name}: {share:.3f} right, expected calibration error {ece:.3f}." for name, n, share, ece in scores.links),
        *([""] if scores.links else []),
        f"A promise may fail on {RISK:.0%} of the sets of notes like these; notes of another kind are not covered by it.",
        "",
        f"`{command}`, {datetime.datetime.now(datetime.UTC):%Y-%m-%d}",
    ]
    (folder / "README.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
