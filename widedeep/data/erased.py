"""Whose rows these are, told by digests: a user who is forgotten is named by the SHA-256 of the key's text, never by the key.

A key's text is what the vocabulary writes for it (`widedeep.features.columns`): 7 and "7" are one user.
"""

from collections.abc import Collection

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from widedeep.artifacts import Digest, sha256


def digest_of(user: str) -> Digest:
    """What stands for a user's key."""
    return sha256(user.encode())


def rows_of_users(users: pa.ChunkedArray, digests: Collection[Digest]) -> NDArray[np.bool_]:
    """(N,) whether each row is of one of these users. A missing key is nobody's, and so is one that has no text."""
    try:
        texts = users.cast(pa.string())
    except pa.ArrowException:
        return np.zeros(len(users), np.bool_)
    distinct = pc.unique(texts)
    theirs = [text is not None and digest_of(text) in digests for text in distinct.to_pylist()]
    found: NDArray[np.bool_] = pc.is_in(texts, distinct.filter(pa.array(theirs, pa.bool_()))).to_numpy()
    return found
