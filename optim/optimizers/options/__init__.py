"""Options of a step: how far it goes along its path, how the path bends, and what it keeps of earlier steps."""
