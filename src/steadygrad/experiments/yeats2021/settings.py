"""Printed numbers that are no results: what the experiments are run with."""

from collections.abc import Mapping

from steadygrad.experiments.published import published_numbers

__all__ = ["SETTINGS", "setting_paths"]

SETTINGS: Mapping[str, str] = {
    "figure7_fashion_mnist_text/beta": "yeats2021/figure7",
    "table2_fgsm_transfer/epsilon/": "yeats2021/table2",
    "table2_fgsm_transfer/beta_of_gr_networks/": "yeats2021/table2",
    "nes_query_attack/epsilon": "yeats2021/nes",
    "nes_query_attack/steps": "yeats2021/nes",
    "nes_query_attack/queries_per_image": "yeats2021/nes",
}
"""Paths in the data file, or their beginnings up to a "/", and the experiment that uses them.

Every other number of the file is a result, and some experiment's ``Compared``.
"""


def setting_paths() -> tuple[str, ...]:
    """Return the whole path of every setting."""
    return tuple(
        path
        for path in published_numbers("yeats2021")
        if any(
            path.startswith(setting) if setting.endswith("/") else path == setting
            for setting in SETTINGS
        )
    )
