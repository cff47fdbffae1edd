"""The bytes of a netlist's file as text: UTF-8, UTF-16 and Windows-1252, which LTspice writes."""

from __future__ import annotations


def decode(data: bytes) -> str:
    """The text of a file, without a byte order mark; line ends stay as they are.

    UTF-16 is known by its mark, or by zeros in every other byte; what is not UTF-8 is read as Windows-1252, whose micro sign is Latin-1's.

    Raises:
        ValueError: bytes that are no text in any of these, with how to convert the file.
    """
    try:
        if data.startswith((b"\xff\xfe\0\0", b"\0\0\xfe\xff")):
            raise ValueError("it is UTF-32")
        if data.startswith((b"\xff\xfe", b"\xfe\xff")):
            return data.decode("utf-16")
        if b"\0" in data:
            zeros = [data[start::2].count(0) for start in (0, 1)]
            if len(data) % 2 == 0 and min(zeros) == 0 and max(zeros) > len(data) // 4:
                return data.decode("utf-16-le" if zeros[1] else "utf-16-be")
        try:
            return data.decode("utf-8-sig")
        except UnicodeDecodeError:
            return data.decode("cp1252")
    except ValueError as error:
        why = str(error) if type(error) is ValueError else "it is neither UTF-8, UTF-16 nor Windows-1252"
        raise ValueError(
            f"{why}; convert it, for instance by: iconv -f ITS_ENCODING -t UTF-8 FILE > NEW (`file FILE` guesses the encoding)"
        ) from None
