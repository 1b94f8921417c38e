"""Float networks, their pretraining, and the int8 models made of them."""
