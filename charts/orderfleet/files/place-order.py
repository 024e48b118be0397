"""Places an order and waits until it is fulfilled: what `helm test` runs.

Only the standard library: it is run by the Python of the API's image, and belongs to no package.
"""

import json
import os
import sys
import time
import urllib.error
import urllib.request

URL = os.environ["API_URL"]
ORDER = os.environ["ORDER_PREFIX"] + f"-{time.time_ns():x}"
HEADERS = {"content-type": "application/json"}
if os.environ.get("API_KEY"):
    HEADERS["authorization"] = "Bearer " + os.environ["API_KEY"]


def call(path: str, body: object = None) -> dict[str, str]:
    """Return the answer; any other than a good one ends the test with a line that says so."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{URL}{path}", data, HEADERS)
    try:
        with urllib.request.urlopen(request, timeout=5) as response:
            answer: dict[str, str] = json.load(response)
            return answer
    except urllib.error.HTTPError as error:
        sys.exit(f"{path}: {error.code} {error.read().decode()}")
    except OSError as error:
        sys.exit(f"{URL}{path}: {error}")


address = {"street": "1 Test St", "city": "Springfield"}
call(f"/orders/{ORDER}/start", {"payment_id": f"{ORDER}-payment", "address": address})
print(f"{ORDER}: accepted", flush=True)
state = None
ENDS = {"fulfilled", "cancelled", "rejected", "failed", "timed_out"}
deadline = time.monotonic() + 30
while state not in ENDS and time.monotonic() < deadline:
    told = call(f"/orders/{ORDER}/status")
    if told["state"] != state:
        state = told["state"]
        print(f"{ORDER}: {state}", flush=True)
    time.sleep(0.2)
sys.exit(0 if state == "fulfilled" else f"{ORDER}: {state}, not fulfilled")
