"""Queries of Temporal's visibility store."""


def of_queue(workflow_type: str, task_queue: str) -> str:
    """Return the query for a task queue's workflows of a type."""
    return f"WorkflowType = '{workflow_type}' AND TaskQueue = {quoted(task_queue)}"


def quoted(text: str) -> str:
    """Return a text as a literal of a query."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
