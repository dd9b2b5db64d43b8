"""Every named network, and one's own after ``use_fast_layers``, becomes a program for any batch."""

import importlib.util
import io
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.export import Dim, export

from steadygrad.layers import use_fast_layers
from steadygrad.models import build_model, model_entry, model_names

BATCHES = (1, 2, 5)
"""Checked with, none of them that of the example."""
EXAMPLE = 3


def own_network() -> nn.Module:
    """Return a network as a user writes it, with our layers put in."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.GELU(),
        nn.AvgPool2d(2),
        nn.ReLU(inplace=True),
        nn.Conv2d(8, 16, 3, padding="same", groups=2),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(4),
        nn.Flatten(),
        nn.Linear(256, 10),
    )
    assert use_fast_layers(model) == 6
    return model


def network(name: str) -> tuple[nn.Module, tuple[int, int, int]]:
    if name == "own":
        return own_network(), (3, 16, 16)
    torch.manual_seed(0)
    entry = model_entry(name)
    shape = (entry.input_shape[0], entry.smallest, entry.smallest + 1)
    return build_model(name, input_shape=shape, num_classes=3), shape


ONE_OF_EACH = ("own", "yeats2021-cifar1-complex", "yeats2021-cifar1-gelu", "roth2018-mnist-relu")
"""Together they hold every layer there is; the others are combinations of the same."""
OTHERS = [
    pytest.param(name, marks=pytest.mark.slow) for name in model_names() if name not in ONE_OF_EACH
]
each_network = pytest.mark.parametrize("name", [*ONE_OF_EACH, *OTHERS])


def images(batch: int, shape: tuple[int, int, int]) -> Tensor:
    return torch.rand(batch, *shape, generator=torch.Generator().manual_seed(batch))


@each_network
def test_an_export_takes_any_batch(name: str) -> None:
    model, shape = network(name)
    model.eval()
    batch = {0: Dim.DYNAMIC}  # an export that fixed the batch would raise
    program = export(model, (images(EXAMPLE, shape),), dynamic_shapes=(batch,)).module()
    for size in BATCHES:
        x = images(size, shape)
        torch.testing.assert_close(program(x), model(x), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["own", "digits-complex"])
def test_it_compiles_whole_and_trains_the_same(name: str) -> None:
    torch._dynamo.reset()
    model, shape = network(name)
    model.eval()
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager", dynamic=True)
    for size in (EXAMPLE, *BATCHES[1:]):
        found = []
        for each in (compiled, model):
            x = images(size, shape).requires_grad_()
            loss = each(x).square().sum()
            found.append((loss, *torch.autograd.grad(loss, (x, *model.parameters()))))
        torch.testing.assert_close(*found, rtol=1e-3, atol=1e-4)


@each_network
def test_dynamo_traces_it_without_a_break(name: str) -> None:
    torch._dynamo.reset()
    model, shape = network(name)
    model.eval()
    compiled = torch.compile(model, fullgraph=True, backend="eager", dynamic=True)
    for size in BATCHES[1:]:
        x = images(size, shape)
        torch.testing.assert_close(compiled(x), model(x), rtol=1e-4, atol=1e-4)


def needs(*packages: str) -> pytest.MarkDecorator:
    missing = [package for package in packages if importlib.util.find_spec(package) is None]
    return pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}")


def answers(file: Path | io.BytesIO, x: Tensor) -> Tensor:
    import onnxruntime

    content = str(file) if isinstance(file, Path) else file.getvalue()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    return torch.from_numpy(session.run(None, {session.get_inputs()[0].name: x.numpy()})[0])


@needs("onnx", "onnxscript", "onnxruntime")
@pytest.mark.filterwarnings("ignore")  # of the exporter's own code
@each_network
def test_onnx_by_torch_export_takes_any_batch(name: str, tmp_path: Path) -> None:
    model, shape = network(name)
    model.eval()
    file = tmp_path / "model.onnx"
    torch.onnx.export(
        model,
        (images(EXAMPLE, shape),),
        str(file),
        dynamo=True,
        dynamic_shapes=({0: Dim.DYNAMIC},),
        verbose=False,
    )
    for size in BATCHES:
        x = images(size, shape)
        torch.testing.assert_close(answers(file, x), model(x), rtol=1e-3, atol=1e-3)


@needs("onnx", "onnxruntime")
@pytest.mark.filterwarnings("ignore")  # of the exporter, which is deprecated
@each_network
def test_onnx_by_tracing_takes_any_batch(name: str) -> None:
    model, shape = network(name)
    model.eval()
    file = io.BytesIO()
    axes = {"images": {0: "batch"}, "logits": {0: "batch"}}
    torch.onnx.export(
        model,
        (images(EXAMPLE, shape),),
        file,
        dynamo=False,
        input_names=["images"],
        output_names=["logits"],
        dynamic_axes=axes,
    )
    for size in BATCHES:
        x = images(size, shape)
        torch.testing.assert_close(answers(file, x), model(x), rtol=1e-3, atol=1e-3)


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
@each_network
def test_both_tracers_take_any_batch(name: str) -> None:
    model, shape = network(name)
    model.eval()
    traced = torch.jit.trace(model, images(EXAMPLE, shape))
    symbolic = torch.fx.symbolic_trace(model)
    for size in BATCHES:
        x = images(size, shape)
        torch.testing.assert_close(traced(x), model(x), rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(symbolic(x), model(x), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["own", "yeats2021-mnist-gelu", "digits-real", "ross2018-real"])
def test_real_networks_are_torchscript(name: str) -> None:
    model, shape = network(name)
    model.eval()
    scripted = torch.jit.script(model)
    for size in BATCHES:
        x = images(size, shape)
        torch.testing.assert_close(scripted(x), model(x), rtol=1e-4, atol=1e-4)
