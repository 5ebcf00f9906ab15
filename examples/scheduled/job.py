"""Works for five seconds, a second at a time."""

import os
import time

start, end = os.environ.get("WHERRY_INTERVAL_START"), os.environ.get("WHERRY_INTERVAL_END")
print(f"covers {start} to {end}" if start else "started by hand")
for second in range(1, 6):
    time.sleep(1)
    print(f"{second} of 5")
