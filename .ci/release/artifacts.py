"""The artifacts of a release: images, their SBOMs and provenance, the chart, all signed.

All are in the registry; `dist/release/VERSION` has the documents, and a signed list of the digests.
"""

import json
import os
import re
from pathlib import Path
from typing import Any, Final

from release.chart import package
from release.cosign import attest, sign, sign_file
from release.settings import Settings
from release.statements import provenance, settled_sbom
from release.tools import (
    SERVICES,
    ReleaseError,
    commit_of,
    commit_time,
    image_name,
    require_clean,
    run,
    run_for_all,
    run_in_sight,
    tag_of,
)
from release.version import current_version

LIST: Final = "release.json"
# Layers of equal contents are equal in every release, so a node that has them pulls them no more.
# The label `created` has the commit's time.
_EPOCH: Final = "0"


def publish(root: Path, settings: Settings) -> Path:
    """Build, describe, push and sign everything; return the folder of the documents.

    Raises:
        ReleaseError: the tree is not the one of a release, or a program failed.
    """
    require_clean(root)
    version = current_version(root)
    commit = commit_of(root)
    if commit_of(root, tag_of(version)) != commit:
        raise ReleaseError(f"HEAD is not {tag_of(version)}: check it out first")
    folder = root / "dist" / "release" / version
    folder.mkdir(parents=True, exist_ok=True)
    base = base_image(root, commit)
    digests = _images(root, settings, version, base)
    for service, digest in digests.items():
        image = f"{settings.registry}/{image_name(service)}@{digest}"
        sbom = folder / f"{image_name(service)}.spdx.json"
        sbom.write_text(_sbom(root, settings, commit, image))
        statement = folder / f"{image_name(service)}.provenance.json"
        _write(statement, provenance(root, settings, commit, service, base))
        sign(root, settings, image)
        attest(root, settings, image, "spdxjson", sbom)
        attest(root, settings, image, "slsaprovenance1", statement)
    chart = folder / f"orderfleet-{version}.tgz"
    chart.write_bytes(package(root, commit, settings.registry, digests))
    chart_digest = _push_chart(root, settings, chart)
    sign(root, settings, f"{settings.registry}/charts/orderfleet@{chart_digest}")
    _write(
        folder / LIST,
        {
            "version": version,
            "commit": commit,
            "created": commit_time(root, commit),
            "base": base,
            "images": {image_name(service): digest for service, digest in digests.items()},
            "chart": chart_digest,
        },
    )
    sign_file(root, settings, folder / LIST)
    return folder


def base_image(root: Path, commit: str) -> str:
    """Return the image that ours are built on: BASE_IMAGE, or the file that a bot keeps current."""
    if base := os.environ.get("BASE_IMAGE"):
        return base
    file = run("git", "show", f"{commit}:services/base.Dockerfile", cwd=root)
    match = re.search(r"(?m)^FROM (\S+@sha256:[0-9a-f]{64})$", file)
    if match is None:
        raise ReleaseError("services/base.Dockerfile has no image by digest")
    return match[1]


def _images(root: Path, settings: Settings, version: str, base: str) -> dict[str, str]:
    env = {
        "BUILDER": settings.builder,
        "REGISTRY": settings.registry,
        "TAG": version,
        "IMAGES": " ".join(SERVICES),
        "BASE_IMAGE": base,
        "SOURCE_URL": settings.source,
        "SOURCE_DATE_EPOCH": _EPOCH,
    }
    run_in_sight("services/images.sh", cwd=root, env=env)
    return {
        service: _push(root, settings, f"{settings.registry}/{image_name(service)}:{version}")
        for service in SERVICES
    }


def _push(root: Path, settings: Settings, image: str) -> str:
    if settings.builder == "docker":
        run("docker", "push", "--quiet", image, cwd=root)
        digests = run("docker", "inspect", '--format={{join .RepoDigests "\\n"}}', image, cwd=root)
        prefix = f"{image.rpartition(':')[0]}@"
        return next(d.removeprefix(prefix) for d in digests.split() if d.startswith(prefix))
    file = root / "dist" / "release" / "digest"
    insecure = ["--tls-verify=false"] if settings.plain_http else []
    run(settings.builder, "push", "--quiet", *insecure, f"--digestfile={file}", image, cwd=root)
    digest = file.read_text().strip()
    file.unlink()
    return digest


def _sbom(root: Path, settings: Settings, commit: str, image: str) -> str:
    env = {
        "SYFT_CHECK_FOR_APP_UPDATE": "false",
        "SYFT_REGISTRY_INSECURE_USE_HTTP": str(settings.plain_http).lower(),
    }
    command = ("syft", "scan", f"registry:{image}", "--output=spdx-json", "--quiet")
    name, digest = image.rpartition("/")[2].split("@")
    return settled_sbom(run(*command, cwd=root, env=env), root, commit, name, digest)


def _push_chart(root: Path, settings: Settings, chart: Path) -> str:
    plain = ["--plain-http"] if settings.plain_http else []
    address = f"oci://{settings.registry}/charts"
    output = run_for_all("helm", "push", chart, address, *plain, cwd=root)
    match = re.search(r"Digest: (sha256:[0-9a-f]{64})", output)
    if match is None:
        raise ReleaseError(f"helm push names no digest: {output}")
    return match[1]


def _write(path: Path, document: dict[str, Any]) -> None:
    path.write_text(json.dumps(document, indent=1, sort_keys=True) + "\n")
