"""Item token ↔ index, with optional titles. Index 0 is the padding row and has no token."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from seqrec_plugin.errors import BadData
from seqrec_plugin.manifest import ITEMS_FILE


class _ItemsFile(msgspec.Struct, forbid_unknown_fields=True):
    items: list[str | None]
    titles: list[str | None] | None = None


class Vocabulary:
    """The catalogue as the model knows it.

    Args:
        tokens: item ids as text, byte for byte as in the data; the first one has index 1.
        titles: for people, one a token (None where an item has none), or None.
    """

    def __init__(self, tokens: Sequence[str], titles: Sequence[str | None] | None = None) -> None:
        self.tokens = tuple(tokens)
        self.titles = None if titles is None else tuple(titles)
        if self.titles is not None and len(self.titles) != len(self.tokens):
            raise BadData("items_invalid", f"There are {len(self.titles)} titles for {len(self.tokens)} items.")
        self._index = {token: i for i, token in enumerate(self.tokens, start=1)}
        if len(self._index) != len(self.tokens):
            twice = next(t for i, t in enumerate(self.tokens, start=1) if self._index[t] != i)
            raise BadData("items_invalid", f"The item {twice!r} stands twice in the catalogue.")

    @property
    def n_items(self) -> int:
        """How many rows the item table has: the items and the padding row."""
        return len(self.tokens) + 1

    def index(self, token: str) -> int | None:
        """The index of an item, or None for one that the model does not know."""
        return self._index.get(token)

    def token(self, index: int) -> str:
        """The item of an index from 1 to n_items - 1."""
        return self.tokens[index - 1]

    def title(self, index: int) -> str | None:
        """The title of an index from 1 to n_items - 1, where there is one."""
        return None if self.titles is None else self.titles[index - 1]

    def encode(self) -> bytes:
        """The bytes of `items.json`: the position in the list is the index, position 0 is null."""
        titles = None if self.titles is None else [None, *self.titles]
        return msgspec.json.encode(_ItemsFile([None, *self.tokens], titles))

    @classmethod
    def decode(cls, data: bytes, n_items: int | None = None) -> Vocabulary:
        """Read `items.json`.

        Args:
            data: its bytes.
            n_items: what the manifest says, which it must fit.

        Raises:
            BadData: `items_invalid` where it is not as `encode` writes it, or does not fit.
        """
        try:
            file = msgspec.json.decode(data, type=_ItemsFile)
        except (ValueError, RecursionError) as error:  # msgspec's own errors are ValueErrors
            raise BadData("items_invalid", f"{ITEMS_FILE} cannot be read: {error}.") from None
        if not file.items or file.items[0] is not None:
            raise BadData("items_invalid", f"{ITEMS_FILE} must begin with null, the padding row.")
        tokens = [token for token in file.items[1:] if token is not None]
        if len(tokens) != len(file.items) - 1:
            raise BadData("items_invalid", f"{ITEMS_FILE} holds null after position 0.")
        if n_items is not None and len(file.items) != n_items:
            told = f"{ITEMS_FILE} has {len(file.items)} entries, but the manifest's n_items is {n_items}."
            raise BadData("items_invalid", told)
        return cls(tokens, None if file.titles is None else file.titles[1:])
