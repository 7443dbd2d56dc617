"""A run: everything that fixes a number, resolved, frozen and hashed."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from okd.plan.catalog import Value

KEY_LENGTH = 12


@dataclass(frozen=True, kw_only=True)
class Named:
    """A thing of the catalog at one revision."""

    name: str
    revision: int


@dataclass(frozen=True, kw_only=True)
class RunMethod:
    name: str
    revision: int
    group: str  # one, branches or networks
    leader: bool
    options: Mapping[str, Value]  # `students` and every option of the method, resolved


@dataclass(frozen=True, kw_only=True)
class RunRecipe:
    epochs: int
    batch_size: int
    lr: Mapping[str, Any]  # {multistep: [initial, epoch, ...]}, {cosine: initial} or {cycles: [initial, number]}
    momentum: float
    nesterov: bool
    weight_decay: float
    normalisation: Mapping[str, list[float]]  # mean, std of the three channels, for images in 0..1
    augmentation: Mapping[str, Any]  # padding (pixels), flip
    # Neutral values of these are left out of the key; never change one.
    initialisation: str = field(default="code", metadata={"neutral": "code"})
    dropout: float = field(default=0.0, metadata={"neutral": 0.0})
    warm_up: int = field(default=0, metadata={"neutral": 0})
    per_network: Mapping[str, Mapping[str, float]] = field(default_factory=dict, metadata={"neutral": {}})
    sync_batchnorm: bool = field(default=True, metadata={"neutral": True})  # one BatchNorm for all processes of a run; else one for each


@dataclass(frozen=True, kw_only=True)
class Run:
    """One training. `networks` are the students' in order, a branch-based group's single one once."""

    id: str
    scale: str
    dataset: Named
    classes: int
    networks: tuple[Named, ...]
    method: RunMethod
    recipe: RunRecipe
    numerics: Named
    training: int  # revision of the training loop
    seed: int
    teacher: str | None = None  # id of the run that teaches this one
    teacher_key: str | None = None
    data: str | None = None  # the content key of images that the user supplies
    neutral_options: frozenset[str] = field(default=frozenset(), repr=False)  # options that stand at their neutral value

    @property
    def spec(self) -> dict[str, Any]:
        """What fixes the number, and nothing else: the text that is hashed."""
        recipe = {
            item.name: getattr(self.recipe, item.name)
            for item in fields(self.recipe)
            if "neutral" not in item.metadata or getattr(self.recipe, item.name) != item.metadata["neutral"]
        }
        options = {name: value for name, value in self.method.options.items() if name not in self.neutral_options}
        spec = {
            "dataset": asdict(self.dataset),
            "networks": [asdict(network) for network in self.networks],
            "method": {"name": self.method.name, "revision": self.method.revision, "options": options},
            "recipe": recipe,
            "numerics": asdict(self.numerics),
            "training": self.training,
            "seed": self.seed,
        }
        return spec | ({"teacher": self.teacher_key} if self.teacher_key else {}) | ({"data": self.data} if self.data else {})

    @property
    def key(self) -> str:
        return key_of(self.spec)

    def to_json(self) -> str:
        """The text of plan/runs/<id>.json: the run as `okd train` reads it, one field a line."""
        record = asdict(self)
        record["neutral_options"] = sorted(self.neutral_options)
        if self.data is None:
            del record["data"]  # a new field touches no file that does not need it: engines would see it
        if self.recipe.sync_batchnorm:
            del record["recipe"]["sync_batchnorm"]
        return json.dumps({"key": self.key} | record, indent=1, allow_nan=False) + "\n"

    @staticmethod
    def from_json(text: str) -> "Run":
        """Read plan/runs/<id>.json. Raises ValueError where its key is not that of its content."""
        record = json.loads(text)
        key = record.pop("key")
        run = Run(
            **record
            | {
                "dataset": Named(**record["dataset"]),
                "networks": tuple(Named(**network) for network in record["networks"]),
                "method": RunMethod(**record["method"]),
                "recipe": RunRecipe(**record["recipe"]),
                "numerics": Named(**record["numerics"]),
                "neutral_options": frozenset(record["neutral_options"]),
            }
        )
        if run.key != key:
            raise ValueError(f"plan/runs/{run.id}.json: its key {key} is not that of its content ({run.key}); run `okd plan`")
        return run


def key_of(spec: Mapping[str, Any]) -> str:
    """First 12 hex digits of the SHA-256 of the canonical JSON of a spec."""
    text = json.dumps(spec, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:KEY_LENGTH]
