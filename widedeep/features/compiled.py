"""Functions that numba compiles to machine code when they are first called.

The code is kept on disk for later processes: beside the source, in the user's cache folder, or in NUMBA_CACHE_DIR. Where none can
be written, as in a read-only container, each process compiles anew. numba knows code by the time and size of its file, and not by
`OPTIONS`: after a change of these, `make clean`.
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

from numba import njit

Function = TypeVar("Function", bound=Callable[..., Any])

# error_model: a division by zero gives infinity as in NumPy and torch, and its check keeps no loop from being vectorised.
# Nothing is reassociated (no fastmath): the same bytes come out at every vector width.
OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy"}


def compiled(function: Function) -> Function:
    """Compile for whatever types it is called with."""
    return _compiled(function, OPTIONS)


def inlined(function: Function) -> Function:
    """The same for a small function that only compiled ones call: it becomes part of them."""
    return _compiled(function, OPTIONS | {"inline": "always"})


def _compiled(function: Function, options: dict[str, Any]) -> Function:
    try:
        made: Any = njit(**options, cache=True)(function)
    except RuntimeError:  # numba's word for: no place to write
        made = njit(**options)(function)
    return cast(Function, made)
