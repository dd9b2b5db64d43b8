"""Figures 6 to 9: the four data sets, each with its own networks."""

from steadygrad.experiments.yeats2021.printed import PrintedAccuracy, PrintedRadius
from steadygrad.experiments.yeats2021.recipes import RECIPES
from steadygrad.experiments.yeats2021.white_box import WhiteBox

__all__ = ["FIGURE6", "FIGURE7", "FIGURE8", "FIGURE9"]

_GRID = tuple(k / 50 for k in range(16))
_AS_STRONG = 800
"""Beta at which a real CIFAR-10 network bears the penalty that a complex one bears at 32: the
gradient of the former is multiplied with ``real_gradient_scale``, 0.2, before it is squared."""

FIGURE6 = WhiteBox(
    name="yeats2021/figure6",
    recipe=RECIPES["mnist"],
    betas={"complex": (64, 512), "real": (64, 384, 512), "gelu": (64, 512)},
    eps_values=_GRID,
    judged_eps=0.2,
    equal_time_epochs=17,
    printed=(
        PrintedAccuracy(
            quantity="complex, every beta: clean accuracy (%)",
            path="figure6_mnist_text/complex_clean_all_betas",
            labels=("complex, beta 64", "complex, beta 512"),
            eps=0,
        ),
        PrintedAccuracy(
            quantity="real, small beta: clean accuracy (%)",
            path="figure6_mnist_text/real_clean_small_beta",
            labels=("real, no defence",),
            eps=0,
        ),
        PrintedAccuracy(
            quantity="real, beta 384: clean accuracy (%)",
            path="figure6_mnist_text/real_clean_beta_384",
            labels=("real, beta 384",),
            eps=0,
        ),
        PrintedAccuracy(
            quantity="real, beta 512: clean accuracy (%)",
            path="figure6_mnist_text/real_clean_beta_512",
            labels=("real, beta 512",),
            eps=0,
        ),
    ),
)

FIGURE7 = WhiteBox(
    name="yeats2021/figure7",
    recipe=RECIPES["fashion_mnist"],
    betas={"complex": (16, 64), "real": (16, 64), "gelu": (16, 64)},
    eps_values=_GRID,
    judged_eps=0.16,
    equal_time_epochs=27,
    wider_attack_eps=0.2,
    printed=tuple(
        PrintedAccuracy(
            quantity=f"{kind}, beta 64: {what} (%)",
            path=f"figure7_fashion_mnist_text/{path}_{kind}",
            labels=(f"{kind}, beta 64",),
            eps=eps,
        )
        for kind in ("complex", "real")
        for what, path, eps in (
            ("clean accuracy", "clean", 0.0),
            ("PGD(8) at eps 0.16", "pgd8_eps_0.16", 0.16),
        )
    ),
)

FIGURE8 = WhiteBox(
    name="yeats2021/figure8",
    recipe=RECIPES["svhn"],
    betas={"complex": (8, 32), "real": (8, 32), "gelu": (8, 32)},
    eps_values=tuple(k / 100 for k in range(13)),
    judged_eps=0.05,
    equal_time_epochs=17,
    printed=(
        PrintedAccuracy(
            quantity="complex, gradient-regularized: clean accuracy (%)",
            path="figure8_svhn_text/clean_complex_gr",
            labels=("complex, beta 32",),
            eps=0,
        ),
        PrintedAccuracy(
            quantity="real, PGD-trained: clean accuracy (%)",
            path="figure8_svhn_text/clean_real_pgd_trained",
            labels=("real, PGD(4)-trained at 0.05",),
            eps=0,
        ),
    ),
)

FIGURE9 = WhiteBox(
    name="yeats2021/figure9",
    recipe=RECIPES["cifar10"],
    betas={
        "complex": (32, 128),
        "real": (32, 128, _AS_STRONG),
        "wide real": (32, 128),
        "gelu": (32, 128, _AS_STRONG),
        "wide gelu": (128,),
    },
    eps_values=tuple(k / 255 for k in range(0, 17, 2)),
    judged_eps=4 / 255,
    equal_time_epochs=61,
    neighbour=8 / 255,
    adversary="wide real",
    printed=(
        PrintedRadius(
            quantity="radius at which undefended networks are near zero (1/255)",
            path="figure9_cifar10_text/undefended_accuracy_near_zero_at_pixels_255",
            labels=("complex, no defence", "real, no defence", "wide real, no defence"),
        ),
    ),
)
