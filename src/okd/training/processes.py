"""The processes of one run. Usually one; torchrun starts several, which share every batch; or each holds some of the students.

The loop asks its questions here, and has no second form. A process that is alone answers them at once.
"""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from okd.distillation.groups import Group
from okd.distillation.teachers.teacher import Teacher
from okd.plan.run import Run
from okd.training.distributed.place import Place

if TYPE_CHECKING:
    from okd.training.part import Part
    from okd.training.session import Session
    from okd.training.step import Totals

Gather = Callable[[Tensor], Tensor]  # this process's rows (n, ...) to everybody's (N, ...)


class Alone:
    """One process that has the whole batch and all students."""

    place = Place()

    @property
    def words(self) -> str:
        """What a fingerprint says of them: exact numbers depend on how a batch is shared."""
        return ""

    def students(self, run: Run) -> range:
        """The students that live here."""
        return range(len(run.networks))

    def data(self, whole: Any) -> Any:
        """This process's share of every batch."""
        return whole

    def prepare(self, group: Group, teacher: Teacher, run: Run) -> None:
        """Make layers that look at a whole batch do so."""

    def randomness(self) -> AbstractContextManager[None]:
        """Where a step draws its random numbers."""
        return nullcontext()

    def backward(self, terms: Tensor, parameters: Iterable[nn.Parameter], images: int) -> Tensor:
        """Gradients of the whole batch's loss; return its terms."""
        terms[-1].backward()
        return terms

    def agree(self, *wishes: bool) -> tuple[bool, ...]:
        """What any of the processes wishes."""
        return wishes

    def sum(self, counts: Tensor) -> Tensor:
        return counts

    def total(self, totals: "Totals") -> "Totals":
        """What all processes have added up."""
        return totals

    def gather(self, index: Tensor) -> Gather:
        """How to bring everybody's rows together, sorted by the images' numbers."""
        return lambda rows: rows

    def in_turn(self, load: Callable[[], Any]) -> Any:
        """The first process does it, then the others."""
        return load()

    def save(self, write: Callable[[], None]) -> None:
        """The first process writes."""
        write()

    def after_steps(self, group: Group, teacher: Teacher) -> None:
        """Before students are asked anything outside of training."""

    def remember(self, teacher: Teacher, epoch: int, index: Tensor, logits: Tensor, labels: Tensor) -> None:
        teacher.remember(index, logits, labels)

    def started(self, session: "Session") -> None:
        """The run is where its last checkpoint left it."""

    def diverged(self, step: int, term: str) -> None:
        """Others must not go on with what this one says."""

    def collect(self, part: "Part") -> "Part | None":
        """The whole run's result; None where another process publishes it."""
        return part


ALONE = Alone()
