"""What an HDF5 file of a rollout may hold, checked before any of it is read.

A file may come from anywhere. Nothing outside of it is opened: links, external and virtual storage are refused. And nothing is
allocated before the size that is declared was compared with what is stored, which gzip makes smaller by a thousand at most.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

import h5py
import numpy as np

FORMAT = "behavioral-twin rollout"
FORMAT_VERSION = 2  # since the content hash covers all that is read back
CHUNK_ROWS = 65_536
FILTERS = {h5py.h5z.FILTER_DEFLATE: "gzip", h5py.h5z.FILTER_SHUFFLE: "shuffle", h5py.h5z.FILTER_FLETCHER32: "fletcher32"}
MOST_COMPRESSION = 1_100  # of gzip: 1,032
WIDEST = 8  # bytes of a number
MOST_NAMES = 10_000  # in one attribute
KINDS = {"b": "truth values", "iu": "whole numbers", "u": "whole numbers, not negative", "f": "numbers", "text": "texts"}


class SchemaError(ValueError):
    """A file does not hold what a rollout is; the message says what and where, but not which file."""


def group_of(parent: Any, name: str) -> Any:
    """A group. Raises SchemaError if there is none of the name."""
    found = _member(parent, name, h5py.Group)
    if found is None:
        raise SchemaError(f"the group {name!r} is missing")
    return found


def _member(group: Any, name: str, kind: type) -> Any:
    """What a group holds under a name, or None; without following a link out of the file."""
    where, links = f"{group.name.rstrip('/')}/{name}", group.id.links
    if not links.exists(name.encode()):
        return None
    if links.get_info(name.encode()).type != h5py.h5l.TYPE_HARD:
        raise SchemaError(f"{where} is a link; expected the data themselves (`h5repack` or `twin import` of the original)")
    found = group[name]
    if not isinstance(found, kind):
        raise SchemaError(f"{where} is a {type(found).__name__.lower()}; expected a {kind.__name__.lower()}")
    return found


def array(group: Any, name: str, kinds: str, shape: Sequence[int | None]) -> Any:
    """A dataset that may be read: of these kinds of numpy and this shape (None: of any length); None if it is not there.

    Raises SchemaError naming it.
    """
    found = _member(group, name, h5py.Dataset)
    if found is not None:
        _check_type(found, kinds)
        if not _is(found.shape, shape):
            expected = ", ".join("any" if n is None else str(n) for n in shape)
            raise SchemaError(f"{found.name} has the shape {found.shape}; expected ({expected})")
        _check_storage(found)
    return found


def _is(found: Sequence[int] | None, shape: Sequence[int | None]) -> bool:
    """Is a shape that of a pattern, where None is any length? The shape None is that of no value at all."""
    if found is None or len(found) != len(shape):
        return False
    return all(expected in (None, length) for length, expected in zip(found, shape, strict=True))


def needed(group: Any, name: str, kinds: str, shape: Sequence[int | None]) -> Any:
    """As `array`, but raises SchemaError if it is not there."""
    found = array(group, name, kinds, shape)
    if found is None:
        raise SchemaError(f"{group.name.rstrip('/')}/{name} is missing")
    return found


def _check_type(dataset: Any, kinds: str) -> None:
    if kinds == "text":
        if h5py.check_string_dtype(dataset.dtype) is None:
            raise SchemaError(f"{dataset.name} is of the type {dataset.dtype}; expected texts")
        return
    if dataset.dtype.kind not in kinds or dataset.dtype.itemsize > WIDEST:
        raise SchemaError(f"{dataset.name} is of the type {dataset.dtype}; expected {KINDS[kinds]}")


def _check_storage(dataset: Any) -> None:
    """Raise SchemaError unless all that a dataset declares is stored in the file itself."""
    plist = dataset.id.get_create_plist()
    if dataset.is_virtual or plist.get_external_count():
        raise SchemaError(f"{dataset.name} is stored in other files; expected the data themselves")
    declared = math.prod(dataset.shape) * dataset.dtype.itemsize
    stored = dataset.id.get_storage_size()
    most = stored
    if plist.get_layout() == h5py.h5d.CHUNKED:
        _check_chunks(dataset, plist)
        most = stored * MOST_COMPRESSION
    if declared > most or stored > dataset.file.id.get_filesize():
        raise SchemaError(
            f"{dataset.name} declares {dataset.shape} values, {declared} bytes, of which the file stores {stored} bytes; "
            f"it is not whole"
        )


def _check_chunks(dataset: Any, plist: Any) -> None:
    filters = [plist.get_filter(i)[0] for i in range(plist.get_nfilters())]
    if unknown := [code for code in filters if code not in FILTERS]:
        raise SchemaError(f"{dataset.name} has the filter {unknown[0]}; expected {', '.join(FILTERS.values())} alone")
    rows, *others = dataset.chunks
    if rows > CHUNK_ROWS or tuple(others) != dataset.shape[1:]:
        raise SchemaError(f"{dataset.name} has chunks of {dataset.chunks}; expected {CHUNK_ROWS} rows at most")
    if dataset.id.get_num_chunks() != -(-dataset.shape[0] // rows):
        raise SchemaError(f"{dataset.name} lacks some of its chunks; it is not whole")


def text(owner: Any, name: str) -> str:
    """An attribute that is a text. Raises SchemaError if there is none."""
    (found,) = _texts(owner, name, scalar=True)
    return found


def texts(owner: Any, name: str) -> tuple[str, ...]:
    """An attribute that is a list of texts. Raises SchemaError if there is none."""
    return _texts(owner, name, scalar=False)


def _texts(owner: Any, name: str, scalar: bool) -> tuple[str, ...]:
    where, expected = f"attribute {name!r} of {owner.name}", "a text" if scalar else "a list of texts"
    if not h5py.h5a.exists(owner.id, name.encode()):
        raise SchemaError(f"{where} is missing; expected {expected}")
    attribute = h5py.h5a.open(owner.id, name.encode())
    fits = (len(attribute.shape) == (not scalar)) and math.prod(attribute.shape) <= MOST_NAMES
    if not fits or h5py.check_string_dtype(attribute.dtype) is None:
        raise SchemaError(f"{where} is of the type {attribute.dtype} and shape {attribute.shape}; expected {expected}")
    value = owner.attrs[name]
    try:
        return tuple((v if isinstance(v, bytes) else str(v).encode()).decode() for v in ([value] if scalar else value))
    except (UnicodeDecodeError, UnicodeEncodeError) as error:
        raise SchemaError(f"{where} is not UTF-8 text ({error.reason})") from None


def table(owner: Any, name: str) -> dict[str, Any]:
    """An attribute that is a table in JSON. Raises SchemaError if there is none."""
    try:
        found = json.loads(text(owner, name))
    except (json.JSONDecodeError, RecursionError) as error:
        raise SchemaError(f"attribute {name!r} of {owner.name} is not JSON ({error})") from None
    if not isinstance(found, dict):
        raise SchemaError(f"attribute {name!r} of {owner.name} is a {type(found).__name__} in JSON; expected a table")
    return found


def scalar(owner: Any, name: str, kinds: str) -> Any:
    """An attribute that is one number or truth value; None if there is none. Raises SchemaError for anything else."""
    if not h5py.h5a.exists(owner.id, name.encode()):
        return None
    attribute = h5py.h5a.open(owner.id, name.encode())
    if attribute.shape != () or attribute.dtype.kind not in kinds:
        raise SchemaError(
            f"attribute {name!r} of {owner.name} is of the type {attribute.dtype} and shape {attribute.shape}; "
            f"expected one of {KINDS[kinds]}"
        )
    return owner.attrs[name]


def fixed_text(value: str | Sequence[str]) -> np.ndarray:
    """Texts as an attribute keeps them, inside the header of what they describe, whose checksum then covers them."""
    encoded = np.char.encode(np.array(value, str), "utf-8")
    return encoded.astype(h5py.string_dtype("utf-8", max(1, encoded.dtype.itemsize)))
