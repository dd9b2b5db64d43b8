"""A network for places without steadygrad: its own state dict, torch.export, ONNX, a hub folder."""

import importlib
import importlib.util
import io
import json
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from steadygrad.atomic_file import write_atomically
from steadygrad.error_text import described
from steadygrad.evaluation_mode import evaluation_mode
from steadygrad.hardening.new_activation import activation_note
from steadygrad.markdown_text import markdown_text
from steadygrad.model_answer import answer
from steadygrad.models import Classifier
from steadygrad.models.smooth import SmoothActivation
from steadygrad.reports.wording import count_text, percent, radius_text
from steadygrad.store import make_folder
from steadygrad.tensor_file import write_tensors

__all__ = ["TakenAway", "take_away"]

_TOLERANCE = 1e-3
"""How far the logits of an exported program may be from the network's, relative to the largest."""

_CHECKED = (1, 3)
"""Batch sizes that an exported program has to take."""


@dataclass(frozen=True)
class TakenAway:
    """What was written.

    Attributes:
        files: paths within the folder.
        notes: what could not be written, and why, a sentence each.
    """

    folder: Path
    files: tuple[str, ...]
    notes: tuple[str, ...]


def take_away(
    model: nn.Module,
    out: Path | str,
    *,
    input_shape: tuple[int, int, int],
    class_names: tuple[str, ...] = (),
    name: str = "model",
    activation: SmoothActivation | None = None,
    results: Mapping[str, Any] | None = None,
) -> TakenAway:
    """Write a network so that it loads without steadygrad.

    ``state_dict.safetensors`` and ``state_dict.pt``: the network's own keys, of the module inside a
    ``Classifier``. ``model.pt2``: the whole classifier, from pixels in [0, 1] to logits, of
    ``torch.export``, with a dynamic batch. ``model.onnx``: the same, where the package onnx is
    installed. ``hub/``: a folder to push to the Hugging Face hub, with a model card. Exported
    programs are compared with the network on batches of 1 and 3 images.

    Args:
        model: maps images to logits; its mode and device are left as they were.
        out: the folder.
        input_shape: (channels, height, width).
        class_names: for the model card's configuration.
        name: of the network, for the model card.
        activation: what ``smooth_activations`` put in place of ReLU, for the model card and its
            configuration: the state dict alone does not tell. None for nothing.
        results: as ``HardeningReport.to_json``; None for none.

    Raises:
        OutputError: a file cannot be written.
    """
    folder = Path(out)
    make_folder(folder)
    own = model.model if isinstance(model, Classifier) else model
    state = {key: tensor.detach().cpu() for key, tensor in own.state_dict().items()}
    write_tensors(folder / "state_dict.safetensors", state, {"format": "pt"})
    buffer = io.BytesIO()
    torch.save(state, buffer)
    write_atomically(folder / "state_dict.pt", buffer.getvalue())
    files, notes = ["state_dict.safetensors", "state_dict.pt"], []
    place = next((t.device for t in (*model.parameters(), *model.buffers())), torch.device("cpu"))
    with evaluation_mode(model):
        model.cpu()
        try:
            images = torch.rand(
                max(_CHECKED), *input_shape, generator=torch.Generator("cpu").manual_seed(0)
            )
            for file, export in (("model.pt2", _export), ("model.onnx", _onnx)):
                try:
                    with _quietly():
                        export(model, images, folder / file)
                    files.append(file)
                except _SkippedError as reason:
                    notes.append(f"{file} was left out: {reason}")
                    (folder / file).unlink(missing_ok=True)
        finally:
            model.to(place)
    files += _hub(
        folder / "hub", own, state, model, input_shape, class_names, name, activation, results
    )
    return TakenAway(folder, tuple(files), tuple(notes))


class _SkippedError(Exception):
    """A format that this network, or this machine, does not have."""


def _export(model: nn.Module, images: Tensor, path: Path) -> None:
    program = _program(model, images)
    check = program.module()
    _compare(model, images, check, "torch.export")
    buffer = io.BytesIO()
    torch.export.save(program, buffer)
    write_atomically(path, buffer.getvalue())


def _program(model: nn.Module, images: Tensor) -> torch.export.ExportedProgram:
    batch = torch.export.Dim("batch", min=1)
    try:
        with torch.no_grad():
            return torch.export.export(model, (images[:2],), dynamic_shapes=({0: batch},))
    except Exception as error:  # torch.export raises whatever a network makes it raise
        raise _SkippedError(f"torch.export refused the network ({described(error)})") from error


def _onnx(model: nn.Module, images: Tensor, path: Path) -> None:
    for package in ("onnx", "onnxscript"):
        if importlib.util.find_spec(package) is None:
            raise _SkippedError(f"{package} is not installed (pip install onnx onnxscript)")
    program = _program(model, images)
    try:
        exported = torch.onnx.export(program, dynamo=True, verbose=False)
        assert exported is not None
        exported.save(str(path), include_initializers=True, external_data=False)
    except Exception as error:  # of the exporter, whatever the network makes it raise
        raise _SkippedError(
            f"the ONNX exporter refused the network ({described(error)})"
        ) from error
    _compare(model, images, _onnx_program(path), "ONNX")


def _onnx_program(path: Path) -> Callable[[Tensor], Tensor]:
    """Return what runs an ONNX file: its runtime, or else the slow reference of onnx."""
    if importlib.util.find_spec("onnxruntime") is not None:
        session: Any = importlib.import_module("onnxruntime").InferenceSession(
            str(path), providers=["CPUExecutionProvider"]
        )
        name = session.get_inputs()[0].name
        return lambda batch: torch.as_tensor(session.run(None, {name: batch.numpy()})[0])
    reference: Any = importlib.import_module("onnx.reference").ReferenceEvaluator(str(path))
    entry = reference.input_names[0]
    return lambda batch: torch.as_tensor(reference.run(None, {entry: batch.numpy()})[0])


def _compare(model: nn.Module, images: Tensor, program: Any, what: str) -> None:
    for size in _CHECKED:
        try:
            with torch.no_grad():
                ours, theirs = answer(model, images[:size]), program(images[:size])
        except Exception as error:  # the program fails for a batch that the network takes
            raise _SkippedError(f"the {what} program fails on {size} images ({error})") from error
        off = (ours - theirs).abs().max().item()
        if not off <= _TOLERANCE * max(1.0, ours.abs().max().item()):
            raise _SkippedError(f"the {what} program's logits differ by {off:g} from the network's")


def _hub(
    folder: Path,
    own: Any,
    state: Mapping[str, Tensor],
    model: nn.Module,
    input_shape: tuple[int, int, int],
    class_names: tuple[str, ...],
    name: str,
    activation: SmoothActivation | None,
    results: Mapping[str, Any] | None,
) -> list[str]:
    make_folder(folder)
    files = ["hub/README.md", "hub/model.safetensors", "hub/config.json"]
    if hasattr(own, "save_pretrained") and hasattr(own, "config"):
        if class_names and len(class_names) == getattr(own.config, "num_labels", None):
            own.config.id2label = dict(enumerate(class_names))
            own.config.label2id = {label: index for index, label in enumerate(class_names)}
        own.save_pretrained(str(folder))  # a folder that from_pretrained reads
    else:
        write_tensors(folder / "model.safetensors", state, {"format": "pt"})
        config = {
            "architecture": name,
            "input_shape": list(input_shape),
            "class_names": list(class_names),
            "preprocessing": model.describe() if isinstance(model, Classifier) else "",
            "activation": activation,
        }
        write_atomically(folder / "config.json", (json.dumps(config, indent=2) + "\n").encode())
    write_atomically(folder / "README.md", _card(name, input_shape, activation, results).encode())
    return files


def _card(
    name: str,
    input_shape: tuple[int, int, int],
    activation: SmoothActivation | None,
    results: Mapping[str, Any] | None,
) -> str:
    size = "x".join(map(str, input_shape))
    front = ["---", "library_name: pytorch", "pipeline_tag: image-classification"]
    front += ["tags:", "- adversarial-robustness", "- image-classification"]
    body = ["---", "", f"# {markdown_text(name)}", "", f"Takes images of {size} pixels in [0, 1]."]
    if activation is not None:
        body += ["", activation_note(activation)]
    if results is not None:
        front += _model_index(name, results)
        after, data = results["after"], results["data"]
        body += [
            "",
            "Hardened with steadygrad for eps "
            f"{radius_text(results['eps'], results['norm'])}. Accuracy with 95 % intervals, on "
            f"{data['split']} images of {markdown_text(data['name'])}:",
            "",
            f"- clean: {_accuracy(after['clean'])}",
            f"- under {after['worst_case_of']} at this eps: {_accuracy(after['worst_case'])}",
            f"- preprocessing inside the classifier: {results['preprocessing']}",
        ]
        body += ["", results["caution"]] if results.get("caution") else []
    return "\n".join([*front, *body, ""])


def _accuracy(point: Mapping[str, Any]) -> str:
    low, high = point["ci95"]
    return (
        f"{percent(point['accuracy'])} ({100 * low:.1f}–{100 * high:.1f}), "
        f"{count_text(point['n'], 'image')}"
    )


def _model_index(name: str, results: Mapping[str, Any]) -> list[str]:
    """Return the hub's table of results; JSON texts are YAML texts too."""
    after, data = results["after"], results["data"]
    radius = radius_text(results["eps"], results["norm"]).removesuffix(" (L2)")
    settings = f"eps={radius}, norm={results['norm']}, n={after['worst_case']['n']}"
    metrics = (
        ("accuracy", "clean accuracy", after["clean"]["accuracy"]),
        (
            "accuracy",
            f"robust accuracy under {after['worst_case_of']} ({settings})",
            after["worst_case"]["accuracy"],
        ),
    )
    lines = ["model-index:", f"- name: {json.dumps(name)}", "  results:"]
    lines += ["  - task:", "      type: image-classification", "    dataset:"]
    lines += [f"      name: {json.dumps(data['name'])}", f"      type: {json.dumps(data['name'])}"]
    lines += [f"      split: {json.dumps(data['split'])}", "    metrics:"]
    for kind, title, value in metrics:
        lines += [f"    - type: {kind}", f"      name: {json.dumps(title)}"]
        lines += [f"      value: {value:.6g}"]
    return lines


@contextmanager
def _quietly() -> Iterator[None]:
    """Keep the exporters' own messages from the user: what matters of them is told."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with (
            warnings.catch_warnings(),
            redirect_stdout(io.StringIO()),
            redirect_stderr(io.StringIO()),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
