"""Holding what people wrote against a schema: nothing is converted, and every fault is shown where it was written."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from okd.plan.source import Document, Faults, Path, nearest, shown

Model = TypeVar("Model", bound=BaseModel)
Problem = tuple[Path, str]  # where inside the model, and what is wrong

MISSING = "is missing"
KINDS = {
    "int_type": "a whole number",
    "float_type": "a number",
    "string_type": "text",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "a mapping of keys to values",
    "model_type": "a mapping of keys to values",
    "model_attributes_type": "a mapping of keys to values",
}
BOUNDS = {
    "greater_than": ("above", "gt"),
    "greater_than_equal": ("at least", "ge"),
    "less_than": ("below", "lt"),
    "less_than_equal": ("at most", "le"),
}
LENGTHS = {"too_short": ("at least", "min_length"), "too_long": ("at most", "max_length"), "string_too_short": ("at least", "min_length")}
MEMBERS = ("int", "float", "str", "bool")  # pydantic names the member of a union as if it were a place


class Misplaced(ValueError):
    """What a validator found wrong, each at its place inside the model."""

    def __init__(self, *problems: Problem) -> None:
        self.problems = problems
        super().__init__("; ".join(problem for _, problem in problems))


def validated(model: type[Model], document: Document) -> Model:
    """Build `model` from a document. Raises Faults: every wrong value, what is allowed, and the nearest known key."""
    found = [document.fault(path, problem) for path, problem in problems(model, document.data)]
    misread = {fault.key for fault in document.faults}
    if faults := [*document.faults, *(fault for fault in found if fault.key not in misread)]:
        raise Faults(faults)
    return model.model_validate(document.data, strict=True)


def problems(model: type[BaseModel], data: Mapping[str, Any]) -> list[Problem]:
    """What keeps `data` from being a `model`."""
    try:
        model.model_validate(data, strict=True)
    except ValidationError as error:
        return list(_problems_of(error, model))
    return []


def _problems_of(error: ValidationError, model: type[BaseModel]) -> Iterator[Problem]:
    unions: dict[Path, tuple[object, list[str]]] = {}
    for item in error.errors(include_url=False):
        place = tuple(part for part in item["loc"] if part != "[key]")
        if place[-1:] and place[-1] in MEMBERS and item["type"] in KINDS:
            unions.setdefault(place[:-1], (item["input"], []))[1].append(KINDS[item["type"]])
        elif item["type"] == "value_error" and isinstance(found := item.get("ctx", {}).get("error"), Misplaced):
            yield from (((*place, *path), problem) for path, problem in found.problems)
        else:
            yield place, _explain(item, model)
    for place, (value, kinds) in unions.items():
        wanted = [kind for kind in dict.fromkeys(kinds) if not (kind == "a whole number" and "a number" in kinds)]
        yield place, f"{shown(value)} is not {' or '.join(wanted)}"


def _explain(item: Any, model: type[BaseModel]) -> str:
    kind, value, context = item["type"], shown(item.get("input")), item.get("ctx", {})
    if kind == "extra_forbidden":
        known = _keys_at(model, item["loc"][:-1])
        return "unknown key" + (nearest(item["loc"][-1], known) or f" (known: {', '.join(known)})")
    if kind == "missing":
        return MISSING
    if kind == "value_error":
        return str(context["error"])
    if kind == "literal_error":
        known = re.findall(r"'([^']+)'", context["expected"]) or [context["expected"]]
        return f"{value} is not one of {', '.join(known)}{nearest(item.get('input'), known)}"
    if kind in KINDS:
        return f"{value} is not {KINDS[kind]}"
    if kind in BOUNDS:
        words, name = BOUNDS[kind]
        return f"{value} must be {words} {context[name]:g}"
    if kind in LENGTHS:
        words, name = LENGTHS[kind]
        return f"{value} must have {words} {context[name]} {'characters' if kind.startswith('string') else 'entries'}"
    if kind == "string_pattern_mismatch":
        return f"{value} does not fit the pattern {context['pattern']}"
    return f"{value}: {item['msg'][0].lower()}{item['msg'][1:]}"


def _keys_at(model: type[BaseModel], place: Path) -> list[str]:
    """Names of the fields that the schema knows at a place."""
    for part in place:
        field = model.model_fields.get(str(part))
        model = (_model_in(field.annotation) if field else None) or model  # a list's position or a map's key stays with its entries
    return list(model.model_fields)


def _model_in(annotation: object) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _model_in(part))), None)
