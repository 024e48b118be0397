"""Spans, with OpenTelemetry; loaded only if spans go somewhere."""
