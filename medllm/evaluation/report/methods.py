"""How the figures came about, in sentences that can go into a methods section."""

from medllm.evaluation.report.content import Report

_MATCHING = (
    "Predicted and gold mentions of a note were paired one to one, with as many pairs as possible. Under exact match a pair has the same "
    "label and the same offsets of every part; under overlap the same label and at least one character in common. Repeated mentions were "
    "not removed. Precision is the share of predicted mentions that are paired, recall the share of gold mentions, F1 their harmonic mean. "
    "The micro average sums over labels, the macro average is the mean over labels."
)
_SUBGROUPS = (
    "Subgroups: a pair counts where its gold mention stands. Sections were recognised by their headings and grouped; sex and age of the "
    "patient were taken from the note's metadata or, where it has none, from plain statements in its text; notes that do not tell were "
    "left out of these tables."
)
_CONFIDENCE = (
    "Reliability compares the confidence of predicted mentions with the share of them that match exactly, in ten bins of equal width. The "
    "precision-coverage curve keeps the mentions above a falling threshold; thresholds are read off the same notes and are optimistic to "
    "that extent."
)


def methods(report: Report) -> list[str]:
    """One paragraph a topic. Only what was done is told."""
    options, drawn = report.options, report.results["exact"].intervals
    said = [*report.methods, _MATCHING]
    if options.labels:
        said.append(f"Only mentions with the labels {', '.join(options.labels)} were scored; others were ignored on both sides.")
    if drawn:
        said.append(
            f"Intervals are central {drawn.level:.0%} intervals of {drawn.samples:,} bootstrap samples of whole notes, since mentions of "
            f"one note are not independent (percentile method; seed {drawn.seed})."
        )
    if report.comparison:
        test = report.comparison.tests["exact"][0]
        said.append(
            f"The two systems were compared by paired approximate randomisation over notes ({test.samples:,} samples, two-sided, seed "
            f"{test.seed}; Noreen 1989, Yeh 2000); tests of single labels were adjusted by Holm's procedure."
        )
    if report.official:
        said.append(f"The tables under the name {report.official.metric} are those of the {report.official.scorer}, reproduced.")
    if report.subgroups:
        said.append(_SUBGROUPS)
    if report.confidence:
        said.append(_CONFIDENCE)
    if options.allow_missing:
        said.append("Notes without a prediction were counted as notes in which nothing was found.")
    if report.problems:
        said.append(f"{len(report.problems)} faults were found in the annotation files; faulty lines were left out and counted.")
    return said
