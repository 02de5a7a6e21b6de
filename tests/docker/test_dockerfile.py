"""What docker/Dockerfile promises: after a change of the code, all that came before it is taken as it was built."""

import re
from pathlib import Path

import pytest

TEXT = (Path(__file__).resolve().parents[2] / "docker" / "Dockerfile").read_text()
OURS = re.compile(r"COPY (--from=code|dags|plugins|widedeep|docker/airflow)\b(?!\.lock)")


def stages(text: str) -> dict[str, tuple[str, list[str]]]:
    """Of each stage the one it starts from, and its instructions, each on one line."""
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    instructions = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    found = re.split(r"^FROM (\S+) AS (\w+)$", instructions, flags=re.MULTILINE)[1:]
    return {name: (base, body.split("\n")) for base, name, body in zip(found[::3], found[1::3], found[2::3], strict=True)}


STAGES = stages(TEXT)
IMAGES = ("airflow", "serving")


@pytest.mark.parametrize("image", IMAGES)
def test_our_code_is_copied_last_so_that_a_change_of_it_rebuilds_in_seconds(image: str) -> None:
    lines = [line for line in STAGES[image][1] if line]
    ours = [bool(OURS.match(line)) for line in lines]

    assert ours == sorted(ours)
    assert ours[-1]


@pytest.mark.parametrize("image", IMAGES)
def test_both_images_start_from_the_layer_of_torch_and_copy_nothing_large_from_another_stage(image: str) -> None:
    base, lines = STAGES[image]

    assert base == "torch"
    assert [line for line in lines if line.startswith("COPY --from=")] == ["COPY --from=code /opt/widedeep /opt/widedeep"]


@pytest.mark.parametrize("image", IMAGES)
def test_it_runs_as_nobody_special_and_tells_its_health(image: str) -> None:
    words = [line.partition(" ")[::2] for line in STAGES[image][1]]

    assert [rest for word, rest in words if word == "USER"] == ["50000:0"]
    assert [word for word, _ in words].count("HEALTHCHECK") == 1


def test_the_pip_that_builds_goes_in_the_layer_in_which_it_came() -> None:
    """A later `rm` would leave it in the image."""
    for name in ("torch", *IMAGES):
        made = [line for line in STAGES[name][1] if "venv /tmp/pip" in line]
        assert len(made) == 1
        assert made[0].endswith("&& rm -r /tmp/pip")
