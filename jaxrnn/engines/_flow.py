"""A minimum cut of a graph."""

import itertools
from collections import deque
from collections.abc import Hashable, Iterable

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
    """Takes a largest flow from the capacities, by shortest paths of one length at a time.

    References: Dinic, 1970, "Algorithm for solution of a problem of maximum flow in networks with
    power estimation".
    """
    while SINK in (levels := _levels(graph)):
        untried = {node: list(graph[node]) for node in levels}
        while path := _path(graph, levels, untried):
            size = min(graph[a][b] for a, b in path)
            for a, b in path:
                graph[a][b] -= size
                graph[b][a] += size


def _levels(graph):
    """How far each node is from the source."""
    levels, queue = {SOURCE: 0}, deque([SOURCE])
    while queue:
        node = queue.popleft()
        for other, capacity in graph[node].items():
            if capacity and other not in levels:
                levels[other] = levels[node] + 1
                queue.append(other)
    return levels


def _path(graph, levels, untried) -> list:
    """The edges of a shortest path from the source to the sink; none without one."""
    path = [SOURCE]
    while path and path[-1] != SINK:
        node = path[-1]
        ends, out, level = untried[node], graph[node], levels[node] + 1
        while ends and not (out[ends[-1]] and levels.get(ends[-1]) == level):
            ends.pop()
        if ends:
            path.append(ends[-1])
        else:
            path.pop()
            if path:
                untried[path[-1]].pop()
    return list(itertools.pairwise(path))


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
