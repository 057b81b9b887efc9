"""Pictures of a run that answer a question: which drug did what harm, whom a trial takes, what happened to a patient and when."""

from medllm.report.cases.page import PICTURES, picture_of, write_picture

__all__ = ["PICTURES", "picture_of", "write_picture"]
