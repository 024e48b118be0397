"""Orders left behind: what becomes of them, and when it is looked for."""
