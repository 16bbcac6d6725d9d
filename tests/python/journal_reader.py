# SPDX-License-Identifier: Apache-2.0
"""A second reader of the journal, written by docs/journal-format.md alone: `python journal_reader.py DIRECTORY`."""

import pathlib
import struct
import sys

from journal_files import FORGET, Damaged, File, Numbers, copy_that_checks, operations, record


class Journal:
    """`entries[log][number]` is where an entry's operation is and, if it lies elsewhere, in which extent; `keys` are the keys."""

    def __init__(self, directory):
        found = [File(path) for path in sorted(pathlib.Path(directory).glob("data-*.sjl"))]
        self.files = {file.number: file for file in found}
        self.entries, self.keys = {}, {}
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


if __name__ == "__main__":
    journal = Journal(sys.argv[1])
    for log in sorted(journal.entries):
        for seq in sorted(journal.entries[log]):
            label, data = journal.read(log, seq)
            print(log, seq, label.hex(), len(data), data[:60])
    for key in sorted(journal.keys):
        print(key, journal.keys[key][:60])
