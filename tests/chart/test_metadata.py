"""Chart.yaml: what Artifact Hub and other catalogues show of the chart."""

import base64
import re

import pytest
import yaml

from tests.chart.rendering import CHART, ROOT, objects_of, pods

_CHART = yaml.safe_load((CHART / "Chart.yaml").read_text())
_ANNOTATIONS = _CHART["annotations"]


@pytest.mark.needs("helm")
def test_the_images_are_those_that_the_chart_runs() -> None:
    listed = yaml.safe_load(_ANNOTATIONS["artifacthub.io/images"])
    run = {
        each["image"]
        for values in ("default", "backup-s3")
        for pod in pods(objects_of(values))
        for each in pod.containers()
    }
    assert {each["image"] for each in listed} == run
    assert len({each["name"] for each in listed}) == len(listed)


def test_the_icon_is_the_chart_s_own_file() -> None:
    head, _, data = _CHART["icon"].partition(",")
    assert head == "data:image/svg+xml;base64"
    assert base64.b64decode(data) == (CHART / "icon.svg").read_bytes()


def test_the_licence_is_that_of_the_repository() -> None:
    assert _ANNOTATIONS["artifacthub.io/license"] == "Apache-2.0"
    assert re.search(r"Apache License\s+Version 2.0", (ROOT / "LICENSE").read_text())


def test_the_links_have_a_name_and_an_address() -> None:
    links = yaml.safe_load(_ANNOTATIONS["artifacthub.io/links"])
    assert links
    for link in links:
        assert link["name"]
        assert re.fullmatch(r"https://[\w.-]+(/\S*)?", link["url"])
