"""Worker Deployments: which build of a worker takes which orders."""
