"""Compares random statements with DuckDB: `python -m differ URL [options]`."""

import argparse
import sys
import tempfile
import time

from .campaign import Campaign
from .known import SWITCHES, Known
from .sweep import Sweep


def main():
    parser = argparse.ArgumentParser(prog="differ", description=__doc__)
    parser.add_argument("url", help="a server, as its ready file names it")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--statements", type=int, default=600, help="of all rounds")
    parser.add_argument("--per-round", type=int, default=100, help="statements over one schema")
    parser.add_argument("--first-round", type=int, default=0)
    parser.add_argument("--only", help="ROUND or ROUND/STATEMENT of the seed")
    parser.add_argument(
        "--sweep", nargs="?", const="", help="go through types and functions one by one, or through some parts"
    )
    parser.add_argument("--seconds", type=float, help="stop after so long")
    parser.add_argument("--minimize", type=float, default=25.0, help="seconds per difference")
    parser.add_argument("--allow", default="", help="switches to put on: " + ", ".join(sorted(SWITCHES)) + ", or all")
    parser.add_argument("--without", default="", help="switches to put off")
    options = parser.parse_args()
    known = Known(filter(None, options.allow.split(",")), filter(None, options.without.split(",")))
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="differ-") as folder:
        campaign = Campaign(options.url, folder, options.seed, known, minimizing=options.minimize)
        campaign.end = started + options.seconds if options.seconds else None
        run(campaign, options)
        campaign.close()
    for name, count in campaign.counts.most_common():
        print(f"{count:7} {name}")
    for name, count in campaign.judge.known_errors.most_common():
        print(f"{count:7} known: {name}")
    for name, count in campaign.seen.most_common(60):
        print(f"{count:7} * {name}")
    sys.exit(1 if campaign.counts["different"] else 0)


def run(campaign, options):
    if options.sweep is not None:
        Sweep(campaign).run(list(filter(None, options.sweep.split(","))))
        return
    if options.only:
        number, _, n = options.only.partition("/")
        campaign.round(int(number), options.per_round, int(n) if n else None)
        return
    number = options.first_round
    while campaign.counts["statements"] < options.statements:
        if campaign.end and time.monotonic() > campaign.end:
            return
        campaign.round(number, options.per_round)
        number += 1


main()
