"""The life of a process: settings, resources, probes, worker, drain, exit."""
