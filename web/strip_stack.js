// Where strips are shown: a sampler's own on the sampler, and again on every subgraph node and old group node around it.

import { growToFit, MARGIN_PX } from './badges.js'
import { idOf, placesOfType } from './graph.js'
import { WindowStrip } from './window_strip.js'

const WIDGET = 'evertalk_strip'
const GAP_PX = 6

/** The strips on one node, below each other, as one widget. */
class StripStack {
  constructor(node) {
    this.node = node
    this.strips = new Map() // which sampler -> its strip
    this.places = new Map() // which sampler -> its place now
    this.element = document.createElement('div')
    this.element.className = 'evertalk-stack'
    this.addWidget()
    if (node.subgraph) leaveOutOfFiles(node)
  }

  addWidget() {
    this.widget = this.node.addDOMWidget(WIDGET, WIDGET, this.element, {
      serialize: false,
      hideOnZoom: false,
      margin: MARGIN_PX,
      getMinHeight: () => this.height,
      getMaxHeight: () => this.height,
    })
    this.widget.serialize = false
  }

  get height() {
    const heights = [...this.strips.values()].map((strip) => strip.height)
    return heights.reduce((sum, one) => sum + one, 0) + GAP_PX * Math.max(0, heights.length - 1) + 2 * MARGIN_PX
  }

  /** The strip of a sampler, made if there is none. */
  strip(which, placeOf) {
    if (!this.strips.has(which)) {
      const strip = new WindowStrip(placeOf, () => this.strips.has(which) && growToFit(this.node))
      this.strips.set(which, strip)
      this.element.append(strip.element)
      growToFit(this.node)
    }
    return this.strips.get(which)
  }

  /** Removes the strips of samplers that are there no more, and names the others if there are several. */
  keep(places) {
    this.places = places
    for (const [which, strip] of this.strips)
      if (!places.has(which)) {
        strip.element.remove()
        this.strips.delete(which)
      }
    for (const [which, strip] of this.strips)
      strip.name(places.size > 1 ? titleOf(places.get(which), this.node) : '')
    if (places.size) return
    const index = this.node.widgets?.indexOf(this.widget) ?? -1
    if (index < 0) return
    this.widget.onRemove?.()
    this.node.widgets.splice(index, 1)
    this.node.setDirtyCanvas?.(true, true)
  }
}

// Frontend 1.32 would note the widget among the promoted ones of a saved subgraph node.
function leaveOutOfFiles(node) {
  const before = node.onSerialize
  node.onSerialize = function (saved, ...rest) {
    const result = before?.call(this, saved, ...rest)
    const promoted = saved.properties?.proxyWidgets
    if (Array.isArray(promoted)) saved.properties.proxyWidgets = promoted.filter(([, name]) => name !== WIDGET)
    return result
  }
}

function titleOf({ node, around }, host) {
  return [...around.slice(around.indexOf(host) + 1), node].map((one) => one.title).join(' / ')
}

const stacks = new WeakMap() // node -> the strips on it
let hosts = new Map() // subgraph and group nodes that have strips -> id of a sampler inside -> its place

function stackOf(node) {
  if (!stacks.has(node)) stacks.set(node, new StripStack(node))
  return stacks.get(node)
}

/** A sampler's own strip. Of the same node in several subgraph nodes, the place is that of the run that is shown. */
export function ownStrip(sampler) {
  const placeOf = (id) => {
    const places = placesOfType(sampler.type).filter(({ node }) => node === sampler)
    return places.find((place) => idOf(place) === id) ?? places[0] ?? { node: sampler, around: [] }
  }
  return stackOf(sampler).strip('own', placeOf)
}

/** The strips of samplers at places on the nodes around them, with the sampler's id; those of others are removed. */
export function outerStrips(places) {
  const found = new Map()
  for (const place of places)
    for (const host of place.around) {
      if (!found.has(host)) found.set(host, new Map())
      found.get(host).set(idOf(place), place)
    }
  for (const host of hosts.keys())
    if (!found.has(host)) {
      stacks.get(host)?.keep(new Map())
      stacks.delete(host)
    }
  hosts = found
  return [...found].flatMap(([host, inside]) => {
    const stack = stackOf(host)
    const strips = [...inside].map(([id, place]) => ({ id, strip: stack.strip(id, () => stack.places.get(id) ?? place) }))
    stack.keep(inside)
    return strips
  })
}
