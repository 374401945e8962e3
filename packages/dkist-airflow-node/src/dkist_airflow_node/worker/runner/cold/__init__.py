"""What a warm start does not need: it is handed over as text, and compiled where it is imported."""
