"""`okd export`: a trained student as a folder that others can load, with a model card."""

import hashlib
import json
from pathlib import Path
from typing import Annotated, Any

import typer

from okd.cli.evidence import finished, planned
from okd.cli.options import as_folder
from okd.evaluation.records import CellRecord
from okd.evaluation.scores import percent_wrong
from okd.evaluation.tables import Evaluation
from okd.plan.catalog import catalog
from okd.plan.run import Run
from okd.plan.settings import open_project, write_atomically
from okd.plan.source import nearest
from okd.plan.store import Places, write_json
from okd.report.card import Card, model_card


def register(app: typer.Typer) -> None:
    app.command()(export)


def export(
    run_id: Annotated[str, typer.Argument(metavar="ID", help="A finished run.")],
    row: Annotated[str | None, typer.Option(help="leader, student_0, snapshot_1, ...; without it the leader, else student_0.")] = None,
    out: Annotated[Path | None, typer.Option(help="The folder: export/<ID>.")] = None,
) -> None:
    """Write model.safetensors, config.json and README.md (a model card in Hugging Face's form) of one student."""
    as_folder("--out", out)
    project = open_project()
    plan, run = planned(project, run_id)
    one = finished(project.root, run)
    assert one.result is not None
    if one.record.state != "done":
        raise ValueError(f"{run_id}: its run {one.record.state} ({one.record.detail}); there is nothing to deploy")
    folder = out or project.root / "export" / run.id
    row, tensors = _tensors(Places(project.root, run).result / "weights.safetensors", row)
    network = _network(run, row)
    _check(run, network, tensors)
    evaluation = Evaluation(project.root, plan, reproduce=project.settings.reproduce)
    cells = [cell for table in evaluation.tables() for cell in table.cells if any(other.id == run.id for other in cell.runs)]
    folder.mkdir(parents=True, exist_ok=True)
    digest = _write_weights(folder / "model.safetensors", tensors)
    write_json(folder / "config.json", _config(run, row, network, digest))
    card = model_card(_card(run, row, network, one.result, cells))
    write_atomically(folder / "README.md", lambda stream: stream.write(card))
    typer.echo(str(folder))


def _tensors(file: Path, row: str | None) -> tuple[str, dict[str, Any]]:
    """A row's tensors, named as an ordinary network names them."""
    from safetensors.torch import load_file

    everything = load_file(file)
    rows = sorted({name.partition(".")[0] for name in everything} - {"teacher"})
    chosen = row or ("leader" if "leader" in rows else "student_0")
    if chosen not in rows:
        raise ValueError(f"--row: there is no '{chosen}'{nearest(chosen, rows)} (rows: {', '.join(rows)})")
    return chosen, {name.partition(".")[2]: tensor for name, tensor in everything.items() if name.startswith(f"{chosen}.")}


def _network(run: Run, row: str) -> str:
    """Peers come first, the leader last; a snapshot is of the only network."""
    if len(run.networks) == 1 or row.startswith("snapshot_"):
        return run.networks[0].name
    return run.networks[-1 if row == "leader" else int(row.rpartition("_")[2])].name


def _check(run: Run, network: str, tensors: dict[str, Any]) -> None:
    from okd.networks import build

    try:
        build(network, run.classes, seed=0).load_state_dict(tensors)
    except RuntimeError as error:
        raise ValueError(f"{run.id}: this student is no ordinary {network}, it cannot be exported ({str(error).splitlines()[0]})") from None


def _write_weights(file: Path, tensors: dict[str, Any]) -> str:
    from safetensors.torch import save

    content = save(tensors, metadata={"format": "pt"})
    temporary = file.with_name(f".{file.name}.tmp")
    temporary.write_bytes(content)
    temporary.replace(file)
    return hashlib.sha256(content).hexdigest()


def _config(run: Run, row: str, network: str, digest: str) -> dict[str, Any]:
    return {
        "model_type": "okd",
        "architecture": network,
        "num_classes": run.classes,
        "image_size": catalog().datasets[run.dataset.name].size,
        "normalisation": json.loads(json.dumps(run.recipe.normalisation)),
        "run": run.id,
        "key": run.key,
        "row": row,
        "spec": run.spec,
        "sha256": {"model.safetensors": digest},
    }


def _card(run: Run, row: str, network: str, result: dict[str, Any], cells: list[CellRecord]) -> Card:
    correct, total = result["test_correct"], result["test_images"]
    return Card(
        run=run,
        row=row,
        network=network,
        error=percent_wrong(correct[row], total) if row in correct else None,
        cells=cells,
        device=result["device"],
        seconds=result["seconds"],
        weights_sha256=result["sha256"]["weights.safetensors"],
        image_size=catalog().datasets[run.dataset.name].size,
    )
