"""Protocol Buffers by hand: what Flight SQL's messages need of them, so that bytes are what is tested.

A message is a dict from field number to a value, or to the list of them.
"""

SQL = "type.googleapis.com/arrow.flight.protocol.sql."
VARINT, FIXED64, BYTES = 0, 1, 2


def varint(number):
    number &= (1 << 64) - 1
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def encode(message):
    """The bytes of a message. Numbers are varints; texts, bytes and messages have their length before them."""
    encoded = bytearray()
    for field, values in message.items():
        for value in values if isinstance(values, list) else [values]:
            if isinstance(value, int):
                encoded += varint(field << 3 | VARINT) + varint(value)
                continue
            content = encode(value) if isinstance(value, dict) else value
            content = content.encode() if isinstance(content, str) else content
            encoded += varint(field << 3 | BYTES) + varint(len(content)) + content
    return bytes(encoded)


def decode(encoded):
    """The fields of a message, each with all its values: numbers, or bytes."""
    message, at = {}, 0

    def number():
        nonlocal at
        value = shift = 0
        while True:
            byte = encoded[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(encoded):
        tag = number()
        kind = tag & 7
        if kind == VARINT:
            value = number()
        else:
            length = {FIXED64: 8, BYTES: None}[kind]
            length = number() if length is None else length
            value = encoded[at : at + length]
            at += length
        message.setdefault(tag >> 3, []).append(value)
    return message


def signed(number):
    """A varint as the signed number that it is."""
    return number - (1 << 64) if number >> 63 else number


def command(name, message=None):
    """A command or a request of Flight SQL, in its envelope."""
    return encode({1: SQL + name, 2: encode(message or {})})


def unpack(name, encoded):
    """The fields of an answer of Flight SQL, out of its envelope."""
    envelope = decode(encoded)
    url = envelope[1][0].decode()
    if url != SQL + name:
        raise AssertionError(f"{SQL + name} expected, {url} found")
    return decode(envelope.get(2, [b""])[0])
