"""No peer's package ever reaches our environment: each peer has one of its own, below .local/peers, with pinned versions.

    python -m benchmarks.peers.environments [NAME ...]

torch alone, and what it requires, is lent by our environment, behind the peer's own packages on its search path: all sides run
the same build, and a machine holds it once.
"""

import shutil
import subprocess
import sys
import venv
from importlib.metadata import distribution
from pathlib import Path

from packaging.requirements import Requirement

NAMES = ("pytorch-widedeep", "deepctr-torch", "fuxictr", "fbgemm", "onnxruntime", "pandera")

_PEERS = Path(__file__).parents[2] / ".local" / "peers"
_PINS = Path(__file__).parent / "requirements"


def python(name: str) -> Path:
    """The interpreter of the peer's environment, which is made first if it is missing or was made from other pins."""
    folder, pins = _PEERS / name, (_PINS / f"{name}.txt").read_bytes()
    complete = folder / ".complete"
    if not complete.exists() or complete.read_bytes() != pins:
        shutil.rmtree(folder, ignore_errors=True)
        _make(folder, _PINS / f"{name}.txt")
        # Written last: an interrupted installation is done again.
        complete.write_bytes(pins)
    return folder / "bin" / "python"


def _make(folder: Path, pins: Path) -> None:
    sys.stderr.write(f"environment of {folder.name}: {folder}\n")
    # Symbolic links, as on a command line: a copied interpreter can miss its shared library.
    venv.create(folder, symlinks=True)
    uv = Path(sys.executable).with_name("uv")
    install = [uv, "pip", "install", "--quiet", "--python", folder / "bin" / "python"]
    subprocess.run([*install, "--no-deps", "--require-hashes", "--requirement", pins], check=True)
    lent = folder / "lent"
    lent.mkdir()
    _lend("torch", lent)
    site = folder / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
    (site / "lent.pth").write_text(f"{lent}\n")


def _lend(name: str, lent: Path) -> None:
    """Link a distribution of our environment and, in turn, what it requires."""
    lender = distribution(name)
    for top in {file.parts[0] for file in lender.files or () if file.parts[0] != ".."} - {entry.name for entry in lent.iterdir()}:
        (lent / top).symlink_to(Path(str(lender.locate_file(top))))
    wanted = [Requirement(text) for text in lender.requires or ()]
    for requirement in wanted:
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            _lend(requirement.name, lent)


if __name__ == "__main__":
    for peer in sys.argv[1:] or NAMES:
        sys.stdout.write(f"{peer}: {python(peer)}\n")
