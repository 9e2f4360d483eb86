"""What a trained model does: attention distance, receptive field, shift, similarity; and what a structure implies."""
