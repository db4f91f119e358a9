"""Tests of label.py's pure parts: `python -m unittest discover deploy/spark`."""

import io
import random
import unittest
from unittest import mock

import pyarrow as pa

import label


class Blocks(unittest.TestCase):
    def test_each_line_is_read_once_and_whole_wherever_blocks_and_pieces_end(self):
        drawn = random.Random(1)
        for _ in range(300):
            lines = [bytes([97 + drawn.randrange(26)]) * drawn.randrange(drawn.choice([3, 50, 400]))
                     for _ in range(drawn.randrange(60))]
            data = b"\n".join(lines) + drawn.choice([b"", b"\n"])
            block, piece = drawn.choice([1, 7, 100, 1000]), drawn.choice([8, 64, 1000])
            with self.subTest(data=data, block=block, piece=piece), \
                    mock.patch.object(label, "PIECE_BYTES", piece):
                found = [one for start in range(0, len(data), block)
                         for one in pieces(data, start, start + block)]
                self.assertEqual(b"".join(found), data)
                self.assertTrue(all(one.endswith(b"\n") for one in found[:-1]), found)

    def test_a_line_belongs_to_the_block_that_it_begins_in(self):
        data = b"one\ntwo\nthree\n"
        found = [pieces(data, start, start + 4) for start in (0, 4, 8, 12)]
        self.assertEqual(found, [[b"one\n"], [b"two\n"], [b"three\n"], []])


class Places(unittest.TestCase):
    def test_a_name_is_taken_as_it_is(self):
        for uri in ("file:/data/a%20b #1.jsonl", "file:///data/a%20b #1.jsonl"):
            self.assertEqual(label.local(uri), "/data/a%20b #1.jsonl")
        self.assertIsNone(label.local("hdfs://host/data"))


def pieces(data, start, end):
    """What is in the pieces of a stretch."""
    file = pa.PythonFile(io.BytesIO(data), "r")
    return [data[at:behind] for at, behind in label.lines_within(file, start, end)]


if __name__ == "__main__":
    unittest.main()
