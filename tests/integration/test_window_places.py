"""A window's file that lies elsewhere: an S3-compatible server, and places that hold nothing."""

import boto3
import pytest
from moto.server import ThreadedMotoServer

from openautoglm.errors import DataError, StoreError
from openautoglm.steps.windows.remote import local_copy
from tests.support.ports import HOST

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("s3")]
KEYS = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}


@pytest.fixture(scope="module")
def bucket():
    server = ThreadedMotoServer(ip_address=HOST, port=0)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (KEYS | {"AWS_ENDPOINT_URL": f"http://{host}:{port}"}).items():
            patch.setenv(name, value)
        client = boto3.client("s3")
        client.create_bucket(Bucket="windows")
        client.put_object(Bucket="windows", Key="days/monday.jsonl", Body=b'{"text": "x"}\n')
        yield
    server.stop()


def test_a_file_in_a_bucket_is_read_under_its_own_name(bucket, tmp_path):
    with local_copy("s3://windows/days/monday.jsonl", tmp_path) as path:
        assert path.name == "monday.jsonl"
        assert path.read_bytes() == b'{"text": "x"}\n'
    assert not path.exists()


@pytest.mark.parametrize("key", ["windows/days/sunday.jsonl", "nowhere/days/monday.jsonl"])
def test_a_file_that_is_not_there_is_told(bucket, tmp_path, key):
    with (
        pytest.raises(DataError, match="there is no such file"),
        local_copy(f"s3://{key}", tmp_path),
    ):
        pass


def test_a_place_of_no_known_kind_is_told_without_what_may_be_its_signature(tmp_path):
    uri = "cloud://windows/monday.jsonl?signature=secret"
    with (
        pytest.raises(StoreError, match="nothing that is installed") as error,
        local_copy(uri, tmp_path),
    ):
        pass
    assert "secret" not in str(error.value)


def test_a_path_is_the_projects_own(tmp_path):
    with local_copy("data/monday.csv", tmp_path) as path:
        assert path == tmp_path / "data" / "monday.csv"
