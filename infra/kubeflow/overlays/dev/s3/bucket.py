"""Make the bucket that the environment names, unless it is there."""

from __future__ import annotations

import os

import botocore.session
from botocore.exceptions import ClientError


def main() -> None:
    """Make the bucket."""
    name = os.environ["BUCKET"]
    # Keys, region and endpoint come from the environment, too.
    store = botocore.session.get_session().create_client("s3")
    try:
        store.head_bucket(Bucket=name)
        print(f"there is a bucket {name}")
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] != 404:
            raise
        store.create_bucket(Bucket=name)
        print(f"made the bucket {name}")


if __name__ == "__main__":
    main()
