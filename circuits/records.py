"""`Record`: what all typed records of the package are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import BaseModel, ConfigDict, ValidationError, ValidationInfo, field_validator

from .errors import InputError

_NUMBERS: dict[Any, str] = {float: "number", float | None: "number", int: "integer", int | None: "integer"}
_NOT_FINITE = ("Infinity", "-Infinity", "NaN")


class Record(BaseModel):
    """A frozen record that rejects unknown fields, so that a misspelt one is an error and not a silent default.

    Raises `InputError` on construction when a field is unknown or out of range, naming it. `model_validate` raises pydantic's
    `ValidationError` with the path to the field, for readers of files that word their errors themselves.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings", use_attribute_docstrings=True)

    title_in_errors: ClassVar[str] = ""
    """What errors call the record; empty: by its class."""

    if not TYPE_CHECKING:  # type checkers read the signature off the fields

        def __init__(self, /, **fields: Any) -> None:
            try:
                super().__init__(**fields)
            except ValidationError as error:
                raise InputError(_explain(error, self.title_in_errors or type(self).__name__)) from None

        # Records inside others are validated without __init__, so that the outermost one names the whole path to a field.
        __init__.__pydantic_base_init__ = True

    @field_validator("*", mode="before")
    @classmethod
    def _numbers_are_numbers(cls, value: Any, info: ValidationInfo) -> Any:
        """A text such as "1000" or a truth value is no number, whatever it could be turned into."""
        kind = None if info.field_name is None else _NUMBERS.get(cls.model_fields[info.field_name].annotation)
        # JSON has no other way to write those that are not finite.
        if kind and isinstance(value, bool | str) and value not in _NOT_FINITE:
            raise ValueError(f"{value!r:.60} is no {kind}; give one without quotes, in SI units")
        return value


def _explain(error: ValidationError, title: str) -> str:
    problems = []
    for item in error.errors():
        field = " field " + ".".join(str(part) for part in item["loc"]) if item["loc"] else ""
        what = item["msg"].removeprefix("Value error, ")
        whole = item["type"] in ("missing", "extra_forbidden") or isinstance(item["input"], dict)
        got = "" if whole else f", got {item['input']!r:.100}"
        remedy = " (remove it or correct its spelling)" if item["type"] == "extra_forbidden" else ""
        named = not field and what.startswith(title)
        problems.append(f"{'' if named else f'{title}{field}: '}{what}{got}{remedy}")
    return "; ".join(problems)
