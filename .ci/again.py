"""Say whether a run may be repeated for the few tests that failed in it.

Tests with real processes run four at a time. A machine that stands still for seconds can fail one of them,
and then thousands of others are in vain. So where CI=true, up to FEW of them are run once more by themselves.
They are named, because each is a fault to be mended, in the test or in what it tests.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

FEW = 3
FAILED = Path(".pytest_cache/v/cache/lastfailed")


def main() -> int:
    """Exit status: 0 when a few tests failed, 1 when many did, or none that pytest knows by name."""
    try:
        failed = sorted(json.loads(FAILED.read_text()))
    except FileNotFoundError:
        failed = []
    if not 0 < len(failed) <= FEW:
        return 1
    names = "".join(f"   {name}\n" for name in failed)
    sys.stdout.write(f"== {len(failed)} failed beside others, and run once more. To be mended:\n{names}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
