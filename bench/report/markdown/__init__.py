"""The leaderboard, its sections and its cards as Markdown."""
