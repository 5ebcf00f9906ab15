#!/bin/sh
# A scheduled run knows the interval it covers: from the firing before to its own. A run by hand has none.
echo "loading from ${WHERRY_INTERVAL_START:-the beginning} to ${WHERRY_INTERVAL_END:-now}, log level $LOG_LEVEL"
