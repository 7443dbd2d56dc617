"""From a cell and a seed to a run: options, networks, recipe and name, at the scale that is planned."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import floor
from typing import Any

from okd.plan.catalog import Catalog, Entry, Value
from okd.plan.cells import PlacedCell, merge, networks_of, stated_options
from okd.plan.paper import Cell, LearningRate, PaperFile, Recipe
from okd.plan.run import Named, Run, RunMethod, RunRecipe
from okd.plan.scales import ScaleFile

STRETCHED = ("ramp_up", "t_in", "t_d")  # options in epochs: scale short stretches them with the recipe


@dataclass(frozen=True, kw_only=True)
class Resolver:
    scale: str
    numerics: str
    scales: ScaleFile
    papers: Mapping[str, PaperFile]
    catalog: Catalog
    supplied: Mapping[str, str]  # content keys of the images that the user has supplied, by data set

    @property
    def demo(self) -> bool:
        return self.scale == "demo"

    def missing(self, cell: Cell) -> str:
        """The first thing that a cell needs and the catalog has no revision of, in words; else nothing."""
        known = self.catalog
        networks = networks_of(cell) + ([cell.teacher.network] if cell.teacher else [])
        methods = [str(cell.method)] + ([cell.teacher.method] if cell.teacher else [])
        things = [("method", name, known.methods[name]) for name in methods]
        things += [("network", name, known.networks[name]) for name in networks]
        if self.demo:
            siblings = [known.sibling(name) for name in networks]
            things += [("network", name, known.networks.get(name, Entry(revision=None))) for name in siblings]
        things += [("data set", self.dataset(cell), known.datasets[self.dataset(cell)])]
        things += [("numerics", self.numerics, known.numerics[self.numerics])]
        return next((f"{kind} {name}" for kind, name, entry in things if not entry.built), "")

    def unsupplied(self, cell: Cell) -> str:
        """The data set that the user must supply first; else nothing."""
        name = self.dataset(cell)
        return name if self.catalog.datasets[name].layout == "images" and name not in self.supplied else ""

    def dataset(self, cell: Cell) -> str:
        return self.scales.demo.dataset if self.demo else str(cell.dataset)

    def teacher_cell(self, placed: PlacedCell, cell: Cell) -> Cell:
        """The teacher trains as the table's own baseline does: same data set, the table's recipe."""
        assert cell.teacher is not None
        own = {"network": cell.teacher.network, "method": cell.teacher.method, "reading": cell.teacher.reading}
        shared = {name: placed.table.cell[name] for name in ("variant", "recipe") if name in placed.table.cell}
        return Cell.model_validate({"dataset": cell.dataset} | own | shared, strict=True)

    def run_id(self, paper: str, cell: Cell, seed: int) -> str:
        """What a run is called; needs neither images nor revisions."""
        method = self.catalog.methods[str(cell.method)]
        defaults, stated = self.papers[paper].methods.get(str(cell.method), {}), stated_options(cell)
        kind, _, networks = self._group(paper, cell)
        spelled = spelled_options(
            stated, method.resolve(defaults, {name: stated[name] for name in stated if name == "reading"}), method.resolve(defaults)
        )
        if kind == "networks":
            spelled.pop("students", None)  # 4xresnet32 says it
        parts = [*([] if self.scale == "paper" else [self.scale]), paper, self.dataset(cell), spelled_networks(networks), str(cell.method)]
        parts += [cell.variant] if cell.variant else []
        parts += [f"{name.lower().replace('_', '-')}.{str(value).lower()}" for name, value in spelled.items()]
        return "-".join([*parts, f"s{seed}"])

    def _group(self, paper: str, cell: Cell) -> tuple[str, dict[str, Value], list[str]]:
        """Its kind, the method's options and the networks."""
        method = self.catalog.methods[str(cell.method)]
        options = method.resolve(self.papers[paper].methods.get(str(cell.method), {}), stated_options(cell))
        kind, networks = method.group_kind(options), networks_of(cell)
        if kind == "networks":
            networks = networks if cell.networks else networks * int(options["students"])
            options |= {"students": len(networks)}
        elif cell.networks:
            networks = [networks[cell.student or 0]]
        return kind, options, [self.catalog.sibling(name) for name in networks] if self.demo else networks

    def run(self, paper: str, cell: Cell, seed: int, teacher: Run | None) -> Run:
        known, dataset = self.catalog, self.dataset(cell)
        method = known.methods[str(cell.method)]
        kind, options, networks = self._group(paper, cell)
        options |= self._forced(options)
        return Run(
            id=self.run_id(paper, cell, seed),
            scale=self.scale,
            dataset=_named(dataset, known.datasets[dataset].revision),
            classes=known.datasets[dataset].classes,
            networks=tuple(_named(name, known.networks[name].revision) for name in networks),
            method=RunMethod(
                name=str(cell.method),
                revision=int(method.revision or 0),
                group=kind,
                leader=method.has_leader(options),
                options=options,
            ),
            recipe=self._recipe(paper, cell, dataset, networks),
            numerics=_named(self.numerics, known.numerics[self.numerics].revision),
            training=int(known.training.revision or 0),
            seed=seed,
            teacher=teacher.id if teacher else None,
            teacher_key=teacher.key if teacher else None,
            data=self.supplied.get(dataset),
            neutral_options=frozenset(set(options) - set(method.without_neutral(options))),
        )

    def _forced(self, options: Mapping[str, Value]) -> dict[str, Value]:
        """The options that a reduced scale sets, whatever the paper says."""
        if self.demo:
            return {name: value for name, value in self.scales.demo.options.items() if name in options}
        if self.scale == "short":
            return {name: self._stretch(options[name]) for name in STRETCHED if name in options}
        return {}

    def _recipe(self, paper: str, cell: Cell, dataset: str, networks: list[str]) -> RunRecipe:
        layers = merge(self.papers[paper].recipe, cell.recipe)
        recipe = Recipe.model_validate(merge(layers, self.scales.demo.recipe) if self.demo else layers, strict=True)
        epochs, lr, warm_up = recipe.epochs, recipe.lr.given, recipe.warm_up
        if self.demo and "cycles" in layers["lr"]:  # Snapshot Ensemble is nothing without its cycles
            lr = self._stretched_rate(LearningRate.model_validate(layers["lr"], strict=True), epochs)
        if self.scale == "short":
            epochs, warm_up = self._stretch(epochs), self._stretch(warm_up)
            lr = self._stretched_rate(recipe.lr, epochs)
        entry = self.catalog.datasets[dataset]
        normalisation = recipe.normalisation.get(dataset, entry.normalisation)
        augmentation = recipe.augmentation.get(dataset, entry.augmentation)
        assert normalisation and augmentation, f"{dataset}: no normalisation or augmentation in the catalog"
        return RunRecipe(
            epochs=epochs,
            batch_size=recipe.batch_size,
            lr=lr,
            momentum=float(recipe.momentum),
            nesterov=recipe.nesterov,
            weight_decay=float(recipe.weight_decay),
            normalisation=normalisation.model_dump(),
            augmentation=augmentation.model_dump(),
            initialisation=recipe.initialisation,
            dropout=float(recipe.dropout) if any(self.catalog.networks[name].dropout for name in networks) else 0.0,
            warm_up=warm_up,
            sync_batchnorm=recipe.sync_batchnorm,
            per_network={
                name: recipe.per_network[name].model_dump(exclude_none=True) for name in sorted(set(networks) & set(recipe.per_network))
            },
        )

    def _stretch(self, epochs: Any) -> int:
        """Half up, at least 1; nothing stays nothing."""
        return max(1, floor(int(epochs) * self.scales.short.factor + 0.5)) if epochs else 0

    def _stretched_rate(self, lr: LearningRate, epochs: int) -> dict[str, Any]:
        if lr.multistep:
            steps = sorted({self._stretch(epoch) for epoch in lr.multistep[1:]})
            return {"multistep": [lr.multistep[0], *(step for step in steps if step < epochs)]}
        if lr.cycles:
            return {"cycles": [lr.cycles[0], max(1, min(int(lr.cycles[1]), epochs))]}
        return lr.given


def spelled_options(stated: Mapping[str, Value], base: Mapping[str, Value], default: Mapping[str, Value]) -> dict[str, Value]:
    """What a cell says that is not so anyway: these words stand in the id.

    `base` are the method's options under the cell's reading, `default` those without it.
    """
    spelled = {"reading": stated["reading"]} if base != default else {}
    return spelled | {name: stated[name] for name in base if name in stated and stated[name] != base[name]}


def spelled_networks(names: list[str]) -> str:
    """Equal neighbours counted: 4xresnet20, resnet32-wrn-16-2."""
    groups: list[tuple[str, int]] = []
    for name in names:
        if groups and groups[-1][0] == name:
            groups[-1] = (name, groups[-1][1] + 1)
        else:
            groups.append((name, 1))
    return "-".join(f"{count}x{name}" if count > 1 else name for name, count in groups)


def _named(name: str, revision: int | None) -> Named:
    assert revision is not None, f"{name} is not built"
    return Named(name=name, revision=revision)
