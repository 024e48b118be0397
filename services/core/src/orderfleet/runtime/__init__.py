"""The life of a process: start, resources, probes, worker, drain, exit."""
