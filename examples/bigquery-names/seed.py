"""Makes a table with a few people in an emulator of BigQuery."""

import io
import json

from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery

PEOPLE = ["John Doe", "Jane Doe", "Richard Roe"]

client = bigquery.Client(project="demo", credentials=AnonymousCredentials())
client.create_dataset("people", exists_ok=True)
schema = [bigquery.SchemaField("name", "STRING")]
client.create_table(bigquery.Table("demo.people.names", schema=schema), exists_ok=True)
config = bigquery.LoadJobConfig(
    source_format="NEWLINE_DELIMITED_JSON", write_disposition="WRITE_TRUNCATE", schema=schema
)
rows = "".join(json.dumps({"name": name}) + "\n" for name in PEOPLE).encode()
client.load_table_from_file(io.BytesIO(rows), "demo.people.names", job_config=config).result()
print(f"people.names has {len(PEOPLE)} rows")
