"""The last move that a server followed, in a file on its machine: the one that is started next goes back to none before it.

Whoever can write to the bucket can't write there. The file is replaced whole, so a crash leaves the move before.
"""

from dataclasses import dataclass
from pathlib import Path

from widedeep.artifacts import ChampionPointer
from widedeep.errors import UsageError
from widedeep.publishing.transfer import copied, save


@dataclass
class FollowedFile:
    """`path` None: nothing is kept."""

    path: Path | None
    lane: str

    def read(self) -> ChampionPointer | None:
        """What was followed last, or None if nothing was.

        Raises:
            UsageError: the file is another lane's.
            IntegrityError: it is none that a server has written.
        """
        if self.path is None or not self.path.exists():
            return None
        pointer = ChampionPointer.from_bytes(self.path.read_bytes(), str(self.path))
        if pointer.lane != self.lane:
            raise UsageError(f"{self.path}: got a move of lane {pointer.lane}, wanted {self.lane}'s. Give each lane a file.")
        return pointer

    def write(self, pointer: ChampionPointer | None) -> None:
        """Keep this one from now on.

        Raises:
            DiskFullError, OSError: it can't be written. The one before stays.
        """
        if self.path and pointer and pointer != self.read():
            save(self.path.name, copied([pointer.to_bytes()]), self.path)
