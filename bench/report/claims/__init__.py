"""Verdicts of the claims lab for people: Markdown, a page, JSON, figures. No torch."""
