"""The whole way from a user's folder to an adapted network, composed of the rooms below."""
