"""Reads the Does of a BigQuery table and appends them to it, written last name first."""

import itertools
import json
import os
import re
import uuid
from collections.abc import Sequence

from google.api_core.exceptions import GoogleAPICallError, NotFound
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery
from google.oauth2 import service_account

#: DATASET.TABLE
TABLE = os.environ.get("TABLE", "people.names")


def connect() -> bigquery.Client:
    """The client: its project and its rights are those of the service account, an emulator asks for no rights."""
    account = json.loads(os.environ["GOOGLE_CREDENTIALS"])
    if "BIGQUERY_EMULATOR_HOST" in os.environ:
        credentials = AnonymousCredentials()
    else:
        credentials = service_account.Credentials.from_service_account_info(account)
    return bigquery.Client(project=account["project_id"], credentials=credentials)


def extract(client: bigquery.Client) -> list[str]:
    rows = client.query(f"SELECT DISTINCT name FROM `{TABLE}` WHERE name LIKE '% Doe'").result()
    return sorted(row["name"] for row in rows)


def transform(name: str) -> str:
    first, _, last = name.rpartition(" ")
    return f"{last}, {first}"


def load(client: bigquery.Client, names: Sequence[str], purpose: str) -> bool:
    """Append the names; False when that was done before for the same purpose.

    BigQuery knows a job by its id: one that has appended is found again, one that failed has appended nothing.
    """
    config = bigquery.QueryJobConfig(query_parameters=[bigquery.ArrayQueryParameter("names", "STRING", names)])
    append = f"INSERT INTO `{TABLE}` (name) SELECT name FROM UNNEST(@names) AS name"
    location = client.get_table(TABLE).location
    for number in itertools.count(1):
        job_id = f"append-{purpose}-{number}"
        try:
            client.get_job(job_id, location=location).result()
        except NotFound:
            client.query(append, config, job_id=job_id, job_retry=None, location=location).result()
            return True
        except GoogleAPICallError as error:
            print(f"{job_id} has failed: {error}")
        else:
            return False
    raise AssertionError("numbers do not end")


def purpose() -> str:
    """What this run is for: the interval of its schedule, else the run itself, however often it is tried."""
    known = os.environ.get("WHERRY_INTERVAL_START") or os.environ.get("WHERRY_RUN_ID") or str(uuid.uuid4())
    return re.sub(r"[^A-Za-z0-9_-]", "_", known)


def main() -> None:
    client = connect()
    names = [transform(name) for name in extract(client)]
    if not names:
        print("There is nobody of that name")
    elif load(client, names, purpose()):
        print("New rows have been added")
    else:
        print("The rows were added before")


if __name__ == "__main__":
    main()
