"""Checks of a gateway's URL and credentials, as a worker's settings name them."""

from pathlib import Path

from orderfleet.environment import SettingsError, is_http_url
from orderfleet.gateways.credentials import CredentialsError, read_credentials


def check_gateway(variable: str, url: str, credentials: str) -> None:
    """Check the URL, and read the credentials.

    Args:
        variable: what the names of both variables begin with.
        url: a server's, or empty.
        credentials: a directory, or empty.

    Raises:
        SettingsError: the URL is not a server's, or the credentials are unusable.
    """
    # Paths are added to its end.
    if url and (not is_http_url(url) or {"?", "#"} & set(url)):
        raise SettingsError(f"{variable}_URL: expected http://host:port")
    if not credentials:
        return
    if not url:
        raise SettingsError(f"{variable}_CREDENTIALS needs {variable}_URL")
    try:
        read_credentials(url, Path(credentials))
    except CredentialsError as error:
        raise SettingsError(f"{variable}_CREDENTIALS: {error}") from None
