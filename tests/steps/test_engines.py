"""A chain may change its engine from day to day: what several processes have trained is published, judged and gone on from."""

from dataclasses import replace

import pytest

from widedeep.publishing.releases import load_manifest
from widedeep.steps import run_span


@pytest.mark.timeout(300)
def test_a_release_that_two_processes_trained_is_the_parent_of_one_process_s(begun):
    local = begun.place
    training = local.contract.training.model_copy(update={"engine": "torchrec", "processes": 2})
    shared = replace(local, contract=local.contract.model_copy(update={"training": training}))
    for n in (3, 4):
        begun.deliver(n)

    third = run_span(shared, begun.day(3))
    fourth = run_span(local, begun.day(4))

    assert (third.result, fourth.result) == ("promoted", "promoted")
    manifests = [load_manifest(local.store, progress.release, published=True) for progress in (third, fourth)]
    assert [manifest.lineage.parent for manifest in manifests] == [begun.first.release, third.release]
    assert [manifest.lineage.profile.engine.split()[0] for manifest in manifests] == ["torchrec", "compiled"]
    assert run_span(shared, begun.day(3)).release == third.release
