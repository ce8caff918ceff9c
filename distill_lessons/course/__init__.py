"""The course itself: recorded results, claims, figures, exercises and experiments. Nothing outside imports it."""
