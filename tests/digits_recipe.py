"""A recipe and a scale that train every network of an experiment in a second, on digits."""

from steadygrad.experiments import Scale
from steadygrad.experiments.yeats2021.recipes import Recipe
from steadygrad.training import SGD, Constant

__all__ = ["DIGITS", "TINY_SCALE"]

DIGITS = Recipe(
    dataset="digits",
    title="digits",
    models={kind: f"digits-{kind}" for kind in ("complex", "real", "gelu")},
    settings={
        "optimizer": SGD(learning_rate=0.02),
        "batch_size": 32,
        "epochs": 4,
        "schedule": Constant(),
    },
    attack_eps=0.2,
)

TINY_SCALE = Scale(
    name="smoke",
    limit_train=96,
    epochs=0.25,
    attacked=20,
    worst_case=8,
    clean=40,
    queried=8,
    query_limit=64,
    timed_steps=2,
)
