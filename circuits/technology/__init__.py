"""What a device is built from: technologies, presets, dies, temperatures."""
