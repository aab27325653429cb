#!/bin/sh
# Ask the other service by its name and show both. busybox's wget crashes on some kernels.
api=${API_HOST:-api}
answer=$(printf 'GET / HTTP/1.0\r\nHost: %s\r\n\r\n' "$api" |
    nc -w 3 "$api" "${API_PORT:-8080}" 2>&1 | tail -n 1)
case $answer in
'{'*) status='200 OK' ;;
*) status='502 Bad Gateway' answer="No answer from $api. $answer" ;;
esac
printf 'Status: %s\r\nContent-Type: text/html; charset=utf-8\r\n\r\n' "$status"
cat <<PAGE
<!doctype html>
<html lang="en">
<title>Two services that find each other</title>
<h1>Two services that find each other</h1>
<p>This page comes from the service <b>web</b> in container <code>$(hostname)</code>.</p>
<p>The service <b>$api</b> answered: <code>$answer</code></p>
</html>
PAGE
