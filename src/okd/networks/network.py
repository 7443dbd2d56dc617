"""The contract that makes every architecture a student, a branch or a trunk."""

from collections.abc import Iterable

from torch import Tensor, nn


class Network(nn.Module):
    """Stages, then pooling to features, then a classifier.

    Splitting between two stages gives a trunk and a branch; the branch is a Network again, so that groups need to know nothing of
    any architecture. Stage 0 is the stem.
    """

    def __init__(self, stages: Iterable[nn.Module], pool: nn.Module, classifier: nn.Module) -> None:
        super().__init__()
        self.stages = nn.Sequential(*stages)
        self.pool = pool
        self.classifier = classifier

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Images (B, C, H, W) to logits (B, K) and the features (B, D) that enter the classifier."""
        return self.classify(self.stages(images))

    def classify(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        """The last stage's maps (B, D', H', W') to logits (B, K) and features (B, D)."""
        features = self.pool(maps)
        return self.classifier(features), features

    def split(self, at: int = -1) -> tuple[nn.Sequential, "Network"]:
        """Return the stages before `at` and the Network of those from `at` on; both share their parameters with this one.

        `at` counts from the end; 0 leaves pooling and classifier to the branch. Raises ValueError where nothing is left for the trunk.
        """
        cut = len(self.stages) + at
        if at > 0 or cut < 1:
            raise ValueError(f"cannot split {len(self.stages)} stages at {at}")
        stages = list(self.stages)
        return nn.Sequential(*stages[:cut]), Network(stages[cut:], self.pool, self.classifier)

    def behind(self, trunk: Iterable[nn.Module]) -> "Network":
        """The ordinary network that runs the trunk's stages first: a branch made deployable."""
        return Network([*trunk, *self.stages], self.pool, self.classifier)


class GlobalAverage(nn.Module):
    """Mean over all positions: (B, C, H, W) to (B, C)."""

    def forward(self, maps: Tensor) -> Tensor:
        return maps.mean(dim=(2, 3))
