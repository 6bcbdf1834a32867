"""A minimum cut of a graph."""

from collections import deque
from collections.abc import Hashable, Iterable, Sequence

SOURCE, SINK = "source", "sink"
UNBOUNDED = 2**62


def side_of_sink(edges: Iterable[tuple[Hashable, Hashable, int]]) -> set[Hashable]:
    """The nodes on the side of `SINK` of a minimum cut, as few as there can be.

    Args:
      edges: ``(start, end, capacity)``, from `SOURCE` to `SINK`. Edges from the other side to this
        one are cut, those that are `UNBOUNDED` never.
    """
    graph: dict = {SOURCE: {}, SINK: {}}
    for start, end, capacity in edges:
        out = graph.setdefault(start, {})
        out[end] = min(out.get(end, 0) + capacity, UNBOUNDED)
        graph.setdefault(end, {}).setdefault(start, 0)
    _augment(graph)
    return _reaching(graph, SINK)


def _augment(graph):
    """Takes a largest flow from the capacities, by shortest paths (Edmonds and Karp, 1972)."""
    while path := _path(graph):
        size = min(graph[a][b] for a, b in path)
        for a, b in path:
            graph[a][b] -= size
            graph[b][a] += size


def _path(graph) -> Sequence:
    """The edges of a shortest path from the source to the sink; none without one."""
    came, queue = {SOURCE: None}, deque([SOURCE])
    while queue and SINK not in came:
        node = queue.popleft()
        for other, capacity in graph[node].items():
            if capacity and other not in came:
                came[other] = node
                queue.append(other)
    if SINK not in came:
        return []
    path, node = [], SINK
    while came[node] is not None:
        path.append((came[node], node))
        node = came[node]
    return path


def _reaching(graph, end):
    """The nodes with a path to `end`."""
    found, queue = {end}, deque([end])
    while queue:
        node = queue.popleft()
        for other in graph[node]:
            if graph[other][node] and other not in found:
                found.add(other)
                queue.append(other)
    return found
