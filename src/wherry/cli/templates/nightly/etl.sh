#!/bin/sh
# A scheduled run gets the interval it covers: [previous firing, this firing).
echo "loading from ${1:-the beginning} to ${2:-now}, log level $LOG_LEVEL"
