"""DER, both ways: a strict reader for the oracle, a free writer for the generator (which must be
able to write what is wrong)."""


class Bad(Exception):
    """Not what the format says."""


def parse_length(data, at):
    if at >= len(data):
        raise Bad("no length")
    first = data[at]
    at += 1
    if first < 0x80:
        return first, at
    count = first & 0x7F
    if count == 0 or count > 4 or at + count > len(data):
        raise Bad("length form")
    size = int.from_bytes(data[at:at + count], "big")
    if data[at] == 0 or size < 0x80:
        raise Bad("length not minimal")
    return size, at + count


def take(data, at=0):
    """(tag, content, whole, next) of the element at `at`."""
    if at >= len(data):
        raise Bad("no element")
    tag = data[at]
    if tag & 0x1F == 0x1F:
        raise Bad("long tag")
    size, begin = parse_length(data, at + 1)
    if begin + size > len(data):
        raise Bad("element cut")
    return tag, data[begin:begin + size], data[at:begin + size], begin + size


def elements(content):
    """All (tag, content, whole) in a constructed value."""
    found, at = [], 0
    while at < len(content):
        tag, value, whole, at = take(content, at)
        found.append((tag, value, whole))
    return found


def only(data, tag):
    """Content of the one element of this tag that data is."""
    got, value, _, end = take(data)
    if got != tag or end != len(data):
        raise Bad("not one element of tag %02x" % tag)
    return value


def unsigned(content):
    """Content of an INTEGER that must be canonical and not negative."""
    if not content or content[0] & 0x80:
        raise Bad("integer negative or empty")
    if len(content) > 1 and content[0] == 0 and not content[1] & 0x80:
        raise Bad("integer not minimal")
    return int.from_bytes(content, "big")


def oid_text(content):
    if not content or content[-1] & 0x80:
        raise Bad("oid")
    arcs, value, fresh = [], 0, True
    for byte in content:
        if fresh and byte == 0x80:
            raise Bad("oid not minimal")
        value = value << 7 | byte & 0x7F
        fresh = not byte & 0x80
        if fresh:
            arcs.append(value)
            value = 0
    first = min(arcs[0] // 40, 2)
    return ".".join(str(a) for a in [first, arcs[0] - 40 * first] + arcs[1:])


# ---- writing ---------------------------------------------------------------------------------

def tlv(tag, *parts):
    content = b"".join(parts)
    size = len(content)
    if size < 0x80:
        return bytes([tag, size]) + content
    octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(octets)]) + octets + content


def seq(*parts):
    return tlv(0x30, *parts)


def integer(value):
    return tlv(0x02, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def oid(text):
    arcs = [int(a) for a in text.split(".")]
    out = b""
    for arc in [arcs[0] * 40 + arcs[1]] + arcs[2:]:
        group = [arc & 0x7F]
        while arc > 0x7F:
            arc >>= 7
            group.insert(0, 0x80 | arc & 0x7F)
        out += bytes(group)
    return tlv(0x06, out)
