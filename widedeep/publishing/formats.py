"""Formats of releases: each one that was ever written is read for ever, or refused with the command that migrates it.

`tests/formats/` keeps a small release of every format. One that exists never changes; another layout of the files, or another
field, is a new number.
"""

import json
from collections.abc import Callable, Mapping

from widedeep.artifacts import Manifest
from widedeep.errors import FormatError

READERS: Mapping[int, Callable[[bytes, str], Manifest]] = {1: Manifest.from_bytes, 2: Manifest.from_bytes}
"""Since 2, a file that readers need holds nothing that only training needs, and a release may have a folder `delta/`.

The reader of each format: (stored bytes, their place) to a manifest whose `to_bytes` are those bytes again, since digests and
signatures cover them. A format that can no longer be loaded keeps its entry: a reader that raises FormatError with the command
that migrates it."""


def read_manifest(data: bytes, where: str) -> Manifest:
    """The manifest that these bytes are, whatever format they have; `where` is their place, for messages.

    Raises:
        FormatError: of a format that this version does not know.
        IntegrityError: these are not the bytes of a manifest.
    """
    number = _format(data)
    if number not in READERS and number is not None:
        raise FormatError(
            f"{where}: got format {number}, wanted one that this version of widedeep reads: {', '.join(map(str, READERS))}. "
            "A newer one wrote it: upgrade widedeep."
        )
    return READERS[number or max(READERS)](data, where)


def _format(data: bytes) -> int | None:
    """The number that the bytes give, if they are so far like a manifest; if not, a reader tells what is wrong with them."""
    try:
        number = json.loads(data)["format"]
    except (ValueError, KeyError, TypeError):
        return None
    return number if type(number) is int and number > 0 else None
