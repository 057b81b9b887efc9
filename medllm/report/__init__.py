"""The self-contained HTML view of a run."""

from medllm.report.view import ViewData, render, write_view

__all__ = ["ViewData", "render", "write_view"]
