"""`python -m tests.standin`: a stand-in by hand, until Ctrl-C."""

import contextlib
import signal
import sys
import time

from tests.standin.harness import StandIn

signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
with StandIn() as standin, contextlib.suppress(KeyboardInterrupt):
    for name, value in standin.account().environment.items():
        print(f"export {name}={value}")
    print(f"# images: {standin.registry}; log: {standin.log}", flush=True)
    while True:
        time.sleep(3600)
