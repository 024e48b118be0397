"""The feed of events: read from Postgres once for all streams of this process."""
