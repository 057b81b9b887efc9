"""``medllm train``: make a tagger, a relation classifier, an adapter or a calibrator of annotated notes."""

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from medllm.messages import localized
from medllm.messages import translated as _

app = typer.Typer(help="Train models on annotated notes.", no_args_is_help=True)

_TRAINING = "Training"
_FIGURES = ("loss", "eval_loss", "eval_precision", "eval_recall", "eval_f1", "perplexity_before", "perplexity_after")


@app.callback()
def _train() -> None:
    """Train models on annotated notes."""


@app.command("tagger")
def train_tagger(
    out: Annotated[Path, typer.Option("-o", "--out", help="The tagger's folder; a broken training goes on there.")],
    base: Annotated[str, typer.Option(help="The encoder: a folder, or a name of the model hub.")],
    data: Annotated[
        list[str] | None,
        typer.Option("--data", metavar="FORMAT:PATH[@MAP]", help="Annotated notes, in the labels of a label map; may be repeated."),
    ] = None,
    silver: Annotated[
        list[str] | None,
        typer.Option("--silver", metavar="FORMAT:PATH", help="Notes annotated by a reader, such as jsonl:OUT of an extraction."),
    ] = None,
    silver_least: Annotated[
        float, typer.Option(min=0, max=1, help="Confidence from which silver mentions are learnt; less sure stretches are left open.")
    ] = 0.8,
    schema: Annotated[
        str | None, typer.Option(help="The schema pack whose labels and attributes are learnt; the data's own otherwise.")
    ] = None,
    labels: Annotated[str | None, typer.Option(help="Only these labels, separated by commas.")] = None,
    held_out: Annotated[
        str, typer.Option(metavar="FORMAT:PATH[@MAP]|SHARE", help="Notes to score on, or the share of --data to hold out.")
    ] = "0.1",
    auxiliary: Annotated[
        list[str] | None,
        typer.Option("--auxiliary", metavar="FORMAT:PATH", help="Corpora that teach the encoder first, by labels of their own."),
    ] = None,
    auxiliary_epochs: Annotated[float, typer.Option(help="Epochs over the auxiliary corpora.", rich_help_panel=_TRAINING)] = 2,
    augment: Annotated[
        str | None, typer.Option(help="Ways to make more notes of the training notes, separated by commas: mentions, synonyms, …")
    ] = None,
    copies: Annotated[int, typer.Option(min=1, help="Changed notes of each note for each way to augment.")] = 1,
    lexicons: Annotated[
        str | None, typer.Option(metavar="NAME[:PATH],…", help="Lexicons whose names in the text are features: mesh, hpo, umls:FILE, …")
    ] = None,
    pretrain: Annotated[
        str | None, typer.Option(metavar="NOTES", help="Raw notes that the encoder learns to fill gaps in first (domain adaptation).")
    ] = None,
    pretrain_epochs: Annotated[float, typer.Option(help="Epochs over the raw notes.", rich_help_panel=_TRAINING)] = 3,
    name: Annotated[str, typer.Option(help="The tagger's name, in votes and in its card.")] = "tagger",
    licence: Annotated[str, typer.Option(help="The licence of the weights, for the card.")] = "other",
    epochs: Annotated[float, typer.Option(help="Epochs over the data.", rich_help_panel=_TRAINING)] = 10,
    rate: Annotated[float, typer.Option(help="Learning rate of the encoder.", rich_help_panel=_TRAINING)] = 5e-5,
    head_rate: Annotated[float, typer.Option(help="Learning rate of the new layers.", rich_help_panel=_TRAINING)] = 5e-4,
    batch: Annotated[int, typer.Option(min=1, help="Windows a step.", rich_help_panel=_TRAINING)] = 8,
    window: Annotated[int, typer.Option(min=32, help="Tokens of a window in training.", rich_help_panel=_TRAINING)] = 192,
    freeze: Annotated[int, typer.Option(min=0, help="Lower layers left as they are.", rich_help_panel=_TRAINING)] = 0,
    lora: Annotated[int, typer.Option(min=0, help="Rank of LoRA adapters; 0 trains all weights.", rich_help_panel=_TRAINING)] = 0,
    patience: Annotated[
        int, typer.Option(min=0, help="Stop after so many epochs without a better held-out F1; 0 never.", rich_help_panel=_TRAINING)
    ] = 0,
    average: Annotated[
        float, typer.Option(min=0, max=0.9999, help="Decay of an average over the weights; 0 for none.", rich_help_panel=_TRAINING)
    ] = 0.0,
    crf: Annotated[
        bool, typer.Option("--crf", help="Learn weights of the transitions between tags (a random field).", rich_help_panel=_TRAINING)
    ] = False,
    balance: Annotated[
        bool, typer.Option("--balance", help="Give the tags of rare labels more weight.", rich_help_panel=_TRAINING)
    ] = False,
    soft: Annotated[
        float,
        typer.Option(
            "--soft-sharing",
            min=0,
            help="Attributes get an encoder held to the first one by this weight; 0: one for all.",
            rich_help_panel=_TRAINING,
        ),
    ] = 0.0,
    seed: Annotated[int, typer.Option(help="The seed of everything random.", rich_help_panel=_TRAINING)] = 0,
    device: Annotated[str | None, typer.Option(help="cpu to leave a GPU alone.", rich_help_panel=_TRAINING)] = None,
    quantize: Annotated[bool, typer.Option("--int8/--float32", help="The weights of the graph that inference reads.")] = True,
) -> None:
    """Fine-tune a BERT-family encoder to tag the mentions of notes."""
    from medllm.errors import UsageError

    try:
        from medllm.training.tagger.fit import TrainingOptions
        from medllm.training.tagger.run import Job, train
    except ImportError as error:
        raise UsageError(f"training needs {error.name}, which is not installed", hint="pip install 'medllm[train]'") from None
    job = Job(
        data=data or (),
        base=base,
        schema=schema,
        labels=_listed(labels) or None,
        held_out=_share_or_place(held_out),
        auxiliary=auxiliary or (),
        auxiliary_epochs=auxiliary_epochs,
        silver=silver or (),
        silver_least=silver_least,
        augment=_listed(augment),
        copies=copies,
        pretraining=pretrain,
        pretraining_epochs=pretrain_epochs,
        name=name,
        licence=licence,
        quantize=quantize,
    )
    options = TrainingOptions(
        epochs=epochs,
        rate=rate,
        head_rate=head_rate,
        batch=batch,
        window=window,
        freeze=freeze,
        lora=lora,
        patience=patience,
        average=average,
        crf=crf,
        balance=balance,
        soft=soft,
        lexicons=_listed(lexicons),
        seed=seed,
        device=device,
    )
    scores = train(job, out, options, command=shlex.join(["medllm", *sys.argv[1:]]), warn=_warn, report=_report)
    if scores:
        exact, overlap = scores["exact"], scores["overlap"]
        low, high = exact["intervals"]["micro"]["f1"]
        said = _("held out: exact F1 {exact:.3f} ({low:.3f} to {high:.3f}), overlap {overlap:.3f}")
        typer.echo(said.format(exact=exact["micro"]["f1"], low=low, high=high, overlap=overlap["micro"]["f1"]), err=True)
    said = _("{out}: its README.md tells data, settings and scores; read notes with: medllm extract NOTES --readers tagger --tagger {out}")
    typer.echo(said.format(out=out))


@app.command("relations")
def train_relations(
    data: Annotated[
        list[str],
        typer.Option("--data", metavar="FORMAT:PATH[@MAP]", help="Notes with relations, in the labels of a label map; may be repeated."),
    ],
    out: Annotated[Path, typer.Option("-o", "--out", help="The classifier's folder; a broken training goes on there.")],
    base: Annotated[str, typer.Option(help="The encoder: a folder, or a name of the model hub.")],
    schema: Annotated[str | None, typer.Option(help="The schema pack in whose labels the data is read; its own otherwise.")] = None,
    relations: Annotated[str | None, typer.Option(help="Only these relations, separated by commas.")] = None,
    concepts: Annotated[
        bool, typer.Option("--concepts", help="Join concepts (mentions of one code, anywhere in a note) instead of mentions.")
    ] = False,
    held_out: Annotated[
        str, typer.Option(metavar="FORMAT:PATH[@MAP]|SHARE", help="Notes to score on, or the share of --data to hold out.")
    ] = "0.1",
    name: Annotated[str, typer.Option(help="The classifier's name, in votes and in its card.")] = "relations",
    licence: Annotated[str, typer.Option(help="The licence of the weights, for the card.")] = "other",
    epochs: Annotated[float, typer.Option(help="Epochs over the data.", rich_help_panel=_TRAINING)] = 5,
    rate: Annotated[float, typer.Option(help="Learning rate of the encoder.", rich_help_panel=_TRAINING)] = 1e-4,
    head_rate: Annotated[float, typer.Option(help="Learning rate of the new layers.", rich_help_panel=_TRAINING)] = 1e-3,
    batch: Annotated[int, typer.Option(min=1, help="Notes, or parts of them, a step.", rich_help_panel=_TRAINING)] = 2,
    layers: Annotated[int, typer.Option(min=0, help="Use only so many of the lower layers; 0 for all.", rich_help_panel=_TRAINING)] = 0,
    negatives: Annotated[
        int, typer.Option(min=0, help="Unrelated pairs for each related one and epoch; 0 for all.", rich_help_panel=_TRAINING)
    ] = 0,
    least: Annotated[int, typer.Option(min=1, help="Look at pairs of labels related at least so often.", rich_help_panel=_TRAINING)] = 2,
    seed: Annotated[int, typer.Option(help="The seed of everything random.", rich_help_panel=_TRAINING)] = 0,
    device: Annotated[str | None, typer.Option(help="cpu to leave a GPU alone.", rich_help_panel=_TRAINING)] = None,
    quantize: Annotated[bool, typer.Option("--int8/--float32", help="The weights of the graph that inference reads.")] = True,
) -> None:
    """Fine-tune a BERT-family encoder to join the mentions of notes."""
    from medllm.errors import UsageError

    try:
        from medllm.training.relations.fit import RelationOptions
        from medllm.training.relations.run import RelationJob, train
    except ImportError as error:
        raise UsageError(f"training needs {error.name}, which is not installed", hint="pip install 'medllm[train]'") from None
    job = RelationJob(
        data=data,
        base=base,
        schema=schema,
        relations=_listed(relations) or None,
        held_out=_share_or_place(held_out),
        name=name,
        licence=licence,
        quantize=quantize,
    )
    options = RelationOptions(
        epochs=epochs,
        rate=rate,
        head_rate=head_rate,
        batch=batch,
        layers=layers,
        concepts=concepts,
        negatives=negatives,
        least=least,
        seed=seed,
        device=device,
    )
    scores = train(job, out, options, command=shlex.join(["medllm", *sys.argv[1:]]), warn=_warn, report=_report)
    if scores is not None:
        low, high = scores.interval
        said = _("held out, given the mentions: F1 {f1:.3f} ({low:.3f} to {high:.3f})")
        typer.echo(said.format(f1=scores.micro.f1, low=low, high=high), err=True)
    said = _(
        "{out}: its README.md tells data, settings and scores; use it with: medllm extract NOTES --readers tagger --tagger-relations {out}"
    )
    typer.echo(said.format(out=out))


@app.command("calibrator")
def train_calibrator(
    data: Annotated[str, typer.Option("--data", metavar="FORMAT:PATH[@MAP]", help="The notes' gold, in the labels of a label map.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="The folder to write the calibrator and the boundary policy to.")],
    run: Annotated[
        list[Path] | None,
        typer.Option("--run", metavar="OUT", help="What `medllm extract` made of the same notes; may be repeated. Without it, edges only."),
    ] = None,
    schema: Annotated[str, typer.Option(help="The schema pack of the runs.")] = "clinical",
    boundary: Annotated[bool, typer.Option("--boundary/--no-boundary", help="Learn where the gold's mentions begin and end too.")] = True,
    labels: Annotated[str | None, typer.Option(help="Only these labels, separated by commas.")] = None,
) -> None:
    """Fit what turns readers' votes into probabilities, and learn the edges of a corpus."""
    from medllm.errors import UsageError

    try:
        import sklearn  # noqa: F401
    except ImportError:
        raise UsageError("training needs scikit-learn, which is not installed", hint="pip install 'medllm[train]'") from None
    from medllm.training.calibrator import train_ensemble

    scores = train_ensemble(
        data,
        run or (),
        out,
        schema=schema,
        boundary=boundary,
        labels=_listed(labels) or None,
        command=shlex.join(["medllm", *sys.argv[1:]]),
    )
    if scores is not None:
        said = _("on notes not fitted on: calibration error {error:.3f}, {mentions} mentions of {notes} notes")
        typer.echo(said.format(error=scores.ece, mentions=scores.mentions, notes=scores.notes), err=True)
    said = _("{out}: its README.md tells how good it is; use it with: medllm extract NOTES --readers both --calibrator {out}")
    typer.echo(said.format(out=out))


@app.command("llm")
def train_llm(
    data: Annotated[
        list[str],
        typer.Option("--data", metavar="FORMAT:PATH[@MAP]", help="Annotated notes, in the labels of a label map; may be repeated."),
    ],
    out: Annotated[Path, typer.Option("-o", "--out", help="The adapter's folder; a broken training goes on there.")],
    base: Annotated[str, typer.Option(help="The model: a name (see `medllm models list`), a folder or a hub name.")] = "0.5b",
    schema: Annotated[
        str | None, typer.Option(help="The schema pack of data without a label map; the data's own labels otherwise.")
    ] = None,
    held_out: Annotated[
        str, typer.Option(metavar="FORMAT:PATH[@MAP]|SHARE", help="Notes to measure the loss on, or the share of --data to hold out.")
    ] = "0.1",
    relations: Annotated[bool, typer.Option("--relations/--no-relations", help="Learn modifiers and relations too.")] = True,
    layout: Annotated[str, typer.Option(help="The layout of the answers: lines or copy.")] = "lines",
    chunk_tokens: Annotated[int, typer.Option(min=1, help="Tokens of a note that one question asks about.")] = 64,
    variation: Annotated[
        float, typer.Option(min=0, max=1, help="Share of the notes under a changed schema, so that new ones are followed still.")
    ] = 0.3,
    worked: Annotated[
        float, typer.Option(min=0, max=1, help="Share of the conversations that begin with the schema's own examples.")
    ] = 0.3,
    empty: Annotated[float, typer.Option(min=0, max=1, help="Share of the questions without anything to find that are learnt.")] = 0.5,
    name: Annotated[str, typer.Option(help="The adapter's name, in its card.")] = "adapter",
    licence: Annotated[str, typer.Option(help="The licence of the weights, for the card.")] = "other",
    epochs: Annotated[float, typer.Option(help="Epochs over the data.", rich_help_panel=_TRAINING)] = 3,
    rate: Annotated[float, typer.Option(help="Learning rate of the adapter.", rich_help_panel=_TRAINING)] = 2e-4,
    rank: Annotated[int, typer.Option(min=1, help="Rank of the adapter.", rich_help_panel=_TRAINING)] = 16,
    batch: Annotated[int, typer.Option(min=1, help="Conversations at a time.", rich_help_panel=_TRAINING)] = 2,
    accumulate: Annotated[int, typer.Option(min=1, help="Batches a step.", rich_help_panel=_TRAINING)] = 4,
    tokens: Annotated[int, typer.Option(min=64, help="Tokens of a conversation, at most.", rich_help_panel=_TRAINING)] = 1536,
    patience: Annotated[
        int, typer.Option(min=0, help="Stop after so many epochs without a lower held-out loss; 0 never.", rich_help_panel=_TRAINING)
    ] = 0,
    save_steps: Annotated[int, typer.Option(min=0, help="Steps between checkpoints; 0: one an epoch.", rich_help_panel=_TRAINING)] = 0,
    checkpointing: Annotated[
        bool, typer.Option("--checkpointing", help="Compute activations twice, to need less memory.", rich_help_panel=_TRAINING)
    ] = False,
    seed: Annotated[int, typer.Option(help="The seed of everything random.", rich_help_panel=_TRAINING)] = 0,
    device: Annotated[str | None, typer.Option(help="cpu to leave a GPU alone.", rich_help_panel=_TRAINING)] = None,
) -> None:
    """Fine-tune a language model, through LoRA, to answer the prompts that notes are read with."""
    from medllm.errors import UsageError

    try:
        from medllm.training.llm.conversations import Plan
        from medllm.training.llm.fit import AdapterOptions
        from medllm.training.llm.run import AdapterJob, train
    except ImportError as error:
        raise UsageError(f"training needs {error.name}, which is not installed", hint="pip install 'medllm[train]'") from None
    if layout not in ("lines", "copy"):
        raise UsageError(f"there is no layout {layout!r}", hint="layouts are lines and copy")
    plan = Plan(layout, chunk_tokens, relations, variation, empty, worked)
    job = AdapterJob(
        data=data,
        base=base,
        schema=schema,
        held_out=_share_or_place(held_out),
        name=name,
        licence=licence,
        plan=plan,
    )
    options = AdapterOptions(
        epochs=epochs,
        rate=rate,
        batch=batch,
        accumulate=accumulate,
        tokens=tokens,
        rank=rank,
        patience=patience,
        save_steps=save_steps,
        checkpointing=checkpointing,
        seed=seed,
        device=device,
    )
    train(job, out, options, command=shlex.join(["medllm", *sys.argv[1:]]), warn=_warn, report=_report)
    said = _("{out}: its README.md tells data, settings and losses; read notes with: medllm extract NOTES --model {base} --adapter {out}")
    typer.echo(said.format(out=out, base=base))


def _share_or_place(held_out: str) -> float | str:
    """``0.1`` as a number, ``FORMAT:PATH`` as it is."""
    return float(held_out) if held_out.replace(".", "", 1).isdigit() else held_out


def _listed(names: str | None) -> tuple[str, ...]:
    return tuple(each.strip() for each in (names or "").split(",") if each.strip())


def _warn(message: str) -> None:
    typer.echo(_("warning: {what}").format(what=localized(message)), err=True)


def _report(row: dict[str, float]) -> None:
    figures = ", ".join(f"{key} {value:.4g}" for key, value in row.items() if key in _FIGURES)
    if figures:
        typer.echo(f"epoch {row['epoch']:.3g}: {figures}", err=True)
