"""The pairs. Each module offers its data, its teacher and its student, and trains nothing."""
