"""The networks of a run: its students, and the one that teaches them."""

from pathlib import Path

from safetensors.torch import load_file
from torch import Tensor

from okd.networks import build
from okd.networks.network import Network
from okd.plan.run import Run
from okd.plan.store import Index, Places, read_json

STUDENT_SEEDS = 1_000_003  # student m of a run with seed s is initialised from s + m * this: no two runs share one by chance


def students_of(run: Run, chosen: range) -> list[Network]:
    """The students' networks, each initialised from the run's seed and its own number; of separate networks only the chosen ones."""
    names = [network.name for network in run.networks]
    if run.method.group == "branches":
        names *= int(run.method.options["students"])
    return [
        build(
            name,
            run.classes,
            seed=run.seed + m * STUDENT_SEEDS,
            initialisation=run.recipe.initialisation,
            dropout=run.recipe.dropout,
        )
        for m, name in enumerate(names)
        if run.method.group == "branches" or m in chosen
    ]


def pretrained(run: Run, root: Path) -> Network | None:
    """The network that teaches this run: student 0 of its teacher's result. Raises ValueError where that is not there."""
    if run.teacher is None or run.teacher_key is None:
        return None
    teacher = Index(root).run(run.teacher)
    folder = Places(root, teacher).result
    record = read_json(folder / "result.json")
    if teacher.key != run.teacher_key or record is None:
        raise ValueError(f"its teacher {run.teacher} ({run.teacher_key}) has not been trained; run `okd train {run.teacher}` first")
    network = build(teacher.networks[0].name, teacher.classes, seed=0, dropout=teacher.recipe.dropout)
    weights: dict[str, Tensor] = load_file(folder / "weights.safetensors")
    network.load_state_dict({name.removeprefix("student_0."): tensor for name, tensor in weights.items() if name.startswith("student_0.")})
    return network
