# The image that a release is built on, by digest: dependabot opens a pull request when it changes.
# `make images` follows the tag instead.
FROM python:3.13-slim-trixie@sha256:9d2e5553305c7c7b0097999bb17187c69b921ccd6bc9d40e4bb5ebe652c00285
