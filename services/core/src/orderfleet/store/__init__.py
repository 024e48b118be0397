"""The fleet's only SQL, and its migrations."""
