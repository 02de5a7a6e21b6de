"""The scripts beside compose.yaml: secrets that are nobody else's, and a copy of the bucket that comes back as it was."""

import io
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from widedeep.config import load_settings
from widedeep.errors import IntegrityError
from widedeep.publishing.memory import MemoryStore

DOCKER = Path(__file__).resolve().parents[2] / "docker"


@pytest.fixture
def mirror(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(DOCKER / "airflow"))
    import mirror

    return mirror


def start(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    folder.mkdir(exist_ok=True)
    for name in ("start.sh", "compose.sh"):
        shutil.copy(DOCKER / name, folder)
    return subprocess.run([folder / "start.sh", "--no-up", *options], capture_output=True, text=True, check=True)


def read(file: Path) -> dict[str, str]:
    return dict(line.split("=", 1) for line in file.read_text().splitlines() if not line.startswith("#"))


def test_only_the_owner_reads_what_start_writes_and_it_prints_no_secret(tmp_path: Path) -> None:
    told = start(tmp_path / "one")

    assert {stat.S_IMODE((tmp_path / "one" / name).stat().st_mode) for name in (".env", "widedeep.env")} == {0o600}
    assert (told.stdout, told.stderr) == ("", "")


def test_two_servers_share_no_secret_and_each_is_long(tmp_path: Path) -> None:
    for name in ("one", "two"):
        start(tmp_path / name)
    one, two = read(tmp_path / "one" / ".env"), read(tmp_path / "two" / ".env")

    assert {name for name in one if one[name] == two[name]} == {"COMPOSE_PROFILES", "EXECUTOR"}
    assert min(len(value) for name, value in one.items() if name not in {"COMPOSE_PROFILES", "EXECUTOR"}) >= 20


def test_started_again_it_changes_nothing_and_says_so_where_options_ask_for_more(tmp_path: Path) -> None:
    start(tmp_path / "one", "--sample")
    before = {file.name: file.read_bytes() for file in (tmp_path / "one").iterdir()}

    told = start(tmp_path / "one", "--celery")

    assert {file.name: file.read_bytes() for file in (tmp_path / "one").iterdir()} == before
    assert "set COMPOSE_PROFILES and EXECUTOR there" in told.stderr


def test_options_choose_profiles_and_the_executor(tmp_path: Path) -> None:
    start(tmp_path / "plain")
    start(tmp_path / "all", "--celery", "--serve", "--sample")

    assert read(tmp_path / "plain" / ".env")["COMPOSE_PROFILES"] == ""
    assert read(tmp_path / "all" / ".env")["COMPOSE_PROFILES"] == "celery,serve,sample"
    assert read(tmp_path / "all" / ".env")["EXECUTOR"] == "CeleryExecutor"


@pytest.mark.parametrize("options", [(), ("--sample",)])
def test_the_library_understands_the_settings(tmp_path: Path, options: tuple[str, ...]) -> None:
    start(tmp_path / "one", *options)

    settings = load_settings({"WIDEDEEP_STORE": "s3://widedeep", **read(tmp_path / "one" / "widedeep.env")})

    assert settings.start_date is not None
    assert (settings.sample is not None) == bool(options)
    if settings.history_start and settings.feed_start:
        assert ((settings.start_date - settings.history_start).days, (settings.feed_start - settings.start_date).days) == (8, 9)


def test_another_word_is_refused(tmp_path: Path) -> None:
    with pytest.raises(subprocess.CalledProcessError) as error:
        start(tmp_path / "one", "--all")

    assert error.value.returncode == 2
    assert not (tmp_path / "one" / ".env").exists()


def script(folder: Path, name: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    shutil.copy(DOCKER / name, folder)
    return subprocess.run([folder / name, *arguments], capture_output=True, text=True, check=False)


def test_a_backup_is_never_written_over_another(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()

    refused = script(tmp_path, "backup.sh", tmp_path / "old")

    assert (refused.returncode, "name a new folder" in refused.stderr) == (1, True)
    assert list((tmp_path / "old").iterdir()) == []


def test_what_is_no_backup_is_not_restored(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()

    assert script(tmp_path, "restore.sh", tmp_path / "old").returncode == 2


def test_a_backup_with_other_secrets_leaves_those_of_this_server_as_they_are(tmp_path: Path) -> None:
    here, backup = tmp_path / "here", tmp_path / "backup"
    for folder in (here, backup):
        start(folder)
    for name in ("airflow.dump", "bucket.tar"):
        (backup / name).touch()
    before = {file.name: file.read_bytes() for file in here.iterdir()}

    refused = script(here, "restore.sh", backup)

    assert (refused.returncode, "move it away" in refused.stderr) == (1, True)
    assert {file.name: file.read_bytes() for file in here.iterdir() if file.name != "restore.sh"} == before


@pytest.fixture
def podman_compose(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """In place of an engine: takes down what it is asked, in the file that is returned. Its database has $TABLES tables."""
    told, programs = tmp_path / "told", tmp_path / "bin"
    programs.mkdir()
    (programs / "docker").write_text("#!/bin/sh\nexit 1\n")
    (programs / "podman-compose").write_text(
        f'#!/bin/sh\necho "$*" >> "{told}"\n'
        'case "$*" in *psql*) echo "$TABLES" ;; *config*) echo scheduler ;; *" load"|*pg_restore*) cat > /dev/null ;; esac\n'
    )
    for program in programs.iterdir():
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    return told


def restored(tmp_path: Path) -> subprocess.CompletedProcess[str]:
    start(tmp_path / "backup")
    for name in ("airflow.dump", "bucket.tar"):
        (tmp_path / "backup" / name).touch()
    (tmp_path / "here").mkdir()
    shutil.copy(DOCKER / "compose.sh", tmp_path / "here")
    return script(tmp_path / "here", "restore.sh", tmp_path / "backup")


def test_the_database_comes_back_last_and_as_one_so_that_a_restore_that_was_cut_off_is_run_again(
    tmp_path: Path, podman_compose: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TABLES", "0")

    assert restored(tmp_path).returncode == 0

    asked = podman_compose.read_text().splitlines()
    (database,) = [index for index, line in enumerate(asked) if "pg_restore" in line]
    assert "mirror.py load" in asked[database - 1]
    assert "--single-transaction" in asked[database]
    assert asked[-1] == "up --detach --no-deps scheduler"


def test_nothing_is_restored_over_a_database_in_use(
    tmp_path: Path, podman_compose: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TABLES", "57")

    refused = restored(tmp_path)

    assert (refused.returncode, "57 tables" in refused.stderr) == (1, True)
    assert not [line for line in podman_compose.read_text().splitlines() if "load" in line or "pg_restore" in line]


def test_a_bucket_comes_back_as_it_was(mirror: ModuleType) -> None:
    full, empty, archive = MemoryStore(), MemoryStore(), io.BytesIO()
    objects = {"lanes/live/champion.json": b"{}", "releases/r-1/manifest.json": b"x" * 100, "landing/2026-01-01/empty": b""}
    for key, data in objects.items():
        full.create(key, data)

    assert mirror.save(full, archive) == 3
    assert mirror.load(empty, io.BytesIO(archive.getvalue())) == 3

    assert empty.objects == objects


def test_pointers_are_copied_first_and_come_back_last(mirror: ModuleType) -> None:
    class Told(MemoryStore):
        def __init__(self) -> None:
            super().__init__()
            self.told: list[str] = []

        def fetch(self, key: str, path: Path) -> object:
            self.told.append(key)
            return super().fetch(key, path)

        def upload(self, key: str, path: Path) -> object:
            self.told.append(key)
            return super().upload(key, path)

    full, empty, archive = Told(), Told(), io.BytesIO()
    for key in ("evidence/e", "lanes/live/champion.json", "releases/r-1/manifest.json"):
        full.create(key, b"x")

    mirror.save(full, archive)
    mirror.load(empty, io.BytesIO(archive.getvalue()))

    assert full.told == ["lanes/live/champion.json", "evidence/e", "releases/r-1/manifest.json"]
    assert empty.told == ["evidence/e", "releases/r-1/manifest.json", "lanes/live/champion.json"]


def test_a_load_that_was_cut_off_is_run_again_and_a_bucket_in_use_is_left_as_it_is(mirror: ModuleType) -> None:
    full, half, other, archive = MemoryStore(), MemoryStore(), MemoryStore(), io.BytesIO()
    for store, data in ((full, b"x"), (half, b"x"), (other, b"y")):
        store.create("releases/r-1/manifest.json", data)
    full.create("lanes/live/champion.json", b"{}")
    mirror.save(full, archive)

    mirror.load(half, io.BytesIO(archive.getvalue()))
    with pytest.raises(IntegrityError):
        mirror.load(other, io.BytesIO(archive.getvalue()))

    assert half.objects == full.objects
    assert other.objects == {"releases/r-1/manifest.json": b"y"}


def test_the_scoring_server_imports_only_what_its_image_has() -> None:
    """In a process of its own: the packages of everything that `widedeep serve` imports stand in serving.lock."""
    code = """
import sys, importlib.metadata as metadata
before = set(sys.modules)
import widedeep.cli, widedeep.serving.listening, widedeep.steps, widedeep.steps.named
class Forbidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"airflow", "great_expectations", "widedeep_airflow"}: raise ImportError(name)
sys.meta_path.insert(0, Forbidden())
tops = {name.partition(".")[0] for name in set(sys.modules) - before}
known = metadata.packages_distributions()
print(*sorted({d for top in tops for d in known.get(top, ())}))
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    lock = (DOCKER / "serving.lock").read_text()

    optional = {"a2wsgi", "cloudpickle", "dill", "email-validator", "pydantic-extra-types", "python-multipart", "sniffio"}
    optional |= {"tqdm", "watchfiles"}
    names = {name.lower().replace("_", "-") for name in found} - {"torch", "widedeep"}
    assert {name for name in names if f"\n{name}==" not in lock} <= optional | {"certifi", "cloudpickle", "dnspython"}
