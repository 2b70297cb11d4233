// Finding nodes by the ids that the server uses, and what feeds them, through subgraphs.

import { app } from '../../scripts/app.js'

const FROM_OUTSIDE = -10 // LiteGraph's id for what a subgraph gets from outside
const [MUTED, BYPASSED] = [2, 4]
const DEPTH = 64

/** The open workflow's graph, whichever subgraph is shown. */
export function rootGraph() {
  return app.rootGraph ?? app.graph
}

/** The node with an id of the server's: `8`, or `3:8` for node 8 inside of subgraph node 3. */
export function nodeOf(id) {
  let graph = rootGraph()
  let node
  for (const part of String(id).split(':')) {
    node = graph?.getNodeById?.(Number(part)) ?? graph?.getNodeById?.(part)
    graph = node?.subgraph
  }
  return node
}

/** All nodes of a type as places: the node, and the subgraph nodes around it, the outermost first. */
export function placesOfType(type, graph = rootGraph(), around = [], seen = new Set()) {
  if (!graph || seen.has(graph)) return []
  seen.add(graph)
  return (graph.nodes ?? []).flatMap((node) => [
    ...(node.type === type ? [{ node, around }] : []),
    ...(node.subgraph ? placesOfType(type, node.subgraph, [...around, node], seen) : []),
  ])
}

/** The server's id for the node at a place. */
export function idOf({ node, around }) {
  return [...around, node].map((one) => one.id).join(':')
}

/** The place of the node that feeds an input in a run: null if none does, undefined if it cannot be told. */
export function sourceOf({ node, around }, input) {
  let { graph } = node
  let { link: id } = input
  for (let depth = 0; depth < DEPTH; depth += 1) {
    if (id == null) return null
    const link = graph?.getLink?.(id) ?? graph?.links?.get?.(id)
    if (!link) return undefined
    if (link.origin_id === FROM_OUTSIDE) {
      const outer = around.at(-1)
      const given = outer?.inputs?.[link.origin_slot]
      if (given?.link == null) return undefined // the subgraph node's own widget may hold it
      ;[graph, around, id] = [outer.graph, around.slice(0, -1), given.link]
      continue
    }
    const source = graph.getNodeById(link.origin_id)
    if (!source) return undefined
    if (source.mode === MUTED) return null
    if (source.type === 'Reroute') id = source.inputs?.[0]?.link
    else if (source.mode === BYPASSED) {
      const kind = source.outputs?.[link.origin_slot]?.type
      id = source.inputs?.find((one) => one.type === kind)?.link
    } else if (source.subgraph) {
      const output = source.subgraph.outputs?.[link.origin_slot]
      ;[graph, around, id] = [source.subgraph, [...around, source], output?.linkIds?.[0]]
    } else return { node: source, around }
  }
  return undefined
}
