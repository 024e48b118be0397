"""The demo: real orders through the API, good ones and bad ones."""
