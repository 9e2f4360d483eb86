"""Sources, splits, the decoded cache, resident or streamed batches, and augmentation."""
