"""Settings are refused at the edge, in words, before anybody connects to anything."""

import traceback

import pytest

from widedeep.config import load_settings
from widedeep.errors import SettingsError

GOOD = {"WIDEDEEP_STORE": "s3://widedeep", "WIDEDEEP_CONTRACT": "contract.yaml"}


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:8333", "https://s3.example.org", "http://[::1]:9000/"])
def test_an_endpoint_is_an_address_with_a_host(endpoint):
    assert load_settings({**GOOD, "WIDEDEEP_S3_ENDPOINT": endpoint}).s3_endpoint == endpoint


@pytest.mark.parametrize("endpoint", ["http://", "https:///", "http:// ", "127.0.0.1:8333", "http://host/bucket"])
def test_an_endpoint_without_a_host_or_with_a_path_is_refused(endpoint):
    with pytest.raises(SettingsError, match="WIDEDEEP_S3_ENDPOINT"):
        load_settings({**GOOD, "WIDEDEEP_S3_ENDPOINT": endpoint})


SECRET = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIA=="


@pytest.mark.parametrize("name", ["WIDEDEEP_SIGNING_KEY", "WIDEDEEP_SIGNIN_KEY"])
def test_a_signing_key_is_in_no_message_and_no_repr_even_under_a_mistyped_name(name):
    with pytest.raises(SettingsError) as told:
        load_settings({**GOOD, name: SECRET, "WIDEDEEP_STROE": SECRET})
    assert "WIDEDEEP_STROE" in str(told.value)
    assert "PRIVATE" not in "".join(traceback.format_exception(told.value))
    assert "PRIVATE" not in repr(load_settings({**GOOD, "WIDEDEEP_SIGNING_KEY": SECRET}))


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("REGION", "EU West"),
        ("ADDRESSING", "host"),
        ("CA_BUNDLE", "/nowhere/ca.pem"),
        ("ENCRYPTION", "rot13"),
        ("KMS_KEY", "alias/widedeep"),
        ("ROLE_ARN", "widedeep"),
        ("CONNECTION", "a connection"),
    ],
)
def test_a_malformed_option_of_the_store_is_refused_by_name(name, wrong):
    with pytest.raises(SettingsError, match=f"WIDEDEEP_S3_{name}"):
        load_settings({**GOOD, f"WIDEDEEP_S3_{name}": wrong})


def test_a_key_goes_with_encryption_by_kms():
    given = {"WIDEDEEP_S3_ENCRYPTION": "aws:kms", "WIDEDEEP_S3_KMS_KEY": "alias/widedeep"}
    assert load_settings({**GOOD, **given}).s3_kms_key == "alias/widedeep"


def test_an_address_with_credentials_is_refused_and_not_repeated():
    with pytest.raises(SettingsError, match="WIDEDEEP_S3_ENDPOINT") as raised:
        load_settings({**GOOD, "WIDEDEEP_S3_ENDPOINT": "https://key:secret@host"})
    assert "secret" not in str(raised.value)
