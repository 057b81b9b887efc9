"""Schema packs: one module each. The docstrings are the guidelines that readers see."""
