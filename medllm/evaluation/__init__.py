"""Scoring: matching, metrics, intervals, significance, calibration, slices, and the official scorers of the shared tasks."""

from medllm.evaluation.counts import Counts, Scores
from medllm.evaluation.matching import Alignment, Criterion, align
from medllm.evaluation.result import Result
from medllm.evaluation.score import compare, score

__all__ = ["Alignment", "Counts", "Criterion", "Result", "Scores", "align", "compare", "score"]
