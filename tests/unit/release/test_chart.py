"""The chart of a release: its images by digest, its changes from the changelog."""

from pathlib import Path

import pytest
import yaml

from release.chart import files_of, package, with_changes, with_images
from release.tools import ReleaseError

_ROOT = Path(__file__).parents[3]
_CHART = (_ROOT / "charts/orderfleet/Chart.yaml").read_text()
_CHANGELOG = """# Changelog

## [Unreleased]

- Later.

## [7.8.9] - 2027-01-31

- One change: "quoted",
  on two lines.
- Another.

## [7.8.8] - 2027-01-01

- Before.
"""
_DIGESTS = {
    "api": f"sha256:{'a' * 64}",
    "order_worker": f"sha256:{'b' * 64}",
    "shipping_worker": f"sha256:{'c' * 64}",
}


def test_the_images_are_the_registry_s_by_digest() -> None:
    made = yaml.safe_load(with_images(_CHART, "registry.example.com/shop", _DIGESTS))
    images = yaml.safe_load(made["annotations"]["artifacthub.io/images"])
    by_name = {image["name"]: image["image"] for image in images}
    for service, digest in _DIGESTS.items():
        name = service.replace("_", "-")
        assert by_name[name] == f"registry.example.com/shop/orderfleet-{name}@{digest}"
    assert by_name["postgres"].startswith("postgres:")
    with pytest.raises(ReleaseError, match="orderfleet-api 0 times"):
        with_images("", "registry.example.com", _DIGESTS)


def test_the_changes_are_the_changelog_s() -> None:
    made = yaml.safe_load(with_changes(_CHART, _CHANGELOG, "7.8.9"))
    changes = yaml.safe_load(made["annotations"]["artifacthub.io/changes"])
    assert changes == ['One change: "quoted", on two lines.', "Another."]
    assert with_changes(_CHART, _CHANGELOG, "7.9.0") == _CHART


def test_archive_is_the_same_twice_and_has_what_helm_packages() -> None:
    digests = {"api": f"sha256:{'a' * 64}"}
    archive = package(_ROOT, "HEAD", "ghcr.io/shop", digests)
    assert archive == package(_ROOT, "HEAD", "ghcr.io/shop", digests)
    files = files_of(archive)
    assert {"orderfleet/Chart.yaml", "orderfleet/charts/temporal/Chart.yaml"} <= files.keys()
    assert not any(name.startswith(("orderfleet/tests/", "orderfleet/ci/")) for name in files)
    assert any(name.startswith("orderfleet/templates/tests/") for name in files)
    assert (
        f"ghcr.io/shop/orderfleet-api@sha256:{'a' * 64}" in files["orderfleet/Chart.yaml"].decode()
    )
    assert f'digest: "sha256:{"a" * 64}"' in files["orderfleet/values.yaml"].decode()
