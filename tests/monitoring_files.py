"""The monitoring files of the documentation: the dashboard and the alerting rules."""

import json
from typing import Any

import yaml
from harness import ROOT

DASHBOARD: dict[str, Any] = json.loads((ROOT / "docs" / "grafana.json").read_text())


def alerting_rules() -> list[dict[str, Any]]:
    """Every rule of `docs/alerts.yaml`."""
    document = yaml.safe_load((ROOT / "docs" / "alerts.yaml").read_text())
    return [rule for group in document["groups"] for rule in group["rules"]]
