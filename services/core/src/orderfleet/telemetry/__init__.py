"""What a process tells of itself: one small file per backend."""
