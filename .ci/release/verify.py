"""Whether a release is what the tree says: digests, signatures, contents.

Everything is fetched by digest, and every digest comes from a list that is signed.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from release import cosign
from release.artifacts import LIST, base_image
from release.chart import files_of, package
from release.registry import Registry
from release.settings import Settings
from release.statements import packages_of, sha256_at
from release.tools import SERVICES, ReleaseError, commit_of, commit_time, image_name, run, tag_of

_PIN: Final = re.compile(r"^([\w.-]+)(?:\[[\w,]+\])?==([^\s;\\]+)(?: ; (.*?))? \\$", re.MULTILINE)


def verify(root: Path, settings: Settings, version: str, folder: Path) -> Iterator[str]:
    """Yield a line for each check that passes.

    Raises:
        ReleaseError: a check fails.
    """
    cosign.verify_file(root, settings, folder / LIST)
    release = json.loads((folder / LIST).read_text())
    yield f"{LIST} is signed"
    commit = commit_of(root, tag_of(version))
    _equal("the version of the list", release["version"], version)
    _equal("the commit of the list", release["commit"], commit)
    yield f"{tag_of(version)} is the commit {commit}"
    digests = {service: release["images"][image_name(service)] for service in SERVICES}
    check = _Check(root, settings, Registry(settings), version, commit)
    for service, digest in digests.items():
        yield from check.image(service, digest)
    yield from check.chart(release["chart"], digests)


@dataclass(frozen=True)
class _Check:
    root: Path
    settings: Settings
    registry: Registry
    version: str
    commit: str

    def image(self, service: str, digest: str) -> Iterator[str]:
        name = image_name(service)
        image = f"{self.settings.registry}/{name}@{digest}"
        tagged = self.registry.digest_of(name, self.version)
        _equal(f"the digest of {name}:{self.version}", tagged, digest)
        cosign.verify(self.root, self.settings, image)
        yield f"{name}:{self.version} is {digest} and signed"
        labels = self._labels(name, digest)
        _equal(f"the revision of {name}", labels["revision"], self.commit)
        _equal(f"the version of {name}", labels["version"], self.version)
        time = commit_time(self.root, self.commit)
        _equal(f"the time of {name}", labels["created"], time)
        for provenance in cosign.predicates(self.root, self.settings, image, "slsaprovenance1"):
            self._verify_provenance(name, provenance)
        yield f"{name} was built from that commit, says its signed provenance"
        locked = self._locked(service)
        for sbom in cosign.predicates(self.root, self.settings, image, "spdxjson"):
            listed = packages_of(sbom)
            differing = {
                package: (listed.get(package), locked.get(package))
                for package in listed | locked
                if listed.get(package) != locked.get(package)
            }
            _equal(f"distributions of {name} that differ in SBOM and lock file", differing, {})
        yield f"{name} has the {len(locked)} distributions of its lock file, says its signed SBOM"

    def chart(self, digest: str, digests: dict[str, str]) -> Iterator[str]:
        name = "charts/orderfleet"
        _equal("the digest of the chart", self.registry.digest_of(name, self.version), digest)
        cosign.verify(self.root, self.settings, f"{self.settings.registry}/{name}@{digest}")
        yield f"the chart {self.version} is {digest} and signed"
        (layer,) = self.registry.manifest(name, digest)["layers"]
        pushed = files_of(self.registry.blob(name, layer["digest"]))
        tree = files_of(package(self.root, self.commit, self.settings.registry, digests))
        differing = {path for path in pushed | tree if pushed.get(path) != tree.get(path)}
        _equal("files of the chart that differ from the tree", sorted(differing), [])
        yield f"the chart's {len(pushed)} files are those of the tree, with the images' digests"

    def _verify_provenance(self, name: str, provenance: dict[str, Any]) -> None:
        source, base, *files = provenance["buildDefinition"]["resolvedDependencies"]
        _equal(f"the source of {name}", source["digest"]["gitCommit"], self.commit)
        expected = f"docker://{base_image(self.root, self.commit)}"
        _equal(f"the base image of {name}", base["uri"], expected)
        for file in files:
            expected = sha256_at(self.root, self.commit, file["uri"])
            _equal(f"{file['uri']} of {name}", file["digest"]["sha256"], expected)

    def _labels(self, name: str, digest: str) -> dict[str, str]:
        config = self.registry.manifest(name, digest)["config"]["digest"]
        labels = json.loads(self.registry.blob(name, config))["config"]["Labels"]
        prefix = "org.opencontainers.image."
        return {label.removeprefix(prefix): value for label, value in labels.items()}

    def _locked(self, service: str) -> dict[str, str]:
        """Return the distributions of an image: those of its lock file on Linux, and ours."""
        path = f"services/{service}/requirements.txt"
        text = run("git", "show", f"{self.commit}:{path}", cwd=self.root)
        pins = {
            name.lower().replace("_", "-"): pin
            for name, pin, marker in _PIN.findall(text)
            if "'win32'" not in marker
        }
        return pins | {"orderfleet": self.version, image_name(service): self.version}


def _equal(what: str, actual: Any, expected: Any) -> None:
    if actual != expected:
        raise ReleaseError(f"{what}: {actual!r}, expected {expected!r}")
