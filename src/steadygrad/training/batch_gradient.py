"""The gradient of a whole batch, however processes and parts share it."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity

from steadygrad._typing import Images, Labels
from steadygrad.batch_share import BatchShare, share_of_batch
from steadygrad.distributed import Ranks, sum_over_ranks
from steadygrad.draws import DrawsOfParts
from steadygrad.errors import HyperparameterError
from steadygrad.layers.joint_batch_norm import joint_batch_norm
from steadygrad.models.classifier import differentiable_attention
from steadygrad.penalties import CapturedGradient, PenalizedLoss, parameter_gradient
from steadygrad.penalties.update_similarity import as_one_vector
from steadygrad.training.config import TrainingConfig
from steadygrad.training.objective import Objective
from steadygrad.training.weights import WholeWeights

__all__ = ["BatchGradient"]


class BatchGradient:
    """What a step does before the optimizer: passes through the network, and what they leave.

    Where there are several processes, each computes with its share of every batch.
    """

    def __init__(
        self,
        config: TrainingConfig,
        objective: Objective,
        weights: WholeWeights,
        ranks: Ranks,
        attack_draws: torch.Generator,
    ) -> None:
        """Take what the passes need.

        Args:
            config: of the run.
            objective: what is minimised.
            weights: of the network that learns.
            ranks: the processes that share each batch.
            attack_draws: what attacks draw from.

        Raises:
            HyperparameterError: a step is to be recorded and does what a recording cannot hold.
        """
        self.config, self.objective, self.weights = config, objective, weights
        self.model, self.ranks, self._attack_draws = weights.model, ranks, attack_draws
        self.device = attack_draws.device
        self._counts = torch.ones((), device=self.device)
        self._captured = self._capturing()

    def __call__(
        self, images: Images, targets: Labels, labels: Labels, counts: float | None
    ) -> tuple[Tensor, Tensor]:
        """Leave the whole batch's gradient in the parameters, in place of the one before.

        Args:
            images: of the whole batch, augmented.
            targets: what the loss takes.
            labels: of the images, or of the first of each mixed pair.
            counts: by how much the penalty does; None leaves it out.

        Returns:
            This process's loss, data loss, penalty and correct, to be added to the others'; the
            update similarity.
        """
        share = BatchShare(self.ranks, len(images))
        if self._captured is None:
            return self._gradient_of_parts(images, targets, labels, share, counts)
        self._counts.fill_(counts or 0.0)
        sums = self._sums(self._captured(images, targets), labels, share)
        return sums, sums.new_full((), torch.nan)

    def _gradient_of_parts(
        self,
        images: Images,
        targets: Labels,
        labels: Labels,
        share: BatchShare,
        counts: float | None,
    ) -> tuple[Tensor, Tensor]:
        apart = self.objective.penalised_apart(self.model, share.total)
        parts = share.parts(self.config.accumulate, apart)
        draws = DrawsOfParts(self._attack_draws, len(parts), self.ranks)
        self.model.zero_grad()
        plain_gradient, sums = (
            torch.zeros((), device=self.device),
            torch.zeros(4, device=self.device),
        )
        for part in parts:
            own, own_targets, own_labels = (part.own(whole) for whole in (images, targets, labels))
            with self.weights.gathered(self.model):
                with (
                    share_of_batch(part),
                    self._as_one_process(),
                    self._precision(),
                    self._attention(),
                ):
                    result = self._result(own, own_targets, counts, draws.of_part())
                if self.config.update_similarity:
                    plain_gradient = plain_gradient + parameter_gradient(
                        self._part(result.data_loss, part), self.model.parameters()
                    )
                with self._attention():
                    self.weights.backward(self._part(result.loss, part))
            sums = sums + self._sums(result, own_labels, part)
        if self.objective.attack is not None:
            draws.settle()
        self.weights.sum_gradients()
        similarity = sums.new_full((), torch.nan)
        if self.config.update_similarity:
            plain_gradient = sum_over_ranks(plain_gradient)
            similarity = cosine_similarity(plain_gradient, self._left(), dim=0, eps=0)
        return sums, similarity

    def _result(
        self, images: Images, targets: Labels, counts: float | None, generator: torch.Generator
    ) -> PenalizedLoss:
        is_attacked = self.objective.attack is not None  # a library leaves gradients of its own
        with self.weights.gradients_of_others_kept_out() if is_attacked else nullcontext():
            return self.objective(self.model, images, targets, share=counts, generator=generator)

    def _sums(self, result: PenalizedLoss, labels: Labels, part: BatchShare) -> Tensor:
        """Return loss, data loss, penalty and correct of a part, to be added to the others'."""
        correct = (result.logits.detach().argmax(dim=1) == labels)[: part.size].sum()
        means = (result.loss, result.data_loss, result.penalty)
        numbers = [self._part(number.detach(), part).float() for number in means]
        return torch.stack([*numbers, correct.float()])

    def _part(self, mean: Tensor, share: BatchShare) -> Tensor:
        """Return this share's part of a mean over the whole batch, to be added to the others'."""
        return mean if share.ranks.count == 1 else mean * share.weight

    def _left(self) -> Tensor:
        """Return what ``backward`` left in the parameters, as ``parameter_gradient`` orders it."""
        trainable = [p for p in self.model.parameters() if p.requires_grad]
        parts = [torch.zeros_like(p) if p.grad is None else p.grad for p in trainable]
        return as_one_vector(self.weights.whole(parts))

    def _as_one_process(self) -> AbstractContextManager[None]:
        """Return a context in which batch norms are those of all processes' images."""
        return nullcontext() if self.ranks.count == 1 else joint_batch_norm()

    def _precision(self) -> AbstractContextManager[Any]:
        """Return a context in which the network computes as precisely as was asked.

        Casts of the weights are not kept from pass to pass: an attack, a finite difference and the
        penalty go through the network under different rules for gradients.
        """
        if self.config.precision == "float32":
            return nullcontext()
        return torch.autocast(self.device.type, torch.bfloat16, cache_enabled=False)

    def _attention(self) -> AbstractContextManager[None]:
        """Return a context in which layers that are checkpointed are computed as at first.

        ``torch.utils.checkpoint`` computes them anew in a backward pass, outside of the forward of
        the ``Classifier`` that chooses differentiable attention.
        """
        is_math = getattr(self.model, "fused_attention", None) is False
        return differentiable_attention() if is_math else nullcontext()

    def _capturing(self) -> CapturedGradient | None:
        """Return what records the step, where the configuration wants that."""
        if not self.config.cuda_graph:
            return None
        obstacles = {
            f"device {self.device.type}, which has none": self.device.type != "cuda",
            f"{self.ranks.count} processes": self.ranks.count > 1,
            "an attack, which looks at its results": self.config.attack is not None,
            "update_similarity": self.config.update_similarity,
            "a batch in parts (accumulate)": self.config.accumulate > 1,
            "penalty_every, steps of two kinds": self.config.penalty_every > 1,
            "a covariance that learns": "covariance" in self.objective.state_dict(),
        }
        for obstacle, is_there in obstacles.items():
            if is_there:
                raise HyperparameterError(
                    f"expected steps that a CUDA graph can hold for cuda_graph, got {obstacle}"
                )
        is_ramped = self.config.ramp is not None

        def objective(model: nn.Module, images: Images, targets: Labels) -> PenalizedLoss:
            share = self._counts if is_ramped else 1.0
            with self._precision():
                return self.objective(model, images, targets, share=share)

        return CapturedGradient(self.model, objective)
