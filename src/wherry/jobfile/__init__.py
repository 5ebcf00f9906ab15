"""Text -> model: a job file is read with positions, checked as a whole, and becomes a `JobFile`."""
