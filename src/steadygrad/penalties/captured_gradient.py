"""The gradient of a loss as one CUDA graph: recorded once, replayed in every step."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from steadygrad._typing import Images, Labels
from steadygrad.errors import ModelError
from steadygrad.held_statistics import held_statistics
from steadygrad.penalties.model_passes import RandomState
from steadygrad.penalties.part import PenalizedLoss

__all__ = ["CapturedGradient"]

WARM_UP = 3
"""Steps before the recording, in which kernels are chosen and memory is taken."""

Objective: TypeAlias = Callable[[nn.Module, Images, Labels], PenalizedLoss]
"""From a model and a batch to its loss: a penalty."""

Run: TypeAlias = Callable[[], tuple[Tensor, ...]]
Recorder: TypeAlias = Callable[[Run, torch.device], tuple[tuple[Tensor, ...], Callable[[], object]]]


class CapturedGradient:
    """Compute a loss and its gradient by all parameters with a single launch.

    A penalised step of a small network is some hundred short kernels, and Python needs longer to
    launch them than a GPU to run them: the GPU waits. Here the first batch is recorded, and every
    later one of the same shape is copied to where the first one was, and replayed.

        gradient = CapturedGradient(model, SquaredNormPenalty(strength=0.125))
        for images, labels in loader:
            result = gradient(images, labels)  # in place of zero_grad, penalty and backward
            optimizer.step()

    What is recorded never changes: the model and the objective must do the same work in every
    step, read no value of the device, and keep nothing in Python between two steps. So norm
    penalties by double backpropagation can be recorded, with dropout or batch norm (with both,
    unless ``statistics="running"``); a finite difference, a running covariance and attacks cannot.
    Replays judge neither the images, nor the labels, nor whether the loss is finite.

    Args:
        model: in the mode in which it is to be trained, on a CUDA device, its parameters where
            they stay. Elsewhere, and for batches of another shape than the first, each step runs
            as usual.
        objective: a penalty, or what is called like one.

    Source: CUDA graphs as in the PyTorch documentation, "CUDA semantics".
    """

    def __init__(self, model: nn.Module, objective: Objective) -> None:
        self.model, self.objective = model, objective
        self._record: Recorder = _record_on_device
        self._devices = ("cuda",)
        self._replay: Callable[[], object] | None = None
        self._images, self._labels = torch.empty(0), torch.empty(0)
        self._outputs: tuple[Tensor, ...] = ()
        self._gradients: list[tuple[nn.Parameter, Tensor]] = []

    def __call__(self, images: Images, labels: Labels) -> PenalizedLoss:
        """Leave the gradient of the loss in the parameters, in place of what is there.

        Args:
            images: (batch, channels, height, width) in [0, 1], on the model's device.
            labels: int64 (batch,), or what the objective takes.

        Returns:
            The loss and its terms, without a graph; their memory is used again by the next call.

        Raises:
            ModelError: the step cannot be recorded; PyTorch's reason is the cause.
        """
        if images.device.type not in self._devices:
            return self._unrecorded(images, labels)
        if self._replay is None:
            self._start(images, labels)
        if not (_is_alike(images, self._images) and _is_alike(labels, self._labels)):
            return self._unrecorded(images, labels)
        assert self._replay is not None
        self._images.copy_(images)
        self._labels.copy_(labels)
        self._replay()
        for parameter, gradient in self._gradients:
            parameter.grad = gradient
        return PenalizedLoss(*self._outputs[:4])

    def _unrecorded(self, images: Images, labels: Labels) -> PenalizedLoss:
        self.model.zero_grad(set_to_none=True)
        result = self.objective(self.model, images, labels)
        result.loss.backward()  # type: ignore[no-untyped-call] # torch leaves it untyped
        terms = (result.loss, result.data_loss, result.penalty, result.logits)
        return PenalizedLoss(*(term.detach() for term in terms))

    def _start(self, images: Images, labels: Labels) -> None:
        self._images, self._labels = images.detach().clone(), labels.detach().clone()
        trained = [p for p in self.model.parameters() if p.requires_grad]

        def run() -> tuple[Tensor, ...]:
            result = self._unrecorded(self._images, self._labels)
            gradients = tuple(p.grad for p in trained if p.grad is not None)
            return result.loss, result.data_loss, result.penalty, result.logits, *gradients

        device = images.device
        # The recording is the first pass that moves statistics and random states.
        state, left_out = RandomState(device), RandomState.left_out
        with held_statistics(self.model), state.replayed(), _beside(device):
            for _ in range(WARM_UP):
                run()
            draws = state.has_moved()
        try:
            self._outputs, self._replay = self._record(run, device)
        except RuntimeError as error:
            reason = str(error).strip().partition("\n")[0]
            raise ModelError(
                "expected a step that can be recorded as a CUDA graph, got one that does what a "
                f"recording cannot hold ({reason}); train without the graph, or with a norm "
                "penalty by double backpropagation"
            ) from error
        if draws and RandomState.left_out > left_out:
            raise ModelError(
                "expected a step that draws nothing (dropout) or draws once, got one whose penalty "
                "repeats its draws, which a CUDA graph cannot: train without the graph, or with "
                'DoubleBackprop(statistics="batch")'
            )
        found = [p for p in trained if p.grad is not None]
        self._gradients = list(zip(found, self._outputs[4:], strict=True))


def _record_on_device(
    run: Run, device: torch.device
) -> tuple[tuple[Tensor, ...], Callable[[], object]]:
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.device(device), torch.cuda.graph(graph):
        outputs = run()
    return outputs, graph.replay


@contextmanager
def _beside(device: torch.device) -> Iterator[None]:
    """Run on a side stream, as a recording wants what precedes it; wait for it at the end."""
    if device.type != "cuda":
        yield
        return
    stream: Any = torch.cuda.Stream(device)  # type: ignore[no-untyped-call] # torch leaves it untyped
    stream.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(stream):
        yield
    torch.cuda.current_stream(device).wait_stream(stream)


def _is_alike(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and one.dtype == other.dtype and one.device == other.device
