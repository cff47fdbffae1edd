"""Layers with a direct form, one file a kind; `registry` says which layer has which."""
