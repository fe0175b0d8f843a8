"""The folder of a fit: `card.json`, which says all of it, and beside it a network's weights or the draws of a posterior.

Both kinds of fit are written and read here. A card is strict JSON; its `data_hash` tells what trials it was fitted to. A file
is written under another name and renamed when whole, the card last, so a folder with a card holds a whole fit.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import Field, TypeAdapter, ValidationError

from twin.data.content import hash_bytes
from twin.data.files import replace_file, said_of, written_whole
from twin.inference.card_schema import CARD, ClosedFormCard, NeuralCard, NoiseCard, TrainingCard

if TYPE_CHECKING:
    from twin.inference.fit import Fit

__all__ = [
    "CARD",
    "Card",
    "ClosedFormCard",
    "NeuralCard",
    "NoiseCard",
    "TrainingCard",
    "is_fit",
    "load_fit",
    "read_card",
    "write_fit",
]

Card = ClosedFormCard | NeuralCard
_CARDS: TypeAdapter[Card] = TypeAdapter(Annotated[Card, Field(discriminator="kind")])


def write_fit(folder: str | Path, card: Card, file: tuple[str, bytes] | None) -> None:
    """Write the card of a fit and, if there is one, the file beside it (its name and content).

    Both files are whole before the first of them gets its name. Raises OSError naming the file that cannot be written.
    """
    folder = Path(folder)
    if file is None:
        replace_file(folder / CARD, _json(card))
        return
    name, content = file
    text = _json(card.model_copy(update={"file_hash": hash_bytes(content)}))
    with written_whole(folder / CARD, len(text)) as partial_card, written_whole(folder / name, len(content)) as partial:
        partial.write_bytes(content)
        with said_of(folder / CARD, len(text)):
            partial_card.write_bytes(text)


def _json(card: Card) -> bytes:
    return json.dumps(card.model_dump(mode="json"), indent=1, allow_nan=False).encode()


def is_fit(folder: str | Path) -> bool:
    """Does a folder hold a saved fit?"""
    return (Path(folder) / CARD).is_file()


def read_card(folder: str | Path) -> Card:
    """The card of a saved fit. Raises FileNotFoundError, or ValueError naming the file and what in it is not that of a fit."""
    file = Path(folder) / CARD
    if not file.is_file():
        raise FileNotFoundError(f"{file}: no such file; expected the folder of a fit")
    try:
        with said_of(file):
            content = file.read_bytes()
        return _CARDS.validate_json(content, context={"read": True})
    except ValidationError as error:
        raise ValueError(f"{file}: {_explained(error)}") from None


def _explained(error: ValidationError) -> str:
    """The first of what is wrong in a card, naming its key."""
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"] if part not in ("closed-form", "neural"))
    if first["type"] == "missing":
        return f"key {key!r} is missing; expected the card of a fit"
    if first["type"] == "union_tag_not_found":
        return "key 'kind' is missing; expected the card of a fit (of an older version, perhaps: then fit again)"
    if first["type"] == "union_tag_invalid":
        return f"kind is {first['ctx']['tag']!r}; expected {first['ctx']['expected_tags']}"
    if first["type"] == "extra_forbidden":
        return f"unknown key {key!r}; expected the card of a fit"
    text = str(first["msg"]).removeprefix("Value error, ")
    return f"{key}: {text}" if key else text


def load_fit(folder: str | Path) -> Fit:
    """A fit that was saved. Raises FileNotFoundError, or ValueError naming the file and what is wrong in it."""
    return read_card(Path(folder)).restore(Path(folder))
