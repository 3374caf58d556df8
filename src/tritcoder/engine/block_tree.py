"""Which block holds what: shared prefixes, copies, and what is forgotten first.

Blocks whose content is known form a tree: a node is 32 tokens (fewer at its leaves) after those of its parents. A
sequence that begins like an earlier one shares its full blocks and copies the one in which they part. Blocks that no
sequence uses stay in the tree until memory is needed; the one that was let go first is forgotten first.
"""

from collections import OrderedDict
from collections.abc import Sequence

from tritcoder.engine.reference import BLOCK_POSITIONS

Tokens = tuple[int, ...]


class Node:
    """A block in the tree."""

    __slots__ = ("block", "children", "parent", "tokens", "users")

    def __init__(self, parent: "Node | None", tokens: Tokens, block: int) -> None:
        self.parent, self.tokens, self.block = parent, tokens, block
        self.children: dict[Tokens, Node] = {}
        self.users = 0


class Holding:
    """The blocks of one sequence: those of the tree first, then its own."""

    __slots__ = ("blocks", "nodes")

    def __init__(self) -> None:
        self.blocks: list[int] = []
        self.nodes: list[Node] = []
        """Of the first blocks; a last one may be partly filled, and grows with the sequence."""


class BlockTree:
    """Every block is free, or a sequence's own, or in the tree."""

    def __init__(self, n_blocks: int) -> None:
        self.n_blocks = n_blocks
        self._free = list(range(n_blocks - 1, -1, -1))
        self._root = Node(None, (), -1)
        self._idle: OrderedDict[Node, None] = OrderedDict()
        """Nodes without a user, those let go first before the others; a node's children are always before it."""

    @property
    def available(self) -> int:
        """Blocks that can be had now."""
        return len(self._free) + len(self._idle)

    def allocate(self) -> int | None:
        """A block; one of the tree is forgotten if none is free."""
        if self._free:
            return self._free.pop()
        if not self._idle:
            return None
        node, _ = self._idle.popitem(last=False)
        assert node.parent is not None
        assert not node.children, "children are forgotten first"
        del node.parent.children[node.tokens]
        return node.block

    def match(self, ids: Sequence[int]) -> tuple[list[Node], Node | None, int]:
        """What is known of a sequence: nodes of its full blocks, a node to copy, how many of its tokens are wanted.

        At least one token is left to be read, for its logits.
        """
        node, found, start = self._root, [], 0
        while start + BLOCK_POSITIONS < len(ids):
            child = node.children.get(tuple(ids[start : start + BLOCK_POSITIONS]))
            if child is None:
                break
            found.append(child)
            node, start = child, start + BLOCK_POSITIONS
        rest = ids[start : min(start + BLOCK_POSITIONS, len(ids) - 1)]
        best, shared = None, 0
        for child in node.children.values():
            if rest and child.tokens[0] == rest[0] and (n := common_prefix(child.tokens, rest)) > shared:
                best, shared = child, n
        return found, best, shared

    def use(self, node: Node) -> None:
        """One more user of a node."""
        if not node.users:
            del self._idle[node]
        node.users += 1

    def let_go(self, node: Node) -> None:
        """One user less."""
        node.users -= 1
        if not node.users:
            self._idle[node] = None

    def remember(self, holding: Holding, ids: Sequence[int], n_read: int) -> bool:
        """Put what is known of a sequence's blocks into the tree; whether one was exchanged for an equal one."""
        exchanged = False
        if holding.nodes and len(holding.nodes[-1].tokens) < BLOCK_POSITIONS:
            exchanged = self._extend(holding, ids, n_read)
        while not holding.nodes or len(holding.nodes[-1].tokens) == BLOCK_POSITIONS:
            place = len(holding.nodes)
            tokens = tuple(ids[place * BLOCK_POSITIONS : min((place + 1) * BLOCK_POSITIONS, n_read)])
            if not tokens:
                break
            parent = holding.nodes[-1] if holding.nodes else self._root
            twin = parent.children.get(tokens)
            if twin is not None and len(tokens) < BLOCK_POSITIONS:
                break  # its own block goes on growing, unknown
            if twin is not None:
                exchanged = True
                self._exchange(holding, place, twin)
            else:
                node = parent.children[tokens] = Node(parent, tokens, holding.blocks[place])
                node.users = 1
                holding.nodes.append(node)
        return exchanged

    def _extend(self, holding: Holding, ids: Sequence[int], n_read: int) -> bool:
        """Tell what more the last, partly filled node holds now."""
        node, place = holding.nodes[-1], len(holding.nodes) - 1
        tokens = tuple(ids[place * BLOCK_POSITIONS : min((place + 1) * BLOCK_POSITIONS, n_read)])
        assert node.parent is not None
        if len(tokens) <= len(node.tokens):
            return False
        twin = node.parent.children.get(tokens)
        if twin is None:
            del node.parent.children[node.tokens]
            node.tokens = tokens
            node.parent.children[tokens] = node
            return False
        del node.parent.children[node.tokens]
        holding.nodes.pop()
        if len(tokens) < BLOCK_POSITIONS:
            return False
        self._exchange(holding, place, twin)
        return True

    def _exchange(self, holding: Holding, place: int, twin: Node) -> None:
        """Use an equal block of the tree instead of its own."""
        self._free.append(holding.blocks[place])
        self.use(twin)
        holding.blocks[place] = twin.block
        holding.nodes.append(twin)

    def release(self, holding: Holding) -> None:
        """Take back every block of a sequence; what the tree knows of them stays known."""
        self._free += reversed(holding.blocks[len(holding.nodes) :])
        for node in reversed(holding.nodes):
            self.let_go(node)
        holding.blocks, holding.nodes = [], []

    def check(self, holdings: Sequence[Holding]) -> None:
        """Assert that no block is lost or has two owners: for tests."""
        nodes, pending = [], [self._root]
        while pending:
            node = pending.pop()
            pending += node.children.values()
            nodes += [] if node is self._root else [node]
            assert all(child.tokens == tokens and child.parent is node for tokens, child in node.children.items())
        own = [block for holding in holdings for block in holding.blocks[len(holding.nodes) :]]
        assert sorted([*self._free, *own, *(node.block for node in nodes)]) == list(range(self.n_blocks))
        used = [node for holding in holdings for node in holding.nodes]
        assert all(node.users == sum(node is one for one in used) for node in nodes)
        assert {node for node in nodes if not node.users} == set(self._idle)


def common_prefix(one: Sequence[int], other: Sequence[int]) -> int:
    """How many first tokens two sequences share."""
    n = 0
    for a, b in zip(one, other, strict=False):
        if a != b:
            break
        n += 1
    return n
