"""Pictures of a board, drawn with matplotlib."""
