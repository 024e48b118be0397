"""An S3 service in a pod: rclone's own, by the image that the chart uploads with."""

from dataclasses import dataclass
from typing import Any, Final

import yaml

from tests.cluster.support.cluster import Json, Namespace
from tests.cluster.support.release import CHART
from tests.cluster.support.scripts import LABEL, RESOURCES

NAME: Final = "s3"
BUCKET: Final = "backups"
PREFIX: Final = "shop/orders"
SECRET: Final = "backup-credentials"
_PORT: Final = 9000
_KEYS: Final = {"access-key-id": "fleet", "secret-access-key": "a-secret-of-the-test"}
_S3: Final = yaml.safe_load((CHART / "values.yaml").read_text())["backup"]["s3"]
IMAGE: Final = f"{_S3['image']['repository']}:{_S3['image']['tag']}"


@dataclass(frozen=True)
class Bucket:
    """The bucket, and the Secret that the release has."""

    namespace: Namespace

    @property
    def values(self) -> dict[str, Any]:
        """The chart's values."""
        return {
            "backup.s3.endpoint": f"http://{NAME}:{_PORT}",
            "backup.s3.region": "eu-central-1",
            "backup.s3.bucket": BUCKET,
            "backup.s3.prefix": PREFIX,
            "backup.s3.existingSecret": SECRET,
        }

    def start(self) -> None:
        """Start the service with an empty bucket."""
        self.namespace.create("v1", "Secret", SECRET, stringData=_KEYS)
        auth = '"{access-key-id},{secret-access-key}"'.format_map(_KEYS)
        self.namespace.create("v1", "Secret", NAME, stringData={"auth": auth})
        metadata = {"labels": {LABEL: NAME}}
        self.namespace.create("v1", "Pod", NAME, metadata=metadata, spec=_spec())
        ports = [{"port": _PORT}]
        spec = {"selector": {LABEL: NAME}, "ports": ports}
        self.namespace.create("v1", "Service", NAME, spec=spec)
        self.namespace.kubectl("wait", f"pod/{NAME}", "--for=condition=Ready", "--timeout=50s")

    def files(self) -> list[str]:
        """Return the objects, by their paths in the prefix."""
        folder = f"/data/{BUCKET}/{PREFIX}"
        found = self.namespace.kubectl("exec", NAME, "--", "find", folder, "-type", "f")
        return sorted(path.removeprefix(f"{folder}/") for path in found.split())

    def complete(self) -> list[str]:
        """Return the names of the complete backups."""
        return [
            name
            for name, _, file in (path.partition("/") for path in self.files())
            if file == "SHA256SUMS"
        ]

    def change_key(self, secret: str | None = None) -> None:
        """Give the release another secret access key; without one, the right one again."""
        patch = {"stringData": {"secret-access-key": secret or _KEYS["secret-access-key"]}}
        self.namespace.kubectl("patch", "secret", SECRET, f"--patch={yaml.safe_dump(patch)}")


def _spec() -> Json:
    security = {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    common: Json = {
        "image": IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "resources": RESOURCES,
        "securityContext": security,
        "volumeMounts": [
            {"name": "data", "mountPath": "/data"},
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108
        ],
    }
    env = [
        {"name": "RCLONE_CONFIG", "value": "/dev/null"},
        {"name": "RCLONE_CACHE_DIR", "value": "/tmp"},  # noqa: S108
        {
            "name": "RCLONE_AUTH_KEY",
            "valueFrom": {"secretKeyRef": {"name": NAME, "key": "auth"}},
        },
    ]
    serve = ["rclone", "serve", "s3", f"--addr=:{_PORT}", "--dir-cache-time=1s", "/data"]
    return {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 10001,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "initContainers": [
            {**common, "name": "bucket", "command": ["mkdir", f"/data/{BUCKET}"]},
        ],
        "containers": [
            {
                **common,
                "name": NAME,
                "command": serve,
                "env": env,
                "readinessProbe": {"tcpSocket": {"port": _PORT}, "periodSeconds": 1},
            }
        ],
        "volumes": [{"name": "data", "emptyDir": {}}, {"name": "tmp", "emptyDir": {}}],
    }
