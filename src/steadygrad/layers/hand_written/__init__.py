"""First and second derivatives written by hand, for the layers whose autograd ones are slow.

``applicability`` decides whether they apply to a call. Where they do not, a layer runs PyTorch's
own code. ``torch_internals`` is the only file that touches private functions of PyTorch.
"""

__all__: list[str] = []
