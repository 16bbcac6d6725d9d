# SPDX-License-Identifier: Apache-2.0
"""The files of a journal, their batches, operations and records, by docs/journal-format.md alone: checked, and mended where two
copies or a guard allow it."""

import struct
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
