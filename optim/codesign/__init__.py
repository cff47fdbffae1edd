"""Studies of what training bears, and the real systems that a device meets."""
