"""Print 'N passed, N failed' from a JUnit report; exit status 1 when a test failed or none ran."""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ElementTree


def counts(path):
    """Numbers of passed, failed and skipped tests; an error counts as a failure."""
    suites = list(ElementTree.parse(path).getroot().iter("testsuite"))
    total, failures, errors, skipped = (sum(int(s.get(k, 0)) for s in suites)
                                        for k in ("tests", "failures", "errors", "skipped"))
    return total - failures - errors - skipped, failures + errors, skipped


def main():
    """Command line: the report."""
    try:
        passed, failed, skipped = counts(sys.argv[1])
    except (OSError, ElementTree.ParseError) as problem:
        print(f"no report of the tests: {problem}")
        passed, failed, skipped = 0, 1, 0
    print(f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""))
    return int(failed > 0 or passed == 0)


if __name__ == "__main__":
    raise SystemExit(main())
