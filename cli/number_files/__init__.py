"""Files of numbers, by kind: numpy's, scipy's sparse ones, text and Matrix Market."""
