#!/usr/bin/env python3
"""Sums what cargo's test binaries reported: reads a log of `cargo test`, prints "PASSED FAILED".

A binary that died without a summary counts as one failed; so does a log without any test.
"""

import re
import sys

RESULT = re.compile(r"^test result: \w+\. (\d+) passed; (\d+) failed; (\d+) ignored;")
STARTED = re.compile(r"^running \d+ tests?$")
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def count(lines: list[str]) -> tuple[int, int]:
    """An ignored test did not run, and a test that did not run has failed."""
    passed = failed = started = ended = 0
    for line in (COLOUR.sub("", line.rstrip()) for line in lines):
        if STARTED.match(line):
            started += 1
        elif result := RESULT.match(line):
            ended += 1
            passed += int(result[1])
            failed += int(result[2]) + int(result[3])
    failed += max(started - ended, 0)
    if passed + failed == 0:
        failed = 1
    return passed, failed


def main() -> None:
    with open(sys.argv[1], encoding="utf-8", errors="replace") as log:
        print(*count(log.readlines()))


if __name__ == "__main__":
    main()
