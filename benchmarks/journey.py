"""One event's journey on the demo: a card at a reader until its row has come out of the console's live stream.

    python -m benchmarks.journey [--seconds 120] [--json FILE]

Runs `gatehouse demo` (real hub, broker, gateway with three cameras and five doors, real OSDP bytes) and reads its
figures. Baseline in the same run: the same cards until the strike of their door lets go, at the reader, which is the
serial bus's own share and needs neither disk, network nor hub. Exit status 1 if the 99th percentile misses the target.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

TARGET_P99_MS = 300.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=120.0, help="how long cards are presented")
    parser.add_argument("--json", type=Path, help="write the figures to this file as well")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        figures = Path(scratch) / "figures.json"
        command = [sys.executable, "-m", "gatehouse.cli", "demo", "--duration", str(arguments.seconds)]
        command += ["--folder", str(Path(scratch) / "demo"), "--port", "0", "--json", str(figures)]
        done = subprocess.run(command, check=False)
        if done.returncode:
            return done.returncode
        counted = json.loads(figures.read_text())
    row, strike = counted["row_p50_ms"], counted["strike_p50_ms"]
    print(f"\n{counted['cards_presented']} cards, {counted['events_stored']} events stored")
    print(f"card to strike (baseline)  p50 {strike:7.1f} ms   p99 {counted['strike_p99_ms']:7.1f} ms")
    print(f"card to console row        p50 {row:7.1f} ms   p99 {counted['row_p99_ms']:7.1f} ms")
    print(f"p50 of the row is {row / strike:.2f} of the strike's; target p99 {TARGET_P99_MS:.0f} ms")
    if arguments.json:
        arguments.json.write_text(json.dumps(counted, indent=1) + "\n")
    return 0 if counted["row_p99_ms"] <= TARGET_P99_MS else 1


if __name__ == "__main__":
    sys.exit(main())
