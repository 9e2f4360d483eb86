"""What models cost, on a page of its own."""
