"""Peers that weigh each other, and a leader that learns from all: OKDDip."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from okd.data.batch import Batch
from okd.distillation.losses import soften
from okd.distillation.teachers.teacher import Teacher
from okd.distillation.types import Lesson, Outputs

Weights = Literal["learned", "random", "mean", "identity"]


class PeerAttention(Teacher):
    """Two levels of distillation [Chen et al., AAAI 2020, equations 3 to 8]; students 0..m-2 are peers, m-1 is the leader.

    alpha_ab = softmax_b(L(h_a) . E(h_b)),   t_a = sum_b alpha_ab softmax(z_b / T),   t_leader = mean of the peers'

    mix = logits takes the mixtures of logits and softens them after (the official code), mix = probabilities as written (the paper).
    L and E are linear to an eighth of the width, without bias, shared by the group; a row of alpha counts the peer itself.

    Gradient: attached by default, to L, E and to the peers that make the target; were it cut off, L and E would learn nothing.
    `target` = "weights" cuts the peers' outputs and keeps alpha. Ablations (Table 5): alpha random, mean or from the features
    themselves ("identity", called asymmetry there), and `first_level` = "entropy" without L_dis1.
    """

    def __init__(
        self,
        temperature: float,
        *,
        width: int,
        mix: Literal["logits", "probabilities"],
        attention: Weights,
        first_level: Literal["distillation", "entropy"],
        leader: bool,
        target: Literal["attached", "weights"],
    ) -> None:
        super().__init__(temperature)
        self.mix, self.attention, self.first_level, self.leader, self.target = mix, attention, first_level, leader, target
        if attention == "learned":
            self.query = nn.Linear(width, width // 8, bias=False)
            self.key = nn.Linear(width, width // 8, bias=False)

    def alpha(self, features: Tensor) -> Tensor:
        """Features (P, B, D) of the peers to weights (B, P, P), rows summing to 1."""
        num_peers, batch, _ = features.shape
        if self.attention == "mean":
            return features.new_full((batch, num_peers, num_peers), 1 / num_peers)
        if self.attention == "random":
            weights = torch.rand(batch, num_peers, num_peers, dtype=features.dtype, device=features.device)
            return weights / weights.sum(dim=2, keepdim=True)
        learned = self.attention == "learned"
        query, key = (self.query(features), self.key(features)) if learned else (features, features)
        return F.softmax(torch.einsum("abd,cbd->bac", query, key), dim=2)

    def forward(self, batch: Batch, outputs: Outputs) -> Lesson:
        num_peers = len(outputs.logits) - self.leader
        peers, features = outputs.logits[:num_peers], torch.stack(outputs.features[:num_peers])
        detached = peers.detach() if self.target == "weights" else peers
        said = detached if self.mix == "logits" else soften(detached, self.temperature)
        mixtures = torch.einsum("bac,cbk->abk", self.alpha(features), said)
        if self.leader:
            mixtures = torch.cat([mixtures, said.mean(dim=0, keepdim=True)])
        targets = soften(mixtures, self.temperature) if self.mix == "logits" else mixtures
        if self.first_level == "distillation":
            return Lesson(targets)
        # Peers learn from the labels and an entropy term: a peer that is its own target adds nothing to KL, and no gradient.
        own = soften(peers, self.temperature).detach()
        return Lesson(torch.cat([own, targets[num_peers:]]), soft_loss=entropy(peers, self.temperature).sum())


def entropy(logits: Tensor, temperature: float) -> Tensor:
    """The official code's unused loss: mean over the batch of -sum softmax(log_softmax(z / T) / T) log_softmax(z / T); (M,)."""
    log_predictions = F.log_softmax(logits / temperature, dim=-1)
    return -(F.softmax(log_predictions / temperature, dim=-1) * log_predictions).sum(dim=-1).mean(dim=1)


def attention(
    temperature: float,
    *,
    mix: Literal["logits", "probabilities"],
    weights: Weights,
    first_level: Literal["distillation", "entropy"],
    leader: bool,
    target: Literal["attached", "weights"],
):
    def build(setting) -> PeerAttention:
        return PeerAttention(
            temperature, width=setting.width, mix=mix, attention=weights, first_level=first_level, leader=leader, target=target
        )

    return build
