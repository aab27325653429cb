#!/bin/sh
# Serve one part of the demo: `serve api` or `serve web`. A first process is not ended by TERM
# unless it says so; without the trap every stop of the container would take ten seconds.
trap 'exit 0' TERM INT
httpd -f -p 8080 -h "/srv/${1:-web}" &
wait
