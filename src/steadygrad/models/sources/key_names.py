"""Understanding the keys of a file of weights: prefixes of wrappers, other implementations."""

import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import combinations

from torch import Tensor
from torch.nn.parameter import UninitializedBuffer, UninitializedParameter

from steadygrad.errors import ModelError

__all__ = ["named_alike"]

_INSERTED = ("_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module")
"""What torch.compile, FSDP and checkpointing put into keys, at any depth."""


def named_alike(
    found: dict[str, Tensor], expected: Mapping[str, Tensor]
) -> tuple[dict[str, Tensor], list[str]]:
    """Return a file's tensors under the model's keys, as far as that is clear, and how it was.

    Args:
        found: under the file's keys.
        expected: the model's own.

    Raises:
        ModelError: two ways to understand the keys are equally good.
    """
    notes: list[str] = []
    wanted = expected.keys()
    bare = {_without_inserted(key): tensor for key, tensor in found.items()}
    if bare.keys() != found.keys() and not wanted <= found.keys():
        inserted = [name for name in _INSERTED if any(name in key.split(".") for key in found)]
        notes.append(f"removed {' and '.join(f'{name}.' for name in inserted)} from its keys")
        found = bare
    if len(wanted & found.keys()) * 2 >= len(wanted):
        return found, notes
    prefix = _best(_prefixes(found, wanted), found, wanted)
    if prefix:
        inside = {k.removeprefix(prefix): t for k, t in found.items() if k.startswith(prefix)}
        outside = [key for key in found if not key.startswith(prefix)]
        notes.append(f"removed {prefix} from its keys")
        if "n_averaged" in outside:
            outside.remove("n_averaged")
            notes.append("the weights are averages (n_averaged)")
        if outside:
            notes.append(f"left out {len(outside)} of its tensors, such as {min(outside)!r}")
        return inside, notes
    added = _best(_prefixes(expected, found.keys()), expected, found.keys())
    if added:
        notes.append(f"put {added} before its keys")
        return {added + key: tensor for key, tensor in found.items()}, notes
    if _are_same_in_order(found, expected):
        _refuse_unclear_order(found, expected)
        notes.append(
            "its keys are of another implementation; matched by order, shape and role, from "
            f"{next(iter(found))!r} for {next(iter(expected))!r} on"
        )
        return dict(zip(expected, found.values(), strict=True)), notes
    return found, notes


def _are_same_in_order(found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> bool:
    """Return whether two sets of keys without a common one can name the same network's tensors."""
    if len(found) != len(expected) or len(found) < 4 or found.keys() & expected.keys():
        return False
    return all(
        _role(ours) == _role(theirs)
        and not isinstance(expected[ours], UninitializedParameter | UninitializedBuffer)
        and expected[ours].shape == found[theirs].shape
        for ours, theirs in zip(expected, found, strict=True)
    )


def _refuse_unclear_order(found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    """Refuse an order of the keys that another one, as good, would contradict.

    Two layers of equal shapes could change places. Their order is clear where numbers in the names
    say it in the file and in the model, or where the words in the names do.

    Raises:
        ModelError: names two keys.
    """
    alike: dict[object, list[tuple[str, str]]] = {}
    for key, tensor in _layers(expected, found):
        alike.setdefault(tensor, []).append(key)
    for pairs in alike.values():
        for (ours, theirs), (our_other, their_other) in combinations(pairs, 2):
            numbered = _counts_up(theirs, their_other) and _counts_up(ours, our_other)
            kept = _likeness(ours, theirs) + _likeness(our_other, their_other)
            swapped = _likeness(ours, their_other) + _likeness(our_other, theirs)
            if not numbered and not kept > swapped:
                raise ModelError(
                    f"its keys are of another implementation, and {theirs!r} and {their_other!r} "
                    f"have equal shapes: which of them is {ours!r} does not follow from the names; "
                    "rename its keys to the model's"
                )


def _layers(
    expected: Mapping[str, Tensor], found: Mapping[str, Tensor]
) -> Iterator[tuple[tuple[str, str], object]]:
    """Yield the names of each layer in the model and in the file, and roles and shapes in it."""
    layers: dict[tuple[str, str], list[object]] = {}
    for ours, theirs in zip(expected, found, strict=True):
        name = ours.rpartition(".")[0], theirs.rpartition(".")[0]
        layers.setdefault(name, []).append((_role(ours), tuple(expected[ours].shape)))
    for name, tensors in layers.items():
        yield name, tuple(tensors)


def _role(key: str) -> str:
    return key.rpartition(".")[2]


def _pieces(name: str) -> list[str]:
    return re.findall(r"\d+|[a-z]+", name.lower())


def _counts_up(first: str, second: str) -> bool:
    """Return whether two names differ first in a number, which is larger in the second."""
    for one, other in zip(_pieces(first), _pieces(second), strict=False):
        if one != other:
            return one.isdigit() and other.isdigit() and int(one) < int(other)
    return False


def _likeness(first: str, second: str) -> float:
    """Return the share of words that two names have in common, in [0, 1]."""
    one, other = ({word for word in _pieces(name) if word.isalpha()} for name in (first, second))
    return len(one & other) / max(len(one | other), 1)


def _without_inserted(key: str) -> str:
    return ".".join(part for part in key.split(".") if part not in _INSERTED)


def _prefixes(longer: Iterable[str], shorter: Iterable[str]) -> set[str]:
    """Return what stands before a key of ``shorter`` in keys of ``longer``, with its dot."""
    tails = {key.rpartition(".")[2] for key in shorter}
    by_tail: dict[str, list[str]] = {tail: [] for tail in tails}
    for key in shorter:
        by_tail[key.rpartition(".")[2]].append(key)
    return {
        key[: -len(tail)]
        for key in longer
        for tail in by_tail.get(key.rpartition(".")[2], [])
        if key.endswith("." + tail)
    }


def _best(prefixes: set[str], longer: Iterable[str], shorter: Iterable[str]) -> str | None:
    """Return the prefix that explains most keys, at least half of them.

    Raises:
        ModelError: several explain all.
    """
    keys, wanted = set(longer), set(shorter)
    counts = {prefix: sum(prefix + key in keys for key in wanted) for prefix in prefixes}
    complete = sorted(prefix for prefix, count in counts.items() if count == len(wanted))
    if len(complete) > 1:
        raise ModelError(
            f"it holds the whole network under {' and under '.join(complete)}; save the tensors "
            "behind one of these prefixes in a file of their own"
        )
    best = min(counts, key=lambda prefix: (-counts[prefix], len(prefix), prefix), default=None)
    return best if best is not None and counts[best] * 2 >= len(wanted) else None
