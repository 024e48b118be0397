"""How all peers serve HTTP: uvicorn with what its `standard` extra brings, in one process."""

import os

import uvicorn
from fastapi import FastAPI


def serve(app: FastAPI) -> None:
    """Serve on loopback, at the port that PORT names, until SIGTERM."""
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=int(os.environ["PORT"]),
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="on",
        # Nobody is before it, and nobody reads a line for each request.
        proxy_headers=False,
        access_log=False,
        log_level="warning",
    )
