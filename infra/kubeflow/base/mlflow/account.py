"""Make an account of an MLflow server, or set the password of one that is there."""

from __future__ import annotations

import os

import httpx


def main() -> None:
    """Make the account of the environment.

    Raises:
        SystemExit: With what the server says when it refuses.
    """
    administrator = (os.environ["ADMIN_USERNAME"], os.environ["ADMIN_PASSWORD"])
    account = {
        "username": os.environ["ACCOUNT_USERNAME"],
        "password": os.environ["ACCOUNT_PASSWORD"],
    }
    users = f"{os.environ['MLFLOW_URL']}/api/2.0/mlflow/users"
    # Inside the cluster no proxy stands between.
    with httpx.Client(auth=administrator, timeout=30, trust_env=False) as http:
        answer = http.post(f"{users}/create", json=account)
        if "RESOURCE_ALREADY_EXISTS" in answer.text:
            answer = http.patch(f"{users}/update-password", json=account)
    if answer.is_error:
        raise SystemExit(f"MLflow answers {answer.status_code}: {answer.text}")
    print(f"{account['username']} may enter")


if __name__ == "__main__":
    main()
