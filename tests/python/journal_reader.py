# SPDX-License-Identifier: Apache-2.0
"""A second reader of the journal, written by docs/journal-format.md alone: `python journal_reader.py DIRECTORY`."""

import pathlib
import struct
import sys
import zlib

BLOCK, FORGET = 65536, 2**64 - 1


class Damaged(Exception):
    """Something is not as the page says."""


def checked(wanted, seed, data, what):
    if zlib.crc32(data, seed) != wanted:
        raise Damaged(f"{what}: its checksum does not fit")
    return data


def copy_that_checks(data, length, what):
    """The first of two copies that fits the checksum at its end, else an error."""
    for copy in data[:length], data[length : 2 * length]:
        if len(copy) == length and zlib.crc32(copy[:-4]) == struct.unpack("<I", copy[-4:])[0]:
            return copy
    raise Damaged(f"{what}: neither copy fits its checksum")


def mended(ops, guard, seed, crc):
    """The operations with one damaged stretch made good, or as they are."""
    width = len(guard)
    differs = bytearray(guard)
    for at, byte in enumerate(ops):
        differs[at % width] ^= byte
    damaged = [column for column in range(width) if differs[column]]
    gaps = [(column - before) % width or width for before, column in zip(damaged[-1:] + damaged, damaged)]
    start = damaged[gaps.index(max(gaps))] if damaged and width < len(ops) else 0
    for row in range(-(-len(ops) // width)):
        tried = bytearray(ops)
        for column in damaged:
            at = (row + (column < start)) * width + column
            if at < len(ops):
                tried[at] ^= differs[column]
        if zlib.crc32(tried, seed) == crc:
            return bytes(tried)
    return ops


class Numbers:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, length):
        self.at += length
        if self.at > len(self.data):
            raise Damaged("an operation ends too early")
        return self.data[self.at - length : self.at]

    def number(self):
        value, shift = 0, 0
        while (byte := self.take(1)[0]) & 0x80:
            value, shift = value | (byte & 0x7F) << shift, shift + 7
        return value | byte << shift

    def numbers(self, count):
        return [self.number() for _ in range(count)]

    def bytes(self):
        return self.take(self.number())


class File:
    def __init__(self, path):
        self.path, self.data = path, path.read_bytes()
        head = copy_that_checks(self.data, 2048, path.name)
        magic, version, _, self.store, self.epoch, self.number, self.flags = struct.unpack_from("<8sII16sQII", head)
        if magic != b"SABIRJNL" or version != 2:
            raise Damaged(f"{path.name}: not a data file of version 2")
        count = struct.unpack_from("<I", head, 56)[0]
        self.seals = [struct.unpack_from("<QQ", head, 96 + 16 * seal) for seal in range(count)]

    def seed(self, offset):
        return zlib.crc32(self.store + struct.pack("<QIQ", self.epoch, self.number, offset))

    def batch(self, offset):
        """The batch at a place: number, flags, length, operations, where its records begin; None if there is none."""
        for head in self.data[offset : offset + 48], self.data[offset + 48 : offset + 96]:
            if len(head) == 48 and head[:4] == b"SjB1":
                crc, number, _, ops_len, ops_crc, records_len, flags = struct.unpack_from("<IQQIIQI", head, 4)
                if zlib.crc32(head[8:], self.seed(offset)) == crc:
                    break
        else:
            return None
        ops_at = offset + 96 + min(ops_len, max(256, -(-ops_len // 256)))
        guard, ops = self.data[offset + 96 : ops_at], self.data[ops_at : ops_at + ops_len]
        if zlib.crc32(ops, self.seed(offset)) != ops_crc:
            ops = checked(ops_crc, self.seed(offset), mended(ops, guard, self.seed(offset), ops_crc), self.path.name)
        records_at = ops_at - offset + ops_len
        return number, flags, -(-(records_at + records_len) // 8) * 8, ops, records_at

    def batches(self, offset, end):
        """The batches from a place on, as far as they go: offset and batch."""
        while offset < end:
            batch = self.batch(offset)
            if batch is None and (batch := self.batch(offset := -(-offset // 512) * 512)) is None:
                return
            yield offset, batch
            offset += batch[2]


class Journal:
    """`entries[log][number]` is where an entry's operation is and, if it lies elsewhere, in which extent; `keys` are the keys."""

    def __init__(self, directory):
        found = [File(path) for path in sorted(pathlib.Path(directory).glob("data-*.sjl"))]
        self.files = {file.number: file for file in found}
        self.entries, self.next, self.keys = {}, {}, {}
        log = [file for number, file in sorted(self.files.items()) if not file.flags & 1]
        start = self.start(directory, log)
        self.limits = {}
        for epoch, last in (seal for file in found for seal in file.seals):
            self.limits[epoch] = min(last, self.limits.get(epoch, last))
        expected = start[0]
        for file in (file for file in log if file.number >= start[1]):
            for offset, batch in file.batches(start[2] if file.number == start[1] else 4096, len(file.data)):
                if batch[0] != expected or batch[0] > self.limits.get(file.epoch, FORGET):
                    break
                for op in operations(batch[3]):
                    self.apply(op, (file.number, offset, batch[2]))
                expected += 1

    def start(self, directory, log):
        """Batch number, file and offset at which the last whole checkpoint begins."""
        try:
            pointer = copy_that_checks((pathlib.Path(directory) / "checkpoint").read_bytes(), 128, "checkpoint")
            number, offset = struct.unpack_from("<QQ", pointer, 40)
            return number, struct.unpack_from("<I", pointer, 12)[0], offset
        except FileNotFoundError:
            for file in reversed(log):
                ends = [op for _, batch in file.batches(4096, len(file.data)) for op in operations(batch[3]) if op[0] == 13]
                if ends:
                    begin, _, number, offset = ends[-1][1]
                    return begin, number, offset
            return 1, log[0].number, 4096

    def apply(self, op, region):
        kind, body = op[:2]
        if kind in (1, 2, 8, 5):
            log, seq = body["log"], body["seq"]
            if kind == 5:
                self.remove(log, seq, body["last"])
            self.entries.setdefault(log, {})[seq] = region
        elif kind == 3:
            self.remove(body[0], body[1], body[1] + body[2])
        elif kind == 4:
            self.remove(body[0], 0, body[1] - 1)
        elif kind == 6:
            self.keys[body[0]] = body[1]
        elif kind == 7:
            self.keys.pop(body, None)
        elif kind == 11:
            self.load_log(Numbers(body))
        elif kind == 12:
            piece = Numbers(body)
            first, end, count = piece.bytes(), piece.bytes(), piece.number()
            self.keys = {key: value for key, value in self.keys.items() if key < first or (end and key >= end)}
            self.keys.update((piece.bytes(), piece.bytes()) for _ in range(count))

    def remove(self, log, first, last):
        entries = self.entries.get(log, {})
        self.entries[log] = {seq: place for seq, place in entries.items() if not first <= seq <= last}

    def load_log(self, piece):
        log, _, first, last, count = piece.numbers(5)
        self.remove(log, first, last)
        for _ in range(count):
            flags = piece.take(1)[0]
            seq, width, file, offset, length = piece.numbers(5)
            piece.numbers((flags >> 1 & 1) + (flags >> 2 & 1))
            words = [struct.unpack("<Q", piece.take(8))[0] for _ in range(-(-width // 64))] if flags & 8 else None
            piece.numbers(width if flags & 16 else 1)
            for place in range(width):
                if words is None or words[place // 64] >> place % 64 & 1:
                    self.entries[log][seq + place] = (file, offset, length)

    def read(self, log, seq):
        """Label and record of an entry: the last operation of its region that makes it."""
        number, start, length = self.entries[log][seq]
        file, found = self.files[number], None
        for offset, batch in file.batches(start, start + length):
            for op in operations(batch[3]):
                if op[0] in (1, 2, 8, 5) and (op[1]["log"], op[1]["seq"]) == (log, seq):
                    found = (op[1], (file, offset, batch[4]))
        if found is None:
            raise Damaged(f"entry {seq} of log {log} is not where it should be")
        entry, (file, offset, records_at) = found
        if "far" in entry:
            _, number, offset, records_at, at = entry["far"]
            file = self.files[number]
        else:
            at = entry["at"]
        return entry["label"], record(file, offset, offset + records_at + at, at, entry["len"], entry["crc"])


def record(file, offset, begin, at, length, crc):
    seed, place = file.seed(offset), struct.pack("<Q", at)
    blocks = -(-length // BLOCK) if length > BLOCK else 0
    table, data = file.data[begin : begin + 4 * blocks], file.data[begin + 4 * blocks : begin + 4 * blocks + length]
    checked(crc, seed, place + struct.pack("<Q", FORGET if blocks else 0) + (table if blocks else data), "a record")
    for block in range(blocks):
        part = place + struct.pack("<Q", block) + data[block * BLOCK : (block + 1) * BLOCK]
        checked(struct.unpack_from("<I", table, 4 * block)[0], seed, part, "a block of a record")
    return data


def stored(length):
    return length + (4 * -(-length // BLOCK) if length > BLOCK else 0)


def operations(data):
    """Kind and body of each operation; entries know where their record begins."""
    numbers, end_of_records = Numbers(data), 0
    while numbers.at < len(data):
        tag = numbers.take(1)[0]
        kind = tag & 15
        if kind in (1, 2, 8, 5):
            entry = {"log": numbers.number(), "seq": numbers.number()}
            numbers.numbers((tag >> 4 & 1) + (tag >> 5 & 1))
            entry["label"] = numbers.bytes() if tag & 0x40 else b""
            entry["len"], entry["crc"] = numbers.number(), struct.unpack("<I", numbers.take(4))[0]
            if kind in (1, 5):
                entry["at"], end_of_records = end_of_records, end_of_records + stored(entry["len"])
            if kind == 5:
                entry["last"] = entry["seq"] + numbers.number()
            elif kind == 2:
                entry["at"] = numbers.number()
            elif kind == 8:
                entry["far"] = numbers.numbers(5)
            yield kind, entry
        elif kind in (3, 4, 13):
            yield kind, numbers.numbers({3: 3, 4: 2, 13: 4}[kind])
        elif kind == 6:
            yield kind, (numbers.bytes(), numbers.bytes())
        elif kind in (7, 11, 12):
            yield kind, numbers.bytes()
        elif kind == 10:
            yield kind, None
        else:
            raise Damaged(f"an operation of kind {kind}")


if __name__ == "__main__":
    journal = Journal(sys.argv[1])
    for log in sorted(journal.entries):
        for seq in sorted(journal.entries[log]):
            label, data = journal.read(log, seq)
            print(log, seq, label.hex(), len(data), data[:60])
    for key in sorted(journal.keys):
        print(key, journal.keys[key][:60])
