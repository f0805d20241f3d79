"""One JSON object a line in, one out: how the harness talks to a peer."""

import json
import sys


def serve(commands):
    """Answers {"do": NAME, ...} with what commands[NAME] returns, or with {"error": TEXT}."""
    for line in sys.stdin:
        try:
            asked = json.loads(line)
            answer = commands[asked.pop("do")](**asked)
        except Exception as error:  # the harness decides what an error means
            answer = {"error": f"{type(error).__name__}: {error}"[:2000]}
        print(json.dumps(answer), flush=True)
