"""Reports made by hand: every state, every figure, every string nasty where that is wanted, and as many runs as the papers have."""

from okd.evaluation.datasets import DatasetRecord, Datasets, SheetRecord, SplitRecord
from okd.evaluation.finding_records import ClaimRecord, Findings, PrintedClaim, RankRecord
from okd.evaluation.records import (
    CellRecord,
    Citation,
    Configuration,
    Curve,
    FigureData,
    Measured,
    PaperRecord,
    RemarkRecord,
    RunRecord,
    SoftLabels,
    Summary,
    TableRecord,
    ThirdPartyRecord,
    VerdictRecord,
)
from okd.evaluation.run_record import Exchange
from okd.evaluation.same_experiment import SameExperiment, SharedCell
from okd.report.contents import Contents
from okd.report.states import JUDGED, OUTCOMES, STATES

NASTY = '<script>alert(1)</script>"><img src=x onerror=alert(1)>{{7*7}}</style></svg>javascript:alert(1)'
WITH_NUMBER = ("measured", "reduced", "diverged", "counted", "other numerics", "too few seeds", "data not verified")

# as long as a real one
CONFIGURATION = {f"option {index}": "mean [0.5071, 0.4865, 0.4409]"[: 8 + index] for index in range(22)} | {"method": "okddip (revision 3)"}


def others(text: str = "") -> ThirdPartyRecord:
    return ThirdPartyRecord(
        source="somebody/a-repository, issue 1" + text,
        what="Run again" + text,
        trust="high" + text,
        printed="74.0 +- 0.3",
        unit="accuracy",
        value=26.0,
        spread=0.3,
        decimals=1,
        note=text,
    )


def cell(state: str, column: str, text: str = "", *, table: str = "t", row: str = "row", runs: int = 1, value: float = 25.5) -> CellRecord:
    values = [value + 0.25 * (2 * index - runs + 1) for index in range(runs)]
    measured = Measured(mean=value, spread=0.25, values=values) if state in (*WITH_NUMBER, *JUDGED) else None
    open_ = state == "undecided"
    verdict = VerdictRecord(
        difference=value - 25.63,
        low=value - 26.0,
        high=value - 25.2,
        margin=0.5,
        other_words=["spread"] if open_ else [],
        seeds_needed=9 if open_ else None,
    )
    return CellRecord(
        address=f"{table}/{row}/{column}",
        row=row,
        column=column,
        state=state,
        detail=text,
        statistic="student",
        unit="error",
        planned=runs,
        ours=measured,
        best_epoch=measured,
        printed=None if state == "measured" else "25.63 +- 0.14",
        published=None if state == "measured" else 25.63,
        published_spread=0.14,
        decimals=2,
        runs=[]
        if state == "paper blank"
        else [run(f"okddip-cifar100-4xresnet32-{table}-{row}-{column}-s{seed}", text, seed) for seed in range(runs)],
        verdict=verdict if state in JUDGED else None,
        margin=0.5 if state in (*JUDGED, "too few seeds") else None,
        seeds=list(range(runs)) if measured else [],
        configuration=Configuration(
            resolved=CONFIGURATION | {"note": text}, unlike_paper=[text] if text else [], own_recipe=[text] if text else []
        ),
        third_party=[] if state == "paper blank" else [others(text)],
    )


def run(name: str, text: str, seed: int) -> RunRecord:
    state = ("done", "failed", "diverged", "stale")[seed % 4] if text else "done"
    return RunRecord(
        id=name,
        key="0123456789ab",
        seed=seed,
        state=state,
        detail=text,
        epochs=300,
        seconds=4321.5,
        device=text or "torch 2, CUDA, H200",
        peak_memory=3 * 2**30 if seed == 0 else None,
        weights_sha256="ab" * 32,
        data_sha256={"train": "cd" * 32, "test": "ef" * 32},
        from_evidence=seed == 2,
        command="dvc repro train@x",
        exchange=Exchange(
            by=text or "files", nodes=2, students=2, sent_per_student=2.0e7, received_per_node=2.0e7, gradients_per_student=1.08e11
        )
        if seed == 1 and text
        else None,
    )


def table(name: str, cells: list[CellRecord], *, draw: str | None = None, text: str = "", paper: str = "p") -> TableRecord:
    return TableRecord(
        id=name,
        paper=paper,
        title=f"Table {name} {text}",
        note=text,
        draw=draw,
        unit="error",
        rows=list(dict.fromkeys(one.row for one in cells)),
        columns=list(dict.fromkeys(one.column for one in cells)),
        cells=cells,
    )


def contents(tables: list[TableRecord], figures: dict[str, FigureData] | None = None, *, text: str = "", scale: str = "demo") -> Contents:
    remark = RemarkRecord(id="r", what=text, why=text, cells=[text])
    names = list(dict.fromkeys(one.paper for one in tables))
    papers = [
        PaperRecord(
            name=name,
            title=f"Paper {name} {text}",
            source=text,
            tables=[one.id for one in tables if one.paper == name],
            assumptions=[remark],
            deviations=[remark],
            citation=Citation(authors=f"A. Author, B. Author {text}", venue="NeurIPS 2018"),
            recipe={"epochs": "300"},
        )
        for name in names
    ]
    states = [one.state for each in tables for one in each.cells]
    summary = Summary(
        scale=scale,
        reproduce=["p"],
        papers=papers,
        states={state: states.count(state) for state in sorted(set(states))},
        runs={"done": 17, "failed": 1},
        data=[text],
        margins={"cifar100": 0.5},
    )
    findings, same = Findings(claims=[claim(outcome, text) for outcome in OUTCOMES], ranks=[rank(text)]), shared(text)
    datasets = Datasets(datasets=[dataset("own", text), dataset("cifar100", text, verified=False)], absent=[text])
    sheets = {"own": b"a picture"}
    return Contents(
        summary=summary, tables=tables, figure_data=figures or {}, findings=findings, same=same, datasets=datasets, sheets=sheets
    )


def dataset(name: str, text: str, *, verified: bool = True) -> DatasetRecord:
    return DatasetRecord(
        name=name,
        title=f"Images {text}",
        revision=1,
        verified=verified,
        source=text,
        licence=text,
        shape=[3, 32, 32],
        classes=["ant", f"bee {text}"],
        splits=[
            SplitRecord(name=split, count=50_000, per_class=[20_000, 30_000], sha256="ab" * 32, known=text) for split in ("train", "test")
        ],
        mean=[0.5] * 3,
        std=[0.25] * 3,
        border=0,
        inner_mean=[0.50714] * 3,
        inner_std=[0.25] * 3,
        published_mean=[0.5071] * 3,
        published_std=[0.25] * 3,
        shown=verified,
        state="the official data" if verified else "NOT known to be the official data",
        sheet=SheetRecord(file=f"dataset-{name}.jpg", words=f"All of them {text}") if verified else None,
    )


def claim(outcome: str, text: str) -> ClaimRecord:
    effect = None if outcome == "not run" else 1.5
    return ClaimRecord(
        id=f"claim-{outcome}",
        paper="p",
        statement=f"A beats B {text}",
        source=text,
        stated="text",
        note=text,
        printed=PrintedClaim(pairs=2, hold=1, holds="partly", smallest=-0.1, largest=2.0),
        outcome=outcome,
        detail=text,
        printed_effect=2.26,
        effect=effect,
        low=None if effect is None else 1.0,
        high=None if effect is None else 2.0,
        p=0.01,
        cells=["t/row/c0", "t/row/c1"],
        missing=[],
        effects=[],
    )


def rank(text: str) -> RankRecord:
    return RankRecord(table="t", label=f"resnet32 {text}", cells=7, separated=15, compared=3, kept=2, same_best=True, tau=0.81)


def shared(text: str) -> SameExperiment:
    values = {"p": 28.76, "q": 31.18}
    cell = SharedCell(
        dataset="cifar100",
        network=text or "x",
        method="one",
        measure="top-1 error",
        values=values,
        printed={},
        addresses={},
        range=2.42,
        networks={"p": "x", "q": f"y{text}"},
    )
    return SameExperiment(cells=[cell], gains=[], within_half=0, median=2.42, worst=2.42)


def every_state(text: str = "", scale: str = "demo") -> Contents:
    """A table that has every state, and one of each figure."""
    states = [cell(state, f"c{index}", text, runs=3) for index, state in enumerate(STATES)]
    dots = [cell("matches", column, text, table="d", row=row + text) for row in ("Ind", "ONE") for column in ("2", "3")]
    heat = [cell("measured", column + text, table="h", row=row, value=value) for row, value in (("x", 1.0), ("y", 2.0)) for column in "ab"]
    lines = [cell("measured", column + text, table="l", row=row) for row in ("r", "q") for column in "ab"]
    soft = [cell("measured", column + text, table="s") for column in ("Temperature 1", "Temperature 3")]
    curves = [
        Curve(address=one.address, row=one.row, column=one.column, epochs=[0, 1, 2], mean=[9, 5, 4], low=[8, 4, 3], high=[10, 6, 5])
        for one in lines
    ]
    labels = [
        SoftLabels(address=one.address, column=one.column, temperature=1.0, label=label, probabilities=[0.1] * 10)
        for one in soft
        for label in (0, 1)
    ]
    costs = [
        cell("matches", f"R / {column}{text}", table="k", row=row, value=value).model_copy(
            update={"statistic": "train_cost" if column == "cost" else "student", "unit": "number" if column == "cost" else "error"}
        )
        for row, values in (("KD", (6.0, 30.0)), ("ONE", (2.0, 25.0)))
        for column, value in zip(("error", "cost"), values, strict=True)
    ]
    tables = [
        table("t", states, text=text),
        table("d", dots, draw="dots"),
        table("h", heat, draw="heatmap"),
        table("l", lines, draw="curves"),
        table("s", soft, draw="soft-labels"),
        table("k", costs),
    ]
    return contents(tables, {"l": FigureData(curves=curves), "s": FigureData(soft_labels=labels)}, text=text, scale=scale)


def as_large_as_the_papers() -> Contents:
    """Thirty-five tables of four papers, with three runs a cell."""
    tables = []
    for index in range(35):
        places = [(f"row-{r}", f"column-{c}") for r in range(4) for c in range(5)]
        cells = [cell("matches", column, table=f"table-{index}", row=row, runs=3) for row, column in places]
        tables.append(table(f"table-{index}", cells, paper=f"paper{index % 4}"))
    return contents(tables, scale="paper")
