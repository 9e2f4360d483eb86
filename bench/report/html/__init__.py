"""`leaderboard.html`: boards as one interactive file that needs no network."""
