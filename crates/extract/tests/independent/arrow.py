"""Reads the columns of an Arrow IPC stream as a run's ledger has them, with the standard library
alone (https://arrow.apache.org/docs/format/Columnar.html): text, integers and dictionaries of text,
not compressed.
"""

import struct

SCHEMA, DICTIONARY, BATCH = 1, 2, 3
INTEGER, TEXT = 2, 5


class Table:
    """A table of FlatBuffers."""

    def __init__(self, data, at):
        self.data, self.at = data, at
        self.vtable = at - struct.unpack_from("<i", data, at)[0]
        self.size = struct.unpack_from("<H", data, self.vtable)[0]

    def place(self, field):
        """Where a field is; 0: it has its default."""
        slot = 4 + 2 * field
        offset = struct.unpack_from("<H", self.data, self.vtable + slot)[0] if slot < self.size else 0
        return self.at + offset if offset else 0

    def number(self, field, form):
        place = self.place(field)
        return struct.unpack_from("<" + form, self.data, place)[0] if place else 0

    def follow(self, place):
        return place + struct.unpack_from("<I", self.data, place)[0]

    def table(self, field):
        place = self.place(field)
        return Table(self.data, self.follow(place)) if place else None

    def vector(self, field):
        """(where it begins, how many)."""
        place = self.place(field)
        if not place:
            return 0, 0
        start = self.follow(place)
        return start + 4, struct.unpack_from("<I", self.data, start)[0]

    def tables(self, field):
        start, count = self.vector(field)
        return [Table(self.data, self.follow(start + 4 * i)) for i in range(count)]

    def pairs(self, field):
        """A vector of structs of two 64-bit integers."""
        start, count = self.vector(field)
        return [struct.unpack_from("<qq", self.data, start + 16 * i) for i in range(count)]

    def text(self, field):
        start, count = self.vector(field)
        return self.data[start:start + count].decode()


class Column:
    def __init__(self, field):
        self.name, self.kind = field.text(0), field.number(2, "B")
        dictionary = field.table(4)
        self.dictionary = dictionary.number(0, "q") if dictionary else None
        integer = dictionary.table(1) if dictionary else field.table(3)
        if self.kind == INTEGER or dictionary:
            width = (integer.number(0, "i") if integer else 0) or 32
            form = {8: "b", 16: "h", 32: "i", 64: "q"}[width]
            signed = integer.number(1, "B") if integer else 1
            self.form = form if signed else form.upper()
        elif self.kind != TEXT:
            raise ValueError(f"column {self.name} has a type that a ledger does not have")

    def buffers(self):
        return 2 if self.kind == INTEGER or self.dictionary is not None else 3


def values(column, rows, buffers, body, names):
    """The cells of a column; None for null."""
    def part(index):
        offset, length = buffers[index]
        return body[offset:offset + length]

    validity = part(0)
    if column.kind == INTEGER or column.dictionary is not None:
        cells = list(struct.unpack_from(f"<{rows}{column.form}", part(1)))
        if column.dictionary is not None:
            names = names[column.dictionary]
            cells = [names[cell] if cell < len(names) else None for cell in cells]
    else:
        cells = texts(part(1), part(2), rows)
    if validity:
        cells = [c if validity[i // 8] >> i % 8 & 1 else None for i, c in enumerate(cells)]
    return cells


def texts(offsets, data, rows):
    edges = struct.unpack_from(f"<{rows + 1}i", offsets) if rows else ()
    return [data[a:b].decode() for a, b in zip(edges, edges[1:])]


def batches(path, wanted=None):
    """The batches of a stream, each as {column: cells}, of the columns that are wanted. Stops where no
    whole message follows, and returns whether the stream ends there as a whole one does."""
    columns, names = [], {}
    with open(path, "rb") as file:
        while True:
            start = file.read(8)
            if start == b"\xff\xff\xff\xff\0\0\0\0":
                return True
            if len(start) < 8 or start[:4] != b"\xff\xff\xff\xff":
                return False
            length, = struct.unpack_from("<I", start, 4)
            metadata = file.read(length)
            if len(metadata) < length:
                return False
            message = Table(metadata, struct.unpack_from("<I", metadata)[0])
            body = file.read(message.number(3, "q"))
            if len(body) < message.number(3, "q"):
                return False
            kind, header = message.number(1, "B"), message.table(2)
            if kind == SCHEMA:
                columns = [Column(field) for field in header.tables(1)]
            elif kind == DICTIONARY:
                batch = header.table(1)
                (_, offsets, text) = batch.pairs(2)
                parts = [body[offset:offset + size] for offset, size in (offsets, text)]
                names[header.number(0, "q")] = texts(*parts, batch.number(0, "q"))
            elif kind == BATCH:
                count, buffers, cells = header.number(0, "q"), header.pairs(2), {}
                for column in columns:
                    mine, buffers = buffers[:column.buffers()], buffers[column.buffers():]
                    if wanted is None or column.name in wanted:
                        cells[column.name] = values(column, count, mine, body, names)
                yield cells


def read_stream(path):
    """([rows as dicts], whether it ends as a whole stream does)."""
    stream, rows = batches(path), []
    while True:
        try:
            cells = next(stream)
        except StopIteration as end:
            return rows, end.value
        rows.extend(dict(zip(cells, row)) for row in zip(*cells.values()))
