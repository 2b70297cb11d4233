// Required sockets that get no value: the server refuses such a run, and the strip says so before.

import { idOf, trace } from './graph.js'
import { text } from './texts.js'

// Of these sockets one is needed; the node's definition knows each of them as optional.
const ONE_OF = { EverTalkAudioEmbeds: ['audio', 'speakers'] }

function requiredOf(node) {
  const required = node.constructor?.nodeData?.input?.required ?? {}
  return (node.inputs ?? []).flatMap(({ name, widget }, slot) => (!widget && name in required ? [slot] : []))
}

const shownName = (node, slot) => node.inputs[slot].label ?? node.inputs[slot].localized_name ?? node.inputs[slot].name

function sentence(names, { kind, node }) {
  return text(kind === 'empty' ? 'gapEmpty' : kind === 'muted' ? 'gapMuted' : 'gapBypassed', {
    socket: names.join(text('or')),
    node: node?.title,
  })
}

/** What is missing at a node itself, as a sentence; empty if nothing is. */
function gapAt(place) {
  const { node } = place
  for (const slot of requiredOf(node)) {
    const { gap } = trace(place, slot)
    if (gap) return sentence([shownName(node, slot)], gap)
  }
  const slots = (ONE_OF[node.type] ?? []).map((name) => node.inputs?.findIndex((input) => input.name === name) ?? -1)
  if (!slots.length || slots.includes(-1)) return ''
  const gaps = slots.map((slot) => trace(place, slot).gap)
  if (gaps.includes(undefined)) return ''
  return sentence(slots.map((slot) => shownName(node, slot)), gaps.find(({ kind }) => kind !== 'empty') ?? gaps[0])
}

/** The first socket that gets no value, at a sampler or at what feeds it, as a sentence; empty if none. */
export function gapBehind(sampler) {
  const waiting = [sampler]
  const seen = new Set()
  for (const place of waiting) {
    if (seen.has(idOf(place))) continue
    seen.add(idOf(place))
    const gap = gapAt(place)
    if (gap) return place === sampler ? gap : text('gapOf', { node: place.node.title, text: gap })
    for (const slot of (place.node.inputs ?? []).keys()) {
      const { source } = trace(place, slot)
      if (source) waiting.push(source)
    }
  }
  return ''
}
