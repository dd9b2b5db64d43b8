"""Proofs of robustness: images that no change within the radius can mislead the model on."""

from steadygrad.evaluation.certificate.chain import Affine, Chain, Rectifier, chain_of
from steadygrad.evaluation.certificate.proof import Certificate, certify

__all__ = ["Affine", "Certificate", "Chain", "Rectifier", "certify", "chain_of"]
