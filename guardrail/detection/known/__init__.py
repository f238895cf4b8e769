"""People a controller knows: its customers, employees, patients, found wherever they are named.

A list holds keyed hashes of names, numbers and addresses, and no text. Each value is normalised,
hashed with BLAKE2b under a secret key to 64 bits, and the hashes are sorted. A text is cut into
words; those that may begin an entry are known by a filter in memory, so most cost one hash and no
look-up. Without the key, nothing in a list can be guessed; with it, any value can be tried, so a
list is pseudonymised, and still personal data (GDPR art. 4(5)).

Of a list with n hashes, a value that is not in it is taken for one of them with a probability of
n / 2**64: 5.4e-13 for ten million.
"""
