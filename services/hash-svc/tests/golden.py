"""Writes golden.csv. Needs `pip install xxhash`; read README.md before running it."""

import csv
import struct
import sys

import xxhash

SLOTS = 16_384
MAX_ID = 2**53 - 1

users = {1, 2, 3, 123, 999, 1_000, 12_345, 99_999, 100_000, 999_999_999, 1_000_000_000, MAX_ID - 1, MAX_ID}
users |= {2**power for power in range(2, 53)}

rows = csv.writer(sys.stdout, lineterminator="\n")
rows.writerow(["user_id", "hash", "slot", "shard_of_4"])
for user in sorted(users):
    digest = xxhash.xxh3_64_intdigest(struct.pack("<Q", user))
    slot = digest % SLOTS
    rows.writerow([user, f"{digest:016x}", slot, slot % 4])
