"""A data sheet as tables of text, a picture, and one HTML page that needs no network; from the plain data of `devicemodel.datasheet`."""
