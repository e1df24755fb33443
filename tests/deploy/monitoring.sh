#!/usr/bin/env bash
# monitoring/: the alert rules by promtool, with their own tests; what the dashboard and the rules ask for is what a plank
# shows; what a plank shows is what Prometheus reads.
set -euo pipefail
cd "$(dirname "$0")/../.."

command -v python3 >/dev/null || { scripts/skip.sh "monitoring" "python3 is missing"; exit; }
# The metrics that src/metrics.rs registers, with what OpenMetrics and histograms put behind them.
python3 - <<'PYTHON'
import json
import re

source = open("src/metrics.rs").read()
known = set(re.findall(r'"((?:plank|process)_[a-z_]+)"', source))
dashboard = json.load(open("monitoring/grafana.json"))
asked = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
asked += re.findall(r"expr: (.*)", open("monitoring/alerts.yml").read())
for expression in asked:
    for name in re.findall(r"\b(?:plank|process)_[a-z_]+", expression):
        assert re.sub("_(total|bucket|count|sum)$", "", name) in known, f"{name} is no metric of plank: {expression}"
numbers = [panel["id"] for panel in dashboard["panels"]]
assert len(numbers) == len(set(numbers)) and len(asked) > 25
print(f"ok: {len(asked)} expressions ask for metrics that there are")
PYTHON

command -v promtool >/dev/null || { scripts/skip.sh "alert rules" "promtool is missing"; exit; }
promtool check rules monitoring/alerts.yml >/dev/null
promtool check config --syntax-only monitoring/prometheus.yml >/dev/null
(cd monitoring && promtool test rules alerts_test.yml >/dev/null)
echo "ok: promtool accepts the rules, and their tests pass"
