"""Backups of a release to a volume and a bucket, and restores by the steps of docs/backup.md.

    make test-backup              on the cluster of the current context

The cluster has to have, or to find, the image of rclone that the chart's values name: it uploads,
and its own S3 service is the bucket. Everything else is as for `make test-cluster`.
"""

from typing import Any, Final

import pytest

from tests.cluster.backup.support import gateways
from tests.cluster.backup.support.bucket import Bucket
from tests.cluster.support import images
from tests.cluster.support.cluster import Cluster, Namespace
from tests.cluster.support.release import Release
from tests.cluster.support.steps import Steps

KEEP: Final = 2


@pytest.fixture(scope="session")
def built(cluster: Cluster, steps: Steps) -> None:
    """Build and load one version."""
    images.make_one(steps)


@pytest.fixture(scope="module")
def bucket(own_namespace: Namespace) -> Bucket:
    """An S3 service with an empty bucket."""
    bucket = Bucket(own_namespace)
    bucket.start()
    return bucket


@pytest.fixture(scope="module")
def values(bucket: Bucket) -> dict[str, Any]:
    """Gateways outside of what is restored; a review that takes a while."""
    return {
        **images.values(images.OLD),
        **bucket.values,
        "versioning.promotion": "self",
        "temporal.ui.enabled": "false",
        "backup.enabled": "true",
        "backup.keep": str(KEEP),
        "backup.persistence.size": "1Gi",
        "orders.reviewSeconds": "3",
        "orderWorker.paymentGatewayUrl": gateways.URL,
        "shippingWorker.carrierUrl": gateways.URL,
    }


@pytest.fixture(scope="module")
def release(own_namespace: Namespace, values: dict[str, Any], steps: Steps) -> Release:
    """A release with backups, and with its own Postgres and Temporal."""
    gateways.start_gateways(own_namespace, images.OLD)
    release = Release(own_namespace)
    with steps.step("helm install with backups to a volume and a bucket"):
        release.install(values)
    return release
