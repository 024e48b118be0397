"""Which clusters the tests refuse to touch; needs no cluster."""

import pytest

from tests.cluster.support.cluster import NotOursError, check_context


@pytest.mark.parametrize(
    ("context", "confirmed"),
    [
        ("kind-orderfleet", ""),
        ("k3d-1", "somewhere-else"),
        ("minikube", ""),
        ("docker-desktop", ""),
        ("shop", "shop"),
    ],
)
def test_ours(context: str, confirmed: str) -> None:
    check_context(context, confirmed)


@pytest.mark.parametrize(
    ("context", "confirmed"),
    [("production", ""), ("production", "staging"), ("my-kind-cluster", ""), ("minikube-eu", "")],
)
def test_not_ours(context: str, confirmed: str) -> None:
    with pytest.raises(NotOursError, match=f"ORDERFLEET_TEST_CONTEXT={context}"):
        check_context(context, confirmed)
