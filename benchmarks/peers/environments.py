"""No peer's package ever reaches our environment: each peer has one of its own, below .local/peers, with pinned versions.

    python -m benchmarks.peers.environments [NAME ...]

torch alone comes from our environment, through a path file at the end of the peer's search path: all sides run the same
build, and a machine holds it once.
"""

import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

NAMES = ("pytorch-widedeep", "deepctr-torch", "fuxictr", "fbgemm")

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
    site = folder / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
    (site / "lent-torch.pth").write_text(sysconfig.get_path("purelib") + "\n")


if __name__ == "__main__":
    for peer in sys.argv[1:] or NAMES:
        sys.stdout.write(f"{peer}: {python(peer)}\n")
