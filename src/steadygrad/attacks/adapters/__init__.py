"""Attacks of maintained libraries as ours, and ours as theirs; each library is an extra.

Nothing here imports a library before it is used.
"""

from steadygrad.attacks.adapters.art import ArtAttack, from_art
from steadygrad.attacks.adapters.autoattack import AutoAttack
from steadygrad.attacks.adapters.carlini_wagner import CarliniWagner
from steadygrad.attacks.adapters.ddn import DDN
from steadygrad.attacks.adapters.fmn import FMN
from steadygrad.attacks.adapters.foolbox import FoolboxAttack, from_foolbox, to_foolbox
from steadygrad.attacks.adapters.foreign import ForeignAttack
from steadygrad.attacks.adapters.hop_skip_jump import HopSkipJump
from steadygrad.attacks.adapters.library_settings import TimesEps
from steadygrad.attacks.adapters.to_art import to_art
from steadygrad.attacks.adapters.torchattacks import (
    TorchattacksAttack,
    from_torchattacks,
    to_torchattacks,
)

__all__ = [
    "DDN",
    "FMN",
    "ArtAttack",
    "AutoAttack",
    "CarliniWagner",
    "FoolboxAttack",
    "ForeignAttack",
    "HopSkipJump",
    "TimesEps",
    "TorchattacksAttack",
    "from_art",
    "from_foolbox",
    "from_torchattacks",
    "to_art",
    "to_foolbox",
    "to_torchattacks",
]
