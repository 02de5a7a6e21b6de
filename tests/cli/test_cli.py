"""The command line as a user types it: real processes, readable answers, and one clear message for each wrong input."""

import importlib.util
import json
import os
import re
import subprocess
import sys
from datetime import date, timedelta
from io import BytesIO
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from widedeep.publishing.s3 import S3Store

WIDEDEEP = str(Path(sys.executable).with_name("widedeep"))
CONTRACT = Path(__file__).parents[1] / "contracts" / "shop.yaml"
FIRST = date(2026, 3, 2)


def shop_span(span):
    spec = importlib.util.spec_from_file_location("shop", CONTRACT.with_suffix(".py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.shop_span(span)


@pytest.fixture(scope="module")
def environment(shell_settings):
    return shell_settings("cli")


@pytest.fixture(scope="module")
def story(environment, begin):
    """What a bootstrap over three spans told on standard error, which is no terminal."""
    store, told = begin(environment)
    file = BytesIO()
    pq.write_table(shop_span(FIRST + timedelta(days=3)), file)
    store.create(f"landing/{FIRST + timedelta(days=3)}/rows.parquet", file.getvalue())
    return told


@pytest.fixture(scope="module")
def published(environment, story):
    """A chain of a bootstrap over three spans and one daily span, all from the shell."""
    assert "lane live" in done(environment, "run", "--span", "2026-03-05")
    return environment


def widedeep(environment, *arguments):
    return subprocess.run([WIDEDEEP, *arguments], env=environment, capture_output=True, text=True, check=False)


def done(environment, *arguments) -> str:
    result = widedeep(environment, *arguments)
    assert result.returncode == 0, result.stderr
    return result.stdout


def refused(environment, *arguments) -> str:
    """What a failing command says: on standard error, in words, without a stack trace."""
    result = widedeep(environment, *arguments)
    assert result.returncode in {1, 2}
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    return result.stderr


def test_training_tells_its_rate_in_a_plain_line_where_no_terminal_is(story):
    assert re.search(r"learnt (1,\d{3}) of \1 rows, [\d,]+ rows/s, \d+ s in all", story)
    assert "\r" not in story


def test_the_champion_as_json_names_a_published_release(published):
    champion = json.loads(done(published, "champion", "--json"))
    releases = json.loads(done(published, "releases", "--json"))
    assert champion["release_id"] in {release["release_id"] for release in releases}
    assert champion["lane"] == "live"


def test_spans_tell_how_each_was_settled_and_why(published):
    settled = json.loads(done(published, "spans", "--json"))
    assert [outcome["span"] for outcome in settled] == [f"2026-03-0{n}" for n in (2, 3, 4, 5)]
    assert all(outcome["reasons"] for outcome in settled)
    assert "2026-03-05" in done(published, "spans")


def test_rank_lists_items_with_titles_best_first(published):
    customer = shop_span(FIRST)["customer"][0].as_py()
    ranking = json.loads(done(published, "rank", "--user", customer, "--top", "5", "--json"))
    scores = [item["score"] for item in ranking["items"]]
    assert ranking["known"]
    assert len(scores) == 5
    assert scores == sorted(scores, reverse=True)
    assert all(item["title"].startswith("Product ") for item in ranking["items"])


def test_rank_serves_a_user_whom_nobody_knows_and_says_so(published):
    result = widedeep(published, "rank", "--user", "nobody", "--top", "3")
    assert result.returncode == 0
    assert "is in no learnt span" in result.stderr
    assert result.stdout.count("Product") == 3


def test_a_served_score_leads_to_its_lineage(published):
    customer = shop_span(FIRST)["customer"][0].as_py()
    ranking = json.loads(done(published, "rank", "--user", customer, "--top", "1", "--json"))
    assert ranking["release_id"] in done(published, "rank", "--user", customer, "--top", "1")
    history = json.loads(done(published, "lineage", ranking["release_id"], "--json"))
    assert history["published"]
    assert {record["deed"] for record in history["records"]} == {"trained", "published"}
    tree = done(published, "lineage", ranking["release_id"][:9])
    for told in (
        ranking["release_id"],
        "training rows of its own span",
        "dry run: 32 rows reproduced",
        "verdict: promote",
        "by move",
    ):
        assert told in tree


def test_two_releases_are_compared_in_a_table_as_json_and_on_a_page(published, tmp_path):
    first, second = (release["release_id"] for release in json.loads(done(published, "releases", "--json")))
    page = tmp_path / "page.html"
    report = json.loads(done(published, "compare", first, second[:9], "--json", "--output", str(page)))
    assert (report["release_id"], report["compared_with"], report["verdict"]) == (first, second, None)
    assert "Matches nothing" in page.read_text()
    table = done(published, "compare", first, second)
    assert "NDCG@10" in table
    assert "All rows: loss differs by" in table
    assert "is no folder" in refused(published, "compare", first, second, "--output", str(tmp_path / "gone" / "page.html"))


def test_the_debt_of_warm_starts_is_told_in_a_sentence_as_json_and_as_a_series(published):
    assert "no audit yet" in done(published, "audit", "--history")
    told = widedeep(published, "audit")
    found = json.loads(done(published, "audit", "--json"))
    assert told.returncode == 0, told.stderr
    assert re.match(rf"{found['release_id']} of span 2026-03-05 owes [+-]\d\.\d{{4}} of log loss \(95% interval", told.stdout)
    assert "rows/s" in told.stderr, "training tells its rate"
    assert json.loads(done(published, "audit", "--history", "--json")) == [found]
    assert found["twin"] in done(published, "audit", "--history")


def test_an_unknown_release_is_told_with_the_nearest_known(published):
    champion = json.loads(done(published, "champion", "--json"))["release_id"]
    message = refused(published, "lineage", champion[:-1] + ("0" if champion[-1] != "0" else "1"))
    assert "the nearest are" in message
    assert champion in message


def test_what_is_published_is_verified_and_what_is_damaged_ends_with_1(published):
    assert "sound" in done(published, "verify", "--all")
    champion = json.loads(done(published, "champion", "--json"))["release_id"]
    damaged = copied_without(published, "weights.safetensors", champion)
    result = widedeep(damaged, "verify", champion[:9], "--json")
    assert result.returncode == 1
    problems = {check["name"]: check["problems"] for check in json.loads(result.stdout)["checks"] if check["problems"]}
    assert "weights.safetensors: missing" in problems.pop("files")[0]
    assert not problems
    assert "1 problem(s)" in widedeep(damaged, "verify", champion).stdout
    assert "wanted either a release or --all" in refused(published, "verify")


def test_an_unsigned_champion_does_not_serve_where_a_signature_is_required_until_it_is_signed(published, tmp_path):
    key = Ed25519PrivateKey.generate()
    (tmp_path / "keys.pub").write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    (tmp_path / "key.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    champion = json.loads(done(published, "champion", "--json"))["release_id"]
    server = {**published, "WIDEDEEP_VERIFY_KEYS": str(tmp_path / "keys.pub"), "WIDEDEEP_REQUIRE_SIGNATURE": "true"}
    assert f"`widedeep verify {champion} --sign`" in refused(server, "rank", "--user", "nobody")
    assert "no key to sign with" in refused(published, "verify", "--all", "--sign")
    done({**server, "WIDEDEEP_SIGNING_KEY_FILE": str(tmp_path / "key.pem")}, "verify", champion, "--sign")
    assert champion in done(server, "rank", "--user", "nobody")


def copied_without(environment, name, release):
    """The settings of another store that holds the same, but for one file of a release."""
    with pytest.MonkeyPatch.context() as patch:
        for variable, value in environment.items():
            patch.setenv(variable, value)
        store = S3Store(environment["WIDEDEEP_STORE"], environment["WIDEDEEP_S3_ENDPOINT"])
        copy = S3Store("s3://widedeep/cli-damaged", environment["WIDEDEEP_S3_ENDPOINT"])
        for key in store.keys(""):
            if not (release in key and key.endswith(name)):
                copy.create(key, store.get(key).data)
    return {**environment, "WIDEDEEP_STORE": copy.url}


def test_help_answers_without_any_setting():
    result = subprocess.run([WIDEDEEP, "--help"], env={"PATH": os.environ["PATH"]}, capture_output=True, text=True, check=True)
    for command in ("run", "bootstrap", "spans", "releases", "champion", "rank", "demo", "sample", "local"):
        assert command in result.stdout


def test_missing_settings_are_all_named_at_once(environment):
    bare = {name: value for name, value in environment.items() if not name.startswith("WIDEDEEP_")}
    message = refused({**bare, "WIDEDEEP_STROE": "s3://x"}, "champion")
    for name in ("WIDEDEEP_STORE", "WIDEDEEP_CONTRACT", "WIDEDEEP_STROE"):
        assert name in message
    assert "make shell" in message


def test_a_contract_with_three_mistakes_is_answered_with_all_three(environment, tmp_path):
    wrong = CONTRACT.read_text().replace("user: customer", "user: custommer").replace("margin: 0.01", "margin: -1")
    path = tmp_path / "wrong.yaml"
    path.write_text(wrong + "colour: blue\n")
    message = refused({**environment, "WIDEDEEP_CONTRACT": str(path)}, "spans")
    for mistake in ("custommer", "margin", "colour"):
        assert mistake in message


def test_a_store_that_is_down_is_named_with_its_address(environment):
    message = refused({**environment, "WIDEDEEP_S3_ENDPOINT": "http://127.0.0.1:9"}, "champion")
    assert "127.0.0.1:9" in message


def test_refused_credentials_are_told_without_the_secret(environment):
    message = refused({**environment, "AWS_SECRET_ACCESS_KEY": "wrong-secret-value"}, "champion")
    assert "wrong-secret-value" not in message
    assert "AWS_SECRET_ACCESS_KEY" in message


def test_a_bucket_that_does_not_exist_is_named(environment):
    assert "no-such-bucket" in refused({**environment, "WIDEDEEP_STORE": "s3://no-such-bucket"}, "spans")


def test_an_undelivered_span_says_where_it_belongs(published):
    future = date.today() + timedelta(days=400)
    assert f"nothing is delivered below s3://widedeep/cli/landing/{future}/ yet" in refused(
        published, "run", "--span", str(future)
    )


def test_a_day_that_is_no_date_is_a_usage_error(environment):
    assert widedeep(environment, "run", "--span", "yesterday").returncode == 2


def test_a_full_disk_while_a_snapshot_is_written_leaves_nothing_and_a_rerun_goes_on(published, tmp_path):
    span = str(FIRST + timedelta(days=4))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in published.items():
            patch.setenv(name, value)
        store = S3Store(published["WIDEDEEP_STORE"], published["WIDEDEEP_S3_ENDPOINT"])
    file = BytesIO()
    pq.write_table(shop_span(date.fromisoformat(span)), file)
    store.create(f"landing/{span}/rows.parquet", file.getvalue())
    before = list(store.keys(""))

    full = on_a_disk_of(tmp_path, "4k", published, "run", "--span", span)

    assert full.returncode == 1
    assert "space" in full.stderr
    assert "Traceback" not in full.stderr
    assert list(store.keys("")) == before
    assert "lane live" in done(published, "run", "--span", span)


def on_a_disk_of(folder, size, environment, *arguments):
    """Run a command whose temporary files lie on a file system of this size, in a mount namespace of its own."""
    script = f'mount -t tmpfs -o size={size} tmpfs "$0" && exec "$@"'
    command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, str(folder), WIDEDEEP, *arguments]
    return subprocess.run(command, env={**environment, "TMPDIR": str(folder)}, capture_output=True, text=True, check=False)
