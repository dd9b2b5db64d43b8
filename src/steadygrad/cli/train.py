"""``steadygrad train``: one network, plain, penalised or on attacks."""

from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any

import typer

from steadygrad.cli.parsing import parse_epochs, parse_fraction
from steadygrad.cli.terminal import INTERRUPTED, messages
from steadygrad.errors import HyperparameterError
from steadygrad.penalties import strength_from_lambda
from steadygrad.training import TrainingConfig, console_progress, train
from steadygrad.training.config_file import read_settings
from steadygrad.training.objectives.structured import covariance_choices
from steadygrad.training.objectives.training_attack import noise_covariance_choices

__all__ = ["register"]

_DEFAULTS = {field.name: field.default for field in fields(TrainingConfig)}
_EPILOG = (
    "Example: steadygrad train --dataset mnist --data-dir data --model yeats2021-mnist-complex "
    "--penalty l1 --strength 0.125 --epochs 15 --drop-at 10 --out runs/mnist-complex"
)


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("train", epilog=_EPILOG)(_train)


def _setting(name: str, text: str, *flags: str, **options: Any) -> Any:
    """Return the option for a setting of TrainingConfig, showing the default it has there."""
    default = _DEFAULTS[name]
    shown = ",".join(map(str, default)) if isinstance(default, tuple) else default
    if isinstance(shown, str | int | float) and shown != "" and not isinstance(shown, bool):
        text = rf"{text} \[default: {shown}]"  # escaped: square brackets are markup
    return typer.Option(*flags, help=text, show_default=False, **options)


def _train(
    out: Annotated[Path, typer.Option(help="Run folder to make.", show_default=False)],
    config: Annotated[
        Path | None,
        typer.Option(
            help="TOML file with any of these settings (underscores for dashes); flags win.",
            show_default=False,
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on where a stopped run in --out left off.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a run that is already in --out.")
    ] = False,
    dataset: Annotated[
        str | None,
        _setting("dataset", "Name (see `steadygrad datasets`) or folder.", show_choices=False),
    ] = None,
    data_dir: Annotated[
        str | None, _setting("data_dir", "Folder with local copies; without it, the hub.")
    ] = None,
    model: Annotated[str | None, _setting("model", "Name (see `steadygrad models`).")] = None,
    penalty: Annotated[
        str | None,
        _setting(
            "penalty",
            "none; squared norm of the input gradient: l1, l2 (or gn), linf; structured: sgr.",
        ),
    ] = None,
    strength: Annotated[
        float | None,
        _setting("strength", "Factor of the penalty, per example (a beta is strength * batch^2)."),
    ] = None,
    paper_lambda: Annotated[
        float | None,
        typer.Option(
            help="In place of --strength, of gn and sgr: the paper's lambda, twice that.",
            show_default=False,
        ),
    ] = None,
    covariance: Annotated[
        str | None, _setting("covariance", f"Of sgr: {covariance_choices()}.")
    ] = None,
    covariance_source: Annotated[
        str | None,
        _setting("covariance_source", "What it learns from: fgsm, gradient, pgd, deepfool."),
    ] = None,
    covariance_eps: Annotated[
        str | None, _setting("covariance_eps", "Radius of that pgd; default 8/255.")
    ] = None,
    covariance_steps: Annotated[
        int | None,
        _setting("covariance_steps", "Steps of that pgd (default 10) or deepfool (100)."),
    ] = None,
    covariance_decay: Annotated[
        float | None, _setting("covariance_decay", "Weight of the latest batch in it.")
    ] = None,
    covariance_every: Annotated[
        int | None, _setting("covariance_every", "Learn from every so many-th batch.")
    ] = None,
    covariance_mean: Annotated[
        bool | None,
        _setting("covariance_mean", "Count in its perturbations' mean as well (Eq. 12)."),
    ] = None,
    decay_length: Annotated[
        float | None, _setting("decay_length", "Reach of an exponential covariance, in pixels.")
    ] = None,
    backend: Annotated[
        str | None, _setting("backend", "double_backprop (exact) or finite_difference.")
    ] = None,
    difference_step: Annotated[
        float | None, _setting("difference_step", "Step of finite_difference, in pixels.")
    ] = None,
    difference_order: Annotated[
        int | None, _setting("difference_order", "1 (one-sided) or 2 (central).")
    ] = None,
    difference_check: Annotated[
        float | None,
        _setting("difference_check", "Least cosine with the exact gradient, or do not start."),
    ] = None,
    second_order: Annotated[
        str | None, _setting("second_order", "Complex layers: exact or frozen_phase (the paper's).")
    ] = None,
    adversarial: Annotated[
        str | None,
        _setting(
            "adversarial",
            "Train on attacks instead: none, fgsm, pgd; or on noise: lrc (correlated), "
            "white-noise.",
        ),
    ] = None,
    adversarial_eps: Annotated[
        str | None,
        _setting("adversarial_eps", "Radius, such as 0.2 or 8/255; of noise, standard deviation."),
    ] = None,
    adversarial_steps: Annotated[int | None, _setting("adversarial_steps", "Steps of PGD.")] = None,
    adversarial_fraction: Annotated[
        float | None, _setting("adversarial_fraction", "Share of each batch that is attacked.")
    ] = None,
    adversarial_from: Annotated[
        str | None, _setting("adversarial_from", "Attack away from the true or predicted label.")
    ] = None,
    adversarial_covariance: Annotated[
        str | None,
        _setting("adversarial_covariance", f"Of lrc: {noise_covariance_choices()}."),
    ] = None,
    adversarial_decay_length: Annotated[
        float | None,
        _setting("adversarial_decay_length", "Reach of its exponential covariance, in pixels."),
    ] = None,
    noise: Annotated[
        str | None, _setting("noise", "none, gaussian:SIGMA or uniform:HALF_WIDTH, clamped.")
    ] = None,
    flip: Annotated[bool | None, _setting("flip", "Flip images horizontally at random.")] = None,
    crop_padding: Annotated[
        int | None, _setting("crop_padding", "Random crop after padding by this many pixels.")
    ] = None,
    crop_mode: Annotated[str | None, _setting("crop_mode", "Pad with: edge or constant.")] = None,
    crop_value: Annotated[
        float | None, _setting("crop_value", "Grey value of constant padding.")
    ] = None,
    optimizer: Annotated[str | None, _setting("optimizer", "sgd or adam.")] = None,
    learning_rate: Annotated[
        float | None, _setting("learning_rate", "Default 0.005 for sgd, 0.001 for adam.")
    ] = None,
    momentum: Annotated[float | None, _setting("momentum", "Of sgd.")] = None,
    nesterov: Annotated[
        bool | None,
        _setting(
            "nesterov", "Nesterov's momentum, or the plain one (the default with frozen_phase)."
        ),
    ] = None,
    adam_eps: Annotated[float | None, _setting("adam_eps", "Of adam.")] = None,
    weight_decay: Annotated[float | None, _setting("weight_decay", "Squared-norm decay.")] = None,
    clip_gradient: Annotated[
        float | None, _setting("clip_gradient", "Longest parameter gradient of a step; no limit.")
    ] = None,
    epochs: Annotated[int | None, _setting("epochs", "Passes over the training set.")] = None,
    drop_at: Annotated[
        str | None, _setting("drop_at", "Epochs after which the rate drops, such as 40,60,72.")
    ] = None,
    drop_factor: Annotated[
        float | None, _setting("drop_factor", "What the rate is then multiplied by.")
    ] = None,
    batch_size: Annotated[int | None, _setting("batch_size", "Images a step.")] = None,
    limit_train: Annotated[
        int | None, _setting("limit_train", "Only the first N training images.")
    ] = None,
    validation_size: Annotated[
        int | None,
        _setting("validation_size", "Images cut from the training set to measure on."),
    ] = None,
    test_images: Annotated[
        int | None,
        _setting("test_images", "Measure on so many test images after each epoch; never choose."),
    ] = None,
    update_similarity: Annotated[
        bool | None,
        _setting("update_similarity", "Record how far the penalty turns the updates (slower)."),
    ] = None,
    seed: Annotated[int | None, _setting("seed", "Decides everything random.")] = None,
    device: Annotated[str | None, _setting("device", "auto, cpu, cuda, cuda:1, ...")] = None,
    checkpoint_seconds: Annotated[
        float | None, _setting("checkpoint_seconds", "Least time between checkpoints.")
    ] = None,
) -> None:
    """Train a network and keep its weights, settings and metrics in a run folder."""
    typed = {name: value for name, value in locals().items() if name in _DEFAULTS}
    settings = {name: value for name, value in typed.items() if value is not None}
    for name, text in (("adversarial_eps", adversarial_eps), ("covariance_eps", covariance_eps)):
        if text is not None:
            settings[name] = parse_fraction(text)
    if drop_at is not None:
        settings["drop_at"] = parse_epochs(drop_at)
    settings = (read_settings(config) if config is not None else {}) | settings
    if paper_lambda is not None:
        settings["strength"] = _converted(paper_lambda, strength, settings.get("penalty", "none"))
    if settings.get("penalty", "none") != "none" and "strength" not in settings:
        raise HyperparameterError(f"expected a strength for the penalty {settings['penalty']!r}")
    training = TrainingConfig.from_dict(settings)
    if paper_lambda is not None:
        messages.print(
            f"lambda {paper_lambda:g} of Roth et al. is strength {training.strength:g} (lambda / 2)"
        )
    result = train(
        training,
        out,
        resume=resume,
        overwrite=overwrite,
        progress=console_progress(),
    )
    if not result.is_finished:
        messages.print(f"stopped; the same command with --resume goes on in {out}")
        raise typer.Exit(INTERRUPTED)
    messages.print(f"run folder: {out}", soft_wrap=True)
    messages.print(
        f"next: steadygrad evaluate {out} --attack pgd:steps=8 --eps 0:0.3:0.02", soft_wrap=True
    )


def _converted(paper_lambda: float, strength: float | None, penalty: str) -> float:
    """Return the strength that a lambda of Roth et al. means."""
    if strength is not None:
        raise HyperparameterError(
            f"expected strength or paper_lambda, not both, got {strength:g} and {paper_lambda:g}"
        )
    if penalty not in ("gn", "sgr"):
        raise HyperparameterError(
            f"expected penalty 'gn' or 'sgr' along with paper_lambda, got {penalty!r}"
        )
    return strength_from_lambda(paper_lambda)
