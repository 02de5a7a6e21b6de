"""What a server followed last is kept on its machine: one that is started again goes back to none before it."""

import pytest

from widedeep.artifacts import LIVE
from widedeep.errors import IntegrityError, UsageError
from widedeep.publishing import layout
from widedeep.publishing.keys import ANYBODY
from widedeep.publishing.pointer import champion
from widedeep.serving.followed import FollowedFile
from widedeep.serving.follower import Follower
from widedeep.serving.reader import ModelReader


def started(shop, tmp_path) -> tuple[Follower, ModelReader]:
    kept = FollowedFile(tmp_path / "followed.json", LIVE)
    reader = ModelReader(shop.store, ANYBODY, LIVE, tmp_path, followed=kept.read())
    return Follower(reader, 3600, kept), reader


def test_a_server_that_is_started_again_does_not_follow_the_pointer_before_the_last_that_it_followed(shop, tmp_path):
    """Nothing in the store tells that one of its moves is gone."""
    shop.crown(0)
    old = shop.store.objects[layout.champion(LIVE)]
    first, _ = started(shop, tmp_path)
    first.follow()
    shop.crown(1)
    first.follow()
    shop.store.objects[layout.champion(LIVE)] = old
    again, reader = started(shop, tmp_path)
    again.follow()
    assert "by hand" in again.state.failure
    with pytest.raises(UsageError, match="holds no model"), reader.model():
        pass


def test_a_file_that_cannot_be_written_shows_and_what_was_loaded_serves(shop, tmp_path):
    shop.crown(0)
    follower, reader = started(shop, tmp_path)
    (tmp_path / "followed.json").mkdir()
    follower.follow()
    assert "IsADirectoryError" in follower.state.failure
    with reader.model() as held:
        assert held.manifest == shop.releases[0]


def test_the_file_of_another_lane_or_none_of_ours_is_refused(shop, tmp_path):
    path = tmp_path / "followed.json"
    shop.crown(0)
    FollowedFile(path, LIVE).write(champion(shop.store, LIVE))
    with pytest.raises(UsageError, match="got a move of lane live, wanted trial's"):
        FollowedFile(path, "trial").read()
    path.write_bytes(b"{}")
    with pytest.raises(IntegrityError, match=r"followed\.json"):
        FollowedFile(path, LIVE).read()
