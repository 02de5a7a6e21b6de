"""The sample's files, for the tests that hold its features to their laws."""

from pathlib import Path

import pytest

from widedeep.data import movielens


@pytest.fixture(scope="session")
def sample(request) -> Path:
    """Folder with MovieLens-100k. `make setup` fetches it; without it the tests fail, saying so."""
    folder = request.config.rootpath / ".local" / "sample"
    try:
        movielens.fetch(folder)
    except movielens.UnknownOutcomeError as error:
        pytest.fail(f"{error} `make setup` fetches the sample into {folder}.")
    return folder


@pytest.fixture(scope="session")
def ratings(sample):
    """All ratings, without features."""
    return movielens.read_ratings(sample)
