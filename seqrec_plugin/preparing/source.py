"""What is said of the files of events: their form, and which column is what."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

Share = Annotated[float, msgspec.Meta(ge=0, le=1)]


class Source(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How files of events are read. What is left out is guessed, and the guess is shown.

    A column may be `""` (guess it) or, besides user and item, `None` (there is none: no time means the order of the
    file). `numbers` and `features` are guessed where they are `None`; `()` is none.

    Attributes:
        format: of the files.
        delimiter: between the fields of a CSV, several characters too (`::`).
        quote: what a field that holds the delimiter stands between; `""` where nothing is ever quoted.
        encoding: of the text, a name that Python knows.
        header: whether the first line of a CSV names the columns.
        columns: the names of the columns of a CSV without a header.
        user: the column of the users.
        item: the column of the items.
        time: the column of the times.
        behavior: the column of the behaviours.
        numbers: columns of numbers; the first is the value.
        features: columns that describe the item.
        time_unit: `auto`, `s`, `ms`, `us`, `ns` (since 1970), `iso`, `position` (1, 2, 3 …), or a format of strptime.
        time_zone: of times that name none, such as `Asia/Shanghai`.
        max_bad_share: of rows that may be set aside, before it is an error.
    """

    format: Literal["auto", "csv", "jsonl", "parquet"] = "auto"
    delimiter: str = ""
    quote: Literal["", '"', "'"] = '"'
    encoding: str = ""
    header: bool | Literal["auto"] = "auto"
    columns: tuple[str, ...] = ()
    user: str = ""
    item: str = ""
    time: str | None = ""
    behavior: str | None = ""
    numbers: tuple[str, ...] | None = None
    features: tuple[str, ...] | None = None
    time_unit: str = "auto"
    time_zone: str = "UTC"
    max_bad_share: Share = 0.01
