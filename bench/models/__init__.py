"""The zoo: names, families, geometry; and our own CvT."""
