"""The official scorers of the shared tasks, reproduced to the last printed digit, their quirks included.

Each module reads the files itself, because the official scorers' quirks are about lines, and has ``score(gold, pred)``, which
returns an ``OfficialResult``, and ``render``, which prints it. They are for figures that stand beside published ones;
for everything else ``medllm.evaluation.score`` has clearer rules.
"""
