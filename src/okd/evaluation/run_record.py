"""One training as the report has it, and what its nodes sent each other where students lived on several."""

from typing import Any

from pydantic import BaseModel, ConfigDict

BYTES_PER_GRADIENT = 4


class Record(BaseModel):
    """A piece of a file that `okd tables` writes and `okd report` reads."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Exchange(Record):
    """What nodes that each train some students have sent each other, as measured; and what gradients would have cost."""

    by: str  # torch.distributed or files
    nodes: int
    students: int
    sent_per_student: float  # bytes of soft labels in one cycle
    received_per_node: float  # bytes of the mixture in one cycle
    gradients_per_student: float  # bytes up, and as many down, were gradients exchanged in every step of a cycle instead

    @staticmethod
    def of(record: dict[str, Any] | None) -> "Exchange | None":
        """Per student, node and cycle, from the sums in result.json; None where no cycle was measured."""
        if not record or not record["rounds"]:
            return None
        return Exchange(
            by=record["by"],
            nodes=record["nodes"],
            students=record["students"],
            sent_per_student=record["sent"] / (record["rounds"] * record["senders"]),
            received_per_node=record["received"] / (record["rounds"] * record["receivers"]),
            gradients_per_student=BYTES_PER_GRADIENT * record["parameters"] / record["students"] * record["steps"],
        )


class RunRecord(Record):
    """One training behind a cell."""

    id: str
    key: str
    seed: int
    state: str  # done, diverged, failed, running, stale, not run
    detail: str = ""  # why it failed, where it diverged, how far it is
    epochs: int | None = None
    seconds: float | None = None
    device: str = ""
    weights_sha256: str = ""
    data_sha256: dict[str, str] = {}  # by split, of the images and labels that it trained on
    resumes: int = 0
    peak_memory: int | None = None  # bytes on the device; older results do not say
    from_evidence: bool = False  # its numbers come from reports/evidence/, not from a result on this machine
    command: str = ""  # that does just this run
    exchange: Exchange | None = None
