"""What a model costs, and on what: MACs, latency, throughput, hardware, environment."""
