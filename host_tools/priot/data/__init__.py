"""Images from where a user has them, and datasets made of them."""
