"""What is said of an image and signed: its provenance (SLSA 1) and its contents (SPDX)."""

import hashlib
import json
from pathlib import Path
from typing import Any, Final

from release.settings import Settings
from release.tools import commit_time, run

BUILD_TYPE: Final = "urn:orderfleet:services/images.sh:v1"


def provenance(
    root: Path, settings: Settings, commit: str, service: str, base: str
) -> dict[str, Any]:
    """Return the predicate: from which commit, base image and lock files an image was built."""
    lock = f"services/{service}/requirements.txt"
    return {
        "buildDefinition": {
            "buildType": BUILD_TYPE,
            "externalParameters": {"service": service, "source": settings.source},
            "internalParameters": {"builder": settings.builder},
            "resolvedDependencies": [
                {"uri": f"git+{settings.source}", "digest": {"gitCommit": commit}},
                {"uri": f"docker://{base}"} | _digest_of(base),
                *(
                    {"uri": path, "digest": {"sha256": sha256_at(root, commit, path)}}
                    for path in (lock, "services/build-requirements.txt", "services/Dockerfile")
                ),
            ],
        },
        "runDetails": {
            "builder": {"id": settings.builder_id},
            "metadata": {"invocationId": commit},
        },
    }


def sha256_at(root: Path, commit: str, path: str) -> str:
    """Return the hash of a text file as a commit has it."""
    return hashlib.sha256(run("git", "show", f"{commit}:{path}", cwd=root).encode()).hexdigest()


def settled_sbom(text: str, root: Path, commit: str, image: str, digest: str) -> str:
    """Return an SBOM whose time is the commit's and whose namespace is the image's digest."""
    document = json.loads(text)
    document["creationInfo"]["created"] = commit_time(root, commit)
    document["documentNamespace"] = (
        f"https://spdx.org/spdxdocs/{image}-{digest.removeprefix('sha256:')}"
    )
    return json.dumps(document, indent=1, sort_keys=True) + "\n"


def packages_of(sbom: dict[str, Any]) -> dict[str, str]:
    """Return the Python distributions that an SBOM lists, outside of the base image."""
    packages: dict[str, str] = {}
    for package in sbom["packages"]:
        purls = [
            reference["referenceLocator"]
            for reference in package.get("externalRefs", ())
            if reference["referenceType"] == "purl"
        ]
        origin = package.get("sourceInfo", "")
        if any(purl.startswith("pkg:pypi/") for purl in purls) and _is_ours(origin):
            packages[package["name"].lower().replace("_", "-")] = package["versionInfo"]
    return packages


def _is_ours(origin: str) -> bool:
    return "/venv/" in origin or "/app/" in origin


def _digest_of(base: str) -> dict[str, Any]:
    _, _, digest = base.partition("@sha256:")
    return {"digest": {"sha256": digest}} if digest else {}
