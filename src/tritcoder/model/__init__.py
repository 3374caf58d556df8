"""The Transformer in torch, and the Hugging Face directory in and out."""
