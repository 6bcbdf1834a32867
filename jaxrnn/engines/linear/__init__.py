"""Linear recurrences, h = a h + b element by element: ways to run them, and their derivative."""
