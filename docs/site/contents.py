"""The navigation of the site: below which page, under which caption, the other pages are.

A test checks that no page is missing.
"""

from typing import Final

CONTENTS: Final = {
    "README": {
        "Start": [
            *("docs/tutorial", "docs/api", "docs/cli", "docs/settings", "docs/gateways"),
            "docs/plugin",
        ],
        "Understand": ["docs/architecture", "docs/events", "docs/admission", "docs/versions"],
        "Install": [
            "docs/deployment",
            "docs/postgres",
            "charts/orderfleet/README",
            "docs/scaling",
            "docs/nodes",
            "docs/sizing",
        ],
        "Operate": [
            *("docs/board", "docs/dashboards", "docs/metrics", "docs/telemetry"),
            *("docs/rotation", "docs/encryption", "docs/privacy", "docs/backup"),
        ],
        "Measured": [
            "docs/invariants",
            "docs/benchmarks/README",
            "docs/scaling/measured",
            "docs/scaling/hpa/measured",
        ],
        "Develop": [
            *("CONTRIBUTING", "docs/map", "docs/development", "docs/decisions/README"),
            *("docs/releasing", "CHANGELOG", "SECURITY", "CODE_OF_CONDUCT"),
        ],
    },
    "docs/benchmarks/README": {
        "Tables": ["/docs/benchmarks/[a-z]*", "/tests/bench/peers/README"],
    },
    "docs/dashboards": {"Runbooks": ["/docs/runbooks/*"]},
    "docs/decisions/README": {"Decisions": ["/docs/decisions/0*"]},
}
