#!/usr/bin/env bash
# Sends the sample events of a folder, one file a record, to a topic again and again.
#
# Usage: generate.sh FOLDER    (environment: BOOTSTRAP_SERVERS, TOPIC, PAUSE_SECONDS)
#
# A part of each audit id is counted up, so that every round is one of new requests; but for those in
# base64, which stay what they are.
set -euo pipefail
folder=$1
round=0
while true; do
    round=$((round + 1))
    # What is compressed cannot go through a shell's tools.
    for file in "$folder"/*.json; do
        tr -d '\n' <"$file"
        echo
    done | sed -E "s/([0-9a-f]{8})-([0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4})/$(printf '%08x' "$round")-\\2/g"
    sleep "$PAUSE_SECONDS"
done | /opt/kafka/bin/kafka-console-producer.sh \
    --bootstrap-server "$BOOTSTRAP_SERVERS" --topic "$TOPIC" --producer-property linger.ms=50
