"""Each claim: hypothesis, the cells and probes it asks for, the rule that judges. No torch."""
