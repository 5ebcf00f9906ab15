#!/bin/bash
# Takes messages of $QUEUE_URL, one at a time: each is deleted when its file has been measured, and not before.
# What ends it in the middle of a file leaves the message in the queue: it is visible again after `visibility`.
set -uo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

sqs() { # version 1 of the AWS CLI asks AWS_ENDPOINT_URL for all services but this one
  aws sqs ${AWS_ENDPOINT_URL:+--endpoint-url "$AWS_ENDPOINT_URL"} "$@"
}

measure() { # BUCKET KEY
  aws s3 cp --only-show-errors "s3://$1/$2" "$folder/input.geojson" &&
    OUTPUT="s3://$MEASURES/$2.json" python measure.py "$folder/input.geojson"
}

while true; do
  message=$(sqs receive-message --queue-url "$QUEUE_URL" --wait-time-seconds 20 --query 'Messages[0]') || exit 1
  if [ -z "$message" ] || [ "$message" = null ]; then
    continue
  fi
  upload=$(jq -r .Body <<<"$message")
  measure "$(jq -r .detail.bucket.name <<<"$upload")" "$(jq -r .detail.object.key <<<"$upload")"
  case $? in
  0 | 65) # measured, or no GeoJSON
    sqs delete-message --queue-url "$QUEUE_URL" --receipt-handle "$(jq -r .ReceiptHandle <<<"$message")"
    ;;
  esac
  rm -f "$folder/input.geojson"
done
