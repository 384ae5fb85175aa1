"""Characters that steer a terminal or aren't drawn, as partners and customers may send them."""

# C0, DEL and C1, without U+0000, which no text of ours may hold.
CONTROLS = tuple(chr(code) for code in (*range(0x01, 0x20), *range(0x7F, 0xA0)))
BIDIRECTIONAL = tuple("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c")
ZERO_WIDTH = tuple("\u200b\u200c\u200d\u2060\ufeff\u00ad\u034f\u180e\u3164\ufe0f\U000e0001\U000e0100")
SEPARATORS = tuple("\u2028\u2029\u00a0\u3000")
PRIVATE = tuple("\ue000\U000f0000\uffff")
STEERING = (*CONTROLS, *BIDIRECTIONAL, *ZERO_WIDTH, *SEPARATORS, *PRIVATE, "\ud83d")

# A title, a cleared screen and a forged line, a reversed word, and an invisible one: storable everywhere.
NASTY = "\x1b]0;owned\x07\x1b[2J\r\nno violations\x9b31m \u202edecrypted\u2069 \u200bx\u2028y\x7f\ue000"
