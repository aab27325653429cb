"""Ask the console in this container whether it serves, as its proxy would ask."""

import os
import sys
import urllib.request

HOST = os.environ.get("MEDSTACK_ALLOWED_HOSTS", "localhost").split(",")[0]
request = urllib.request.Request(
    "http://127.0.0.1:8000/healthz", headers={"Host": HOST, "X-Forwarded-Proto": "https"}
)
try:
    with urllib.request.urlopen(request, timeout=25) as answer:
        sys.exit(answer.status != 200)
except OSError as error:
    sys.exit(str(error))
