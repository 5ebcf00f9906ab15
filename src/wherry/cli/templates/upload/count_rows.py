"""Counts the rows of an uploaded CSV file. Plain boto3 (`pip install boto3`): here it talks to wherry, there to S3."""

import csv
import json
import os

import boto3

s3 = boto3.client("s3")
bucket, key = os.environ["INPUT_BUCKET"], os.environ["INPUT_KEY"]
text = s3.get_object(Bucket=bucket, Key=key)["Body"].read().decode()
rows = list(csv.DictReader(text.splitlines()))
result = {"file": key, "rows": len(rows)}
s3.put_object(Bucket=os.environ["OUTPUT_BUCKET"], Key=f"{key}.json", Body=json.dumps(result).encode())
print(result)
