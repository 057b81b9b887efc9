"""Maximum one-to-one matching, the one rule behind every inexact score here."""

from collections import deque
from collections.abc import Sequence


def maximum_matching(lefts: int, edges: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """As many disjoint (left, right) pairs as ``edges`` allow, sorted by left.

    ``edges`` come in order of preference: pairs are first taken greedily in that order, and then re-paired along augmenting
    paths where that lets one more item match (Berge 1957). The number of pairs depends on the edges alone, not on their order.

    >>> maximum_matching(2, [(0, 0), (0, 1), (1, 0)])
    [(0, 1), (1, 0)]
    """
    of_left: dict[int, int] = {}
    of_right: dict[int, int] = {}
    neighbours: list[list[int]] = [[] for _ in range(lefts)]
    for left, right in edges:
        neighbours[left].append(right)
        if left not in of_left and right not in of_right:
            of_left[left], of_right[right] = right, left
    for left in range(lefts):
        if left not in of_left and neighbours[left]:
            _augment(left, neighbours, of_left, of_right)
    return sorted(of_left.items())


def _augment(start: int, neighbours: list[list[int]], of_left: dict[int, int], of_right: dict[int, int]) -> None:
    came_from: dict[int, int] = {}
    queue = deque([start])
    while queue:
        left = queue.popleft()
        for right in neighbours[left]:
            if right in came_from:
                continue
            came_from[right] = left
            if right in of_right:
                queue.append(of_right[right])
                continue
            free: int | None = right
            while free is not None:
                left = came_from[free]
                of_right[free] = left
                of_left[left], free = free, of_left.get(left)
            return
