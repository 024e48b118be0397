"""Signatures by cosign: by a key from a file, without other services, or keyless in a workflow."""

import base64
import json
from pathlib import Path
from typing import Any

from release.settings import Settings
from release.tools import ReleaseError, run


def sign(root: Path, settings: Settings, image: str) -> None:
    """Sign what a digest names."""
    run("cosign", "sign", *_signing(settings), *_insecure(settings), image, cwd=root)


def attest(root: Path, settings: Settings, image: str, kind: str, file: Path) -> None:
    """Sign a statement about an image, and put it beside the image."""
    arguments = [f"--type={kind}", f"--predicate={file}"]
    run("cosign", "attest", *_signing(settings), *_insecure(settings), *arguments, image, cwd=root)


def sign_file(root: Path, settings: Settings, file: Path) -> None:
    """Sign a file; the signature is beside it."""
    run("cosign", "sign-blob", *_signing(settings), f"--bundle={bundle(file)}", file, cwd=root)


def verify(root: Path, settings: Settings, image: str) -> None:
    """Require a signature of what a digest names.

    Raises:
        ReleaseError: there is none.
    """
    run("cosign", "verify", *_verifying(settings), *_insecure(settings), image, cwd=root)


def verify_file(root: Path, settings: Settings, file: Path) -> None:
    """Require a signature of a file.

    Raises:
        ReleaseError: there is none, or it is of other contents.
    """
    run("cosign", "verify-blob", *_verifying(settings), f"--bundle={bundle(file)}", file, cwd=root)


def predicates(root: Path, settings: Settings, image: str, kind: str) -> list[dict[str, Any]]:
    """Return what each signed statement of a kind says of an image.

    Raises:
        ReleaseError: there is no such statement, or it is about another image.
    """
    arguments = [*_verifying(settings), *_insecure(settings), f"--type={kind}", image]
    lines = run("cosign", "verify-attestation", *arguments, cwd=root).splitlines()
    statements = [json.loads(base64.b64decode(json.loads(line)["payload"])) for line in lines]
    _, _, digest = image.partition("@sha256:")
    for statement in statements:
        if {"sha256": digest} not in [subject["digest"] for subject in statement["subject"]]:
            raise ReleaseError(f"a {kind} statement beside {image} is about another image")
    if not statements:
        raise ReleaseError(f"no {kind} statement about {image}")
    return [statement["predicate"] for statement in statements]


def bundle(file: Path) -> Path:
    """Return the file of a file's signature."""
    return file.with_name(f"{file.name}.sigstore.json")


def _signing(settings: Settings) -> list[str]:
    if settings.key:
        # No transparency log: a key that people have is enough, and loopback has no such service.
        return [
            f"--key={settings.key}",
            "--use-signing-config=false",
            "--tlog-upload=false",
            "--yes",
        ]
    return ["--yes"]


def _verifying(settings: Settings) -> list[str]:
    if settings.key:
        return [f"--key={settings.key}", "--insecure-ignore-tlog=true"]
    if not settings.identity:
        raise ReleaseError("set COSIGN_KEY, or COSIGN_IDENTITY for a release of a workflow")
    return [
        f"--certificate-identity-regexp={settings.identity}",
        f"--certificate-oidc-issuer={settings.issuer}",
    ]


def _insecure(settings: Settings) -> list[str]:
    return ["--allow-http-registry"] if settings.plain_http else []
