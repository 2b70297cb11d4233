// Finding nodes by the ids that the server uses.

import { app } from '../../scripts/app.js'

/** The node with an id of the server's: `8`, or `3:8` for node 8 inside of subgraph node 3. */
export function nodeOf(id) {
  let graph = app.rootGraph ?? app.graph
  let node
  for (const part of String(id).split(':')) {
    node = graph?.getNodeById?.(Number(part)) ?? graph?.getNodeById?.(part)
    graph = node?.subgraph
  }
  return node
}

/** All nodes of a type, those inside of subgraphs too. */
export function nodesOfType(type, graph = app.rootGraph ?? app.graph, seen = new Set()) {
  if (!graph || seen.has(graph)) return []
  seen.add(graph)
  return (graph.nodes ?? []).flatMap((node) => [
    ...(node.type === type ? [node] : []),
    ...(node.subgraph ? nodesOfType(type, node.subgraph, seen) : []),
  ])
}
