// Finding nodes by the ids that the server uses, and what feeds them, through subgraphs.

import { app } from '../../scripts/app.js'

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

/**
 * All nodes of a type as places: the node, and the subgraph nodes around it, the outermost first. A graph that two
 * subgraph nodes share gives one place for each.
 */
export function placesOfType(type, graph = rootGraph(), around = []) {
  if (!graph || around.length > DEPTH) return []
  return (graph.nodes ?? []).flatMap((node) => [
    ...(node.type === type ? [{ node, around }] : []),
    ...(node.subgraph ? placesOfType(type, node.subgraph, [...around, node]) : []),
    ...groupedOfType(type, node).map((inner) => ({ node: inner, around: [...around, node] })),
  ])
}

const GROUP = /^workflow[>/]/

// What an old group node holds is made anew for every run, with its place among its nodes as id: all that stands in
// the graph is how it was saved. Of such a node no more is known than its type, its id and its title.
function groupedOfType(type, group) {
  if (!GROUP.test(group.type)) return []
  const saved = rootGraph()?.extra?.groupNodes?.[group.type.replace(GROUP, '')]?.nodes ?? []
  return saved.flatMap((node, id) =>
    node.type === type ? [{ id, type, title: node.title ?? type, isInGroup: true, isInputConnected: () => false }] : []
  )
}

/** The server's id for the node at a place. */
export function idOf({ node, around }) {
  return [...around, node].map((one) => one.id).join(':')
}

/** The link into a node's input, by the input's number; null if there is none. */
export function linkInto(node, slot) {
  if (!node.isInputConnected(slot)) return null
  // Of a subgraph node, getInputLink tells what leads to an output inside of it; the plain node's is meant here.
  const { getInputLink } = node.subgraph ? globalThis.LiteGraph.LGraphNode.prototype : node
  return getInputLink.call(node, slot)
}

/** The place of the node that feeds an input in a run: null if none does, undefined if it cannot be told. */
export function sourceOf(place, slot) {
  const { source, gap } = trace(place, slot)
  return gap ? null : source
}

/**
 * What feeds an input in a run: `source`, the place of a node, or `gap`, why nothing does; neither if it cannot be
 * told. A gap is `empty`, `muted` or `bypassed`, and names the node that is so.
 */
export function trace({ node, around }, slot) {
  let { graph } = node
  let link = linkInto(node, slot)
  let gap = { kind: 'empty' }
  const isWidget = Boolean(node.inputs?.[slot]?.widget) // a subgraph node may hold its value itself
  for (let depth = 0; depth < DEPTH; depth += 1) {
    if (!link) return { gap }
    if (link.originIsIoNode) {
      const outer = around.at(-1)
      if (!outer || (isWidget && !outer.isInputConnected(link.origin_slot))) return {}
      ;[graph, around, link] = [outer.graph, around.slice(0, -1), linkInto(outer, link.origin_slot)]
      continue
    }
    const source = graph.getNodeById(link.origin_id)
    if (!source) return {}
    if (source.mode === MUTED) return { gap: { kind: 'muted', node: source } }
    if (source.type === 'Reroute') link = linkInto(source, 0)
    else if (source.mode === BYPASSED) {
      gap = { kind: 'bypassed', node: source }
      link = linkPast(source, link.origin_slot)
    } else if (source.subgraph) {
      const output = source.subgraph.outputs?.[link.origin_slot]
      ;[graph, around, link] = [source.subgraph, [...around, source], output?.getLinks()[0]]
    } else return { source: { node: source, around } }
  }
  return {}
}

/** The link that a bypassed node passes on at an output: of the input beside it, else of the first of its type. */
function linkPast(node, slot) {
  const kind = node.outputs?.[slot]?.type
  const inputs = node.inputs ?? []
  const like = inputs[slot]?.type === kind ? slot : inputs.findIndex((one) => one.type === kind)
  return like < 0 ? null : linkInto(node, like)
}

/** The primitive nodes of ComfyUI's server that give their only widget's value, and of the editor. */
const isPrimitive = (type) => type === 'PrimitiveNode' || /^Primitive(Int|Float|String|StringMultiline|Boolean)$/.test(type)

/** The node and the widget that hold the value of a node's widget in a run; null if that cannot be told before. */
export function valueHolder(place, name) {
  const { node, around } = place
  const slot = node.inputs?.findIndex((input) => input.widget?.name === name) ?? -1
  const own = node.widgets?.find((widget) => widget.name === name)
  if (slot < 0 || !node.isInputConnected(slot)) return own ? { node, widget: own } : null
  const source = sourceOf(place, slot)
  if (source) return isPrimitive(source.node.type) ? primitiveHolder(source) : null
  const link = linkInto(node, slot)
  const outer = around.at(-1)
  if (source === null || !link?.originIsIoNode || !outer) return null
  // A widget of the subgraph node itself: under the name that the subgraph gives its input.
  const input = outer.inputs?.[link.origin_slot]
  return input && valueHolder({ node: outer, around: around.slice(0, -1) }, input.widget?.name ?? input.name)
}

function primitiveHolder(source) {
  const [widget] = source.node.widgets ?? []
  return widget ? valueHolder(source, widget.name) : null
}
