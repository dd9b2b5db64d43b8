"""The room's public names."""

from steadygrad import evaluation


def test_every_public_name_is_there() -> None:
    assert all(hasattr(evaluation, name) for name in evaluation.__all__)
