"""What Autobahn's index.json says, as a table by group; exit status 1 if a case failed, or was not played at all."""

import collections
import json
import sys

FINE = {"OK", "NON-STRICT", "INFORMATIONAL"}
# They ask for a smaller window than shared frames have (RFC 7692, section 7.1.2.1), which is declined: docs/PROTOCOL.md.
DECLINED = ("13.3.", "13.5.")

with open(sys.argv[1], encoding="utf-8") as index:
    cases = json.load(index)["plank"]

groups = collections.defaultdict(collections.Counter)
wrong = []
for case, result in cases.items():
    behavior, close = result["behavior"], result["behaviorClose"]
    groups[int(case.split(".")[0])][behavior] += 1
    is_declined = behavior == "UNIMPLEMENTED" and case.startswith(DECLINED)
    if not is_declined and not (behavior in FINE and close in FINE):
        wrong.append(f"{case}: {behavior}, close {close}")

for group, counts in sorted(groups.items()):
    print(f"{group:3}: " + ", ".join(f"{n} {behavior}" for behavior, n in sorted(counts.items())))
total = sum(groups.values(), collections.Counter())
print("all: " + ", ".join(f"{n} {behavior}" for behavior, n in sorted(total.items())))
if wrong or not cases:
    print("\n".join(wrong) or "no case was played")
    sys.exit(1)
